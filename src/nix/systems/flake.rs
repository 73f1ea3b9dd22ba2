//! A flake as it is at a moment.

use super::{BuildError, BuildOptions, nix, run, said};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A flake whose sources lie in this machine's store: what is evaluated of it is the same whenever that is.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    /// As it was named.
    pub(super) named: String,
    /// As Nix takes it where nothing may change.
    pub(super) reference: String,
    /// The output that makes systems of documents.
    pub(super) output: String,
}

impl Locked {
    /// The flake as it is now. One of this machine that has inputs without a lock gets its lock file by that.
    pub(super) async fn of(named: &str) -> Result<Self, BuildError> {
        let (flake, output) = named.split_once('#').unwrap_or((named, BuildOptions::OUTPUT));
        let flake = if flake.is_empty() { "." } else { flake };
        let mut told = metadata(flake).await?;
        let has_inputs = told["locks"]["nodes"].as_object().is_some_and(|nodes| nodes.len() > 1);
        let lock =
            |told: &Value| Some(Path::new(told["path"].as_str()?).join(directory(told)).join("flake.lock"));
        if has_inputs && lock(&told).is_some_and(|lock| !lock.exists()) {
            told = metadata(flake).await?;
        }
        let (Some(path), Some(hash)) = (told["path"].as_str(), told["locked"]["narHash"].as_str()) else {
            return Err(BuildError::Strange { program: "nix flake metadata", what: told.to_string() });
        };
        let inner = directory(&told);
        let inner = if inner.is_empty() { String::new() } else { format!("&dir={inner}") };
        let hash = hash.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let reference = format!("path:{path}?narHash={hash}{inner}");
        Ok(Self { named: named.to_owned(), reference, output: output.to_owned() })
    }

    /// What a host's system is made of: the same for the same sources and documents, and for no others.
    pub(super) fn key(&self, documents: &BTreeMap<String, Value>) -> String {
        let all = serde_json::json!([self.reference, self.output, documents]);
        Sha256::digest(all.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

async fn metadata(flake: &str) -> Result<Value, BuildError> {
    let output = run(nix("nix").args(["flake", "metadata", "--json", flake]), "nix").await?;
    if !output.status.success() {
        return Err(BuildError::Flake { flake: flake.to_owned(), said: said(&output) });
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| BuildError::Strange { program: "nix flake metadata", what: error.to_string() })
}

/// The directory of the flake within its sources.
fn directory(told: &Value) -> &str {
    told["locked"]["dir"].as_str().unwrap_or_default()
}
