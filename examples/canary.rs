//! A role of one's own: a canary writes a record a second with acks=all, so that its log tells when writing stops.
//! The role is all that Octad needs to start it, look after it, and change it safely like its own.
//!
//! ```sh
//! cargo run --example canary -- up
//! cargo run --example canary -- logs canary -f
//! cargo run --example canary -- destroy
//! ```

use async_trait::async_trait;
use octad::Program;
use octad::component::{Hosts, KafkaCluster, TopicSpec, ZookeeperEnsemble, software};
use octad::model::{FACTS_VERSION, File, Jvm, Layout, NodeFacts, Output, Process};
use octad::role::{GroupView, Health, MemberView, Next, NotSafe, Role, Roll, Standing};
use octad::stack::{Name, Stack};
use octad::wire::Wire;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The topic that it writes to.
const TOPIC: &str = "canary";
/// Where its Java virtual machine takes connections for management; the only port that the process has.
const MANAGEMENT: (&str, u16) = ("management", 7199);

/// The role.
struct Canary;

impl Canary {
    const NAME: &'static str = "canary";
}

#[async_trait]
impl Role for Canary {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn files(&self, _facts: &NodeFacts) -> BTreeMap<String, File> {
        [("log4j.properties".into(), File::text(LOG4J))].into()
    }

    fn process(&self, facts: &NodeFacts) -> Process {
        let setting = |name: &str| facts.settings.get(name).and_then(|value| value.known().ok()).cloned();
        let address = facts.host.address.known().cloned().unwrap_or_default();
        let port = facts.ports.get(MANAGEMENT.0).copied().unwrap_or(MANAGEMENT.1);
        let management = |name: &str, value: String| format!("-Dcom.sun.management.jmxremote.{name}={value}");
        Process::Java {
            options: vec![
                format!("-Dlog4j.configuration=file:{}/log4j.properties", Layout::CONFIG),
                management("host", address),
                management("port", port.to_string()),
                management("rmi.port", port.to_string()),
                management("authenticate", "false".into()),
                management("ssl", "false".into()),
            ],
            main: "org.apache.kafka.tools.VerifiableProducer".into(),
            arguments: ["bootstrap-server", "topic", "throughput", "acks"]
                .into_iter()
                .filter_map(|name| Some([format!("--{name}"), setting(name)?]))
                .flatten()
                .collect(),
        }
    }

    /// What a client would do: connect. A real service would be asked something.
    async fn observe(&self, _wire: &dyn Wire, members: &[Arc<NodeFacts>]) -> GroupView {
        let mut seen = BTreeMap::new();
        for facts in members {
            let endpoint = facts.endpoint(MANAGEMENT.0).unwrap_or_default();
            let connect = tokio::net::TcpStream::connect(endpoint);
            let (standing, note) = match tokio::time::timeout(Duration::from_secs(1), connect).await {
                Ok(Ok(_)) => (Standing::Up, "writing"),
                // It may be there all the same.
                Ok(Err(_)) | Err(_) => (Standing::Silent, "not answering"),
            };
            seen.insert(facts.node.clone(), MemberView { standing, closed: false, note: note.to_owned() });
        }
        // Nobody leads, and there is nothing more to tell.
        GroupView { members: Arc::new(seen), leaders: [].into(), detail: Arc::new(()) }
    }

    fn health(&self, view: &GroupView, _members: &[Arc<NodeFacts>], without: &BTreeSet<String>) -> Health {
        match view.away().into_iter().find(|name| !without.contains(*name)) {
            None => Health::Healthy,
            Some(name) => Health::Unhealthy(format!("{name} is away")),
        }
    }

    fn next(&self, roll: &Roll<'_>, _view: &GroupView) -> Next {
        roll.pending.keys().next().map_or(Next::Done, |name| Next::Do((*name).to_owned()))
    }

    fn spares(&self, _node: &str, _: &BTreeSet<String>, _view: &GroupView) -> Result<(), NotSafe> {
        // Nobody depends on a canary.
        Ok(())
    }

    fn allows_removal(&self, _leaving: &NodeFacts, _view: &GroupView) -> Result<(), NotSafe> {
        Ok(())
    }
}

const LOG4J: &str = "\
log4j.rootLogger=WARN, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=[%p] %m (%c{1})%n
";

/// The stack file has nothing to say.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

fn program(stack: &mut Stack, _: Config) {
    let hosts = Hosts::local(stack);
    let ensemble = ZookeeperEnsemble { servers: 1, ..ZookeeperEnsemble::default() };
    let connect = ensemble.declare(stack, &hosts);
    let cluster = KafkaCluster {
        brokers: 1,
        replication_factor: 1,
        min_insync_replicas: 1,
        ..KafkaCluster::new(&ensemble.name, &connect)
    };
    let topics = BTreeMap::from([(TOPIC.to_owned(), TopicSpec::new(1))]);
    let bootstrap = cluster.declare(stack, &hosts, &topics);
    canary(stack, &hosts, &cluster.name, &bootstrap);
    stack.output("bootstrap servers", &bootstrap);
}

/// Declares the canary, on a host of its own, once the cluster is healthy.
fn canary(stack: &mut Stack, hosts: &Hosts, cluster: &str, bootstrap: &Output<String>) {
    let Ok(name) = Canary::NAME.parse::<Name>() else { return };
    let settings = [
        ("bootstrap-server", bootstrap.clone()),
        ("topic", TOPIC.into()),
        ("throughput", "1".into()),
        ("acks", "-1".into()),
    ];
    let address = hosts.host(stack, &name, 201);
    let facts = NodeFacts {
        version: FACTS_VERSION,
        stack: stack.name().to_string(),
        node: name.to_string(),
        role: Canary::NAME.into(),
        group: Canary::NAME.into(),
        id: 1,
        host: hosts.facts(&name, address),
        ports: BTreeMap::from([(MANAGEMENT.0.to_owned(), MANAGEMENT.1)]),
        software: software(stack, "", "kafka-tools", "3.9.2"),
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        watchdog: false,
        fence: true,
        jvm: Some(Jvm { heap_mib: 64, options: vec!["-XX:+UseSerialGC".into()] }),
    };
    stack.node(&facts, [cluster.to_owned()]);
}

fn main() -> ExitCode {
    octad::run(Program::new("canary", program).role(Canary))
}
