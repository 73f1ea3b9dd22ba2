//! What a machine has run before.

use super::look::Look;
use crate::host::{Generation, Past};
use std::time::{Duration, UNIX_EPOCH};

/// Tells it.
pub(super) const SCRIPT: &str = include_str!("scripts/past.sh");
/// The last line: what came before it is whole.
const END: &str = "told";

/// From what the script said; `None` where it isn't whole.
pub(super) fn of(said: &str, look: &Look) -> Option<Past> {
    let (mut all, mut is_whole): (Vec<Generation>, _) = (Vec::new(), false);
    for line in said.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "generation" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [number, since, system] = words.try_into().ok()?;
                all.push(Generation {
                    number: number.parse().ok()?,
                    since: UNIX_EPOCH + Duration::from_secs(since.parse().ok()?),
                    system: system.to_owned(),
                    documents: [].into(),
                });
            }
            "document" => {
                let (node, text) = rest.split_once(' ')?;
                let document = serde_json::from_str(text).ok()?;
                all.last_mut()?.documents.insert(node.to_owned(), document);
            }
            END => is_whole = true,
            _ => {}
        }
    }
    all.sort_by_key(|one| one.number);
    is_whole.then(|| Past { all, runs: look.system.clone(), wave: look.wave() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "now system-9-link
generation 10 1700000100 /nix/store/b-nixos-system
document broker-1 {\"facts\":{}}
document zk-1 {}
generation 9 1700000000 /nix/store/a-nixos-system
told";

    #[test]
    fn generations_are_told_in_their_order_with_what_they_had() {
        let look = Look::of("system /nix/store/b-nixos-system\nlooked").unwrap();
        let past = of(SAID, &look).unwrap();
        let numbers: Vec<u64> = past.all.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [9, 10]);
        assert_eq!(past.all[1].documents.len(), 2);
        assert_eq!(past.before().map(|one| one.number), Some(9));
        assert!(of(SAID.trim_end_matches("told"), &look).is_none());
    }
}
