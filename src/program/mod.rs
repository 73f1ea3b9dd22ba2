//! Programs: what a stack is made of, as a function from a stack file to declared resources. The shipped ones are one
//! file each. Pure but for the reading of the stack file.

mod declare;
mod faults;
mod file;
mod ha;
mod minimal;
mod own;
mod schema;

pub use faults::{Located, StackFaults};
pub use file::{StackFile, StackFileError};
pub use ha::{Ha, HostsConfig, KafkaConfig, MachineConfig, TopicConfig, ZookeeperConfig, ha};
pub use minimal::{Minimal, minimal};
pub use own::Program;

use crate::stack::Stack;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A program, with its configuration still to be read.
type Run = Box<dyn Fn(&mut Stack, toml::de::Deserializer<'_>) -> Result<(), toml::de::Error> + Send + Sync>;

/// Makes the schema of a configuration.
type Configuration = fn(&mut SchemaGenerator) -> Schema;

/// What reads a stack file.
struct Reader {
    run: Run,
    schema: Configuration,
}

/// The programs that a stack file may name, and the stacks that need no file.
#[derive(Default)]
pub struct Programs {
    programs: BTreeMap<&'static str, Reader>,
    /// Texts of stack files, for those who write none.
    stacks: BTreeMap<&'static str, String>,
    /// The stack where none is named.
    default: &'static str,
}

impl Programs {
    /// The programs that Octad ships.
    pub fn standard() -> Self {
        Self::default()
            .program("minimal", minimal)
            .stack("minimal", include_str!("../../stacks/minimal.toml"))
            .program("ha", ha)
            .stack("ha", include_str!("../../stacks/ha.toml"))
    }

    /// Adds a program. Its configuration *is* the stack file, but for the line that names the program and for what
    /// `[[moved]]` says ([`Stack::moved`]).
    #[must_use]
    pub fn program<C: DeserializeOwned + JsonSchema + 'static>(
        mut self,
        name: &'static str,
        program: impl Fn(&mut Stack, C) + Send + Sync + 'static,
    ) -> Self {
        let run: Run = Box::new(move |stack, text| {
            program(stack, C::deserialize(text)?);
            Ok(())
        });
        self.programs.insert(name, Reader { run, schema: C::json_schema });
        self
    }

    /// Adds a stack with the text of its file. The last one added is the one that is meant where none is named.
    #[must_use]
    pub fn stack(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.stacks.insert(name, text.into());
        self.default = name;
        self
    }

    /// The name of the stack that is meant where none is named.
    pub fn default_stack(&self) -> &'static str {
        self.default
    }

    fn find(&self, name: &str) -> Option<&Run> {
        self.programs.get(name).map(|reader| &reader.run)
    }

    fn names(&self) -> Vec<&'static str> {
        self.programs.keys().copied().collect()
    }
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.programs.keys()).finish()
    }
}
