//! A program of the user's own, with whatever it adds to Octad.

use super::Programs;
use crate::host::Backend;
use crate::registry::Registry;
use crate::role::Role;
use crate::stack::Stack;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A program of the user's own, for [`crate::run`]. It has all of Octad's verbs, kinds, roles and backends; its stack
/// files say `program = "NAME"`, and its own stack is the one that is meant where `--stack` names none.
///
/// ```no_run
/// use octad::component::{Hosts, ZookeeperEnsemble};
/// use octad::stack::Stack;
///
/// /// What its stack file may say.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     servers: u16,
/// }
///
/// fn ensemble(stack: &mut Stack, config: Config) {
///     let hosts = Hosts::local(stack);
///     let ensemble = ZookeeperEnsemble { servers: config.servers, ..ZookeeperEnsemble::default() };
///     let connect = ensemble.declare(stack, &hosts);
///     stack.output("connect", &connect);
/// }
///
/// fn main() -> std::process::ExitCode {
///     octad::run(octad::Program::new("ensemble", ensemble).stack_file("program = \"ensemble\"\nservers = 3\n"))
/// }
/// ```
pub struct Program {
    name: &'static str,
    pub(crate) programs: Programs,
    pub(crate) registry: Registry,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// A program that declares its stack with `declare`, from a configuration that *is* its stack file, but for the
    /// line that names the program and for what `[[moved]]` says ([`Stack::moved`]). Where nobody writes a stack file,
    /// that line is all of it; a configuration that can't be read from nothing needs [`Program::stack_file`].
    ///
    /// `name` must be a [stack's name](crate::stack::Name), since the program's own stack is called so.
    pub fn new<C: DeserializeOwned + JsonSchema + 'static>(
        name: &'static str,
        declare: impl Fn(&mut Stack, C) + Send + Sync + 'static,
    ) -> Self {
        let only_line = format!("program = \"{name}\"\n");
        let programs = Programs::standard().program(name, declare).stack(name, only_line);
        Self { name, programs, registry: Registry::standard() }
    }

    /// The text of the program's own stack file, for those who write none.
    #[must_use]
    pub fn stack_file(mut self, text: impl Into<String>) -> Self {
        self.programs = self.programs.stack(self.name, text);
        self
    }

    /// Adds a role, in place of one of the same name.
    #[must_use]
    pub fn role(mut self, role: impl Role + 'static) -> Self {
        self.registry = self.registry.role(role);
        self
    }

    /// Adds a host backend, in place of one of the same name.
    #[must_use]
    pub fn backend(mut self, backend: impl Backend + 'static) -> Self {
        self.registry = self.registry.backend(backend);
        self
    }
}
