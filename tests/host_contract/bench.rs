//! One host of a backend with what may be put on it, and how a contract is run over such.

use crate::subnet::Subnet;
use octad::host::{Backend, Host, Identity, NodeObservation, RunState};
use octad::model::{Deployment, HostInputs, Key, NodeFacts, Output};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::role::{Role as _, Zookeeper};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const STOP: Duration = Duration::from_secs(30);

/// One host of a backend, with one node that may be put on it, and the means to do it harm.
pub(crate) struct Bench {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) deployment: Deployment,
    pub(crate) harm: Box<dyn Harm>,
}

/// What another hand may do.
pub(crate) trait Harm: Send + Sync {
    /// Changes a file of the generation in place.
    fn alter_file(&self);
    /// Puts somebody else's data where the node's will be.
    fn put_foreign_data(&self);
    /// Takes the data disk away.
    fn lose_data(&self);
    /// Whether nothing is left of the host.
    fn nothing_is_left(&self) -> bool;
}

/// A server of this ensemble, whose group has never held data where it is to `bootstrap`.
pub(crate) fn beginning(deployment: &Deployment, bootstrap: bool) -> Deployment {
    Deployment { data_files: Zookeeper.data_files(&deployment.facts, bootstrap), ..deployment.clone() }
}

impl Bench {
    pub(crate) fn name(&self) -> &str {
        &self.deployment.facts.node
    }

    pub(crate) fn with_setting(&self, name: &str, value: &str) -> Deployment {
        let mut other = self.deployment.clone();
        other.facts.settings.insert(name.into(), Output::from(value));
        Zookeeper.deployment(other.facts)
    }

    pub(crate) async fn node(&self) -> NodeObservation {
        self.host.node(self.name()).await.unwrap().expect("the host knows the node")
    }

    /// Brings the node up.
    pub(crate) async fn made(&self) -> &Self {
        self.host.boot().await.unwrap();
        self.host.format(&beginning(&self.deployment, true)).await.unwrap();
        self.host.install(&self.deployment).await.unwrap();
        self.host.start(self.name()).await.unwrap();
        self
    }

    pub(crate) async fn pid(&self) -> u32 {
        match self.node().await.run {
            RunState::Running { pid, .. } => pid,
            other => panic!("it does not run: {other:?}"),
        }
    }

    pub(crate) async fn is_current(&self) -> bool {
        match self.node().await.run {
            RunState::Running { current, .. } => current,
            other => panic!("it does not run: {other:?}"),
        }
    }
}

/// A part of a contract.
pub(crate) type Part = for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs parts of a contract, each on a bench of its own. Nothing is left running, whatever comes of it.
pub(crate) async fn hold(make: &dyn Fn() -> Bench, parts: &[(&'static str, Part)]) {
    for (name, part) in parts.iter().copied() {
        let bench = Arc::new(make());
        let task = tokio::spawn({
            let bench = bench.clone();
            async move { part(&bench).await }
        });
        let result = task.await;
        let destroyed = bench.host.destroy().await;
        if let Err(failed) = result {
            eprintln!("{name} does not hold");
            std::panic::resume_unwind(failed.into_panic());
        }
        destroyed.unwrap();
    }
}

/// Names the parts of a contract.
macro_rules! parts {
    ($($part:ident),+ $(,)?) => {
        &[$((stringify!($part), |bench| Box::pin($part(bench)))),+]
    };
}
pub(crate) use parts;

/// A ZooKeeper server that stands alone, as the program `minimal` declares it.
pub(crate) fn zookeeper(
    backend: impl Backend + 'static,
    subnet: &Subnet,
    site: &Path,
) -> (Arc<dyn Host>, Deployment) {
    zookeeper_at(backend, &format!("hosts.subnet = \"{subnet}0/24\"\n"), site)
}

/// The same on hosts with these lines in the stack file.
pub(crate) fn zookeeper_at(
    backend: impl Backend + 'static,
    hosts: &str,
    site: &Path,
) -> (Arc<dyn Host>, Deployment) {
    let text = format!("program = \"minimal\"\nhosts.backend = \"{}\"\n{hosts}", backend.name());
    declared(backend, &text, "zk-1", site)
}

/// A node that a stack file declares, and its host.
pub(crate) fn declared(
    backend: impl Backend + 'static,
    text: &str,
    node: &str,
    site: &Path,
) -> (Arc<dyn Host>, Deployment) {
    let name = backend.name();
    let registry = Registry::standard().backend(backend);
    let stack = StackFile::of_text("contract".parse().unwrap(), text)
        .declare(&Programs::standard(), &registry)
        .unwrap();
    let inputs = |kind: &str| stack.resources[&Key::new(kind, node)].inputs.clone();
    let host: HostInputs = serde_json::from_value(inputs("host")).unwrap();
    let facts: NodeFacts = serde_json::from_value(inputs("node")).unwrap();
    let host = registry.backend_named(name).unwrap().host(site, node, &host, Identity::Name).unwrap();
    (host, registry.role_named(&facts.role).unwrap().deployment(facts))
}
