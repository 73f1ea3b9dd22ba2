//! `octad facts`: what each declared node is and how it is run, as versioned JSON.

use super::CliError;
use super::named::named;
use super::session::Session;
use crate::model::Key;
use crate::report::exit;
use crate::resource::NodeKind;
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Show what each declared node is and how it is run, as versioned JSON; the stack need not exist
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad facts\n  octad facts broker-1\n  octad --stack ha-nixos facts --dir nix/facts/ha-nixos"
)]
pub(super) struct Facts {
    /// Only this node
    node: Option<String>,
    /// Write NODE.json for each node into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Facts {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let nodes = || stack.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME);
        let wanted = match &self.node {
            None => None,
            Some(node) => Some(named(node, nodes().map(|(key, _)| key))?),
        };
        let is_wanted = |key: &Key| wanted.as_ref().is_none_or(|wanted| wanted == key);
        let document = |key, inputs| {
            let deployment = session.registry().deployment(key, inputs).map_err(CliError::Facts)?;
            Ok::<_, CliError>(serde_json::json!(deployment))
        };
        let facts = nodes()
            .filter(|(key, _)| is_wanted(key))
            .map(|(key, declared)| Ok((key.name.as_str(), document(key, &declared.inputs)?)))
            .collect::<Result<BTreeMap<&str, Value>, CliError>>()?;
        match (&self.dir, &wanted) {
            (Some(dir), _) => {
                write(dir, &facts)?;
                let others = others(dir, &facts);
                if self.node.is_none() && !others.is_empty() {
                    let (dir, others) = (dir.display(), others.join(", "));
                    let told = format!(
                        "{dir} also has {others}, of no declared node: delete what is no longer wanted"
                    );
                    session.events().notice(told);
                }
            }
            (None, Some(key)) => session.output().facts(&facts[key.name.as_str()]),
            (None, None) => session.output().facts(&serde_json::json!(facts)),
        }
        Ok(exit::OK)
    }
}

/// Documents in the directory that are of other nodes: who reads it takes them for the stack's.
fn others(dir: &Path, facts: &BTreeMap<&str, Value>) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_other = |name: &String| name.strip_suffix(".json").is_some_and(|node| !facts.contains_key(node));
    let mut others: Vec<String> = names.filter(is_other).collect();
    others.sort();
    others
}

fn write(dir: &Path, facts: &BTreeMap<&str, Value>) -> Result<(), CliError> {
    let failed = |path: &Path| {
        let action = format!("write {}", path.display());
        move |source| CliError::Io { action, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    for (node, facts) in facts {
        let path = dir.join(format!("{node}.json"));
        fs::write(&path, format!("{facts:#}\n")).map_err(failed(&path))?;
    }
    Ok(())
}
