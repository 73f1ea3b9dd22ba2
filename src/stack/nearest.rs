//! What somebody may have meant who wrote a name that nobody knows. Pure.

/// How alike two names must be (Jaro–Winkler, 0 to 1) to be taken for one another: clap's own measure and bound for
/// its suggestions, so that all of Octad suggests alike.
const ALIKE: f64 = 0.7;

/// The known name that is most like `name`, the first of those that are equally so; `None` where none is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &'a str| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known);
    let more = |best: (f64, &'a str), next: (f64, &'a str)| if next.0 > best.0 { next } else { best };
    let best = known.into_iter().map(alike).reduce(more);
    best.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_strangers_are_not() {
        let known =
            ["brokers", "version", "heap-mib", "replication-factor", "min-insync-replicas", "settings"];
        for (written, meant) in [
            ("brokrs", Some("brokers")),
            ("Brokers", Some("brokers")),
            ("heap_mib", Some("heap-mib")),
            ("min.insync.replicas", Some("min-insync-replicas")),
            ("colour", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest("broker-9", ["broker-1", "broker-2"]), Some("broker-1"));
    }
}
