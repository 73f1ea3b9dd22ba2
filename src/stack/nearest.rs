//! What somebody may have meant who wrote a name that nobody knows. Pure.

/// How alike two names must be (Jaro–Winkler, 0 to 1) to be taken for one another: clap's own measure and bound for
/// its suggestions, so that all of Octad suggests alike.
const ALIKE: f64 = 0.7;

/// The known name that is most like `name`, where one is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &'a str| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known);
    let best = known.into_iter().map(alike).max_by(|(one, _), (other, _)| one.total_cmp(other));
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
    }
}
