//! Names of class-data archives. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::digest::Digest;
use super::java::Java;
use super::set::ArtifactSet;
use super::store::Store;

/// Where the class-data archive (AppCDS) of a role belongs: `archives/<role>-<key>.jsa` in the store's root.
///
/// The key covers what an archive is only valid for: the JVM binary, the jars and their directory, and the JVM
/// flags that matter (the collector, compressed pointers; not heap sizes). It covers the classes that it holds too.
/// Equal inputs give equal paths in every process; nothing is read or made.
pub fn archive_path(store: &Store, java: &Java, set: &ArtifactSet, role: &str, flags: &[&str]) -> PathBuf {
    let jars = store.jars();
    let digest = set.digest().to_string();
    let fixed = [
        java.fingerprint.as_bytes(),
        digest.as_bytes(),
        set.classes().as_bytes(),
        jars.as_os_str().as_bytes(),
        role.as_bytes(),
    ];
    let key = Digest::of_parts(fixed.into_iter().chain(flags.iter().map(|flag| flag.as_bytes())));
    store.root().join("archives").join(format!("{role}-{}.jsa", key.short()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tool::Environment;

    fn store(supplied: &str) -> Store {
        Store::locate(Environment::default().with("OCTAD_STORE", "/s").with("OCTAD_ARTIFACTS", supplied))
            .unwrap()
    }

    fn java(fingerprint: &str) -> Java {
        Java { path: "/j".into(), version: "17.0.1".into(), major: 17, fingerprint: fingerprint.into() }
    }

    fn set(name: &str, version: &str) -> &'static ArtifactSet {
        ArtifactSet::find(name, version).unwrap()
    }

    #[test]
    fn everything_an_archive_depends_on_changes_its_name() {
        let (kafka, zookeeper) = (set("kafka", "3.9.2"), set("zookeeper", "3.9.5"));
        let base = archive_path(&store(""), &java("f"), kafka, "broker", &["-XX:+UseG1GC"]);
        assert_eq!(base, archive_path(&store(""), &java("f"), kafka, "broker", &["-XX:+UseG1GC"]));
        for other in [
            archive_path(&store("/n"), &java("f"), kafka, "broker", &["-XX:+UseG1GC"]),
            archive_path(&store(""), &java("g"), kafka, "broker", &["-XX:+UseG1GC"]),
            archive_path(&store(""), &java("f"), zookeeper, "broker", &["-XX:+UseG1GC"]),
            archive_path(&store(""), &java("f"), kafka, "zookeeper", &["-XX:+UseG1GC"]),
            archive_path(&store(""), &java("f"), kafka, "broker", &["-XX:+UseSerialGC"]),
            archive_path(&store(""), &java("f"), kafka, "broker", &[]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn archives_lie_in_the_root_even_when_jars_are_supplied() {
        let path = archive_path(&store("/n"), &java("f"), set("kafka", "3.9.2"), "broker", &[]);
        assert_eq!(path.parent(), Some(Path::new("/s/archives")));
    }
}
