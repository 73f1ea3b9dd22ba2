//! Octad deploys a highly available Kafka cluster, proves that it is highly available, and never loses a record.
//!
//! # Data flow
//! ```text
//! program + stack file → Declaration → validate → ValidStack       pure; every later stage trusts it
//!   → observe → Inventory                                          reads only
//!   → plan → Plan → check → Plan<Checked>                          pure, deterministic, immutable
//!   → preview shows it, apply carries it out                       journal, act through Host, gate on health
//! ```
//!
//! # A program of your own
//! [`run`] with a [`Program`] has all verbs of `octad`; the repository's `examples/` hold one with two topics, and one
//! that adds a [`role`] of its own. A program only declares:
//! ```
//! use octad::component::{Hosts, KafkaCluster, TopicSpec, ZookeeperEnsemble};
//! use octad::engine::{self, Action, Context, Events, Intent, State};
//! use octad::registry::Registry;
//! use octad::host::FakeWorld;
//! use octad::stack::Stack;
//!
//! fn program(stack: &mut Stack, hosts: &Hosts) {
//!     let ensemble = ZookeeperEnsemble::default();
//!     let connect = ensemble.declare(stack, hosts);
//!     let cluster = KafkaCluster { brokers: 3, ..KafkaCluster::new(&ensemble.name, &connect) };
//!     let topics = [("orders".to_owned(), TopicSpec::new(6))].into();
//!     let bootstrap = cluster.declare(stack, hosts, &topics);
//!     stack.output("bootstrap servers", &bootstrap);
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What it declares can be planned in a simulated world, where nothing is touched.
//! let world = FakeWorld::new();
//! let registry = Registry::empty(std::sync::Arc::new(world.clone())).standard_roles().backend(world.backend());
//! let mut stack = Stack::new("shop".parse()?);
//! let hosts = Hosts::new(&mut stack, "fake", None);
//! program(&mut stack, &hosts);
//!
//! let (stack, state) = (stack.validate(&registry)?, State::new("shop"));
//! let intent = Intent::default();
//! let context = Context::new("nowhere".as_ref(), registry.clone(), Events::none(), &stack, &state);
//! let inventory = tokio::runtime::Runtime::new()?.block_on(engine::observe(&context, &stack, &state));
//! let plan = engine::plan(&registry, &stack, &intent, &state, &inventory);
//! let plan = engine::check(plan, &registry, &stack, &intent, &inventory)?;
//!
//! let created = plan.steps.iter().filter(|step| matches!(step.action, Action::Create { .. })).count();
//! assert_eq!(created, 13, "6 hosts, 6 nodes and a topic");
//! # Ok(())
//! # }
//! ```
//!
//! # Module map
//! Each uses those below it and none above.
//!
//! | module | what it holds | I/O |
//! |---|---|---|
//! | [`cli`] | verbs, and what an error is to people and scripts | terminal |
//! | [`output`], [`report`] | rendering, failures | terminal |
//! | [`drill`] | faults, and a probe that measures what they cost | yes |
//! | [`program`] | the shipped programs and the stack file | reads the file |
//! | [`component`] | several resources that are one service | none |
//! | [`engine`] | observe, plan, check, apply, state, lock | state files |
//! | [`stack`] | what a program declares, and its validation | none |
//! | [`registry`] | the kinds, roles and backends that a program knows | none |
//! | [`resource`] | the kinds: host, node, topic | through host and wire |
//! | [`host`] | where nodes run: local, nixos, fake | yes |
//! | [`role`] | what a node does: zookeeper, broker | through wire |
//! | [`wire`], [`kafka`], [`zookeeper`] | services as seen over the network | yes |
//! | [`nix`] | closures, and how they come to other machines | yes |
//! | [`ssh`] | other machines by OpenSSH | yes |
//! | [`supervisor`] | systemd's part on a local host | yes |
//! | [`artifact`] | jars, archives, programs of the machine, Java, class-data archives | yes |
//! | [`http`] | how services say that they are, and files that are fetched | yes |
//! | [`tool`] | what the machine must have, and its installation | yes |
//! | [`model`] | keys, facts, what a host needs to run a node | none |
//! | [`clock`], [`causes`], `hex` | limits of deeds; an error as one line; bytes as digits | none |

pub mod artifact;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod component;
#[cfg(feature = "drill")]
pub mod drill;
pub mod engine;
mod hex;
pub mod host;
pub mod http;
pub mod kafka;
pub mod model;
pub mod nix;
pub mod output;
pub mod program;
pub mod registry;
pub mod report;
pub mod resource;
pub mod role;
pub mod ssh;
pub mod stack;
pub mod supervisor;
pub mod tool;
pub mod wire;
pub mod zookeeper;

pub use program::Program;
/// What a configuration of a [`Program`] tells editors of itself with.
pub use schemars;

/// Runs the command line of this process with a program of the user's own: all verbs, and the hidden one with which
/// local hosts supervise their nodes. The first thing that `main` does, and the last: nothing may have started a
/// thread before it.
pub fn run(program: Program) -> std::process::ExitCode {
    cli::main(program.programs, program.registry)
}
