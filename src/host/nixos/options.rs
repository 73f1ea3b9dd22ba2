//! What can be said of machines that NixOS runs beside what all hosts have.

use crate::model::Options;
use crate::ssh::Ssh;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of a machine that NixOS runs. Paths are from where Octad runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NixosOptions {
    /// The flake that makes systems of documents, as `octad build --flake` takes it. Default: `.`.
    pub(super) flake: Option<String>,
    /// The machine that builds, over SSH as root. Default: this one.
    pub(super) build_host: Option<String>,
    /// Log in as this user, who must be root or may `sudo` without a password. Default: as ssh has it.
    pub(super) user: Option<String>,
    /// The configuration for ssh. Default: the user's own.
    pub(super) ssh_config: Option<PathBuf>,
    /// The key that a host must show, by its name. Default: the one that ssh knows of it.
    pub(super) host_keys: BTreeMap<String, String>,
    /// Sign what is pushed with this secret key.
    pub(super) sign_key: Option<PathBuf>,
    /// Hosts ask their own substitutes first. Default: `false`.
    pub(super) substitute: bool,
}

impl NixosOptions {
    pub(super) fn read(options: &Options) -> serde_json::Result<Self> {
        Self::deserialize(Value::Object(options.clone()))
    }

    pub(super) fn flake(&self) -> &str {
        self.flake.as_deref().unwrap_or(".")
    }

    /// How a host is called, which others know by this address.
    pub(super) fn ssh(&self, addresses: impl IntoIterator<Item = (String, String)>) -> Ssh {
        Ssh {
            config: self.ssh_config.clone(),
            user: self.user.clone(),
            host_keys: self.host_keys.clone(),
            addresses: addresses.into_iter().collect(),
            may_ask: Ssh::is_at_a_terminal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> serde_json::Result<NixosOptions> {
        NixosOptions::read(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn what_is_said_is_what_is_there_and_nothing_else_is_taken() {
        let said = read("flake = './machines#all'\nuser = 'deploy'\n[host-keys]\nzk-1 = 'ssh-ed25519 AAAA'")
            .unwrap();
        assert_eq!((said.flake(), said.user.as_deref()), ("./machines#all", Some("deploy")));
        assert_eq!(said.host_keys["zk-1"], "ssh-ed25519 AAAA");
        assert_eq!(read("").unwrap().flake(), ".");
        assert!(read("flakes = '.'").is_err());
    }
}
