//! A role of one's own: a canary, which tries the cluster's bootstrap servers every second, so that its log tells when they
//! could not be reached. It is a Python script, run by the Python of the machine. The role is all that Octad needs to start
//! it, look after it, and change it safely like its own, on local hosts and on NixOS.
//!
//! ```sh
//! cargo run --example canary -- up
//! cargo run --example canary -- logs canary-1 -f
//! cargo run --example canary -- destroy
//! ```

use octad::Program;
use octad::component::{KafkaCluster, TopicSpec, ZookeeperEnsemble};
use octad::model::{File, HealthCheck, Layout, NodeFacts, Output, Process, Software, Source};
use octad::program::HostsConfig;
use octad::role::Role;
use octad::stack::{Name, Stack};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The role.
pub(crate) struct Canary;

impl Canary {
    pub(crate) const NAME: &'static str = "canary";
    /// Where it tells of its health.
    const PORT: (&'static str, u16) = ("health", 8080);
}

impl Role for Canary {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn files(&self, _facts: &NodeFacts) -> BTreeMap<String, File> {
        [("canary.py".into(), File::text(include_str!("canary.py")))].into()
    }

    fn process(&self, facts: &NodeFacts) -> Process {
        let settings =
            ["listen", "servers", "pause"].map(|name| facts.setting(name).unwrap_or_default().to_owned());
        let script = format!("{}/canary.py", Layout::CONFIG);
        Process::Program {
            executable: "python3".into(),
            arguments: std::iter::once(script).chain(settings).collect(),
            environment: [("PYTHONUNBUFFERED".into(), "1".into())].into(),
        }
    }

    fn check(&self, _facts: &NodeFacts) -> Option<HealthCheck> {
        Some(HealthCheck::http(Self::PORT.0, "/health"))
    }

    fn stateless(&self) -> bool {
        true
    }
}

/// What the stack file may say.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the hosts come from.
    hosts: HostsConfig,
    /// How many canaries. Default: 1.
    canaries: u16,
    /// Seconds between two tries. Default: 1.
    pause: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { hosts: HostsConfig::default(), canaries: 1, pause: 1 }
    }
}

/// Declares a small cluster and, each on a host of its own once that is healthy, the canaries.
pub(crate) fn program(stack: &mut Stack, config: Config) {
    let hosts = config.hosts.declare(stack);
    let ensemble = ZookeeperEnsemble { servers: 1, ..ZookeeperEnsemble::default() };
    let connect = ensemble.declare(stack, &hosts);
    let cluster = KafkaCluster {
        brokers: 1,
        replication_factor: 1,
        min_insync_replicas: 1,
        ..KafkaCluster::new(&ensemble.name, &connect)
    };
    let topics = BTreeMap::from([("activity".to_owned(), TopicSpec::new(1))]);
    let bootstrap = cluster.declare(stack, &hosts, &topics);
    let source = Source::Installed { below: None };
    let python = Software { name: "python3".into(), version: "3.9".into(), source };
    for number in 1..=config.canaries {
        let Ok(name) = format!("{}-{number}", Canary::NAME).parse::<Name>() else { continue };
        let address = hosts.host(stack, &name, 200 + number);
        let listen = Output::format([address.clone(), format!(":{}", Canary::PORT.1).into()]);
        let settings =
            [("listen", listen), ("servers", bootstrap.clone()), ("pause", config.pause.to_string().into())];
        let host = hosts.facts(&name, address);
        let facts = NodeFacts {
            id: number.into(),
            ports: [(Canary::PORT.0.to_owned(), Canary::PORT.1)].into(),
            settings: settings.map(|(name, value)| (name.to_owned(), value)).into(),
            ..NodeFacts::new(stack.name().as_ref(), name.as_ref(), Canary::NAME, host, python.clone())
        };
        stack.node(&facts, [cluster.name.clone()]);
    }
    stack.output("bootstrap servers", &bootstrap);
}

fn main() -> ExitCode {
    octad::run(Program::new("canary", program).role(Canary))
}
