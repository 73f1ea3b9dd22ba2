//! The stack file: finds it, reads it, runs its program, and points to the line of each fault.

use super::Programs;
use crate::engine::Registry;
use crate::stack::{Fault, Faults, Name, NameError, Stack, ValidStack};
use std::fmt::{self, Write as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue, Deserializer};

/// The stack files that Octad ships, for those who write none of their own.
const SHIPPED: [(&str, &str); 2] =
    [("ha", include_str!("../../stacks/ha.toml")), ("minimal", include_str!("../../stacks/minimal.toml"))];

/// A stack file's text, and where it came from.
#[derive(Debug, Clone)]
pub struct StackFile {
    /// The stack's name: the file's, without its ending.
    pub name: Name,
    /// For people: a path, or that it is one of Octad's own.
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
    /// There is no such file and no shipped stack of that name.
    #[error("there is no stack `{wanted}`: neither a file {} nor one of Octad's own ({shipped})", tried.display())]
    NotFound {
        /// As asked for.
        wanted: String,
        /// The file that was looked for.
        tried: PathBuf,
        /// The shipped ones.
        shipped: String,
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
    #[error("the stack file can't be used\n{}", .0.join("\n"))]
    Faults(
        /// Each fault, with the place where it stands.
        Vec<String>,
    ),
}

impl StackFile {
    /// Finds a stack by name or file: a text with a slash or ending in `.toml` is a file; a name is
    /// `stacks/NAME.toml` where there is such a file, else one of Octad's own.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    pub fn find(wanted: &str) -> Result<Self, StackFileError> {
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
                let shipped = SHIPPED.iter().find(|(name, _)| *name == wanted);
                let Some((name, text)) = shipped else {
                    let shipped = SHIPPED.map(|(name, _)| name).join(", ");
                    return Err(StackFileError::NotFound { wanted: wanted.to_owned(), tried: path, shipped });
                };
                Ok(Self {
                    name: name.parse()?,
                    origin: format!("Octad's own stack {name}"),
                    text: (*text).to_owned(),
                })
            }
            Err(source) => Err(StackFileError::Read { path, source }),
        }
    }

    /// A stack file with this text, for tests and programs that keep theirs elsewhere.
    pub fn of_text(name: Name, text: &str) -> Self {
        Self { name, origin: "stack file".into(), text: text.to_owned() }
    }

    /// Runs the file's program and checks what it declares.
    ///
    /// # Errors
    /// [`StackFileError::Faults`] with every fault that could be found.
    pub fn declare(&self, programs: &Programs, registry: &Registry) -> Result<ValidStack, StackFileError> {
        let wrong = |error: toml::de::Error| self.told(&[self.of_toml(&error)]);
        let mut table = DeTable::parse(&self.text).map_err(wrong)?;
        let program = table.get_mut().remove("program");
        let program = match &program {
            Some(value) => match value.get_ref() {
                DeValue::String(name) => name.clone().into_owned(),
                _ => return Err(self.told(&[(Some(value.span()), unknown("", programs))])),
            },
            None => return Err(self.told(&[(None, unknown("", programs))])),
        };
        let Some(run) = programs.find(&program) else {
            let span = self.span("program");
            return Err(self.told(&[(span, unknown(&program, programs))]));
        };
        let mut stack = Stack::new(self.name.clone());
        run(&mut stack, Deserializer::from(table)).map_err(wrong)?;
        stack.validate(registry).map_err(|Faults(faults)| {
            let placed: Vec<_> = faults.into_iter().map(|fault| (self.span(&fault.path), fault)).collect();
            self.told(&placed)
        })
    }

    fn of_toml(&self, error: &toml::de::Error) -> (Option<Range<usize>>, Fault) {
        (error.span(), Fault::new("", error.message().trim_end().replace('\n', "; "), ""))
    }

    fn told(&self, faults: &[(Option<Range<usize>>, Fault)]) -> StackFileError {
        StackFileError::Faults(
            faults.iter().map(|(span, fault)| self.placed(span.clone(), fault).to_string()).collect(),
        )
    }

    fn placed<'a>(&'a self, span: Option<Range<usize>>, fault: &'a Fault) -> Placed<'a> {
        let place = span.map(|span| {
            let before = &self.text[..span.start.min(self.text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            (line, column, span.len().max(1))
        });
        Placed { file: self, place, fault }
    }

    /// Where the value at a dotted path stands. A path may go on into what isn't written: then it is the nearest
    /// table that is. Keys may themselves hold dots (`"min.insync.replicas"`), so longer keys are tried as well.
    fn span(&self, path: &str) -> Option<Range<usize>> {
        if path.is_empty() {
            return None;
        }
        let table = DeTable::parse(&self.text).ok()?;
        let mut found = None;
        let mut here: &DeTable<'_> = table.get_ref();
        let mut rest = path;
        'descend: loop {
            let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
            for end in ends {
                let key = rest[..end].trim_start_matches('.');
                if let Some(value) = here.get(key) {
                    found = Some(value.span());
                    match (value.get_ref(), rest.get(end + 1..)) {
                        (DeValue::Table(inner), Some(more)) => {
                            (here, rest) = (inner, more);
                            continue 'descend;
                        }
                        _ => return found,
                    }
                }
            }
            return found;
        }
    }
}

fn unknown(program: &str, programs: &Programs) -> Fault {
    let known = programs.names().join(", ");
    match program {
        "" => Fault::new("program", "the line `program = \"…\"` is missing", format!("known: {known}")),
        name => Fault::new("program", format!("there is no program `{name}`"), format!("known: {known}")),
    }
}

/// A fault with the line that it stands in.
struct Placed<'a> {
    file: &'a StackFile,
    place: Option<(usize, usize, usize)>,
    fault: &'a Fault,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subject = self.fault.message.clone();
        if !self.fault.path.is_empty() {
            subject = format!("{}: {subject}", self.fault.path);
        }
        let origin = &self.file.origin;
        match self.place {
            None => write!(f, "  {origin}: {subject}")?,
            Some((line, column, width)) => {
                let text = self.file.text.lines().nth(line - 1).unwrap_or_default();
                let width = width.min(text.chars().count().saturating_sub(column - 1)).max(1);
                let mut marks = String::new();
                let _ = write!(marks, "{}{}", " ".repeat(column - 1), "^".repeat(width));
                let gutter = line.to_string();
                let pad = " ".repeat(gutter.len());
                write!(
                    f,
                    "  {origin}:{line}:{column}: {subject}\n  {pad} |\n  {gutter} | {text}\n  {pad} | {marks}"
                )?;
            }
        }
        if !self.fault.hint.is_empty() {
            write!(f, "\n    help: {}", self.fault.hint)?;
        }
        Ok(())
    }
}
