//! Whether a roll stops a broker now, by the rule that rolls really follow, over what Octad sees of a world.

use crate::broker::{BROKERS, Brokers, NOBODY, has, members};
use crate::search::Quick;
use crate::world::{MIN_INSYNC, REPLICAS, Replicated};
use octad::kafka::{BrokerAnswer, BrokerView, ClusterView, KafkaError, PartitionView, TopicView};
use octad::model::{FACTS_VERSION, HostFacts, Member, NodeFacts, ProcessSeen, Software, Source};
use octad::role::{Broker, Next, Role, Roll};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, LazyLock};

/// Which rule rolls follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RollRule {
    /// Octad's: before it looks it has the broker's watchdog vouch for it no more.
    Present,
    /// The same where rolls and watchdogs don't know of each other.
    Unclaimed,
    /// What rolls did once: who isn't heard serves nobody, and is changed without a question.
    UnheardServesNobody,
}

/// How rolls go, and what they are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rolls {
    pub(crate) rule: RollRule,
    /// Who is left must reach each other and the controller. No roll asks for that: a link that nobody uses may have been cut
    /// without anybody's knowing.
    pub(crate) reach: bool,
}

impl RollRule {
    pub(crate) fn claims(self) -> bool {
        self == Self::Present
    }
}

/// What Octad sees as it looks before a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Who answers.
    pub(crate) heard: Brokers,
    /// Whom the controller takes for registered.
    pub(crate) registered: Brokers,
    /// Who is registered, as ZooKeeper has it.
    pub(crate) in_zookeeper: Brokers,
    /// As ZooKeeper names it.
    pub(crate) controller: u8,
    pub(crate) partitions: [Replicated; REPLICAS.len()],
}

/// Whether a broker whose process runs, or stands still, is stopped now. A roll of more than one stops nobody whom a roll of
/// that one alone wouldn't stop.
pub(crate) fn stops(rule: RollRule, id: u8, still: bool, seen: &Seen) -> bool {
    thread_local!(static KNOWN: RefCell<HashMap<u64, bool, BuildHasherDefault<Quick>>> = RefCell::default());
    let mut key = 0;
    let mut put = |bits: u8| key = key << 5 | u64::from(bits);
    [rule as u8 * 2 + u8::from(still), id, seen.heard, seen.registered, seen.in_zookeeper, seen.controller]
        .into_iter()
        .for_each(&mut put);
    seen.partitions.iter().for_each(|one| [one.leader, one.isr].into_iter().for_each(&mut put));
    KNOWN.with_borrow_mut(|known| *known.entry(key).or_insert_with(|| judge(rule, id, still, seen)))
}

fn judge(rule: RollRule, id: u8, still: bool, seen: &Seen) -> bool {
    static MEMBERS: LazyLock<Vec<Arc<Member>>> = LazyLock::new(|| (1..=BROKERS).map(facts).collect());
    let described = match seen.heard {
        0 => Err(KafkaError::NobodyAnswered {
            attempts: vec![],
            registered: Some(members(seen.in_zookeeper).map(i32::from).collect()),
        }),
        _ => Ok(cluster(seen)),
    };
    let view = Broker::view(&MEMBERS, described);
    let name = name(id);
    if rule == RollRule::UnheardServesNobody && !view.is_up(&name) {
        return true;
    }
    // Hosts are asked of members that aren't up only.
    let process = match (view.is_up(&name), still) {
        (true, _) => None,
        (false, true) => Some(ProcessSeen::Still),
        (false, false) => Some(ProcessSeen::Runs),
    };
    let (pending, interrupts) = (BTreeMap::from([(name.as_str(), process)]), BTreeSet::new());
    matches!(Broker.next(&Roll { pending: &pending, interrupts: &interrupts }, &view), Next::Do(_))
}

fn name(id: u8) -> String {
    format!("broker-{id}")
}

fn address(id: u8) -> String {
    format!("10.0.0.{id}:9092")
}

fn facts(id: u8) -> Arc<Member> {
    let host = format!("10.0.0.{id}");
    let host = HostFacts { name: host.clone(), address: host.into(), zone: Some("z".into()), machine: None };
    let source = Source::Jars { digest: "d".into() };
    let software = Software { name: "kafka".into(), version: "3.9.2".into(), source };
    Arc::new(Member::from(NodeFacts {
        version: FACTS_VERSION,
        stack: "s".into(),
        node: name(id),
        role: Broker::NAME.into(),
        group: "kafka".into(),
        id: id.into(),
        host,
        ports: [("client".to_owned(), 9092)].into(),
        software,
        settings: BTreeMap::new(),
        fence: true,
        watchdog: true,
        jvm: None,
    }))
}

/// What a description of the cluster says: all who answer have been told what the controller decided, since a roll waits
/// where one has not.
fn cluster(seen: &Seen) -> ClusterView {
    let controller = (seen.controller != NOBODY).then_some(i32::from(seen.controller));
    let heard = |id: u8| has(seen.heard, id);
    let first = members(seen.heard).next().expect("somebody answers");
    let ids = |set: Brokers| members(set).map(i32::from);
    let answer = |id: u8| {
        let answer = match heard(id) {
            true => BrokerAnswer::Answered {
                id: Some(id.into()),
                controller,
                alive: Arc::new(ids(seen.registered).chain([i32::from(id)]).collect()),
                differing: BTreeSet::new(),
            },
            false => BrokerAnswer::Silent { why: "no answer".into(), closed: false },
        };
        (address(id), answer)
    };
    let partition = |(number, one): (usize, &Replicated)| {
        let state = PartitionView {
            leader: (one.leader != NOBODY).then_some(one.leader.into()),
            replicas: REPLICAS[number].map(i32::from).to_vec(),
            isr: ids(one.isr).collect(),
            offline: vec![],
        };
        (number as i32, state)
    };
    let there = seen.partitions.iter().enumerate().filter(|(_, one)| one.isr != 0);
    let topic = TopicView {
        id: None,
        internal: false,
        partitions: there.map(partition).collect(),
        min_insync_replicas: MIN_INSYNC,
        configs: BTreeMap::new(),
    };
    let registered =
        |id: u8| (id.into(), BrokerView { host: format!("10.0.0.{id}"), port: 9092, rack: None });
    ClusterView {
        cluster_id: Some("c".into()),
        controller,
        seen_by: Some(if heard(seen.controller) { seen.controller } else { first }.into()),
        brokers: members(seen.registered).map(registered).collect(),
        topics: [("t".to_owned(), topic)].into(),
        reassignments: heard(seen.controller).then(Vec::new),
        answers: (1..=BROKERS).map(answer).collect(),
    }
}
