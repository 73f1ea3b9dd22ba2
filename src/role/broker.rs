//! The role `broker`: a Kafka broker whose metadata is in ZooKeeper.

mod health;
mod roll;
mod seen;
mod settings;

use super::{Absence, Altered, GroupView, Health, InSync, Next, NotSafe, Role, Roll};
use crate::causes::with_causes;
use crate::kafka::{
    Claim, ClusterView, KafkaError, LocatedPartition, NotClaimed, Safeguards, TopicPartition,
};
use crate::model::{File, Layout, Member, NodeFacts, Process, properties};
use crate::wire::Wire;
use async_trait::async_trait;
use seen::{Seen, cluster, decided, id_of, scarce, serving};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The role `broker`.
#[derive(Debug, Clone, Copy)]
pub struct Broker;

impl Broker {
    /// The role's name.
    pub const NAME: &'static str = "broker";
    /// Ports by purpose: `client` serves clients and the other brokers.
    pub const PORTS: [(&'static str, u16); 1] = [("client", 9092)];

    /// The servers of the ensemble that a broker keeps its metadata in; none where it is kept below a path of its own, or
    /// isn't known yet.
    pub fn ensemble(broker: &NodeFacts) -> Vec<String> {
        let connect = setting(broker, "zookeeper.connect");
        let connect = connect.filter(|connect| !connect.contains('/'));
        connect.map(|connect| connect.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The group of these members as a description of the cluster has it, be it one that failed. Pure.
    pub fn view(members: &[Arc<Member>], described: Result<ClusterView, KafkaError>) -> GroupView {
        let mut seen = Seen {
            cluster: None,
            closed: BTreeSet::new(),
            registered: None,
            why: None,
            asked: addresses(members),
            members: members.to_vec(),
        };
        match described {
            Ok(cluster) => seen.cluster = Some(cluster),
            Err(KafkaError::NobodyAnswered { attempts, registered }) => {
                let closed = attempts.into_iter().filter(|attempt| attempt.why.is_refused());
                seen.closed = closed.map(|attempt| attempt.address).collect();
                seen.registered = registered;
            }
            Err(error) => seen.why = Some(with_causes(&error)),
        }
        seen.view()
    }
}

/// The file of a broker's settings.
const PROPERTIES: &str = "server.properties";

/// The file that says what it logs.
const LOG: &str = "log4j.properties";

/// How many replicas must have a record, of topics that don't say so themselves.
const MIN_INSYNC: &str = "min.insync.replicas";

/// The option by which octad's own commands are told.
const MIN_INSYNC_OPTION: &str = "--min-insync-replicas";

/// Settings that name the form in which records and requests are written.
const FORMATS: [&str; 2] = ["inter.broker.protocol.version", "log.message.format.version"];

/// Where members are asked.
fn addresses(members: &[Arc<Member>]) -> Vec<String> {
    members.iter().filter_map(|facts| facts.endpoint("client")).collect()
}

fn setting(facts: &NodeFacts, name: &str) -> Option<String> {
    facts.setting(name).map(str::to_owned)
}

/// One of octad's own commands that stand by a broker, and what it is told of it: where it is registered, and each of these
/// settings as an option. `None` where one isn't set or known.
fn command(verb: &[&str], facts: &NodeFacts, settings: &[(&str, &str)]) -> Option<Vec<String>> {
    let connect = setting(facts, "zookeeper.connect")?;
    let mut all: Vec<String> = [&[Layout::OCTAD], verb].concat().into_iter().map(str::to_owned).collect();
    all.extend(["--zookeeper".into(), connect, "--broker".into(), facts.id.to_string()]);
    for (option, name) in settings {
        all.extend([(*option).to_owned(), setting(facts, name)?]);
    }
    Some(all)
}

#[async_trait]
impl Role for Broker {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        let properties = facts.properties(("log.dirs", Layout::DATA));
        [(PROPERTIES.into(), File::properties(properties)), (LOG.into(), File::text(LOG4J))].into()
    }

    fn process(&self, _facts: &NodeFacts) -> Process {
        Process::Java {
            options: vec![format!("-Dlog4j.configuration=file:{}/{LOG}", Layout::CONFIG)],
            main: "kafka.Kafka".into(),
            arguments: vec![format!("{}/{PROPERTIES}", Layout::CONFIG)],
        }
    }

    fn serves(&self) -> &'static [&'static str] {
        &["client"]
    }

    fn written(&self) -> Option<&'static str> {
        // Kafka writes it once it has registered for the first time.
        Some("meta.properties")
    }

    async fn vacant(&self, wire: &dyn Wire, member: &NodeFacts) -> Result<(), NotSafe> {
        let connect = setting(member, "zookeeper.connect").unwrap_or_default();
        let servers: Vec<String> = connect.split(',').map(str::to_owned).collect();
        let counted = wire.assigned(&servers, member.id).await;
        match counted.as_deref().map(|counted| (counted.len(), counted.first())) {
            Ok((_, None)) => Ok(()),
            Ok((held, Some(TopicPartition { topic, partition }))) => {
                Err(NotSafe::CountedOn { topic: topic.clone(), partition: *partition, held })
            }
            Err(error) => Err(NotSafe::NoAnswer { service: "ZooKeeper".into(), why: with_causes(error) }),
        }
    }

    fn admit(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        command(&["admit", "--data", Layout::DATA], facts, &[(MIN_INSYNC_OPTION, MIN_INSYNC)])
    }

    fn watchdog(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let settings = [(MIN_INSYNC_OPTION, MIN_INSYNC), ("--replica-lag-ms", "replica.lag.time.max.ms")];
        let mut watchdog = facts.watchdog.then(|| command(&["watchdog"], facts, &settings)).flatten()?;
        watchdog.push("--".into());
        Some(watchdog)
    }

    fn fence(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let settings = [("--endpoints", "advertised.listeners")];
        facts.fence.then(|| command(&["fence"], facts, &settings)).flatten()
    }

    async fn observe(&self, wire: &dyn Wire, members: &[Arc<Member>]) -> GroupView {
        let ensemble = members.first().map(|broker| Self::ensemble(broker)).unwrap_or_default();
        Self::view(members, wire.kafka(&addresses(members), &ensemble).describe().await)
    }

    fn health(&self, view: &GroupView, _members: &[Arc<Member>], without: &BTreeSet<String>) -> Health {
        health::health(view, without)
    }

    fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
        roll::next(roll, view)
    }

    fn may_disrupt(
        &self,
        node: &str,
        interrupts: &BTreeSet<String>,
        view: &GroupView,
    ) -> Result<(), NotSafe> {
        roll::may_disrupt(node, interrupts, view)
    }

    fn servers(&self, facts: &NodeFacts) -> BTreeSet<String> {
        let ensemble = Self::ensemble(facts);
        ensemble.iter().filter_map(|server| Some(server.rsplit_once(':')?.0.to_owned())).collect()
    }

    async fn claim(&self, wire: &dyn Wire, member: &NodeFacts) -> Result<Option<Claim>, NotSafe> {
        let mut ensemble = Self::ensemble(member);
        if ensemble.is_empty() {
            return Ok(None);
        }
        // A server on the same host may be stopped with it, and the claim's connection with that.
        let own = member.host.address.known().ok().map(String::as_str);
        let beside = |server: &String| server.rsplit_once(':').map(|(host, _)| host) == own;
        if !ensemble.iter().all(beside) {
            ensemble.retain(|server| !beside(server));
        }
        wire.claim(&ensemble, member.id).await.map_err(|refused| match refused {
            NotClaimed::Asked { brokers } => NotSafe::CutOff { brokers: brokers.into_iter().collect() },
            NotClaimed::Unknown(error) => {
                NotSafe::NoAnswer { service: "ZooKeeper".into(), why: with_causes(&error) }
            }
        })
    }

    fn interrupted(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeSet<String> {
        scarce(view, |name| members.contains(name)).into_iter().map(|one| one.topic).collect()
    }

    fn once_changed(&self, after: &[NodeFacts], view: &GroupView) -> GroupView {
        let asked_for =
            after.iter().filter_map(|facts| setting(facts, MIN_INSYNC)?.trim().parse().ok()).max();
        let detail = view.detail::<Seen>().zip(asked_for).map(|(seen, least)| seen.with_min_insync(least));
        match detail {
            Some(detail) => GroupView { detail: Arc::new(detail), ..view.clone() },
            None => view.clone(),
        }
    }

    fn absences(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeMap<String, Absence> {
        let up: Vec<&String> = members.iter().filter(|name| view.is_up(name)).collect();
        if view.members.len() == 1 {
            return up.into_iter().map(|name| (name.clone(), Absence::Interruption)).collect();
        }
        let Some(cluster) = cluster(view) else { return BTreeMap::new() };
        let mut leads: BTreeMap<i32, usize> = BTreeMap::new();
        let mut in_sync: BTreeMap<i32, BTreeMap<(usize, u32), usize>> = BTreeMap::new();
        for topic in cluster.topics.values() {
            for partition in topic.partitions.values() {
                // Alone in sync, it has nobody to take over.
                if let Some(leader) = partition.leader.filter(|_| partition.isr.len() > 1) {
                    *leads.entry(leader).or_default() += 1;
                }
                for replica in &partition.isr {
                    let alike = (partition.isr.len(), topic.min_insync_replicas);
                    *in_sync.entry(*replica).or_default().entry(alike).or_default() += 1;
                }
            }
        }
        let absence = |id: i32| Absence::Replicas {
            leads: leads.get(&id).copied().unwrap_or(0),
            in_sync: in_sync
                .get(&id)
                .into_iter()
                .flatten()
                .map(|(&(before, min_insync), &partitions)| InSync {
                    before,
                    meanwhile: before - 1,
                    min_insync,
                    partitions,
                })
                .collect(),
        };
        up.into_iter().filter_map(|name| Some((name.clone(), absence(id_of(name, view)?)))).collect()
    }

    fn after_restart(&self, node: &str, view: &GroupView) -> Vec<GroupView> {
        let mut back = view.after_restart(node);
        // One that was away is in sync again once it has recovered.
        if let (false, Some(seen), Some(id)) = (view.is_up(node), view.detail::<Seen>(), id_of(node, view)) {
            let detail = Arc::new(seen.with_back(id));
            back.iter_mut().for_each(|view| view.detail = detail.clone());
        }
        back
    }

    fn allows_removal(&self, leaving: &NodeFacts, view: &GroupView) -> Result<(), NotSafe> {
        let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
        let held = cluster.replicas_on(leaving.id).count();
        if let Some(first) = cluster.replicas_on(leaving.id).next() {
            let (topic, partition) = (first.topic.to_owned(), first.partition);
            return Err(NotSafe::HoldsReplicas { topic, partition, held });
        }
        // That it holds none counts only by the controller's word.
        decided(cluster, None)
    }

    fn refill(&self, member: &NodeFacts, view: &GroupView) -> Result<String, NotSafe> {
        let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
        if view.leader().is_none() {
            return Err(NotSafe::NoSingleLeader);
        }
        // One that just died still counts as in sync until its session ends.
        let serving = serving(cluster);
        let others = |held: &LocatedPartition<'_>| -> Vec<i32> {
            let in_sync = held.state.isr.iter().copied();
            in_sync.filter(|id| *id != member.id && serving.contains(id)).collect()
        };
        let held: Vec<_> = cluster.replicas_on(member.id).collect();
        let too_few: Vec<_> =
            held.iter().filter(|held| others(held).len() < held.min_insync_replicas as usize).collect();
        match too_few.first() {
            Some(first) => Err(NotSafe::HeldByTooFew {
                topic: first.topic.to_owned(),
                partition: first.partition,
                replicas: first.state.replicas.clone(),
                others: others(first),
                min_insync: first.min_insync_replicas,
                further: too_few.len() - 1,
            }),
            None if held.len() == 1 => Ok("1 partition is copied from the others".into()),
            None => Ok(format!("{} partitions are copied from the others", held.len())),
        }
    }

    fn tells_any(&self, view: &GroupView, held: &BTreeSet<String>) -> bool {
        let known = |cluster: &ClusterView| match held.is_empty() {
            true => !cluster.topics.is_empty(),
            false => held.iter().any(|topic| cluster.topics.contains_key(topic)),
        };
        cluster(view).is_some_and(known)
    }

    fn identity(&self, view: &GroupView) -> Option<String> {
        cluster(view)?.cluster_id.clone()
    }

    fn tells_all(&self, view: &GroupView) -> bool {
        cluster(view).is_some_and(|cluster| decided(cluster, None).is_ok())
    }

    fn holds(&self, view: &GroupView) -> BTreeSet<String> {
        let topics = cluster(view).into_iter().flat_map(|cluster| &cluster.topics);
        topics.filter(|(_, topic)| !topic.internal).map(|(name, _)| name.clone()).collect()
    }

    fn losses(&self, before: &NodeFacts, altered: &Altered, after: &NodeFacts) -> Vec<String> {
        let lying = match altered.get(PROPERTIES) {
            Some(None) => {
                return vec![format!(
                    "what {} keeps now is not known, since another hand changed its {PROPERTIES} and it can't be read: \
                     it may be less afterwards",
                    before.node
                )];
            }
            Some(Some(text)) => Some(properties(text)),
            None => None,
        };
        let before = Safeguards::of_broker(|name| match &lying {
            Some(lying) => lying.get(name).cloned(),
            None => setting(before, name),
        });
        let lowered = before.lowered(&Safeguards::of_broker(|name| setting(after, name)));
        lowered.into_iter().map(|what| format!("the brokers' {what}")).collect()
    }

    fn reversible(&self, before: &NodeFacts, after: &NodeFacts) -> bool {
        // What is written in a newer form, on the disk or to other brokers, an older one can't read.
        let same = |name: &str| before.settings.get(name) == after.settings.get(name);
        before.software == after.software && FORMATS.iter().all(|name| same(name))
    }

    async fn settle(&self, wire: &dyn Wire, view: &GroupView) -> Result<bool, KafkaError> {
        let Some(Seen { cluster: Some(cluster), asked, .. }) = view.detail() else { return Ok(false) };
        let strayed: BTreeSet<_> = cluster.not_preferred().map(|partition| partition.name()).collect();
        if strayed.is_empty() {
            return Ok(false);
        }
        wire.kafka(asked, &[]).elect_preferred(&strayed).await?;
        Ok(true)
    }
}

/// The supervisor and journald write the time of each line, so the pattern doesn't.
const LOG4J: &str = include_str!("log4j.properties");
