//! A node as its host runs it. Data: what a role says of a node is said here once, for hosts on this machine and for
//! NixOS, whose modules read it as the JSON that `octad facts` writes.

use super::facts::is_no;
use super::{HealthCheck, NodeFacts, escaped};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the document. A reader refuses one that it does not know. Version 1 was the facts alone; in version 2 each
/// reader wrote by itself which of octad's verbs fences, watches and admits; version 3 left it to the role how a node is asked.
pub const DEPLOYMENT_VERSION: u32 = 4;

/// What is put on a host, recorded, compared, and put back where a change fails: a node is what it runs, whatever its role
/// would make of the same facts by now. Texts and arguments name the host's own directories by placeholders, which
/// [`Layout::fill`] replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// [`DEPLOYMENT_VERSION`] of the writer.
    pub version: u32,
    /// The node's facts, resolved.
    pub facts: NodeFacts,
    /// Its configuration files, by name.
    pub files: BTreeMap<String, File>,
    /// It keeps no data: it has no disk, and nothing is lost with what its host has of it.
    #[serde(default, skip_serializing_if = "is_no")]
    pub stateless: bool,
    /// Files in its data directory that tell whose it is, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data_files: BTreeMap<String, String>,
    /// Its process.
    pub process: Process,
    /// How it is asked whether it serves; `None` where nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<HealthCheck>,
    /// Purposes of the ports that clients reach; the stack's own hosts reach all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// What is in its data directory once it has been of its group: a disk without it is an empty one, and nobody starts on
    /// that but by leave of whoever formatted it. `None` where an empty disk does no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// The command that tells, before each start, whether it may on the disk that it finds; `None` where it may on any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit: Option<Vec<String>>,
    /// The command that ends what its dead process still holds in other services; `None` where it holds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Vec<String>>,
    /// The command of its watchdog. The node's own command follows it as its last arguments: it starts the watchdog and executes
    /// that. `None` where nothing watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Vec<String>>,
}

impl Deployment {
    /// The field of the facts, which is there before the rest: what a role makes of them is known once they are.
    pub const FACTS: &str = "facts";

    /// The document that a node's inputs are; `None` while its facts alone are known.
    ///
    /// # Errors
    /// Where it is one of another version, or none.
    pub fn of(inputs: &Value) -> Result<Option<Self>, serde_json::Error> {
        let Some(version) = inputs.get(Self::FACTS).and_then(|_| inputs.get("version")) else {
            return Ok(None);
        };
        if *version != DEPLOYMENT_VERSION {
            let known = DEPLOYMENT_VERSION;
            let told = format!("its document is of version {version}, and this Octad knows version {known}");
            return Err(serde::de::Error::custom(told));
        }
        Self::deserialize(inputs).map(Some)
    }

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
    /// A program of the node's software.
    Program {
        /// Its path within the archive, or the name of an installed one.
        executable: String,
        /// Its arguments, with placeholders.
        arguments: Vec<String>,
        /// Its environment, over the small one that a service has, with placeholders.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        environment: BTreeMap<String, String>,
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
    /// Where its software lies; empty where it is an installed one or jars on a local host, which lie in many places.
    pub software: PathBuf,
}

impl Layout {
    /// What stands for [`Layout::config`] in texts.
    pub const CONFIG: &'static str = "@config@";
    /// What stands for [`Layout::data`].
    pub const DATA: &'static str = "@data@";
    /// What stands for [`Layout::runtime`].
    pub const RUNTIME: &'static str = "@runtime@";
    /// What stands for [`Layout::software`].
    pub const SOFTWARE: &'static str = "@software@";
    /// The word that stands for the program octad in commands that a host runs beside a node.
    pub const OCTAD: &'static str = "@octad@";

    /// A text with this host's directories in place of the placeholders.
    ///
    /// ```
    /// use octad::model::Layout;
    /// let layout = Layout {
    ///     config: "/etc/x".into(),
    ///     data: "/data".into(),
    ///     runtime: "/run/x".into(),
    ///     software: "/opt/x".into(),
    /// };
    /// assert_eq!(layout.fill("-Dlog=@config@/log.xml"), "-Dlog=/etc/x/log.xml");
    /// ```
    pub fn fill(&self, text: &str) -> String {
        self.filled(text, str::to_owned)
    }

    /// The same for each of them.
    pub fn fill_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    /// A command that is run beside a node, where `octad` is the program octad.
    pub fn command(&self, words: &[String], octad: &str) -> Vec<String> {
        let word = |word: &String| if word == Self::OCTAD { octad.to_owned() } else { self.fill(word) };
        words.iter().map(word).collect()
    }

    /// What is in a file on this host.
    ///
    /// ```
    /// use octad::model::{File, Layout};
    /// let (config, runtime, software) = ("/c".into(), "/r".into(), "/s".into());
    /// let layout = Layout { config, data: r"/a\b".into(), runtime, software };
    /// assert_eq!(layout.file(&File::properties("dir=@data@\n")), "dir=/a\\\\b\n");
    /// ```
    pub fn file(&self, file: &File) -> String {
        match file.form {
            Form::Properties => self.filled(&file.text, escaped),
            Form::Text => self.fill(&file.text),
        }
    }

    fn filled(&self, text: &str, written: fn(&str) -> String) -> String {
        let directories = [
            (Self::CONFIG, &self.config),
            (Self::DATA, &self.data),
            (Self::RUNTIME, &self.runtime),
            (Self::SOFTWARE, &self.software),
        ];
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
