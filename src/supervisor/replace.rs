//! Replacing a file so that a reader, or a crash, sees either the old one or the new one whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Writes `content` beside `path`, syncs it and renames it over `path`.
///
/// Two writers of one path at a time are not allowed: they share the temporary file.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_data()
    });
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // What matters is the first error; a leftover is overwritten by the next attempt.
        let _ = fs::remove_file(&temporary);
    })
}
