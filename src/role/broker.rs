//! The role `broker`: a Kafka broker whose metadata is in ZooKeeper.

mod seen;
mod settings;

use super::roll::starts;
use super::{Absence, Altered, GroupView, Health, InSync, Next, NotSafe, Role, Roll};
use crate::causes::with_causes;
use crate::kafka::{
    BrokerAnswer, Claim, ClusterView, ControllerStanding, KafkaError, LocatedPartition, NotClaimed,
    Safeguards, TopicPartition,
};
use crate::model::{File, Layout, NodeFacts, Process, properties};
use crate::wire::Wire;
use async_trait::async_trait;
use seen::{Seen, cluster, consented, decided, id_of, is_unregistered, left_out, quiet, scarce, serving};
use std::borrow::Borrow;
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

    /// The servers of the ensemble that these brokers keep their metadata in; none where it is kept below a path of its
    /// own, or isn't known yet.
    pub fn ensemble(brokers: &[impl Borrow<NodeFacts>]) -> Vec<String> {
        let connect = brokers.first().and_then(|facts| setting(facts.borrow(), "zookeeper.connect"));
        let connect = connect.filter(|connect| !connect.contains('/'));
        connect.map(|connect| connect.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The group of these members as a description of the cluster has it, be it one that failed. Pure.
    pub fn view(members: &[Arc<NodeFacts>], described: Result<ClusterView, KafkaError>) -> GroupView {
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
fn addresses(members: &[Arc<NodeFacts>]) -> Vec<String> {
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

    async fn observe(&self, wire: &dyn Wire, members: &[Arc<NodeFacts>]) -> GroupView {
        Self::view(members, wire.kafka(&addresses(members), &Self::ensemble(members)).describe().await)
    }

    fn health(&self, view: &GroupView, _members: &[Arc<NodeFacts>], without: &BTreeSet<String>) -> Health {
        let Some(cluster) = cluster(view) else {
            let why = view.detail::<Seen>().and_then(|seen| seen.why.clone());
            return Health::Unhealthy(why.unwrap_or_else(|| "no broker answers".into()));
        };
        let mut away = view.away();
        away.retain(|name| !without.contains(*name));
        if !away.is_empty() {
            return Health::Unhealthy(format!(
                "{} of {} brokers serve, without {}",
                view.up_count(),
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
        let left_out = left_out(view, without);
        let told = |found: &[LocatedPartition<'_>], what: &str| {
            let first = found.first()?;
            let noun = if found.len() == 1 { "partition is" } else { "partitions are" };
            Some(format!("{} {noun} {what}, {} first", found.len(), first.name()))
        };
        // Only who has all of a partition may lead it.
        let lost = |one: &LocatedPartition<'_>| left_out.holds_all(one.state.isr.iter());
        let (lost, leaderless): (Vec<_>, Vec<_>) = cluster.offline().partition(lost);
        if let Some(reason) = told(&lost, "without a leader") {
            return Health::Short(reason);
        }
        if let Some(reason) = told(&leaderless, "without a leader") {
            return Health::Unhealthy(reason);
        }
        let without = |one: &LocatedPartition<'_>| {
            left_out.holds_all(one.state.replicas.iter().filter(|id| !one.state.isr.contains(id)))
        };
        let (without, behind): (Vec<_>, Vec<_>) = cluster.under_replicated().partition(without);
        if let Some(reason) = told(&behind, "under-replicated") {
            return Health::Unhealthy(reason);
        }
        let closed = |one: &LocatedPartition<'_>| one.state.isr.len() < one.min_insync_replicas as usize;
        let closed: Vec<_> = without.into_iter().filter(closed).collect();
        if let Some(reason) = told(&closed, "under min.insync.replicas") {
            return Health::Short(reason);
        }
        let behind = |(address, answer): (&String, &BrokerAnswer)| match answer {
            BrokerAnswer::Answered { differing, .. } => !differing.is_empty(),
            BrokerAnswer::Silent { .. } => !left_out.addresses.contains(address),
        };
        if cluster.answers.iter().any(behind) {
            return Health::Unhealthy("not every broker knows of all leaders yet".into());
        }
        Health::Healthy
    }

    fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
        if let Some(name) = roll.without_process() {
            return Next::Do(name.to_owned());
        }
        let may_disrupt = |name: &str| self.may_disrupt(name, roll.interrupts, view);
        // Alone, nobody could tell that it is out but itself.
        if view.members.len() == 1
            && let Some(name) = roll.pending.keys().next()
        {
            let waits = !view.is_up(name) && roll.is_starting(name, view);
            return if waits { Next::Wait(starts(name)) } else { Next::Do((*name).to_owned()) };
        }
        let Some(cluster) = cluster(view) else {
            let still = roll.still(|name| is_unregistered(name, view));
            return still.unwrap_or(Next::Wait(NotSafe::NobodyAnswers));
        };
        if let Some(next) = roll.out(view) {
            return next;
        }
        if let Err(reason) = decided(cluster, None) {
            return Next::Wait(reason);
        }
        if let Some(next) = roll.silent(view, may_disrupt) {
            return next;
        }
        let away = view.away();
        if !away.is_empty() {
            let members = away.into_iter().map(str::to_owned).collect();
            let breaks = |name: &&str| match may_disrupt(name) {
                Err(reason @ NotSafe::WouldBreakMinIsr { .. }) => Some(Box::new(reason)),
                _ => None,
            };
            return Next::Wait(NotSafe::MembersAway { members, so: roll.pending.keys().find_map(breaks) });
        }
        if let Err(reason) = quiet(cluster) {
            return Next::Wait(reason);
        }
        if let Err(reason) = consented(scarce(view, |name| roll.is_pending(name)), roll.interrupts) {
            return Next::Refuse(reason);
        }
        // The controller last: each change of controller delays elections.
        roll.leader_last(view.leader(), may_disrupt)
    }

    fn may_disrupt(
        &self,
        node: &str,
        interrupts: &BTreeSet<String>,
        view: &GroupView,
    ) -> Result<(), NotSafe> {
        // A cluster of one has nobody to take over; that it stops is told in the preview.
        if view.members.len() == 1 {
            return Ok(());
        }
        let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
        let Some(id) = id_of(node, view) else { return Ok(()) };
        consented(scarce(view, |name| name == node), interrupts)?;
        // One that is registered and silent may have died, and one that stands still takes no record.
        let serving = serving(cluster);
        let counts = |one: &&i32| **one != id && serving.contains(one);
        let left = |held: &LocatedPartition<'_>| held.state.isr.iter().filter(counts).count();
        // Where it isn't in sync, nobody waits for it.
        let falls_short = |held: &LocatedPartition<'_>| {
            held.state.isr.contains(&id) && left(held) < held.min_insync_replicas as usize
        };
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

    async fn claim(&self, wire: &dyn Wire, member: &NodeFacts) -> Result<Option<Claim>, NotSafe> {
        let ensemble = Self::ensemble(&[member]);
        // Nobody is stopped on the word of one without a watchdog.
        if !member.watchdog || ensemble.is_empty() {
            return Ok(None);
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
        // That it holds none counts only from who decides on that.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{BrokerView, PartitionView, TopicPartition, TopicView};
    use crate::model::{FACTS_VERSION, HostFacts, Output, ProcessSeen, Software, Source};
    use crate::role::Standing;

    /// A broker as it answers.
    #[derive(Clone, Copy)]
    enum Says {
        /// What the controller 1 says.
        Same,
        /// That another is the controller.
        Controller(i32),
        /// That t-0 has another leader.
        Otherwise,
        Nothing,
        /// That nobody listens, by its host.
        Closed,
    }

    fn facts(id: i32) -> Arc<NodeFacts> {
        let (node, host) = (format!("broker-{id}"), format!("10.0.0.{id}"));
        let host = HostFacts { name: host.clone(), address: host.into(), zone: None, machine: None };
        let source = Source::Jars { digest: "d".into() };
        let software = Software { name: "kafka".into(), version: "3.9.2".into(), source };
        Arc::new(NodeFacts {
            version: FACTS_VERSION,
            stack: "s".into(),
            node,
            role: Broker::NAME.into(),
            group: "kafka".into(),
            id,
            host,
            ports: [("client".to_owned(), 9092)].into(),
            software,
            settings: BTreeMap::new(),
            fence: true,
            watchdog: true,
            jvm: None,
        })
    }

    /// Brokers 1, 2, … that say this, with t-0 on all of them.
    fn view(says: &[Says], isr: &[i32], registered: &[i32]) -> GroupView {
        let ids = || 1..=i32::try_from(says.len()).unwrap();
        let members: Vec<_> = ids().map(facts).collect();
        let asked: Vec<String> = members.iter().filter_map(|facts| facts.endpoint("client")).collect();
        let partition = PartitionView {
            leader: isr.first().copied(),
            replicas: ids().collect(),
            isr: isr.to_vec(),
            offline: vec![],
        };
        let topic = TopicView {
            id: None,
            internal: false,
            partitions: [(0, partition)].into(),
            min_insync_replicas: 2,
            configs: BTreeMap::new(),
        };
        let answer = |id: i32, says: Says| match says {
            Says::Nothing => BrokerAnswer::Silent { why: "no answer".into(), closed: false },
            Says::Closed => BrokerAnswer::Silent { why: "connection refused".into(), closed: true },
            Says::Same | Says::Controller(_) | Says::Otherwise => BrokerAnswer::Answered {
                id: Some(id),
                controller: Some(if let Says::Controller(other) = says { other } else { 1 }),
                alive: Arc::new(registered.iter().copied().chain([id]).collect()),
                differing: match says {
                    Says::Otherwise => [TopicPartition::new("t", 0)].into(),
                    _ => BTreeSet::new(),
                },
            },
        };
        let cluster = ClusterView {
            cluster_id: Some("c".into()),
            controller: Some(1),
            seen_by: Some(1),
            brokers: registered
                .iter()
                .map(|id| (*id, BrokerView { host: format!("10.0.0.{id}"), port: 9092, rack: None }))
                .collect(),
            topics: [("t".to_owned(), topic)].into(),
            reassignments: Some(vec![]),
            answers: ids()
                .zip(says)
                .map(|(id, says)| (format!("10.0.0.{id}:9092"), answer(id, *says)))
                .collect(),
        };
        Seen { cluster: Some(cluster), closed: BTreeSet::new(), registered: None, why: None, asked, members }
            .view()
    }

    fn next(view: &GroupView, pending: &[(&str, Option<ProcessSeen>)]) -> Next {
        let (pending, interrupts) = (pending.iter().copied().collect(), BTreeSet::new());
        Broker.next(&Roll { pending: &pending, interrupts: &interrupts }, view)
    }

    const RUNS: Option<ProcessSeen> = Some(ProcessSeen::Runs);

    #[test]
    fn a_silent_broker_is_changed_where_those_who_answer_do_without_it() {
        let view_of =
            |isr: &[i32]| view(&[Says::Same, Says::Nothing, Says::Same, Says::Same], isr, &[1, 2, 3, 4]);
        let silent = [("broker-2", RUNS)];
        assert_eq!(next(&view_of(&[1, 2, 3]), &silent), Next::Do("broker-2".into()));
        assert!(matches!(next(&view_of(&[1, 2]), &silent), Next::Wait(NotSafe::MembersAway { .. })));
        // Two are silent: they count neither for each other nor against.
        let two = view(&[Says::Same, Says::Nothing, Says::Nothing, Says::Same], &[1, 2, 3], &[1, 2, 3, 4]);
        assert!(matches!(next(&two, &silent), Next::Wait(NotSafe::MembersAway { .. })));
        assert!(matches!(
            Broker.may_disrupt("broker-2", &BTreeSet::new(), &two),
            Err(NotSafe::WouldBreakMinIsr { .. })
        ));
    }

    #[test]
    fn nobody_waits_for_a_silent_broker_that_is_not_in_sync() {
        // Two hang, and the one in sync is under min.insync.replicas already.
        let seen = view(&[Says::Same, Says::Nothing, Says::Nothing], &[1], &[1, 2, 3]);
        assert_eq!(next(&seen, &[("broker-2", RUNS)]), Next::Do("broker-2".into()));
        assert!(matches!(
            Broker.may_disrupt("broker-1", &BTreeSet::new(), &seen),
            Err(NotSafe::WouldBreakMinIsr { .. })
        ));
    }

    /// Nobody of two brokers answers; these are registered in ZooKeeper, as far as that could be asked.
    fn nobody_answers(registered: Option<&[i32]>) -> GroupView {
        let registered = registered.map(|ids| ids.iter().copied().collect());
        let attempts = Vec::new();
        Broker::view(&[facts(1), facts(2)], Err(KafkaError::NobodyAnswered { attempts, registered }))
    }

    #[test]
    fn one_that_stands_still_where_nobody_answers_is_changed_once_its_session_is_over() {
        let still = [("broker-1", Some(ProcessSeen::Still)), ("broker-2", RUNS)];
        assert_eq!(next(&nobody_answers(Some(&[2])), &still), Next::Do("broker-1".into()));
        // It may lead on, should it go on.
        for registered in [None, Some(&[1, 2][..])] {
            assert_eq!(next(&nobody_answers(registered), &still), Next::Wait(NotSafe::NobodyAnswers));
        }
        assert_eq!(next(&nobody_answers(Some(&[])), &still[1..]), Next::Wait(NotSafe::NobodyAnswers));
    }

    #[test]
    fn a_broker_without_a_process_goes_first_whatever_is_known() {
        let nobody = nobody_answers(None);
        let gone = [("broker-1", RUNS), ("broker-2", Some(ProcessSeen::Gone))];
        assert_eq!(next(&nobody, &gone), Next::Do("broker-2".into()));
        // Where nobody can be asked, nothing says that the other is not needed.
        assert_eq!(next(&nobody, &gone[..1]), Next::Wait(NotSafe::NobodyAnswers));
        assert_eq!(next(&nobody, &[("broker-1", None)]), Next::Wait(NotSafe::NobodyAnswers));
    }

    #[test]
    fn a_broker_is_out_only_by_the_word_of_a_controller_on_whom_all_others_agree() {
        let standing = |says: [Says; 4]| view(&says, &[1, 3], &[1, 3, 4]).standing("broker-2");
        for own in [Says::Nothing, Says::Otherwise, Says::Controller(2)] {
            assert_eq!(standing([Says::Same, own, Says::Same, Says::Same]), Some(Standing::Out));
        }
        for other in [Says::Otherwise, Says::Controller(3)] {
            assert_eq!(standing([Says::Same, Says::Nothing, other, Says::Same]), Some(Standing::Silent));
        }
    }

    #[test]
    fn brokers_that_lost_their_sessions_and_live_on_have_no_say() {
        // Both believe what was so before, and neither hears of the other's end.
        let two = view(&[Says::Same, Says::Otherwise, Says::Otherwise, Says::Same], &[1, 4], &[1, 4]);
        for broker in ["broker-2", "broker-3"] {
            assert_eq!(two.standing(broker), Some(Standing::Out));
            assert_eq!(next(&two, &[(broker, RUNS)]), Next::Do(broker.into()));
        }
        // One that follows another controller may be right.
        let other = view(&[Says::Same, Says::Nothing, Says::Controller(3), Says::Same], &[1, 4], &[1, 4]);
        assert_eq!(other.standing("broker-2"), Some(Standing::Silent));
    }

    #[test]
    fn a_broker_that_listens_to_nobody_yet_is_reading_its_data() {
        let starting = Next::Wait(NotSafe::Starting { member: "broker-2".into() });
        let [out, registered] = [&[1, 3, 4][..], &[1, 2, 3, 4]].map(|registered| {
            view(&[Says::Same, Says::Closed, Says::Same, Says::Same], &[1, 3, 4], registered)
        });
        for seen in [&out, &registered] {
            assert_eq!(next(seen, &[("broker-2", RUNS)]), starting);
            assert_eq!(next(seen, &[("broker-2", Some(ProcessSeen::Gone))]), Next::Do("broker-2".into()));
        }
        // Where its host can't be asked it may be so as well.
        assert_eq!(next(&out, &[("broker-2", None)]), starting);
        // Alone too. One that hears and says nothing hangs.
        let alone = |closed: &[&str]| {
            let closed = closed.iter().map(ToString::to_string).collect();
            Seen {
                cluster: None,
                closed,
                registered: None,
                why: None,
                asked: vec![],
                members: vec![facts(2)],
            }
            .view()
        };
        assert_eq!(next(&alone(&["10.0.0.2:9092"]), &[("broker-2", RUNS)]), starting);
        assert_eq!(next(&alone(&[]), &[("broker-2", RUNS)]), Next::Do("broker-2".into()));
        assert_eq!(Broker.may_disrupt("broker-2", &BTreeSet::new(), &alone(&[])), Ok(()));
    }

    #[test]
    fn a_broker_that_is_out_and_young_may_be_on_its_way() {
        let out = view(&[Says::Same, Says::Nothing, Says::Same, Says::Same], &[1, 3], &[1, 3, 4]);
        let young = [("broker-2", Some(ProcessSeen::Young))];
        assert_eq!(next(&out, &young), Next::Wait(NotSafe::Starting { member: "broker-2".into() }));
        for process in [RUNS, Some(ProcessSeen::Still), None] {
            assert_eq!(next(&out, &[("broker-2", process)]), Next::Do("broker-2".into()));
        }
    }

    #[test]
    fn nobody_is_stopped_while_brokers_know_different_things() {
        let all = [("broker-2", RUNS)];
        let quiet = view(&[Says::Same; 4], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert_eq!(next(&quiet, &all), Next::Do("broker-2".into()));
        let told = view(&[Says::Same, Says::Same, Says::Otherwise, Says::Same], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert!(matches!(next(&told, &all), Next::Wait(NotSafe::ToldDifferently { .. })));
        let disputed =
            view(&[Says::Same, Says::Same, Says::Controller(3), Says::Same], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert_eq!(next(&disputed, &all), Next::Wait(NotSafe::NoSingleLeader));
    }

    #[test]
    fn a_roll_is_judged_by_how_many_in_sync_it_has_brokers_ask_for() {
        let seen = view(&[Says::Same; 3], &[1, 2, 3], &[1, 2, 3]);
        let all: BTreeSet<String> = (1..=3).map(|id| format!("broker-{id}")).collect();
        let mut after = NodeFacts::clone(&facts(1));
        after.settings.insert(MIN_INSYNC.to_owned(), Output::from("3".to_owned()));
        let judged = Broker.once_changed(&[after], &seen);
        assert_eq!(Broker.interrupted(&all, &seen), BTreeSet::new());
        assert_eq!(Broker.interrupted(&all, &judged), BTreeSet::from(["t".to_owned()]));
    }
}
