//! What the documents show: code blocks with the comment `<!-- shown: SOURCE -->` above them are cut from that source, with
//! a line `…` where something is left out.

/// A block, and what it is cut from.
pub(super) struct Shown {
    pub(super) source: String,
    pub(super) lines: Vec<String>,
}

/// What is left out.
pub(super) const LEFT_OUT: &str = "…";

/// The blocks of a chapter that are cut from something, in their order.
pub(super) fn shown(chapter: &str) -> Vec<Shown> {
    let mut all = Vec::new();
    let mut lines = chapter.lines();
    while let Some(line) = lines.next() {
        let Some(source) = line.strip_prefix("<!-- shown: ").and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "{source}: a block follows, not `{fence}`");
        let lines = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        all.push(Shown { source: source.to_owned(), lines });
    }
    all
}

/// Sources that take a cluster which runs.
pub(super) const OF_A_RUN: [&str; 4] = ["octad up", "octad up, again", "octad", "octad status"];
