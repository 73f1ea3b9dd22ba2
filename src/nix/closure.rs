//! What is to be pushed: store paths with all that they need, as this machine's daemon tells it.

use super::daemon::{self, Replies};
use super::{DaemonError, LocalError, PathInfo, StorePath};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Store paths with all that they need. As long as it lives, this machine's garbage collector deletes none of them.
#[derive(Debug)]
pub struct Closure {
    /// What was asked for.
    pub roots: Vec<StorePath>,
    /// All of it, in no order that matters.
    pub paths: Arc<[PathInfo]>,
    _daemon: Child,
}

impl Closure {
    /// Asks this machine's daemon.
    ///
    /// # Errors
    /// Where there is none, or its store lacks a path.
    pub async fn of(roots: Vec<StorePath>) -> Result<Self, LocalError> {
        let mut child = Command::new("nix-daemon")
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| LocalError::NoNix { program: "nix-daemon", source })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for")
        };
        let mut local = Local { stdin, replies: Replies::new(BufReader::new(stdout)) };
        let paths = local.closure(&roots).await?.into();
        // The connection, and with it the temporary roots, lasts as long as the daemon's standard input.
        child.stdin = Some(local.stdin);
        Ok(Self { roots, paths, _daemon: child })
    }

    /// The size of all NARs, in bytes.
    pub fn size(&self) -> u64 {
        self.paths.iter().map(|info| info.nar_size).sum()
    }

    /// The places of all that some of the roots need, themselves included, in order.
    pub(super) fn needed(&self, roots: &[StorePath]) -> Vec<usize> {
        let places: HashMap<&StorePath, usize> =
            self.paths.iter().enumerate().map(|(place, info)| (&info.path, place)).collect();
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut left: Vec<usize> = roots.iter().filter_map(|root| places.get(root).copied()).collect();
        while let Some(place) = left.pop() {
            if needed.insert(place) {
                left.extend(self.paths[place].references.iter().filter_map(|path| places.get(path).copied()));
            }
        }
        needed.into_iter().collect()
    }
}

/// For which machines it is, where one of these is a NixOS system: `x86_64-linux`, for instance.
pub(super) fn system(roots: &[StorePath]) -> Option<String> {
    let told = roots.iter().find_map(|root| std::fs::read_to_string(root.to_path().join("system")).ok())?;
    Some(told.trim().to_owned())
}

/// Signs store paths and all that they need with a secret key, in this machine's store.
///
/// # Errors
/// Where Nix doesn't.
pub async fn sign(roots: &[StorePath], key: &Path) -> Result<(), LocalError> {
    let mut command = Command::new("nix");
    command.args([
        "--extra-experimental-features",
        "nix-command",
        "store",
        "sign",
        "--recursive",
        "--key-file",
    ]);
    command.arg(key).args(roots.iter().map(StorePath::as_str)).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|source| LocalError::NoNix { program: "nix", source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned();
    Err(LocalError::NotSigned { said })
}

struct Local {
    stdin: ChildStdin,
    replies: Replies<ChildStdout>,
}

impl Local {
    async fn closure(&mut self, roots: &[StorePath]) -> Result<Vec<PathInfo>, LocalError> {
        let mut requests = Vec::new();
        daemon::put_hello(&mut requests);
        roots.iter().for_each(|root| daemon::put_add_temp_root(&mut requests, root));
        let Self { stdin, replies } = self;
        let answered = async {
            replies.hello().await?;
            for _ in roots {
                replies.done().await?;
            }
            Ok(())
        };
        exchange(stdin, &requests, answered).await?;
        let mut all = BTreeMap::new();
        let mut asked: Vec<StorePath> = roots.to_vec();
        while !asked.is_empty() {
            asked.sort();
            asked.dedup();
            let told = self.tell(&asked).await?;
            let named: Vec<StorePath> = told.iter().flat_map(|info| info.references.clone()).collect();
            all.extend(told.into_iter().map(|info| (info.path.clone(), info)));
            asked = named.into_iter().filter(|path| !all.contains_key(path)).collect();
        }
        Ok(all.into_values().collect())
    }

    /// What the store knows of each of these.
    async fn tell(&mut self, paths: &[StorePath]) -> Result<Vec<PathInfo>, LocalError> {
        let mut requests = Vec::new();
        paths.iter().for_each(|path| daemon::put_query_path_info(&mut requests, path));
        let Self { stdin, replies } = self;
        let answered = async {
            let mut told = Vec::new();
            for path in paths {
                told.push((path, replies.path_info(path.clone()).await?));
            }
            Ok(told)
        };
        let told = exchange(stdin, &requests, answered).await?;
        let known = |(path, info): (&StorePath, Option<_>)| {
            info.ok_or(LocalError::NotValid { path: path.to_string() })
        };
        told.into_iter().map(known).collect()
    }
}

/// Writes requests while their replies are read: neither side waits for room in a pipe then. What the daemon says about its
/// end counts for more than that it can't be written to.
async fn exchange<T>(
    stdin: &mut ChildStdin,
    requests: &[u8],
    answered: impl Future<Output = Result<T, DaemonError>>,
) -> Result<T, LocalError> {
    let (written, answer) = tokio::join!(stdin.write_all(requests), answered);
    let answer = answer?;
    written.map_err(DaemonError::from)?;
    Ok(answer)
}
