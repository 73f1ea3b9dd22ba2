//! The version of its form that each of Octad's JSON documents tells. Pure.

use serde::Deserialize;

/// The `format` of a document. It is read before the rest: a newer form must be told from a damaged file.
///
/// # Errors
/// Where `text` is no JSON document with one.
pub(super) fn format_of(text: &[u8]) -> Result<u32, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    serde_json::from_slice(text).map(|head: Head| head.format)
}
