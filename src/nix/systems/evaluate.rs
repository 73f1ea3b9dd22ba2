//! Evaluates the systems of hosts, as many in one go as memory is for. One go shares what all systems have in common, which is
//! most of it; one evaluation at a time, since each takes a core and about a gigabyte.

use super::program::Ended;
use super::{BuildError, Documents, Locked, Running, nix};
use crate::model::counted;
use crate::nix::StorePath;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::pin::pin;
use std::time::Duration;

/// What a host's system takes to evaluate, in bytes, until it has been measured. An evaluation of eight hosts of the modules
/// here took 3.4 GB in all.
const FIRST_GUESS: u64 = 1 << 30;

/// How often it is looked at how much memory an evaluation takes.
const LOOK: Duration = Duration::from_millis(100);

/// A system that is known and may not be built yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Its derivation.
    pub(super) drv: String,
    /// Where it will be.
    pub out: StorePath,
    /// For which machines it is, and is built on.
    pub(super) system: String,
    /// What it tells of itself ([`FACTS`]); null where it has none of that.
    pub facts: Value,
}

/// The file of a system, in `/etc`, by which it tells of itself.
pub const FACTS: &str = "octad-system.json";

type OfHost<'a> = (&'a str, &'a BTreeMap<String, Value>);

/// Evaluates the systems of these hosts.
pub(super) async fn run_all(
    locked: &Locked,
    hosts: &[OfHost<'_>],
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<BTreeMap<String, Evaluated>, BuildError> {
    let mut evaluated = BTreeMap::new();
    let mut left = hosts;
    let mut each = FIRST_GUESS;
    // Once a chunk has failed, chunks don't grow any more: they are halved until it is known which host it is.
    let mut most = usize::MAX;
    while !left.is_empty() {
        let fit = usize::try_from(available() / each).unwrap_or(usize::MAX);
        let size = fit.clamp(1, most.min(left.len()));
        let (chunk, rest) = left.split_at(size);
        let (from, of) = (hosts.len() - left.len(), hosts.len());
        tell(format!("evaluating {} ({} of {of} done)", counted(size, "system"), from));
        let (output, peak) = run(&expression(locked, chunk)).await?;
        if output.status.success() {
            evaluated.extend(parsed(&output)?);
            each = (peak / size as u64).max(1);
            left = rest;
            continue;
        }
        if most == usize::MAX && output.status.code().is_some() {
            let (alone, _) = run(&expression(locked, &[])).await?;
            if !alone.status.success() {
                let (flake, output) = (locked.named.clone(), locked.output.clone());
                return Err(BuildError::NoOutput { flake, output, said: alone.said });
            }
        }
        if size == 1 {
            return Err(BuildError::Evaluate { host: chunk[0].0.to_owned(), said: told(output) });
        }
        most = size / 2;
    }
    Ok(evaluated)
}

/// What an evaluation said of its failure.
fn told(ended: Ended) -> String {
    match ended.status.code() {
        None => format!("it was ended by {}: there may be too little memory", ended.status),
        Some(_) => ended.said,
    }
}

/// Each host's system is made of its own documents alone.
fn expression(locked: &Locked, hosts: &[OfHost<'_>]) -> String {
    let hosts: Documents =
        hosts.iter().map(|(host, documents)| ((*host).to_owned(), (*documents).clone())).collect();
    let (reference, output) = (quoted(&locked.reference), &locked.output);
    let documents = quoted(&serde_json::json!(hosts).to_string());
    format!(
        "let\n  make = (builtins.getFlake {reference}).{output};\n  \
         told = host: documents:\n  let\n    inherit ((make documents).${{host}}) config;\n    \
         built = config.system.build.toplevel;\n    file = config.environment.etc.\"{FACTS}\" or null;\n  in {{\n    \
         drv = built.drvPath; out = built.outPath; inherit (built) system;\n    \
         facts = if file == null then null else builtins.fromJSON file.text;\n  }};\nin\n\
         assert builtins.isFunction make;\nbuiltins.mapAttrs told (builtins.fromJSON {documents})\n"
    )
}

/// A string of the Nix language.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 8);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

fn parsed(output: &Ended) -> Result<BTreeMap<String, Evaluated>, BuildError> {
    serde_json::from_slice(&output.stdout)
        .map_err(|error| BuildError::Strange { program: "nix-instantiate", what: error.to_string() })
}

/// Evaluates, and tells how much memory that took at most, in bytes.
async fn run(expression: &str) -> Result<(Ended, u64), BuildError> {
    let mut command = nix("nix-instantiate");
    // What is evaluated is to be built; and the same text always means the same.
    command.args(["--eval", "--strict", "--json", "--read-write-mode", "--option", "pure-eval", "true", "-"]);
    let running = Running::start("nix-instantiate", &mut command)?;
    let pid = running.pid();
    let mut ended = pin!(running.ended(expression, &|_| {}));
    let mut peak = 0;
    loop {
        tokio::select! {
            ended = &mut ended => return Ok((ended?, peak)),
            () = tokio::time::sleep(LOOK) => peak = pid.and_then(peak_of).unwrap_or(0).max(peak),
        }
    }
}

/// The most memory that a process has had, in bytes.
fn peak_of(pid: u32) -> Option<u64> {
    kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The memory that programs can have here, in bytes.
fn available() -> u64 {
    kib("/proc/meminfo", "MemAvailable:").unwrap_or(u64::MAX)
}

/// A line of such a file, which is in KiB, in bytes.
fn kib(file: &str, line: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|found| found.strip_prefix(line))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_so_that_nix_takes_it_for_itself() {
        assert_eq!(quoted("a \"b\" \\n ${c} ''"), r#""a \"b\" \\n \${c} ''""#);
    }

    #[test]
    fn memory_is_told_by_the_kernel() {
        assert!(available() > 1 << 20 && available() != u64::MAX);
        assert!(peak_of(std::process::id()).is_some_and(|peak| peak > 1 << 20));
    }
}
