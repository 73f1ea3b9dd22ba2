//! The canary as another build of it, for a test (`tests/real/canary.rs`): where there is a `next.py` in the directory that it
//! is called in, its role has that for a script.

use octad::Program;
use octad::model::{File, HealthCheck, NodeFacts, Process};
use octad::role::Role;
use std::collections::BTreeMap;
use std::process::ExitCode;

#[allow(dead_code, reason = "its main is another")]
mod canary;

use canary::Canary;

struct Next;

impl Role for Next {
    fn name(&self) -> &'static str {
        Canary::NAME
    }

    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        let files = Canary.files(facts).into_iter();
        let next = |file: File| std::fs::read_to_string("next.py").map_or(file, File::text);
        files.map(|(name, file)| (name, next(file))).collect()
    }

    fn process(&self, facts: &NodeFacts) -> Process {
        Canary.process(facts)
    }

    fn check(&self, facts: &NodeFacts) -> Option<HealthCheck> {
        Canary.check(facts)
    }

    fn stateless(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    octad::run(Program::new("canary", canary::program).role(Next))
}
