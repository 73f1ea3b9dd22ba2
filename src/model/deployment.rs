//! A node as its host runs it. Data: what a role says of a node is said here once, for hosts on this machine and for
//! NixOS, whose modules read it as the JSON that `octad facts` writes.

use super::{NodeFacts, escaped};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the document. A reader refuses one that it does not know. Version 1 was the facts alone.
pub const DEPLOYMENT_VERSION: u32 = 2;

/// What is put on a host. Texts and arguments name the host's own directories by placeholders, which [`Layout::fill`]
/// replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// [`DEPLOYMENT_VERSION`] of the writer.
    pub version: u32,
    /// The node's facts, resolved.
    pub facts: NodeFacts,
    /// Its configuration files, by name.
    pub files: BTreeMap<String, File>,
    /// Files in its data directory that tell whose it is, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data_files: BTreeMap<String, String>,
    /// Its process.
    pub process: Process,
    /// Purposes of the ports that clients reach; the stack's own hosts reach all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// What is in its data directory once it has been of its group: a disk without it is an empty one, and nobody starts on
    /// that but by leave of whoever formatted it. `None` where an empty disk does no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// The arguments of `octad admit` that tell, before each start, whether it may on the disk that it finds; `None` where
    /// it may on any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit: Option<Vec<String>>,
    /// The arguments of `octad fence` that end what its dead process still holds in other services; `None` where it holds
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Vec<String>>,
    /// The arguments of `octad watchdog` that stand in front of its command; `None` where nothing watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Vec<String>>,
}

impl Deployment {
    /// What is in its configuration files on a host that keeps its parts there, by name.
    pub fn rendered(&self, layout: &Layout) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, file)| (name.clone(), layout.file(file))).collect()
    }
}

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// By which rules a directory is written into it.
    pub form: Form,
    /// What is in it, with placeholders.
    pub text: String,
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Java's properties: values are escaped.
    Properties,
    /// Anything else: as it is.
    Text,
}

impl File {
    /// A file of Java's properties.
    pub fn properties(text: impl Into<String>) -> Self {
        Self { form: Form::Properties, text: text.into() }
    }

    /// Any other file.
    pub fn text(text: impl Into<String>) -> Self {
        Self { form: Form::Text, text: text.into() }
    }
}

/// A process to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Process {
    /// A main class of the node's software, in a Java virtual machine.
    Java {
        /// Options apart from heap and class path, with placeholders.
        options: Vec<String>,
        /// The main class.
        main: String,
        /// Its arguments, with placeholders.
        arguments: Vec<String>,
    },
}

/// Where a host keeps the parts of one node.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directory of the configuration files.
    pub config: PathBuf,
    /// The data disk's directory.
    pub data: PathBuf,
    /// A directory for what may vanish at a restart.
    pub runtime: PathBuf,
}

impl Layout {
    /// What stands for [`Layout::config`] in texts.
    pub const CONFIG: &'static str = "@config@";
    /// What stands for [`Layout::data`].
    pub const DATA: &'static str = "@data@";
    /// What stands for [`Layout::runtime`].
    pub const RUNTIME: &'static str = "@runtime@";

    /// A text with this host's directories in place of the placeholders.
    ///
    /// ```
    /// use octad::model::Layout;
    /// let layout = Layout { config: "/etc/x".into(), data: "/data".into(), runtime: "/run/x".into() };
    /// assert_eq!(layout.fill("-Dlog=@config@/log.xml"), "-Dlog=/etc/x/log.xml");
    /// ```
    pub fn fill(&self, text: &str) -> String {
        self.filled(text, str::to_owned)
    }

    /// The same for each of them.
    pub fn fill_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    /// What is in a file on this host.
    ///
    /// ```
    /// use octad::model::{File, Layout};
    /// let layout = Layout { config: "/c".into(), data: r"/a\b".into(), runtime: "/r".into() };
    /// assert_eq!(layout.file(&File::properties("dir=@data@\n")), "dir=/a\\\\b\n");
    /// ```
    pub fn file(&self, file: &File) -> String {
        match file.form {
            Form::Properties => self.filled(&file.text, escaped),
            Form::Text => self.fill(&file.text),
        }
    }

    fn filled(&self, text: &str, written: fn(&str) -> String) -> String {
        let directories =
            [(Self::CONFIG, &self.config), (Self::DATA, &self.data), (Self::RUNTIME, &self.runtime)];
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        // From the front, so that nothing within a directory is taken for a placeholder.
        while let Some(at) = rest.find('@') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            match directories.iter().find(|(placeholder, _)| rest.starts_with(placeholder)) {
                Some((placeholder, directory)) => {
                    out.push_str(&written(&directory.to_string_lossy()));
                    rest = &rest[placeholder.len()..];
                }
                None => {
                    out.push('@');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}
