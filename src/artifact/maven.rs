//! One call of Maven: copies a set's jars into a directory. Starts a process; writes only where it is told to, and
//! to Maven's local repository.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Split};
use tokio::process::{Child, ChildStderr, ChildStdout};

use super::error::ArtifactError;
use super::progress::{Activity, Tally};
use super::set::ArtifactSet;
use crate::tool::Environment;

/// In full: when Maven has to find out what a prefix stands for, it hides why it can't. The pom pins the version.
const GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies";

/// What Maven said about a failure: the lines that matter, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MavenOutput(Vec<String>);

impl MavenOutput {
    /// The lines, in order.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for MavenOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("Maven said nothing") } else { f.write_str(&self.0.join("\n")) }
    }
}

impl std::error::Error for MavenOutput {}

/// The local repository that a call uses.
#[derive(Clone, Copy)]
pub(super) enum LocalRepository<'a> {
    /// The one of the user's settings.
    Users,
    /// An empty one, past which nothing spoiled on this machine can come.
    Fresh(&'a Path),
}

/// Where a call happens.
pub(super) struct Call<'a> {
    pub(super) environment: &'a Environment,
    pub(super) maven: &'a Path,
    pub(super) set: &'a ArtifactSet,
    pub(super) missing: usize,
    /// Holds the pom; becomes Maven's working directory.
    pub(super) folder: &'a Path,
    pub(super) repository: LocalRepository<'a>,
    /// Where the jars go.
    pub(super) jars: &'a Path,
}

/// For a JVM that lives for a second or two: what the optimising compiler would make faster is over by then (1.2 s
/// instead of 1.8 s). The user's own options come after it.
const SHORT_LIVED: &str = "-XX:TieredStopAtLevel=1";

impl Call<'_> {
    /// Runs Maven to its end. Dropping the future kills it with all its children.
    pub(super) async fn run(self, tally: &mut Tally<'_>) -> Result<(), ArtifactError> {
        let pom = self.folder.join("pom.xml");
        tokio::fs::write(&pom, self.set.pom())
            .await
            .map_err(|source| ArtifactError::StoreNotWritable { path: pom.clone(), source })?;

        let mut command = self.environment.command(self.maven);
        let mut options = OsString::from(SHORT_LIVED);
        if let Some(own) = self.environment.get("MAVEN_OPTS") {
            options.push(" ");
            options.push(own);
        }
        command.env("MAVEN_OPTS", options);
        // Updates are asked for so that Maven does not answer with a failure it remembers; versions are all pinned.
        command.args(["--batch-mode", "--update-snapshots", "--file"]).arg(&pom);
        if let LocalRepository::Fresh(path) = self.repository {
            command.arg(property("maven.repo.local", path));
        }
        command.arg(property("outputDirectory", self.jars)).arg(GOAL);
        command.current_dir(self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);

        let not_run = |source| ArtifactError::MavenNotRun { path: self.maven.to_owned(), source };
        let mut running = Running { child: command.spawn().map_err(not_run)? };
        let mut said = Vec::new();
        let status = running
            .wait(|line| match activity(line) {
                Some(activity) => tally.note(activity),
                None => said.push(line.to_owned()),
            })
            .await
            .map_err(not_run)?;
        if status.success() { Ok(()) } else { Err(failure(self.set, self.missing, status, &said)) }
    }
}

fn property(name: &str, value: &Path) -> OsString {
    let mut argument = OsString::from(format!("-D{name}="));
    argument.push(value);
    argument
}

/// A Maven that is killed with its process group when this is dropped before its end was seen.
struct Running {
    child: Child,
}

impl Running {
    /// Hands each line of both streams to `line`, then gives Maven's status.
    async fn wait(&mut self, mut line: impl FnMut(&str)) -> std::io::Result<ExitStatus> {
        let mut out = self.child.stdout.take().map(split::<ChildStdout>);
        let mut err = self.child.stderr.take().map(split::<ChildStderr>);
        while out.is_some() || err.is_some() {
            tokio::select! {
                segment = next(&mut out) => if let Some(bytes) = segment? { line(&plain(&bytes)) } else { out = None },
                segment = next(&mut err) => if let Some(bytes) = segment? { line(&plain(&bytes)) } else { err = None },
            }
        }
        self.child.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // No id once the end was seen: then the group's number may already be another's.
        let group = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn split<R: AsyncRead + Unpin>(stream: R) -> Split<BufReader<R>> {
    BufReader::new(stream).split(b'\n')
}

/// The stream's next line, `None` at its end; never, when it has ended before.
async fn next<R: AsyncRead + Unpin>(
    stream: &mut Option<Split<BufReader<R>>>,
) -> std::io::Result<Option<Vec<u8>>> {
    match stream {
        Some(stream) => stream.next_segment().await,
        None => std::future::pending().await,
    }
}

/// The line without colours, which some Mavens print even to a pipe.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    plain.push_str(rest);
    plain.trim_end().to_owned()
}

/// `[INFO] Downloading from central: https://…/a-1.jar` and its `Downloaded`.
fn activity(line: &str) -> Option<Activity> {
    let line = line.strip_prefix("[INFO] ").unwrap_or(line);
    let (wrap, rest): (fn(String) -> Activity, _) = if let Some(rest) = line.strip_prefix("Downloading from ")
    {
        (Activity::Downloading, rest)
    } else {
        (Activity::Downloaded, line.strip_prefix("Downloaded from ")?)
    };
    let (_, address) = rest.split_once(": ")?;
    let file = address.split_whitespace().next()?.rsplit('/').next()?;
    Some(wrap(file.to_owned()))
}

fn failure(set: &ArtifactSet, missing: usize, status: ExitStatus, said: &[String]) -> ArtifactError {
    let output = useful(said);
    let set = set.to_string();
    if speaks_of_the_network(&output) {
        ArtifactError::Unreachable { set, missing, output }
    } else {
        ArtifactError::MavenFailed { set, status: status.to_string(), output }
    }
}

/// Maven's errors without its advice on how to call it; all it said last when it named no error.
fn useful(said: &[String]) -> MavenOutput {
    const ADVICE: [&str; 5] =
        ["To see the full stack trace", "Re-run Maven", "For more information", "[Help ", "After correcting"];
    const KEPT: usize = 12;
    let mut errors: Vec<String> = said
        .iter()
        .filter_map(|line| line.strip_prefix("[ERROR]").or_else(|| line.strip_prefix("[FATAL]")))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !ADVICE.iter().any(|advice| line.starts_with(advice)))
        .map(|line| line.trim_end_matches("-> [Help 1]").trim_end().to_owned())
        .collect();
    if errors.is_empty() {
        let last = said.iter().rev().filter(|line| !line.trim().is_empty()).take(KEPT);
        errors = last.cloned().collect();
        errors.reverse();
    }
    errors.truncate(KEPT);
    MavenOutput(errors)
}

fn speaks_of_the_network(output: &MavenOutput) -> bool {
    const SIGNS: [&str; 10] = [
        "offline mode",
        "is offline",
        "Could not transfer",
        "Unknown host",
        "UnknownHostException",
        "Connection refused",
        "Network is unreachable",
        "No route to host",
        "name resolution",
        "timed out",
    ];
    output.lines().iter().any(|line| SIGNS.iter().any(|sign| line.contains(sign)))
}

/// The Maven of the environment's `PATH`.
pub(super) fn find(environment: &Environment) -> Option<PathBuf> {
    environment.program("mvn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| plain(line.as_bytes())).collect()
    }

    #[test]
    fn downloads_are_recognised_by_file_name() {
        let line = "[INFO] Downloading from mirror-a: https://repo.example/x/a/1/a-1.jar";
        assert_eq!(activity(line), Some(Activity::Downloading("a-1.jar".into())));
        let line = "Downloaded from central: https://repo.example/x/a/1/a-1.jar (1.2 MB at 3.4 MB/s)";
        assert_eq!(activity(line), Some(Activity::Downloaded("a-1.jar".into())));
        for other in ["[INFO] Building k 1", "[INFO] Downloading from nowhere", "Downloaded"] {
            assert_eq!(activity(other), None);
        }
    }

    #[test]
    fn colours_are_stripped() {
        assert_eq!(plain(b"\x1b[0m[\x1b[1;31mERROR\x1b[m] bad\r"), "[ERROR] bad");
    }

    #[test]
    fn errors_are_kept_and_advice_is_not() {
        let said = lines(
            "[INFO] Scanning\n[ERROR] Failed: Cannot access central in offline mode -> [Help 1]\n[ERROR]\n\
             [ERROR] To see the full stack trace of the errors, re-run\n[ERROR] [Help 1] http://x",
        );
        let output = useful(&said);
        assert_eq!(output.lines(), ["Failed: Cannot access central in offline mode"]);
        assert!(speaks_of_the_network(&output));
    }

    #[test]
    fn without_an_error_line_the_last_words_are_kept() {
        let output = useful(&lines("\nThe JAVA_HOME environment variable is not defined correctly\n\n"));
        assert_eq!(output.to_string(), "The JAVA_HOME environment variable is not defined correctly");
        assert!(!speaks_of_the_network(&output));
    }
}
