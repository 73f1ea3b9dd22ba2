//! Programs: what a stack is made of, as a function from a stack file to declared resources. The shipped ones are one
//! file each. Pure but for the reading of the stack file.

mod file;
mod ha;
mod minimal;

pub use file::{StackFile, StackFileError};
pub use ha::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
pub use minimal::{Minimal, minimal};

use crate::stack::Stack;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A program, with its configuration still to be read.
type Run = Box<dyn Fn(&mut Stack, toml::de::Deserializer<'_>) -> Result<(), toml::de::Error> + Send + Sync>;

/// The programs that a stack file may name.
#[derive(Default)]
pub struct Programs(BTreeMap<&'static str, Run>);

impl Programs {
    /// The programs that Octad ships.
    pub fn standard() -> Self {
        Self::default().program("ha", ha).program("minimal", minimal)
    }

    /// Adds a program. Its configuration *is* the stack file, but for the line that names the program.
    #[must_use]
    pub fn program<C: DeserializeOwned + 'static>(
        mut self,
        name: &'static str,
        program: impl Fn(&mut Stack, C) + Send + Sync + 'static,
    ) -> Self {
        let run: Run = Box::new(move |stack, text| {
            program(stack, C::deserialize(text)?);
            Ok(())
        });
        self.0.insert(name, run);
        self
    }

    fn find(&self, name: &str) -> Option<&Run> {
        self.0.get(name)
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
