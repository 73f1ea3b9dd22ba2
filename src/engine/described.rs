//! A cluster of which this machine knows nothing but what `octad facts --dir` wrote of its nodes: another hand made it, and
//! another hand changes it. Reads files.

use super::State;
use crate::model::{DEPLOYMENT_VERSION, Deployment, HostInputs, Key, NodeFacts};
use crate::registry::Registry;
use crate::resource::Recorded;
use crate::role::Group;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The backend that such hosts are said to have. None of this program's, since nothing can be asked of them.
const BACKEND: &str = "another";

/// Why documents don't tell of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// One can't be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file, or the directory of them.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What should say which cluster is meant doesn't.
    #[error("{} describes no cluster: {reason}", path.display())]
    NoCluster {
        /// The file, or the directory of them.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The cluster of the documents in a directory, as if it were recorded.
///
/// # Errors
/// Where a file can't be read or is no such document, and where they are of several stacks, of a part of one, or two of a node.
pub fn described(directory: &Path, registry: &Registry) -> Result<State, FactsError> {
    let mut documents = Vec::new();
    for path in files(directory)? {
        let failed = |source| FactsError::Read { path: path.clone(), source };
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let document = read(&text).map_err(|reason| FactsError::NoCluster { path: path.clone(), reason })?;
        documents.push(document);
    }
    let no = |reason: String| FactsError::NoCluster { path: directory.to_owned(), reason };
    let stacks: BTreeSet<&str> = documents.iter().map(|document| document.facts.stack.as_str()).collect();
    let [stack] = stacks.iter().copied().collect::<Vec<_>>()[..] else {
        return Err(no(match stacks.len() {
            0 => "it has no NODE.json".into(),
            _ => format!(
                "its nodes are of several stacks: {}",
                stacks.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }));
    };
    let mut nodes = BTreeSet::new();
    if let Some(twice) = documents.iter().find(|document| !nodes.insert(&document.facts.node)) {
        return Err(no(format!("it has two documents of {}", twice.facts.node)));
    }
    for Deployment { facts, .. } in &documents {
        let known =
            || format!("{} is of the role {}, which this program doesn't know", facts.node, facts.role);
        let role = registry.role_named(&facts.role).ok_or_else(|| no(known()))?;
        let is_there = |address: &String| {
            let mut hosts = documents.iter().map(|document| document.facts.host.address.known());
            hosts.any(|host| host.is_ok_and(|host| host == address))
        };
        if let Some(address) = role.servers(facts).iter().find(|address| !is_there(address)) {
            return Err(no(format!(
                "{} is to reach {address}, and it has no document of a node there",
                facts.node
            )));
        }
    }
    let mut state = State::new(stack);
    for Deployment { facts, .. } in &documents {
        let address = facts.host.address.known().ok().and_then(|address| address.parse().ok());
        let zone = facts.host.zone.clone();
        let outputs = zone.as_ref().map_or_else(|| json!({}), |zone| json!({ "zone": zone }));
        let inputs = HostInputs { backend: BACKEND.into(), address, zone, ..HostInputs::default() };
        state.resources.insert(facts.host.key(), recorded(json!(inputs), outputs, BTreeSet::new()));
        state.resources.insert(facts.key(), recorded(json!(facts), json!({}), needed(facts, &documents)));
        let none = || Group { role: facts.role.clone(), members: BTreeSet::new() };
        state.groups.entry(facts.group.clone()).or_insert_with(none).members.insert(facts.key());
    }
    Ok(state)
}

/// The nodes of other groups that a node's settings name by an address of theirs, alone or in a list: those it needs.
fn needed(of: &NodeFacts, documents: &[Deployment]) -> BTreeSet<Key> {
    let settings = of.settings.values().filter_map(|value| value.known().ok());
    let named: BTreeSet<&str> = settings.flat_map(|value| value.split([',', '/'])).map(str::trim).collect();
    let others = documents.iter().map(|document| &document.facts).filter(|facts| facts.group != of.group);
    let is_named = |facts: &&NodeFacts| {
        let mut endpoints = facts.ports.keys().filter_map(|purpose| facts.endpoint(purpose));
        endpoints.any(|endpoint| named.contains(endpoint.as_str()))
    };
    others.filter(is_named).map(NodeFacts::key).collect()
}

/// All `*.json` of a directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>, FactsError> {
    let failed = |source| FactsError::Read { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(text: &str) -> Result<Deployment, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // A document of another version may have another form, and its version is what there is to say of it.
    match document.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(DEPLOYMENT_VERSION) => {}
        Some(version) => {
            return Err(format!("it is of version {version}, and this octad reads {DEPLOYMENT_VERSION}"));
        }
        None => return Err("it says no version".into()),
    }
    serde_json::from_value(document).map_err(|error| error.to_string())
}

fn recorded(inputs: Value, outputs: Value, needs: BTreeSet<Key>) -> Recorded {
    Recorded {
        inputs,
        outputs,
        needs,
        pending: None,
        unprotected: false,
        attempted: Vec::new(),
        outgoing: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn example(stack: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/facts").join(stack)
    }

    #[test]
    fn a_cluster_is_known_from_its_documents() {
        let state = described(&example("ha-nixos"), &Registry::standard()).unwrap();
        assert_eq!(state.stack, "ha-nixos");
        let members = |group: &str| state.groups[group].members.len();
        assert_eq!((members("kafka"), members("zookeeper")), (5, 3));
        let key = Key::new(NodeFacts::KIND, "broker-1");
        let facts = NodeFacts::of(&state.resources[&key].inputs).unwrap();
        assert_eq!(facts.endpoint("client").as_deref(), Some("10.77.0.101:9092"));
        assert_eq!(state.resources[&facts.host.key()].outputs["zone"], "a");
        let servers: BTreeSet<Key> =
            (1..=3).map(|id| Key::new(NodeFacts::KIND, &format!("zk-{id}"))).collect();
        assert_eq!(state.resources[&key].needs, servers);
        assert!(servers.iter().all(|server| state.resources[server].needs.is_empty()));
    }

    #[test]
    fn what_describes_no_cluster_is_told_with_its_place() {
        let refused = |directory: &Path| described(directory, &Registry::standard()).unwrap_err().to_string();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(refused(path).ends_with("it has no NODE.json"), "{}", refused(path));
        let document = fs::read_to_string(example("ha-nixos").join("broker-1.json")).unwrap();
        fs::write(path.join("broker-1.json"), document.replace("\"version\": 4", "\"version\": 5")).unwrap();
        assert!(
            refused(path).contains("broker-1.json describes no cluster: it is of version 5"),
            "{}",
            refused(path)
        );
        fs::write(path.join("broker-1.json"), "{}").unwrap();
        assert!(refused(path).ends_with("it says no version"), "{}", refused(path));
        fs::write(path.join("broker-1.json"), document).unwrap();
        let lacking = "broker-1 is to reach 10.77.0.11, and it has no document of a node there";
        assert!(refused(path).ends_with(lacking), "{}", refused(path));
        fs::copy(path.join("broker-1.json"), path.join("broker-1-old.json")).unwrap();
        assert!(refused(path).ends_with("it has two documents of broker-1"), "{}", refused(path));
        fs::remove_file(path.join("broker-1-old.json")).unwrap();
        fs::copy(example("minimal-nixos").join("zk-1.json"), path.join("zk-1.json")).unwrap();
        assert!(refused(path).ends_with("several stacks: ha-nixos, minimal-nixos"), "{}", refused(path));
    }
}
