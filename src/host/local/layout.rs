//! Where a local host keeps what it holds. Pure.

use std::path::{Path, PathBuf};

/// The directory of a host.
pub(super) fn host(site: &Path, name: &str) -> PathBuf {
    site.join("hosts").join(name)
}

/// All nodes of a host.
pub(super) fn nodes(host: &Path) -> PathBuf {
    host.join("nodes")
}

/// All of one node.
pub(super) fn node(host: &Path, node: &str) -> PathBuf {
    nodes(host).join(node)
}

/// A node's data disk.
pub(super) fn data(host: &Path, name: &str) -> PathBuf {
    node(host, name).join("data")
}

/// The sign that the data disk is there and is this node's: an unmounted disk looks like an empty one.
pub(super) fn marker(host: &Path, name: &str) -> PathBuf {
    data(host, name).join("octad-data.json")
}

/// What may vanish at a restart.
pub(super) fn runtime(host: &Path, name: &str) -> PathBuf {
    node(host, name).join("run")
}

/// The generations of a node's files.
pub(super) fn generations(host: &Path, name: &str) -> PathBuf {
    node(host, name).join("generations")
}

/// A link to the generation in place.
pub(super) fn current(host: &Path, name: &str) -> PathBuf {
    node(host, name).join("current")
}

/// What the names of programs that a host keeps begin with.
pub(super) const KEPT: &str = "octad-";

/// A program that a host keeps, by what tells it from others.
pub(super) fn kept(host: &Path, id: &str) -> PathBuf {
    host.join(format!("{KEPT}{id}"))
}
