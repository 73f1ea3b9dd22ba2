//! How OpenSSH is called: as the user's configuration has it, by one session of one connection, never asking in the background.
//!
//! Only a shared connection of the user's isn't used, since its words and its end would be somebody else's.

use super::scratch::Scratch;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::{fs, io};
use tokio::process::Command;
use tokio::sync::Mutex;

/// How `ssh` is called.
#[derive(Debug, Clone, Default)]
pub struct Ssh {
    /// Its configuration, instead of the user's.
    pub config: Option<PathBuf>,
    /// As whom to log in.
    pub user: Option<String>,
    /// Keys that hosts must show, such as `ssh-ed25519 AAAA…`, by the name that the host is called by; what ssh knows of these
    /// hosts isn't looked at.
    pub host_keys: BTreeMap<String, String>,
    /// Addresses of hosts, by the name that they are called by, for those of which ssh's configuration says none.
    pub addresses: BTreeMap<String, String>,
    /// Somebody is at the terminal, whom ssh may ask whether a key that it doesn't know is a host's.
    pub may_ask: bool,
}

impl Ssh {
    /// Whether somebody is at the terminal of this process, to be asked.
    pub fn is_at_a_terminal() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// `ssh` to a host, which is to run a script there. What it says itself goes to a file of `scratch`.
    pub(super) async fn run(&self, host: &str, script: &str, scratch: &Scratch) -> io::Result<Command> {
        let mut command = self.command(host).await?;
        command.args(["-o", "BatchMode=yes", "-o", "LogLevel=INFO", "-E"]).arg(scratch.file("log"));
        command.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
        if let Some(key) = self.host_keys.get(host) {
            // Under a name of its own, since that of a host may have a port or a pattern's characters in it.
            fs::write(scratch.file("known"), format!("pinned {key}\n"))?;
            command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", scratch.file("known").display()));
            command.args(["-o", "GlobalKnownHostsFile=none", "-o", "KnownHostsCommand=none"]);
            command.args(["-o", "HostKeyAlias=pinned", "-o", "StrictHostKeyChecking=yes"]);
            command.args(["-o", "VerifyHostKeyDNS=no", "-o", "UpdateHostKeys=no"]);
        }
        command.arg("--").arg(host).arg(format!("exec sh -c '{script}'"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What it calls for a jump host would ask at the terminal, from the background.
        command.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
        // A ^C is for Octad, which ends ssh where it is to end.
        command.process_group(0);
        Ok(command)
    }

    /// Has ssh ask whether the key that a host shows is the host's, and take note of a yes. One question at a time.
    pub(super) async fn ask(&self, host: &str) {
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        let Ok(mut command) = self.command(host).await else { return };
        // It asks before it logs in, which it needn't.
        command.args(["-o", "PreferredAuthentications=none", "--"]).arg(host);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Whether it was a yes is told by the next connection.
        let _ = command.status().await;
    }

    /// The name or address by which ssh's configuration has a host.
    async fn configured(&self, host: &str) -> io::Result<Option<String>> {
        let mut command = Command::new("ssh");
        command.arg("-G").args(self.config.iter().flat_map(|config| ["-F".as_ref(), config.as_os_str()]));
        command.arg("--").arg(host).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let said = command.output().await?.stdout;
        let said = String::from_utf8_lossy(&said);
        Ok(said.lines().find_map(|line| line.strip_prefix("hostname ")).map(str::to_owned))
    }

    async fn command(&self, host: &str) -> io::Result<Command> {
        let mut command = Command::new("ssh");
        if let Some(address) = self.addresses.get(host)
            && self.configured(host).await?.is_none_or(|name| name == host)
        {
            command.arg("-o").arg(format!("HostName={address}"));
        }
        command.env("LC_ALL", "C").args(["-T", "-o", "ConnectTimeout=10", "-o", "Compression=no"]);
        command.args(["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ClearAllForwardings=yes"]);
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        if let Some(user) = &self.user {
            command.arg("-l").arg(user);
        }
        command.kill_on_drop(true);
        Ok(command)
    }
}
