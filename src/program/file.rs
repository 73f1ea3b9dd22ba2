//! Stack files: where one is found, and what it is called.

use super::{Programs, StackFaults, declare};
use crate::registry::Registry;
use crate::stack::{Name, NameError, ValidStack};
use std::io;
use std::path::{Path, PathBuf};

/// A stack file's text, and where it came from.
#[derive(Debug, Clone)]
pub struct StackFile {
    /// The stack's name: the file's, without its ending.
    pub name: Name,
    /// For people: a path, or that it is one of the program's own.
    pub origin: String,
    text: String,
}

/// Why a stack file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StackFileError {
    /// There is no such file.
    #[error("there is no stack file {}", path.display())]
    NoFile {
        /// As asked for.
        path: PathBuf,
    },
    /// There is no such file and no stack of that name that needs none.
    #[error("there is no stack `{wanted}`: neither a file {} nor one that needs none ({known})", tried.display())]
    NotFound {
        /// As asked for.
        wanted: String,
        /// The file that was looked for.
        tried: PathBuf,
        /// Those that need no file.
        known: String,
    },
    /// It can't be read.
    #[error("could not read the stack file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its name can't be a stack's.
    #[error("a stack is named after its file")]
    Name(#[from] NameError),
    /// Something in it is wrong.
    #[error("the stack file can't be used")]
    Faults(StackFaults),
}

impl StackFile {
    /// Finds a stack by name or file: a text with a slash or ending in `.toml` is a file; a name is
    /// `stacks/NAME.toml` where there is such a file, else one that `programs` bring along.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    pub fn find(wanted: &str, programs: &Programs) -> Result<Self, StackFileError> {
        let is_path = wanted.contains('/') || wanted.ends_with(".toml");
        let path =
            if is_path { PathBuf::from(wanted) } else { Path::new("stacks").join(format!("{wanted}.toml")) };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self { name: stem.parse()?, origin: path.display().to_string(), text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_path {
                    return Err(StackFileError::NoFile { path });
                }
                let Some((name, text)) = programs.stacks.get_key_value(wanted) else {
                    let known = programs.stacks.keys().copied().collect::<Vec<_>>().join(", ");
                    return Err(StackFileError::NotFound { wanted: wanted.to_owned(), tried: path, known });
                };
                Ok(Self {
                    name: name.parse()?,
                    origin: format!("the program's own stack {name}"),
                    text: text.clone(),
                })
            }
            Err(source) => Err(StackFileError::Read { path, source }),
        }
    }

    /// A stack file with this text, for tests and programs that keep theirs elsewhere.
    pub fn of_text(name: Name, text: &str) -> Self {
        Self { name, origin: "stack file".into(), text: text.to_owned() }
    }

    /// What stands in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Runs the file's program and checks what it declares.
    ///
    /// # Errors
    /// [`StackFileError::Faults`] with every fault that could be found.
    pub fn declare(&self, programs: &Programs, registry: &Registry) -> Result<ValidStack, StackFileError> {
        declare::declare(&self.name, &self.text, programs, registry).map_err(|faults| {
            StackFileError::Faults(StackFaults {
                origin: self.origin.clone(),
                text: self.text.clone(),
                faults,
            })
        })
    }
}
