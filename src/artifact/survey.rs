//! Holds the jars of a directory against a lock. Reads files; changes nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::digest::Digest;
use super::error::ArtifactError;
use super::lockfile::Jar;

/// Why a jar of a directory isn't the locked one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JarFault {
    /// No such file.
    #[error("it is missing")]
    Missing,
    /// Another size: truncated, most likely.
    #[error("it has {found} bytes, expected {expected}")]
    Size {
        /// The lock's size in bytes.
        expected: u64,
        /// The file's size in bytes.
        found: u64,
    },
    /// The right size and another content.
    #[error("its SHA-256 is {found}, expected {expected}")]
    Digest {
        /// The lock's digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
}

/// The jars that `folder` lacks or holds wrongly, in lock order. Hashes on as many threads as there are cores.
pub(super) async fn survey(jars: Arc<[Jar]>, folder: &Path) -> Result<Vec<(Jar, JarFault)>, ArtifactError> {
    let folder: Arc<Path> = folder.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut threads = JoinSet::new();
    for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(jars.len()) {
        let (jars, folder, next) = (Arc::clone(&jars), Arc::clone(&folder), Arc::clone(&next));
        threads.spawn_blocking(move || {
            let mut faults = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(jar) = jars.get(index) else { return Ok(faults) };
                if let Some(fault) = inspect(jar, &folder)? {
                    faults.push((index, fault));
                }
            }
        });
    }
    let mut faults = Vec::new();
    while let Some(thread) = threads.join_next().await {
        faults.extend(thread.expect("hashing neither panics nor is aborted while it is awaited")?);
    }
    faults.sort_by_key(|(index, _)| *index);
    Ok(faults.into_iter().map(|(index, fault)| (jars[index].clone(), fault)).collect())
}

fn inspect(jar: &Jar, folder: &Path) -> Result<Option<JarFault>, ArtifactError> {
    let path = folder.join(jar.store_name());
    fault(jar, &path).map_err(|source| ArtifactError::JarUnreadable { path, source })
}

fn fault(jar: &Jar, path: &Path) -> io::Result<Option<JarFault>> {
    let size = match path.metadata() {
        Ok(meta) => meta.len(),
        // Not a directory: a part of the path is a file, and so there is no jar either.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Some(JarFault::Missing));
        }
        Err(error) => return Err(error),
    };
    if size != jar.size {
        return Ok(Some(JarFault::Size { expected: jar.size, found: size }));
    }
    let found = Digest::of_file(path)?;
    Ok((found != jar.digest).then_some(JarFault::Digest { expected: jar.digest, found }))
}
