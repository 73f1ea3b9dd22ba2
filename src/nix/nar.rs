//! Writes what lies at a path as a NAR, Nix's archive: names sorted, of the modes only whether a file is executable, no
//! times, no owners. The same tree gives the same bytes everywhere. Blocks.

use super::wire::{padding, put_text};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// How much of a file is read at once, in bytes.
const READ: usize = 64 << 10;

/// Writes what lies at `path` as a NAR.
///
/// # Errors
/// Where it can't be read, holds something else than files, directories and links, or changes meanwhile; or where `out`
/// fails.
pub fn write_nar(path: &Path, out: &mut impl Write) -> io::Result<()> {
    put(out, &["nix-archive-1"])?;
    write_node(path, out)
}

fn write_node(path: &Path, out: &mut impl Write) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_file() {
        put(out, &["(", "type", "regular"])?;
        if metadata.permissions().mode() & 0o100 != 0 {
            put(out, &["executable", ""])?;
        }
        put(out, &["contents"])?;
        write_contents(path, metadata.len(), out)?;
    } else if kind.is_dir() {
        put(out, &["(", "type", "directory"])?;
        let names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<OsString>>>()?;
        // By bytes, as Nix does.
        names.sort();
        for name in names {
            put(out, &[b"entry".as_slice(), b"(", b"name", name.as_bytes(), b"node"])?;
            write_node(&path.join(&name), out)?;
            put(out, &[")"])?;
        }
    } else if kind.is_symlink() {
        let target = fs::read_link(path)?.into_os_string().into_vec();
        put(out, &[b"(".as_slice(), b"type", b"symlink", b"target", &target])?;
    } else {
        return Err(io::Error::other(format!("{} is no file, directory or link", path.display())));
    }
    put(out, &[")"])
}

fn write_contents(path: &Path, length: u64, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&length.to_le_bytes())?;
    let mut file = File::open(path)?.take(length);
    let mut buffer = vec![0; READ.min(length as usize)];
    let mut left = length;
    while left > 0 {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::other(format!("{} became shorter while it was read", path.display())));
        }
        out.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    out.write_all(&[0; 8][..padding(length)])
}

fn put<Text: AsRef<[u8]>>(out: &mut impl Write, texts: &[Text]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(64);
    texts.iter().for_each(|text| put_text(&mut bytes, text));
    out.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;
    use sha2::{Digest as _, Sha256};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_gives_the_bytes_that_nix_gives() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("empty")).unwrap();
        fs::write(tree.join("a.txt"), "hello\n").unwrap();
        fs::write(tree.join("Z"), "").unwrap();
        fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        symlink("a.txt", tree.join("link")).unwrap();
        let mut nar = Vec::new();
        write_nar(&tree, &mut nar).unwrap();
        // As `nix-store --dump` has it.
        assert_eq!(nar.len(), 1064);
        assert_eq!(
            hex(Sha256::digest(&nar)),
            "3e0215d60080d99297fb3adb2cfc1ddde84c422c3909517662c503b55fd68289"
        );
    }

    #[test]
    fn a_socket_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
        let error = write_nar(directory.path(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("is no file"), "{error}");
    }
}
