//! A flake as it is at a moment.

use super::{BuildError, BuildOptions, Running, nix};
use crate::hex::hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of what Octad evaluates ([`super::evaluate`]): what was built by another one isn't taken for the same.
const EXPRESSION: u32 = 2;

/// A flake whose sources lie in this machine's store: what is evaluated of it is the same whenever that is.
#[derive(Debug, Clone)]
pub struct Locked {
    /// As it was named.
    pub(super) named: String,
    /// As Nix takes it where nothing may change.
    pub(super) reference: String,
    /// The output that makes systems of documents.
    pub(super) output: String,
}

impl Locked {
    /// The flake as it is now. One of this machine that has inputs without a lock gets its lock file by that.
    ///
    /// # Errors
    /// Where it can't be had, or has inputs and no lock of them.
    pub async fn of(named: &str) -> Result<Self, BuildError> {
        let (flake, output) = named.split_once('#').unwrap_or((named, BuildOptions::OUTPUT));
        let flake = if flake.is_empty() { "." } else { flake };
        let output = if output.is_empty() { BuildOptions::OUTPUT } else { output };
        let mut told = metadata(flake).await?;
        let has_inputs = told["locks"]["nodes"].as_object().is_some_and(|nodes| nodes.len() > 1);
        let lock =
            |told: &Value| Some(Path::new(told["path"].as_str()?).join(directory(told)).join("flake.lock"));
        let is_unlocked = |told: &Value| has_inputs && lock(told).is_some_and(|lock| !lock.exists());
        if is_unlocked(&told) {
            // Nix has written one by now.
            told = metadata(flake).await?;
        }
        if is_unlocked(&told) {
            return Err(BuildError::NotLocked { flake: flake.to_owned() });
        }
        let (Some(path), Some(hash)) = (told["path"].as_str(), told["locked"]["narHash"].as_str()) else {
            return Err(BuildError::Strange { program: "nix flake metadata", what: told.to_string() });
        };
        let mut reference = format!("path:{path}?narHash={}", encoded(hash));
        // What a configuration may tell of itself, as where it is built by other tools.
        for name in ["rev", "revCount", "lastModified", "dir"] {
            let value = match &told["locked"][name] {
                Value::Null => continue,
                Value::String(text) => encoded(text),
                value => value.to_string(),
            };
            reference.push_str(&format!("&{name}={value}"));
        }
        Ok(Self { named: named.to_owned(), reference, output: output.to_owned() })
    }

    /// What all systems are made of beside documents: the same for the same sources, and for no others.
    pub fn sources(&self) -> String {
        hex(Sha256::digest(serde_json::json!([EXPRESSION, self.reference, self.output]).to_string()))
    }

    /// What a host's system is made of: the same for the same sources and documents, and for no others.
    pub(super) fn key(&self, documents: &BTreeMap<String, Value>) -> String {
        let all = serde_json::json!([EXPRESSION, self.reference, self.output, documents]);
        hex(Sha256::digest(all.to_string()))
    }
}

async fn metadata(flake: &str) -> Result<Value, BuildError> {
    let asked = Running::start("nix", nix("nix").args(["flake", "metadata", "--json", flake]))?;
    let ended = asked.ended("", &|_| {}).await?;
    if !ended.status.success() {
        return Err(BuildError::Flake { flake: flake.to_owned(), said: ended.said });
    }
    serde_json::from_slice(&ended.stdout)
        .map_err(|error| BuildError::Strange { program: "nix flake metadata", what: error.to_string() })
}

/// As it stands in a URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The directory of the flake within its sources.
fn directory(told: &Value) -> &str {
    told["locked"]["dir"].as_str().unwrap_or_default()
}
