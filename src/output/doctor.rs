//! What this machine has and lacks. Pure.

use super::Style;
use serde::Serialize;

/// One tool of the machine.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// What it is for, in words.
    pub purpose: String,
    /// What was found: where it is, and of which version where that matters.
    pub found: Option<String>,
    /// Why it doesn't serve, where it doesn't.
    pub lacks: Option<String>,
}

/// The tools, one a line.
pub(super) fn text(findings: &[Finding], style: Style) -> String {
    let width = |of: fn(&Finding) -> &str| findings.iter().map(|one| of(one).len()).max().unwrap_or(0);
    let (names, purposes) = (width(|one| &one.name), width(|one| &one.purpose));
    let line = |one: &Finding| {
        let (sign, told) = match (&one.found, &one.lacks) {
            (_, Some(why)) => (style.bad("✗"), why.clone()),
            (found, None) => (style.good("✓"), style.dim(found.as_deref().unwrap_or_default())),
        };
        format!(
            "{sign} {}  {:purposes$}  {told}\n",
            style.strong(&format!("{:names$}", one.name)),
            one.purpose
        )
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_why_and_what_is_there_says_where() {
        let finding = |name: &str, found: Option<&str>, lacks: Option<&str>| Finding {
            name: name.to_owned(),
            purpose: "fun".into(),
            found: found.map(str::to_owned),
            lacks: lacks.map(str::to_owned),
        };
        let found = [finding("nft", Some("/usr/sbin/nft"), None), finding("java", None, Some("is missing"))];
        insta::assert_snapshot!(text(&found, Style::plain()), @"
        ✓ nft   fun  /usr/sbin/nft
        ✗ java  fun  is missing
        ");
    }
}
