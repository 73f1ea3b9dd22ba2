//! A node's files as people are shown them.

use crate::host::DOCUMENT_FILE;
use crate::model::{Deployment, Process};
use crate::resource::Files;

/// Files with the command line and the options of the virtual machine in place of the document, which says all the rest
/// once more.
pub(super) fn readable(mut files: Files) -> Files {
    let document = files.remove(DOCUMENT_FILE);
    let document = document.and_then(|text| serde_json::from_str::<Deployment>(&text).ok());
    let Some(Deployment { facts, process, .. }) = document else { return files };
    if let Some(jvm) = facts.jvm {
        files.insert("JVM options".into(), lines(jvm.flags()));
    }
    let (environment, command) = match process {
        Process::Java { options, main, arguments } => (Vec::new(), [options, vec![main], arguments].concat()),
        Process::Program { executable, arguments, environment } => {
            let set = environment.into_iter().map(|(name, value)| format!("{name}={value}"));
            (set.collect(), [vec![executable], arguments].concat())
        }
    };
    files.insert("environment".into(), lines(environment));
    files.insert("command line".into(), lines(command));
    files
}

fn lines(words: Vec<String>) -> String {
    words.into_iter().map(|word| word + "\n").collect()
}
