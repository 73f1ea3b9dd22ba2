//! Programs of the machine that isolated hosts are made with.

use super::error::LocalError;
use crate::host::HostError;
use crate::tool::find;
use std::io;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Bits of the capabilities in `/proc/self/status`, from `linux/capability.h`.
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;

/// Whether this process may make networks and mount file systems.
pub(super) fn may_administer() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    [NET_ADMIN, SYS_ADMIN].iter().all(|bit| effective & (1 << bit) != 0)
}

/// Runs a program to its end and returns what it wrote.
pub(super) async fn run(tool: &str, arguments: &[&str]) -> Result<String, HostError> {
    run_with(tool, arguments, "").await
}

/// The same, with `input` to read.
pub(super) async fn run_with(tool: &str, arguments: &[&str], input: &str) -> Result<String, HostError> {
    let failed = |said: String| {
        HostError::from(LocalError::Tool { command: format!("{tool} {}", arguments.join(" ")), said })
    };
    let program = find(tool).ok_or_else(|| failed("this machine does not have it".into()))?;
    let run = async || -> io::Result<_> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why in its own words.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = run().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
}
