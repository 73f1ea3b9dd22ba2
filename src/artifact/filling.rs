//! Fills a store: one octad at a time, through a scratch directory, each jar by rename. Writes the store and calls
//! Maven.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::digest::Digest;
use super::error::ArtifactError;
use super::lockfile::Jar;
use super::maven::{self, Call, LocalRepository};
use super::progress::{Activity, Progress, Tally};
use super::set::ArtifactSet;
use super::survey::survey;
use crate::tool::Environment;

/// How often a store that another octad fills is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One filling of `root` with what it lacks of `set`.
pub(super) struct Filling<'a> {
    pub(super) root: &'a Path,
    pub(super) environment: &'a Environment,
    pub(super) set: &'a ArtifactSet,
}

/// A jar that Maven brought and the lock refuses.
struct Wrong {
    jar: Jar,
    found: Digest,
}

impl Filling<'_> {
    /// Returns once every jar of the set is in the store and was verified there or on its way.
    pub(super) async fn run(&self, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<(), ArtifactError> {
        let _lock = self.lock(progress).await?;
        let tmp = self.root.join("tmp");
        sweep(&tmp);
        // Whoever held the lock may have brought what was missing.
        let faults = survey(self.set.shared_jars(), &self.root.join("jars")).await?;
        let missing: Vec<Jar> = faults.into_iter().map(|(jar, _)| jar).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Some(maven) = maven::find(self.environment) else {
            return Err(ArtifactError::MavenNotFound {
                set: self.set.to_string(),
                missing: missing.len(),
                store: self.root.to_owned(),
            });
        };
        let scratch = Scratch::create(&tmp)?;
        let mut tally = Tally::new(&missing, progress);

        tally.note(Activity::CallingMaven);
        let wrong = self.bring(&maven, &missing, &scratch, LocalRepository::Users, &mut tally).await?;
        let Some(first) = wrong.first() else { return Ok(()) };

        tally.note(Activity::FetchingAnew);
        let again: Vec<Jar> = wrong.iter().map(|wrong| wrong.jar.clone()).collect();
        let repository = scratch.0.join("repository");
        let wrong = self
            .bring(&maven, &again, &scratch, LocalRepository::Fresh(&repository), &mut tally)
            .await
            .map_err(|anew| ArtifactError::LocalRepositorySpoiled {
                coordinates: first.jar.coordinates.clone(),
                anew: Box::new(anew),
            })?;
        match wrong.into_iter().next() {
            None => Ok(()),
            Some(Wrong { jar, found }) => Err(ArtifactError::DigestMismatch {
                set: self.set.to_string(),
                coordinates: jar.coordinates,
                expected: jar.digest,
                found,
            }),
        }
    }

    /// Has Maven copy the set, stores what matches of `wanted` and gives back what doesn't.
    async fn bring(
        &self,
        maven: &Path,
        wanted: &[Jar],
        scratch: &Scratch,
        repository: LocalRepository<'_>,
        tally: &mut Tally<'_>,
    ) -> Result<Vec<Wrong>, ArtifactError> {
        let brought = scratch.0.join("brought");
        let _ = fs::remove_dir_all(&brought);
        Call {
            environment: self.environment,
            maven,
            set: self.set,
            missing: wanted.len(),
            folder: &scratch.0,
            repository,
            jars: &brought,
        }
        .run(tally)
        .await?;

        let jars = self.root.join("jars");
        fs::create_dir_all(&jars).map_err(not_writable(&jars))?;
        let mut wrong = Vec::new();
        for jar in wanted {
            let (from, to) = (brought.join(&jar.file_name), jars.join(jar.store_name()));
            let expected = jar.digest;
            let moved = tokio::task::spawn_blocking(move || admit(&from, &to, expected));
            match moved.await.expect("moving neither panics nor is aborted while it is awaited")? {
                Admission::Stored => tally.note(Activity::Stored(jar.file_name.clone())),
                Admission::Refused { found } => wrong.push(Wrong { jar: jar.clone(), found }),
                Admission::NotBrought => {
                    return Err(ArtifactError::NotBrought {
                        set: self.set.to_string(),
                        coordinates: jar.coordinates.clone(),
                    });
                }
            }
        }
        Ok(wrong)
    }

    async fn lock(&self, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<File, ArtifactError> {
        let total = self.set.jars().len();
        lock(self.root, || progress(Progress { done: 0, total, what: Activity::Waiting })).await
    }
}

/// The right to fill a store. Where another octad has it, it is waited for, and `waits` called once.
pub(super) async fn lock(root: &Path, waits: impl Fn()) -> Result<File, ArtifactError> {
    fs::create_dir_all(root).map_err(not_writable(root))?;
    let mut told = false;
    loop {
        if let Some(lock) = try_lock(root).map_err(not_writable(&root.join("lock")))? {
            return Ok(lock);
        }
        if !told {
            told = true;
            waits();
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

enum Admission {
    Stored,
    Refused { found: Digest },
    NotBrought,
}

/// Moves a jar into the store when it is the expected one. Blocks.
fn admit(from: &Path, to: &Path, expected: Digest) -> Result<Admission, ArtifactError> {
    let found = match Digest::of_file(from) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Admission::NotBrought),
        Err(source) => return Err(ArtifactError::JarUnreadable { path: from.to_owned(), source }),
    };
    if found != expected {
        return Ok(Admission::Refused { found });
    }
    // A class-data archive is refused by the JVM when a jar's time differs from when the archive was made, and a
    // jar that is fetched again is the same jar.
    let timeless = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    File::open(from)
        .and_then(|file| file.set_modified(timeless))
        .and_then(|()| fs::rename(from, to))
        .map_err(not_writable(to))?;
    Ok(Admission::Stored)
}

/// A directory of one filling, gone when dropped.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn create(tmp: &Path) -> Result<Self, ArtifactError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = tmp.join(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&path).map_err(not_writable(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now, such as files of a Maven that is still dying, the next resolve sweeps.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what killed octads left, unless an octad is filling the store now.
pub(super) async fn sweep_if_idle(root: &Path) {
    let tmp = root.join("tmp");
    let littered = fs::read_dir(&tmp).is_ok_and(|mut entries| entries.next().is_some());
    if !littered {
        return;
    }
    let root = root.to_owned();
    let swept = tokio::task::spawn_blocking(move || {
        // A store that can't be written can't be swept, and serves all the same.
        if let Ok(Some(_lock)) = try_lock(&root) {
            sweep(&tmp);
        }
    });
    let _ = swept.await;
}

/// Only with the lock held: whatever is there then has no owner.
pub(super) fn sweep(tmp: &Path) {
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// `None` while another octad, or another resolve of this one, holds the lock. It ends with the file.
fn try_lock(root: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(root.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn not_writable(path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
    let path = path.to_owned();
    move |source| ArtifactError::StoreNotWritable { path, source }
}
