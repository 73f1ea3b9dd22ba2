//! Generations: the files of a node as one immutable directory, named by their digest. A new one is put beside the
//! old, then a link is moved.

use super::layout;
use crate::hex::hex;
use crate::host::{DOCUMENT_FILE, HostError};
use crate::model::{Deployment, Layout};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// How many generations are kept, the one in place among them.
const KEPT: usize = 5;

/// The name of the file that lists a generation's files with their digests.
const MANIFEST: &str = "manifest.json";

/// What is known of the generation in place.
pub(super) struct Current {
    /// Its id.
    pub(super) id: String,
    /// The document that it was made from.
    pub(super) deployment: Value,
    /// Files that differ from what was written, or are gone.
    pub(super) altered: Vec<String>,
}

/// A generation that is not written yet.
struct Fresh {
    id: String,
    place: Layout,
    files: BTreeMap<String, String>,
}

/// The files of a node's next generation, whose software lies at `software`. Pure.
pub(super) fn render(host: &Path, deployment: &Deployment, software: &Path) -> BTreeMap<String, String> {
    fresh(host, deployment, software).files
}

fn fresh(host: &Path, deployment: &Deployment, software: &Path) -> Fresh {
    let node = &deployment.facts.node;
    let document = serde_json::to_string_pretty(deployment).expect("a document has only text keys");
    // It has placeholders: the id must not depend on where the host is.
    let id = hex(Sha256::digest(&document))[..12].to_owned();
    let place = Layout {
        config: layout::generations(host, node).join(&id),
        data: layout::data(host, node),
        runtime: layout::runtime(host, node),
        software: software.to_owned(),
    };
    let mut files = deployment.rendered(&place);
    files.insert(DOCUMENT_FILE.into(), document);
    Fresh { id, place, files }
}

/// Writes a generation of a node's files and puts it in place. Returns its id and where it is.
pub(super) fn install(
    host: &Path,
    deployment: &Deployment,
    software: &Path,
) -> Result<(String, Layout), HostError> {
    let node = &deployment.facts.node;
    let Fresh { id, place, files } = fresh(host, deployment, software);
    let directory = place.config.clone();
    let manifest: BTreeMap<&String, String> =
        files.iter().map(|(name, content)| (name, hex(Sha256::digest(content)))).collect();
    let write = || -> io::Result<()> {
        // Files that were changed by another hand are put right, so an existing generation is written anew.
        let fresh = directory.with_extension("new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh)?;
        }
        fs::create_dir_all(&fresh)?;
        for (name, content) in &files {
            fs::write(fresh.join(name), content)?;
        }
        fs::write(fresh.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(&fresh, &directory)?;
        let link = layout::current(host, node);
        let fresh_link = link.with_extension("new");
        let _ = fs::remove_file(&fresh_link);
        std::os::unix::fs::symlink(Path::new("generations").join(&id), &fresh_link)?;
        fs::rename(&fresh_link, &link)?;
        fs::create_dir_all(&place.runtime)?;
        forget_old(&layout::generations(host, node), &id)
    };
    write().map_err(|source| HostError::Io {
        action: "write the files of",
        path: directory.display().to_string(),
        source,
    })?;
    Ok((id, place))
}

/// Looks at the generation in place; `None` where there is none.
pub(super) fn current(host: &Path, node: &str) -> Result<Option<Current>, HostError> {
    let link = layout::current(host, node);
    let failed =
        |path: &Path, source| HostError::Io { action: "read", path: path.display().to_string(), source };
    let directory = match fs::read_link(&link) {
        Ok(target) => layout::node(host, node).join(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&link, error)),
    };
    let id = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest: BTreeMap<String, String> = match fs::read(directory.join(MANIFEST)) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    let altered: Vec<String> = manifest
        .iter()
        .filter(|(name, digest)| {
            fs::read(directory.join(name)).map_or(true, |content| hex(Sha256::digest(content)) != **digest)
        })
        .map(|(name, _)| name.clone())
        .collect();
    let document = fs::read(directory.join(DOCUMENT_FILE)).ok();
    let document = document.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(document.filter(|_| !manifest.is_empty()).map(|deployment| Current { id, deployment, altered }))
}

/// The files of the generation in place, as they lie there.
pub(super) fn files(host: &Path, node: &str) -> Result<BTreeMap<String, String>, HostError> {
    let directory = layout::current(host, node);
    let read = || -> io::Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What a link leads to is what a server reads.
            let is_file = fs::metadata(entry.path()).is_ok_and(|found| found.is_file());
            if name != MANIFEST && is_file {
                files.insert(name, String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
            }
        }
        Ok(files)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        other => other.map_err(|source| HostError::Io {
            action: "read",
            path: directory.display().to_string(),
            source,
        }),
    }
}

fn forget_old(generations: &Path, current: &str) -> io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(generations)? {
        let entry = entry?;
        if entry.file_name() != current {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    let surplus = (all.len() + 1).saturating_sub(KEPT);
    all.iter().take(surplus).try_for_each(|(_, path)| fs::remove_dir_all(path))
}
