//! A program of one's own: 3 brokers and 3 ZooKeeper servers with two topics, and a stack file that says as much as
//! its users need to decide.
//!
//! ```sh
//! cargo run --example two_topics -- preview
//! cargo run --example two_topics -- up
//! cargo run --example two_topics -- graph
//! cargo run --example two_topics -- destroy
//! ```
//! A file `stacks/two-topics.toml` changes it: `program = "two-topics"`, then `days = 14`.

use octad::Program;
use octad::component::{Hosts, KafkaCluster, TopicSpec, ZookeeperEnsemble};
use octad::stack::{Fault, Stack};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What the stack file may say.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// How long orders are kept.
    days: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { days: 7 }
    }
}

/// Declares the stack. It only describes: the same stack file always gives the same stack.
fn two_topics(stack: &mut Stack, Config { days }: Config) {
    if days == 0 {
        stack.fault(Fault::new("days", "orders that are kept for 0 days are lost", "write at least 1"));
    }
    let hosts = Hosts::local(stack);

    let ensemble = ZookeeperEnsemble::default();
    let connect = ensemble.declare(stack, &hosts);

    let cluster = KafkaCluster { brokers: 3, ..KafkaCluster::new(&ensemble.name, &connect) };
    let keep = (days * 24 * 60 * 60 * 1000).to_string();
    let orders = TopicSpec { configs: BTreeMap::from([("retention.ms".into(), keep)]), ..TopicSpec::new(6) };
    // The newest state of each customer, for ever.
    let compacted = BTreeMap::from([("cleanup.policy".into(), "compact".into())]);
    let customers = TopicSpec { configs: compacted, ..TopicSpec::new(3) };
    let topics = BTreeMap::from([("orders".into(), orders), ("customers".into(), customers)]);
    let bootstrap = cluster.declare(stack, &hosts, &topics);

    stack.output("bootstrap servers", &bootstrap);
}

fn main() -> ExitCode {
    octad::run(Program::new("two-topics", two_topics))
}
