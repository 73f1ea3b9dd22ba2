//! `octad push`: store paths with all that they need, to hosts over SSH.

use super::CliError;
use super::session::Session;
use crate::engine::Event;
use crate::nix::{self, Closure, Sent, StorePath, Target};
use crate::report::exit;
use crate::ssh::Ssh;
use clap::Args;
use std::path::PathBuf;

/// Copy Nix store paths with all that they need to hosts over SSH; what a host has already is not sent
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  octad push --to broker-1,broker-2 ./result
  octad push --to deploy@zk-1 --sign-key /etc/nix/key /nix/store/…-nixos-system-zk-1
  octad push --to broker-1 -F fleet/ssh_config ./result
  octad push --to zk-1 --host-key 'zk-1=ssh-ed25519 AAAA…' ./result")]
pub(super) struct Push {
    /// To which hosts, as ssh knows them; may be repeated
    #[arg(long, required = true, value_delimiter = ',', value_name = "HOST[,HOST…]", value_parser = host)]
    to: Vec<String>,
    /// What to push: paths of /nix/store, or links to such
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration for ssh, instead of your own
    #[arg(long, short = 'F', value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Log in as this user; it must be root, or one whom the host's Nix daemon trusts, or who may run
    /// `sudo -n nix-daemon`
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The key that a host must show, as in its `ssh_host_ed25519_key.pub`, whatever your ssh knows of it; may be repeated
    #[arg(long, value_name = "HOST=KEY", value_parser = host_key)]
    host_key: Vec<(String, String)>,
    /// Have hosts fetch from their own substituters what these have, before they are sent the rest
    #[arg(long)]
    substitute: bool,
    /// Sign all paths with this secret key first, in this machine's store
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// The name under which hosts keep these paths from their garbage collectors, instead of those pushed before under
    /// it; empty: they keep them only until their next garbage collection
    #[arg(long, default_value = "push", value_name = "NAME", value_parser = keep_as)]
    keep_as: String,
}

fn host(text: &str) -> Result<String, &'static str> {
    // ssh would take it for an option, or for nothing.
    if text.is_empty() || text.starts_with('-') { Err("no name of a host") } else { Ok(text.to_owned()) }
}

fn host_key(text: &str) -> Result<(String, String), &'static str> {
    let (host, key) = text.split_once('=').ok_or("no `=` between host and key")?;
    let mut words = key.split_whitespace();
    match (words.next(), words.next()) {
        // What follows is a comment.
        (Some(kind), Some(key)) => Ok((host.to_owned(), format!("{kind} {key}"))),
        _ => Err("no key such as `ssh-ed25519 AAAA…`"),
    }
}

fn keep_as(text: &str) -> Result<String, &'static str> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if text.chars().all(fits) { Ok(text.to_owned()) } else { Err("only letters, digits, `-` and `_`") }
}

impl Push {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        tokio::select! {
            biased;
            () = session.interrupt().wait() => Err(CliError::PushInterrupted),
            result = self.push(session) => result,
        }
    }

    async fn push(&self, session: &Session) -> Result<u8, CliError> {
        let mut hosts = Vec::new();
        for host in &self.to {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        let roots = self.paths.iter().map(|path| StorePath::of(path)).collect::<Result<Vec<_>, _>>()?;
        if let Some((host, _)) = self.host_key.iter().find(|(host, _)| !hosts.contains(host)) {
            let message = format!("--host-key names {host}, to which nothing is pushed");
            return Err(CliError::Usage { message, hint: "say the host as --to does".into() });
        }
        let closure = async {
            if let Some(key) = &self.sign_key {
                nix::sign(&roots, key).await?;
            }
            Closure::of(roots.clone()).await
        };
        let options = nix::Options {
            ssh: Ssh {
                config: self.ssh_config.clone(),
                user: self.user.clone(),
                host_keys: self.host_key.iter().cloned().collect(),
                addresses: Default::default(),
                may_ask: Ssh::is_at_a_terminal(),
            },
            substitute: self.substitute,
            keep_as: self.keep_as.clone(),
        };
        let events = session.events();
        let on_sent = |host: &str, Sent { paths, of_paths, bytes, of_bytes }| {
            events.emit(Event::Pushed { host: host.to_owned(), paths, of_paths, bytes, of_bytes });
        };
        let targets: Vec<Target> =
            hosts.into_iter().map(|host| Target { host, roots: roots.clone() }).collect();
        let (closure, pushed) = nix::push(&options, closure, &targets, &on_sent).await?;
        session.output().push(&closure.roots, (closure.paths.len(), closure.size()), &pushed);
        match pushed.iter().filter(|host| host.failure.is_some()).count() {
            0 => Ok(exit::OK),
            failed => Err(CliError::NotPushed { failed, hosts: pushed.len() }),
        }
    }
}
