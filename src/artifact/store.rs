//! The store: content-addressed jars and archives, shared by all stacks of a user. Reads and, when something is missing, writes
//! its directory.

use std::path::{Path, PathBuf};

use super::class_path::ClassPath;
use super::error::ArtifactError;
use super::filling::{self, Filling};
use super::lockfile::Jar;
use super::progress::Progress;
use super::set::ArtifactSet;
use super::survey::survey;
use super::unpack::Archive;
use crate::hex::hex;
use crate::tool::{self, Environment};
use sha2::{Digest as _, Sha256};

/// Where jars and unpacked archives are kept and class-data archives go.
///
/// Root: `$OCTAD_STORE`, else `$XDG_CACHE_HOME/octad`, else `~/.cache/octad`; under it `jars/<sha256>-<file name>`,
/// `software/<sha256>-<strip>` with a list of its files beside it, `archives/`, and while it is being filled `lock` and `tmp/`. `$OCTAD_ARTIFACTS` names a directory with the same
/// `jars/` that is used instead; it is never written to and Maven is never called.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    supplied: Option<PathBuf>,
    environment: Environment,
}

impl Store {
    /// The store that the environment's variables place. Touches no file.
    pub fn locate(environment: Environment) -> Result<Self, ArtifactError> {
        let root = environment
            .path("OCTAD_STORE")
            .or_else(|| Some(environment.path("XDG_CACHE_HOME")?.join("octad")))
            .or_else(|| Some(environment.path("HOME")?.join(".cache/octad")))
            .ok_or(ArtifactError::NoStoreLocation)?;
        let root = usable(root)?;
        let supplied = environment.path("OCTAD_ARTIFACTS").map(usable).transpose()?;
        Ok(Self { root, supplied, environment })
    }

    /// Where links keep the NixOS systems of a stack, with notes of what they were made of. What is there may be deleted, and
    /// is made again. Stacks of one name at two places (`site`) are two.
    pub fn systems(&self, site: &Path, stack: &str) -> PathBuf {
        let place = hex(&Sha256::digest(site.as_os_str().as_encoded_bytes())[..4]);
        self.root.join("systems").join(format!("{stack}-{place}"))
    }

    /// The directory that is written to; absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that class paths lead to; absolute.
    pub fn jars(&self) -> PathBuf {
        self.supplied.as_ref().unwrap_or(&self.root).join("jars")
    }

    /// Where an archive of software lies once it is unpacked.
    pub fn software(&self, url: &str, sha256: &str, strip: u32) -> Result<PathBuf, ArtifactError> {
        Ok(archive(url, sha256, strip)?.directory(self))
    }

    /// Has an archive of software unpacked, each of its files as it was in it, and returns its directory.
    ///
    /// Where it is there this reads all of it and does nothing else; else it is fetched. Cancel-safe, and several processes
    /// wait for each other, as with [`Store::resolve`]. `progress` is told how many bytes have come, of how many.
    ///
    /// # Errors
    /// Where it can't be fetched, isn't what its digest says, or can't be unpacked.
    pub async fn unpack(
        &self,
        url: &str,
        sha256: &str,
        strip: u32,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<PathBuf, ArtifactError> {
        archive(url, sha256, strip)?.unpacked(self, progress).await
    }

    /// The error to expect where the set can't be had without Maven and there is none: as far as names of files tell,
    /// without a look at what is in them.
    pub fn lacks_maven(&self, set: &ArtifactSet) -> Option<ArtifactError> {
        let there = |jar: &Jar| self.jars().join(jar.store_name()).exists();
        let missing = set.jars().iter().filter(|jar| !there(jar)).count();
        let can_fetch = self.supplied.is_some() || self.environment.program(tool::MAVEN).is_some();
        (missing > 0 && !can_fetch).then(|| ArtifactError::MavenNotFound {
            set: set.to_string(),
            missing,
            store: self.root.clone(),
        })
    }

    /// The set's class path, every jar of it verified now.
    ///
    /// Without faults this hashes the set and does nothing else, so it needs neither Maven nor network nor a
    /// writable store. Otherwise Maven is called once, or twice when its local repository gave a wrong jar.
    /// Cancel-safe: a dropped future kills Maven and removes its directory; a killed octad's leftovers are removed
    /// by the next resolve. Resolves of several processes wait for each other while they fill.
    pub async fn resolve(
        &self,
        set: &ArtifactSet,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<ClassPath, ArtifactError> {
        let folder = self.jars();
        let faults = survey(set.shared_jars(), &folder).await?;
        if self.supplied.is_some() {
            if let Some((jar, fault)) = faults.into_iter().next() {
                let path = folder.join(jar.store_name());
                return Err(ArtifactError::Supplied {
                    set: set.to_string(),
                    coordinates: jar.coordinates,
                    path,
                    fault: Box::new(fault),
                });
            }
        } else if faults.is_empty() {
            filling::sweep_if_idle(&self.root).await;
        } else {
            Filling { root: &self.root, environment: &self.environment, set }.run(progress).await?;
        }
        Ok(ClassPath::new(set.jars().iter().map(|jar| folder.join(jar.store_name())).collect()))
    }
}

fn archive(url: &str, sha256: &str, strip: u32) -> Result<Archive, ArtifactError> {
    let pinned = |source| ArtifactError::NotPinned { url: url.to_owned(), source };
    Ok(Archive { url: url.to_owned(), digest: sha256.parse().map_err(pinned)?, strip })
}

fn usable(path: PathBuf) -> Result<PathBuf, ArtifactError> {
    let path = std::path::absolute(&path)
        .map_err(|source| ArtifactError::StoreNotWritable { path: path.clone(), source })?;
    if path.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(ArtifactError::ColonInPath { path });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_places_the_store() {
        let environment = Environment::default().with("HOME", "/h");
        let root = |environment: &Environment| Store::locate(environment.clone()).unwrap().root().to_owned();
        assert_eq!(root(&environment), Path::new("/h/.cache/octad"));
        let environment = environment.with("XDG_CACHE_HOME", "/c");
        assert_eq!(root(&environment), Path::new("/c/octad"));
        let environment = environment.with("OCTAD_STORE", "/s");
        assert_eq!(root(&environment), Path::new("/s"));
        assert!(matches!(Store::locate(Environment::default()), Err(ArtifactError::NoStoreLocation)));
    }

    #[test]
    fn a_store_that_would_split_the_class_path_is_refused() {
        let locate = |store: &str| Store::locate(Environment::default().with("OCTAD_STORE", store));
        assert!(locate("/a/b").is_ok());
        assert!(matches!(locate("/a:b"), Err(ArtifactError::ColonInPath { .. })));
    }

    #[test]
    fn a_supplied_directory_gives_jars_and_takes_nothing() {
        let environment = Environment::default().with("OCTAD_STORE", "/s").with("OCTAD_ARTIFACTS", "/n");
        let store = Store::locate(environment).unwrap();
        assert_eq!((store.jars().as_path(), store.root()), (Path::new("/n/jars"), Path::new("/s")));
    }
}
