//! Archives in the store: fetched once, checked, unpacked, and each of their files checked again before use. Reads and,
//! when something is missing, writes the store; fetches over HTTP.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use super::error::ArtifactError;
use super::filling::{self, Scratch, not_writable};
use super::store::Store;
use crate::http;

/// Where a fetch tells how many bytes have come, and of how many where that is known.
pub(super) type Arrived<'a> = dyn Fn(u64, Option<u64>) + Send + Sync + 'a;

/// An archive of software.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    /// Where it is fetched from.
    pub(super) url: String,
    /// What it must be.
    pub(super) digest: Digest,
    /// How many directories, each alone at its place, stand around what is meant.
    pub(super) strip: u32,
}

/// What tells of a directory in the store what was unpacked into it: digests of its files, by path.
type Contents = BTreeMap<String, String>;

impl Archive {
    /// Where it is in a store.
    pub(super) fn directory(&self, store: &Store) -> PathBuf {
        store.root().join("software").join(format!("{}-{}", self.digest, self.strip))
    }

    /// What was in it when it was unpacked, beside its directory: a program may write into its own.
    fn list(&self, store: &Store) -> PathBuf {
        let mut name = self.directory(store).into_os_string();
        name.push(".json");
        name.into()
    }

    /// Has it in the store, each file as it was unpacked. Returns its directory.
    pub(super) async fn unpacked(
        &self,
        store: &Store,
        progress: &Arrived<'_>,
    ) -> Result<PathBuf, ArtifactError> {
        let directory = self.directory(store);
        if self.is_whole(store).await {
            return Ok(directory);
        }
        let _lock = filling::lock(store.root(), || progress(0, None)).await?;
        let tmp = store.root().join("tmp");
        filling::sweep(&tmp);
        // Whoever held the lock may have unpacked it.
        if self.is_whole(store).await {
            return Ok(directory);
        }
        let scratch = Scratch::create(&tmp)?;
        let file = scratch.0.join("archive");
        self.fetch(&file, progress).await?;
        let (this, list) = (self.clone(), self.list(store));
        let work = move || this.put_in_place(&file, &scratch, &directory, &list).map(|()| directory);
        tokio::task::spawn_blocking(work)
            .await
            .expect("unpacking neither panics nor is aborted while it is awaited")
    }

    async fn is_whole(&self, store: &Store) -> bool {
        let (directory, list) = (self.directory(store), self.list(store));
        let look = move || {
            let listed: Option<Contents> =
                fs::read(list).ok().and_then(|text| serde_json::from_slice(&text).ok());
            // What can't be read is unpacked anew, as what is missing.
            listed.is_some_and(|listed| {
                listed.iter().all(|(path, digest)| {
                    digest_of(&directory.join(path)).is_ok_and(|found| found == *digest)
                })
            })
        };
        tokio::task::spawn_blocking(look)
            .await
            .expect("hashing neither panics nor is aborted while it is awaited")
    }

    async fn fetch(&self, to: &Path, progress: &Arrived<'_>) -> Result<(), ArtifactError> {
        let mut file = tokio::fs::File::create(to).await.map_err(not_writable(to))?;
        let fetched = http::fetch(&self.url, &mut file, progress).await;
        fetched.map_err(|source| ArtifactError::NotFetched { url: self.url.clone(), source })?;
        let path = to.to_owned();
        let found = tokio::task::spawn_blocking(move || Digest::of_file(&path))
            .await
            .expect("hashing neither panics nor is aborted while it is awaited")
            .map_err(not_writable(to))?;
        if found == self.digest {
            return Ok(());
        }
        Err(ArtifactError::OtherArchive { url: self.url.clone(), expected: self.digest, found })
    }

    /// Unpacks beside the store's own and moves it in. Whoever runs what lay there before goes on with that. Blocks.
    fn put_in_place(
        &self,
        file: &Path,
        scratch: &Scratch,
        directory: &Path,
        list: &Path,
    ) -> Result<(), ArtifactError> {
        let failed = |source| ArtifactError::NotUnpacked { url: self.url.clone(), source };
        let whole = scratch.0.join("unpacked");
        fs::create_dir(&whole).map_err(not_writable(&whole))?;
        unpack(file, &whole).map_err(failed)?;
        let meant = stripped(&whole, self.strip).map_err(failed)?;
        let mut contents = Contents::new();
        take_in(&meant, &meant, &mut contents).map_err(failed)?;
        let place = || -> io::Result<()> {
            let above = directory.parent().unwrap_or(directory);
            fs::create_dir_all(above)?;
            // Without its list a directory counts for nothing: half a one never has one.
            let _ = fs::remove_file(list);
            if directory.exists() {
                fs::rename(directory, scratch.0.join("before"))?;
            }
            fs::rename(&meant, directory)?;
            File::open(above)?.sync_all()?;
            let fresh = scratch.0.join("list");
            fs::write(&fresh, serde_json::to_vec(&contents)?)?;
            File::open(&fresh)?.sync_all()?;
            fs::rename(&fresh, list)?;
            File::open(above)?.sync_all()
        };
        place().map_err(not_writable(directory))
    }
}

/// Unpacks an archive, whose form is told by how it begins, into an empty directory, and nothing outside of it.
fn unpack(file: &Path, to: &Path) -> io::Result<()> {
    let mut file = File::open(file)?;
    let mut begin = [0; 4];
    let read = file.read(&mut begin)?;
    file.rewind()?;
    match &begin[..read] {
        [0x1f, 0x8b, ..] => tar::Archive::new(flate2::read::MultiGzDecoder::new(file)).unpack(to),
        [b'P', b'K', 3, 4] => zip::ZipArchive::new(file)?.extract(to).map_err(io::Error::from),
        _ => tar::Archive::new(file).unpack(to),
    }
}

/// What is within so many directories, each of which is alone.
fn stripped(directory: &Path, strip: u32) -> io::Result<PathBuf> {
    let mut meant = directory.to_owned();
    for _ in 0..strip {
        let mut entries = fs::read_dir(&meant)?;
        let first = entries.next().transpose()?;
        let alone = first.filter(|first| first.path().is_dir()).filter(|_| entries.next().is_none());
        let Some(alone) = alone else {
            return Err(io::Error::other("there isn't one directory around what it holds"));
        };
        meant = alone.path();
    }
    Ok(meant)
}

/// Lists what is in a directory, and puts it on the disk.
fn take_in(root: &Path, directory: &Path, contents: &mut Contents) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if found.is_dir() {
            take_in(root, &path, contents)?;
            continue;
        }
        if found.is_file() {
            File::open(&path)?.sync_all()?;
        }
        let name = path.strip_prefix(root).unwrap_or(&path);
        let name =
            name.to_str().ok_or_else(|| io::Error::other(format!("a name in it is no text: {name:?}")))?;
        contents.insert(name.to_owned(), digest_of(&path)?);
    }
    File::open(directory)?.sync_all()
}

/// What tells a file from any other: its content, or where a link leads, and whether it is a program.
fn digest_of(path: &Path) -> io::Result<String> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        let mut hash = Sha256::new();
        hash.update(fs::read_link(path)?.as_os_str().as_bytes());
        return Ok(format!("link {}", Digest::of(hash)));
    }
    let kind = if found.permissions().mode() & 0o111 == 0 { "file" } else { "program" };
    Ok(format!("{kind} {}", Digest::of_file(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Environment;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A program, a text and a link, within a directory.
    fn tar_gz() -> Vec<u8> {
        let mut archive =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut append = |path: &str, mode, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content).unwrap();
        };
        append("web-1.0/bin/web", 0o755, b"#!/bin/sh\n");
        append("web-1.0/web.html", 0o644, b"<p>");
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        archive.append_link(&mut link, "web-1.0/index.html", "web.html").unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn zipped() -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("bin/web", options.unix_permissions(0o755)).unwrap();
        archive.write_all(b"#!/bin/sh\n").unwrap();
        archive.finish().unwrap().into_inner()
    }

    fn sha256(content: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(content);
        Digest::of(hash).to_string()
    }

    /// A server that has this for whoever asks, where it is asked, and how often it was.
    async fn served(content: Vec<u8>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/web-1.0.tgz", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 1024]).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    content.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&content).await;
            }
        });
        (url, asked)
    }

    /// An empty store.
    fn store(folder: &Path) -> Store {
        Store::locate(Environment::default().with("OCTAD_STORE", folder)).unwrap()
    }

    fn quiet(_: u64, _: Option<u64>) {}

    #[tokio::test]
    async fn an_archive_is_unpacked_once_and_mended_where_another_hand_changed_it() {
        let folder = tempfile::tempdir().unwrap();
        let (content, store) = (tar_gz(), store(folder.path()));
        let digest = sha256(&content);
        let (url, asked) = served(content).await;
        let unpack = async || store.unpack(&url, &digest, 1, &quiet).await.unwrap();
        let directory = unpack().await;
        assert_eq!(directory, store.software(&url, &digest, 1).unwrap());
        assert_eq!(fs::read_to_string(directory.join("index.html")).unwrap(), "<p>");
        assert_ne!(fs::metadata(directory.join("bin/web")).unwrap().permissions().mode() & 0o111, 0);
        // What the program writes itself is its own.
        fs::write(directory.join("cache"), "x").unwrap();
        unpack().await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(directory.join("cache").exists());
        let harms: [fn(&Path); 4] = [
            |directory| fs::write(directory.join("web.html"), "<q>").unwrap(),
            |directory| fs::remove_file(directory.join("index.html")).unwrap(),
            |directory| {
                fs::set_permissions(directory.join("bin/web"), fs::Permissions::from_mode(0o644)).unwrap()
            },
            // Half of it, as a loss of power leaves it.
            |directory| fs::remove_file(directory.with_extension("json")).unwrap(),
        ];
        for (times, harm) in (2..).zip(harms) {
            harm(&directory);
            unpack().await;
            assert_eq!(asked.load(Ordering::Relaxed), times);
            assert_eq!(fs::read_to_string(directory.join("index.html")).unwrap(), "<p>");
        }
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_zip_is_unpacked_too() {
        let folder = tempfile::tempdir().unwrap();
        let content = zipped();
        let digest = sha256(&content);
        let (url, _) = served(content).await;
        let directory = store(folder.path()).unpack(&url, &digest, 0, &quiet).await.unwrap();
        assert_ne!(fs::metadata(directory.join("bin/web")).unwrap().permissions().mode() & 0o111, 0);
    }

    #[tokio::test]
    async fn what_is_not_the_archive_that_was_meant_is_not_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let (url, _) = served(tar_gz()).await;
        let other = sha256(b"another");
        let refused = store.unpack(&url, &other, 1, &quiet).await.unwrap_err();
        assert!(matches!(&refused, ArtifactError::OtherArchive { .. }), "{refused:?}");
        assert!(!store.software(&url, &other, 1).unwrap().exists());
        let refused = store.unpack(&url, "sha256-AAA", 1, &quiet).await.unwrap_err();
        assert!(matches!(&refused, ArtifactError::NotPinned { .. }), "{refused:?}");
        // Two directories deep there is no one directory.
        let refused = store.unpack(&url, &sha256(&tar_gz()), 2, &quiet).await.unwrap_err();
        assert!(matches!(&refused, ArtifactError::NotUnpacked { .. }), "{refused:?}");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn nothing_is_unpacked_outside_of_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        let name = b"../../escaped";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(1);
        header.set_cksum();
        archive.append(&header, &b"x"[..]).unwrap();
        let content = archive.into_inner().unwrap();
        let digest = sha256(&content);
        let (url, _) = served(content).await;
        store(folder.path()).unpack(&url, &digest, 0, &quiet).await.unwrap();
        let mut left = vec![folder.path().to_owned()];
        while let Some(path) = left.pop() {
            assert_ne!(path.file_name().unwrap(), "escaped");
            if path.is_dir() {
                left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        assert!(!folder.path().parent().unwrap().join("escaped").exists());
    }
}
