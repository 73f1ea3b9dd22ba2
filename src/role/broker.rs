//! The role `broker`: a Kafka broker whose metadata is in ZooKeeper.

use super::{
    Absence, GroupView, Health, InSync, Layout, MemberView, Next, NotSafe, Process, Role, Roll, ScarceTopic,
};
use crate::kafka::{BrokerAnswer, ClusterView, ControllerStanding, KafkaError, LocatedPartition};
use crate::resource::{Key, NodeFacts, NodeKind, Output, Refusal};
use crate::wire::Wire;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// The role `broker`.
#[derive(Debug, Clone, Copy)]
pub struct Broker;

impl Broker {
    /// The role's name.
    pub const NAME: &'static str = "broker";
    /// Ports by purpose: `client` serves clients and the other brokers.
    pub const PORTS: [(&'static str, u16); 1] = [("client", 9092)];

    /// Settings of every broker, before the stack's own are laid over them. `replication` and `min_insync` are those
    /// of topics that don't say otherwise, and of Kafka's own.
    pub fn default_settings(replication: u16, min_insync: u16) -> BTreeMap<String, Output<String>> {
        let figures = [
            ("default.replication.factor", replication),
            ("min.insync.replicas", min_insync),
            ("offsets.topic.replication.factor", replication),
            ("transaction.state.log.replication.factor", replication),
            ("transaction.state.log.min.isr", min_insync),
        ];
        let fixed = [
            // A replica that isn't in sync must never become leader: acknowledged records would be lost.
            ("unclean.leader.election.enable", "false"),
            // A topic that a typing error made would have none of the promises.
            ("auto.create.topics.enable", "false"),
            // Leaders are handed over before a broker stops.
            ("controlled.shutdown.enable", "true"),
            // When all stop together there is nobody to hand over to; Kafka's 3 tries 5 s apart only delay it.
            ("controlled.shutdown.max.retries", "3"),
            ("controlled.shutdown.retry.backoff.ms", "500"),
            // A follower that stands still stalls acks=all for this long, or until its session ends; Kafka's default is
            // 30 s. A leader that is heard and hears nobody keeps its session for 5/3 of its length, and must not have
            // taken its followers out of the ISR before that: more than 20 s and a tick.
            ("replica.lag.time.max.ms", "22000"),
            // A follower that was told to follow before its leader was told to lead tries again this much later; with
            // Kafka's 1 s every start and every election has replicas out of sync for a second.
            ("replica.fetch.backoff.ms", "100"),
            // A follower takes up a partition only once its fetch under way is answered, and one with nothing new to
            // tell is answered after this; with Kafka's 500 ms that is what each election costs acks=all at most.
            ("replica.fetch.wait.max.ms", "100"),
            // After a fresh start, consumers of the first group would wait 3 s for others to join.
            ("group.initial.rebalance.delay.ms", "0"),
            // Kafka's 50 partitions are for hundreds of groups; fewer make start, election and recovery shorter.
            ("offsets.topic.num.partitions", "10"),
            ("transaction.state.log.num.partitions", "10"),
            // 1 CPU and 1 GB: requests and their queue bounded in bytes (Kafka's 100 MB a request would be a quarter of
            // the heap), a small log cleaner, two recovery threads.
            ("socket.request.max.bytes", "33554432"),
            ("queued.max.request.bytes", "67108864"),
            ("log.cleaner.dedupe.buffer.size", "16777216"),
            ("num.recovery.threads.per.data.dir", "2"),
            ("num.network.threads", "3"),
            ("num.io.threads", "4"),
            // By bytes for each partition, so that a disk can't fill: time alone doesn't bound it.
            ("log.retention.hours", "168"),
            ("log.retention.bytes", "1073741824"),
            // What is over the limit is looked for this often; in Kafka's 5 minutes 100 MB/s put 18 GB on each of 5 disks.
            ("log.retention.check.interval.ms", "30000"),
            ("log.segment.bytes", "134217728"),
            // What a lost or frozen host costs, two thirds of Kafka's 18 s: three times what brokers were ever late with a word
            // to ZooKeeper under full load, and more than syncLimit; docs/failover.md has the figures.
            ("zookeeper.session.timeout.ms", "12000"),
            ("zookeeper.connection.timeout.ms", "18000"),
        ];
        let figures = figures.into_iter().map(|(name, value)| (name, value.to_string()));
        let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
        figures.chain(fixed).map(|(name, value)| (name.to_owned(), Output::from(value))).collect()
    }
}

/// The cluster as a view has it.
struct Seen {
    /// `None` where no broker answered.
    cluster: Option<ClusterView>,
    /// The addresses that were asked.
    asked: Vec<String>,
    members: Vec<Arc<NodeFacts>>,
}

fn cluster(view: &GroupView) -> Option<&ClusterView> {
    view.detail::<Seen>()?.cluster.as_ref()
}

/// Settings that name the form in which records and requests are written.
const FORMATS: [&str; 2] = ["inter.broker.protocol.version", "log.message.format.version"];

fn setting(facts: &NodeFacts, name: &str) -> Option<String> {
    facts.settings.get(name)?.known().ok().cloned()
}

/// The broker id of a member.
fn id_of(node: &str, view: &GroupView) -> Option<i32> {
    let members = &view.detail::<Seen>()?.members;
    members.iter().find(|facts| facts.node == node).map(|facts| facts.id)
}

/// Whether a broker answers at its own address and takes part in the cluster; while it starts it sees nobody alive.
fn knows_itself(cluster: &ClusterView, id: i32, address: Option<&String>) -> bool {
    let answer = address.and_then(|address| cluster.answers.get(address));
    matches!(answer, Some(BrokerAnswer::Answered { alive, .. }) if alive.contains(&id))
}

/// The strict rule for disturbing a healthy broker: nothing under-replicated, nothing on the move.
fn quiet(cluster: &ClusterView) -> Result<(), NotSafe> {
    let Some(moving) = &cluster.reassignments else { return Err(NotSafe::NoSingleLeader) };
    if let Some(first) = moving.first() {
        return Err(NotSafe::Reassigning {
            topic: first.topic.clone(),
            partition: first.partition,
            others: moving.len() - 1,
        });
    }
    match cluster.under_replicated().next() {
        None => Ok(()),
        Some(first) => Err(NotSafe::UnderReplicated {
            topic: first.topic.to_owned(),
            partition: first.partition,
            replicas: first.state.replicas.clone(),
            isr: first.state.isr.clone(),
            others: cluster.under_replicated().count() - 1,
        }),
    }
}

/// The topics without a replica to spare of which members with such names hold one. None where there is only one
/// member: that nobody takes over is told in the preview.
fn scarce(view: &GroupView, named: impl Fn(&str) -> bool) -> Vec<ScarceTopic> {
    let Some(Seen { cluster: Some(cluster), members, .. }) = view.detail() else { return Vec::new() };
    let mut found: Vec<_> = cluster.partitions().filter(|partition| !partition.has_spare()).collect();
    if found.is_empty() || members.len() == 1 {
        return Vec::new();
    }
    let named = members.iter().filter(|facts| named(&facts.node));
    let ids: BTreeSet<i32> = named.map(|facts| facts.id).collect();
    found.retain(|partition| partition.state.replicas.iter().any(|id| ids.contains(id)));
    found.dedup_by_key(|partition| partition.topic);
    let told = |one: LocatedPartition<'_>| ScarceTopic {
        topic: one.topic.to_owned(),
        replication: one.state.replicas.len(),
        min_insync: one.min_insync_replicas,
    };
    found.into_iter().map(told).collect()
}

/// Whether there is consent to interrupt each of these.
fn consented(mut topics: Vec<ScarceTopic>, interrupts: &BTreeSet<String>) -> Result<(), NotSafe> {
    topics.retain(|one| !interrupts.contains(&one.topic));
    if topics.is_empty() { Ok(()) } else { Err(NotSafe::NothingToSpare { topics }) }
}

#[async_trait]
impl Role for Broker {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn files(&self, facts: &NodeFacts, layout: &Layout) -> BTreeMap<String, String> {
        let mut properties = facts.properties();
        let _ = writeln!(properties, "log.dirs={}", layout.data.display());
        BTreeMap::from([
            ("server.properties".to_owned(), properties),
            ("log4j.properties".to_owned(), LOG4J.to_owned()),
        ])
    }

    fn process(&self, _facts: &NodeFacts, layout: &Layout) -> Process {
        Process::Java {
            options: vec![format!(
                "-Dlog4j.configuration=file:{}",
                layout.config.join("log4j.properties").display()
            )],
            main: "kafka.Kafka".into(),
            arguments: vec![layout.config.join("server.properties").display().to_string()],
        }
    }

    fn data_files(&self, _facts: &NodeFacts, _bootstrap: bool) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn watchdog(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        facts
            .watchdog
            .then_some([
                "--zookeeper".to_owned(),
                setting(facts, "zookeeper.connect")?,
                "--broker".to_owned(),
                facts.id.to_string(),
                "--min-insync-replicas".to_owned(),
                setting(facts, "min.insync.replicas")?,
            ])
            .map(Vec::from)
    }

    fn fence(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        facts
            .fence
            .then_some([
                "--zookeeper".to_owned(),
                setting(facts, "zookeeper.connect")?,
                "--broker".to_owned(),
                facts.id.to_string(),
                "--endpoints".to_owned(),
                setting(facts, "advertised.listeners")?,
            ])
            .map(Vec::from)
    }

    async fn observe(&self, wire: &dyn Wire, members: &[Arc<NodeFacts>]) -> GroupView {
        let addresses: Vec<_> = members.iter().map(|facts| facts.endpoint("client")).collect();
        let asked: Vec<String> = addresses.iter().flatten().cloned().collect();
        let seen = wire.kafka(&asked).describe().await.ok();
        let mut leaders = BTreeSet::new();
        let member = |(facts, address): (&Arc<NodeFacts>, &Option<String>)| {
            let registered = seen.as_ref().is_some_and(|cluster| cluster.brokers.contains_key(&facts.id));
            let answers =
                seen.as_ref().is_some_and(|cluster| knows_itself(cluster, facts.id, address.as_ref()));
            let leads = seen.as_ref().is_some_and(|cluster| cluster.controller == Some(facts.id));
            let note = match (registered, answers, leads) {
                (true, true, true) => "controller",
                (true, true, false) => "registered",
                // ZooKeeper keeps the session of a broker that died for a while.
                (true, false, _) => "registered, not answering",
                (false, _, _) => "not registered",
            };
            let up = registered && answers;
            if up && leads {
                leaders.insert(facts.node.clone());
            }
            (facts.node.clone(), MemberView { up, note: note.to_owned() })
        };
        GroupView {
            members: Arc::new(members.iter().zip(&addresses).map(member).collect()),
            leaders,
            detail: Arc::new(Seen { cluster: seen, asked, members: members.to_vec() }),
        }
    }

    fn health(&self, view: &GroupView, _members: &[Arc<NodeFacts>]) -> Health {
        let Some(cluster) = cluster(view) else {
            return Health::Unhealthy("no broker answers".into());
        };
        let away = view.away();
        if !away.is_empty() {
            let up = view.members.len() - away.len();
            return Health::Unhealthy(format!(
                "{up} of {} brokers serve, without {}",
                view.members.len(),
                away.join(", ")
            ));
        }
        if view.leader().is_none() {
            return Health::Unhealthy("no controller is known".into());
        }
        if !matches!(cluster.controller_standing(), ControllerStanding::Agreed(_)) {
            return Health::Unhealthy("the brokers don't agree on one controller yet".into());
        }
        let told = |count: usize, first: &LocatedPartition<'_>, what: &str| {
            let noun = if count == 1 { "partition is" } else { "partitions are" };
            Health::Unhealthy(format!("{count} {noun} {what}, {} first", first.name()))
        };
        if let Some(first) = cluster.offline().next() {
            return told(cluster.offline().count(), &first, "without a leader");
        }
        if let Some(first) = cluster.under_replicated().next() {
            return told(cluster.under_replicated().count(), &first, "under-replicated");
        }
        let behind = |answer: &BrokerAnswer| match answer {
            BrokerAnswer::Answered { differing, .. } => !differing.is_empty(),
            BrokerAnswer::Silent { .. } => true,
        };
        if cluster.answers.values().any(behind) {
            return Health::Unhealthy("not every broker knows of all leaders yet".into());
        }
        Health::Healthy
    }

    fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
        // One that serves nobody can't be missed, and its repair must not be locked out by its own failure.
        if let Some(name) = roll.pending.iter().find(|name| !view.is_up(name)) {
            return Next::Do((*name).to_owned());
        }
        let Some(cluster) = cluster(view) else { return Next::Wait(NotSafe::NobodyAnswers) };
        let away = view.away();
        if !away.is_empty() {
            let members = away.into_iter().map(str::to_owned).collect();
            let breaks = |name: &&str| match self.spares(name, roll.interrupts, view) {
                Err(reason @ NotSafe::WouldBreakMinIsr { .. }) => Some(Box::new(reason)),
                _ => None,
            };
            return Next::Wait(NotSafe::MembersAway { members, so: roll.pending.iter().find_map(breaks) });
        }
        let Some(controller) = view.leader() else { return Next::Wait(NotSafe::NoSingleLeader) };
        if let Err(reason) = quiet(cluster) {
            return Next::Wait(reason);
        }
        if let Err(reason) = consented(scarce(view, |name| roll.pending.contains(name)), roll.interrupts) {
            return Next::Refuse(reason);
        }
        // The controller last: each change of controller delays elections.
        let chosen = roll.pending.iter().find(|name| **name != controller).or(roll.pending.first());
        match chosen {
            None => Next::Done,
            Some(name) => match self.spares(name, roll.interrupts, view) {
                Ok(()) => Next::Do((*name).to_owned()),
                Err(reason) => Next::Wait(reason),
            },
        }
    }

    fn spares(&self, node: &str, interrupts: &BTreeSet<String>, view: &GroupView) -> Result<(), NotSafe> {
        let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
        let Some(id) = id_of(node, view) else { return Ok(()) };
        // A cluster of one has nobody to take over; that it stops is told in the preview.
        if view.members.len() == 1 {
            return Ok(());
        }
        consented(scarce(view, |name| name == node), interrupts)?;
        let left = |held: &LocatedPartition<'_>| held.state.isr.iter().filter(|one| **one != id).count();
        let falls_short = |held: &LocatedPartition<'_>| left(held) < held.min_insync_replicas as usize;
        let spare = cluster.replicas_on(id).filter(LocatedPartition::has_spare);
        let broken: Vec<_> = spare.filter(falls_short).collect();
        match broken.first() {
            None => Ok(()),
            Some(first) => Err(NotSafe::WouldBreakMinIsr {
                topic: first.topic.to_owned(),
                partition: first.partition,
                broker: id,
                isr: first.state.isr.clone(),
                min_insync: first.min_insync_replicas,
                others: broken.len() - 1,
            }),
        }
    }

    fn interrupted(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeSet<String> {
        scarce(view, |name| members.contains(name)).into_iter().map(|one| one.topic).collect()
    }

    fn absences(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeMap<String, Absence> {
        let serving: Vec<&String> = members.iter().filter(|name| view.is_up(name)).collect();
        if view.members.len() == 1 {
            return serving.into_iter().map(|name| (name.clone(), Absence::Interruption)).collect();
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
        serving.into_iter().filter_map(|name| Some((name.clone(), absence(id_of(name, view)?)))).collect()
    }

    fn allows_removal(&self, leaving: &NodeFacts, view: Option<&GroupView>) -> Result<(), Refusal> {
        let refuse = |reason: String, hint: &str| {
            Err(Refusal { key: Key::new(NodeKind::NAME, &leaving.node), reason, hint: hint.into() })
        };
        let Some(cluster) = view.and_then(cluster) else {
            return refuse(
                "it may hold replicas, and no broker answers to tell".into(),
                "start the cluster with the old number of brokers first",
            );
        };
        let held = cluster.replicas_on(leaving.id).count();
        match cluster.replicas_on(leaving.id).next() {
            None => Ok(()),
            Some(first) => refuse(
                format!(
                    "it holds replicas of {held} partitions ({} first), which would be lost",
                    first.name()
                ),
                "put the old number of brokers back, or move its replicas away with Kafka's own tools first",
            ),
        }
    }

    fn refill(&self, member: &NodeFacts, view: &GroupView) -> Result<String, NotSafe> {
        let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
        if view.leader().is_none() {
            return Err(NotSafe::NoSingleLeader);
        }
        // One that just died still counts as in sync until its session ends.
        let serving: BTreeSet<i32> = cluster
            .answers
            .values()
            .filter_map(|answer| match answer {
                BrokerAnswer::Answered { id, .. } => *id,
                BrokerAnswer::Silent { .. } => None,
            })
            .collect();
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

    fn knows(&self, view: &GroupView, held: &BTreeSet<String>) -> bool {
        let known = |cluster: &ClusterView| held.iter().any(|topic| cluster.topics.contains_key(topic));
        held.is_empty() || cluster(view).is_some_and(known)
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
        wire.kafka(asked).elect_preferred(&strayed).await?;
        Ok(true)
    }
}

/// The supervisor and journald write the time of each line, so the pattern doesn't. NixOS modules read the same file.
const LOG4J: &str = include_str!("log4j.properties");
