//! What `fuzz/` does for hours, for a second at each test run: texts that are one mutation away from good ones.

#[path = "support/parsers.rs"]
mod parsers;

use proptest::prelude::*;
use proptest::sample::Index;
use std::path::Path;

/// What happens to a text.
#[derive(Debug, Clone)]
enum Mutation {
    Cut(Index),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    /// What stands in one place is put into another.
    Repeat(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Mutation::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (
            at(),
            prop::sample::select(vec![
                "{",
                "[",
                "\"",
                "null",
                "-1",
                "1e999",
                "99999999999999999999",
                "é",
                "\n"
            ])
        )
            .prop_map(|(at, text)| Mutation::Insert(at, text.as_bytes().to_vec())),
        (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        (at(), at(), at()).prop_map(|(from, to, at)| Mutation::Repeat(from, to, at)),
    ]
}

fn mutate(text: &mut Vec<u8>, mutation: &Mutation) {
    if text.is_empty() {
        return;
    }
    let place = |index: &Index| index.index(text.len());
    let range = |from: &Index, to: &Index| place(from).min(place(to))..place(from).max(place(to));
    match mutation {
        Mutation::Cut(at) => text.truncate(place(at)),
        Mutation::Set(at, byte) => {
            let at = place(at);
            text[at] = *byte;
        }
        Mutation::Insert(at, more) => {
            let at = place(at);
            text.splice(at..at, more.iter().copied());
        }
        Mutation::Remove(from, to) => drop(text.drain(range(from, to))),
        Mutation::Repeat(from, to, at) => {
            let (part, at) = (text[range(from, to)].to_vec(), place(at));
            text.splice(at..at, part);
        }
    }
}

#[test]
fn good_texts_are_taken() {
    for (name, read, text) in parsers::seeds() {
        assert!(read(&text), "{name}: {}", String::from_utf8_lossy(&text));
        // Where fuzzing begins; see fuzz/README.md.
        if let Some(corpus) = std::env::var_os("OCTAD_CORPUS") {
            let corpus = Path::new(&corpus).join(name);
            std::fs::create_dir_all(&corpus).unwrap();
            std::fs::write(corpus.join("seed"), &text).unwrap();
        }
        assert!(!read(&text[..text.len() / 2]) || name == "stack_file" || name == "journal", "{name}, cut");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(mutations in prop::collection::vec(mutation(), 1..4)) {
        for (_, read, mut text) in parsers::seeds() {
            mutations.iter().for_each(|mutation| mutate(&mut text, mutation));
            read(&text);
        }
    }
}
