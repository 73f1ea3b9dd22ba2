//! A node's data on a local host: its first formatting, and the sign on it that tells whose it is.

use super::{Machine, unfinished, write_durably};
use crate::host::HostError;
use crate::host::local::{disk, layout};
use crate::model::Deployment;
use crate::supervisor::{Beginning, Begun, LEAVE_FILE, UnitName, UnitSpec};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// From a node's data up to the directory of all stacks: each may just have been made, and is there after a loss of power
/// only once the one above it was put on its disk.
const LEVELS: usize = 7;

/// What stands in the leave to begin with an empty disk. That the node may was found out before it was given.
const LEAVE: &str = "given by octad up\n";

/// The sign on a data disk that tells whose it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    stack: String,
    node: String,
    role: String,
    id: i32,
}

impl Marker {
    fn of(deployment: &Deployment) -> Self {
        let facts = &deployment.facts;
        Self { stack: facts.stack.clone(), node: facts.node.clone(), role: facts.role.clone(), id: facts.id }
    }
}

impl Machine {
    /// What tells whether a node's disk was ever written to, where that matters to its role.
    pub(super) fn beginning(&self, deployment: &Deployment) -> Option<Beginning> {
        let data = layout::data(&self.directory, &deployment.facts.node);
        deployment.written.as_ref().map(|file| Beginning::on(&data, file))
    }

    /// Whether a node's disk is empty and may not be, by what it was last installed with.
    pub(super) fn is_emptied(&self, unit: &UnitName) -> bool {
        let begins = UnitSpec::load(&self.directory, unit).ok().and_then(|spec| spec.begins);
        begins.is_some_and(|begins| begins.look().is_ok_and(|begun| begun == Begun::Lost))
    }

    /// Gives a node its data directory.
    pub(super) async fn format_data(&self, deployment: &Deployment) -> Result<(), HostError> {
        if deployment.stateless {
            return Ok(());
        }
        let node = &deployment.facts.node;
        let data = layout::data(&self.directory, node);
        let marker = layout::marker(&self.directory, node);
        let foreign = || HostError::ForeignData { node: node.clone(), directory: data.display().to_string() };
        let io = |action| {
            let path = data.display().to_string();
            move |source| HostError::Io { action, path, source }
        };
        if let Some(mib) = self.disk_mib {
            self.disk(node).make(mib).await?;
        }
        match fs::read(&marker) {
            Ok(text) => {
                let found: Option<Marker> = serde_json::from_slice(&text).ok();
                if found != Some(Marker::of(deployment)) {
                    return Err(foreign());
                }
                // What it held is gone, and whoever has it formatted anew says that it may be.
                return match self.beginning(deployment) {
                    Some(begins) if begins.look().map_err(io("look at"))? == Begun::Lost => {
                        write_durably(&begins.leave, LEAVE.as_bytes()).map_err(io("write"))
                    }
                    _ => Ok(()),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(HostError::Io { action: "read", path: marker.display().to_string(), source });
            }
        }
        let mut files = deployment.data_files.clone();
        if deployment.written.is_some() {
            files.insert(LEAVE_FILE.to_owned(), LEAVE.to_owned());
        }
        // A first formatting that was cut off left some of its own files and no marker, or one that isn't whole.
        let unfinished = unfinished(&marker);
        let others = fs::read_dir(&data).map_or(0, |entries| {
            let name =
                |entry: io::Result<fs::DirEntry>| entry.map(|e| e.file_name().to_string_lossy().into_owned());
            let is_own = |name: &String| files.contains_key(name) || data.join(name) == unfinished;
            entries.filter_map(|entry| name(entry).ok()).filter(|name| !is_own(name)).count()
        });
        if others > 0 {
            return Err(foreign());
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(&data)?;
            for (name, content) in &files {
                fs::write(data.join(name), content)?;
            }
            // A marker says that all of this is there, also to those who come after a loss of power.
            disk::sync(&data)?;
            write_marker(&marker, &Marker::of(deployment))?;
            let levels = data.ancestors().take(LEVELS).filter(|level| !level.as_os_str().is_empty());
            levels.into_iter().try_for_each(|level| File::open(level)?.sync_all())
        };
        write().map_err(|source| HostError::Io {
            action: "prepare",
            path: data.display().to_string(),
            source,
        })
    }
}

fn write_marker(path: &Path, marker: &Marker) -> io::Result<()> {
    write_durably(path, &serde_json::to_vec_pretty(marker)?)
}

/// Has the sign at `path` name a node by its new name, where it has the old one.
pub(super) fn rename_marker(path: &Path, from: &str, to: &str) -> io::Result<()> {
    let marker = match fs::read(path) {
        Ok(text) => serde_json::from_slice::<Marker>(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match marker.filter(|marker| marker.node == from) {
        Some(marker) => write_marker(path, &Marker { node: to.to_owned(), ..marker }),
        None => Ok(()),
    }
}
