//! The role `zookeeper`: a member of a ZooKeeper ensemble, which keeps Kafka's metadata and elects its controller.

use super::{Absence, GroupView, Health, MemberView, Next, NotSafe, Role, Roll, Standing, alike};
use crate::model::{File, Layout, Member, NodeFacts, Output, Process, Refusal};
use crate::wire::Wire;
use crate::zookeeper::{self, EnsembleView, Mode};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The role `zookeeper`.
#[derive(Debug, Clone, Copy)]
pub struct Zookeeper;

impl Zookeeper {
    /// The role's name.
    pub const NAME: &'static str = "zookeeper";
    /// Ports by purpose: `client` for Kafka, `peer` for followers of the leader, `election` for votes.
    pub const PORTS: [(&'static str, u16); 3] = [("client", 2181), ("peer", 2888), ("election", 3888)];

    /// Settings of every member, before the stack's own are laid over them.
    pub fn default_settings() -> BTreeMap<String, Output<String>> {
        [
            // The unit of all ZooKeeper times; sessions end on a tick, so up to one later than they say.
            ("tickTime", "1000"),
            // In ticks: 20 s for a follower to connect and fetch a snapshot.
            ("initLimit", "20"),
            // A leader that stood still for longer than a session lets all sessions end as it wakes, unless its followers
            // have left it by then: so this is well below the brokers' session.
            ("syncLimit", "5"),
            // ZooKeeper cuts what a broker asks for without a word, unless told otherwise to 20 ticks. No session may cost
            // more than the 60 s for which anything may be interrupted.
            ("maxSessionTimeout", "60000"),
            // Every broker and every tool comes from few addresses.
            ("maxClientCnxns", "60"),
            // Snapshots and logs that aren't purged fill the disk; ZooKeeper itself keeps all of them by default.
            ("autopurge.snapRetainCount", "3"),
            ("autopurge.purgeInterval", "1"),
            // The HTTP server would listen on 8080 and isn't needed.
            ("admin.enableServer", "false"),
            // Read by health checks.
            ("4lw.commands.whitelist", "srvr,mntr,ruok,cons"),
            // An unmounted disk looks like an empty one; an empty member must never vote with what it lacks.
            ("db.autocreate", "false"),
            // Standalone mode in an ensemble of one, and no silent change of it.
            ("reconfigEnabled", "false"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Output::from(value)))
        .collect()
    }
}

fn members_of(facts: &NodeFacts) -> BTreeMap<&String, &Output<String>> {
    facts.settings.iter().filter(|(name, _)| name.starts_with("server.")).collect()
}

/// A member that knows of no others is alone.
fn size(members: &BTreeMap<&String, &Output<String>>) -> usize {
    members.len().max(1)
}

/// The group as an ensemble's answers have it.
fn seen(ensemble: EnsembleView, members: &[Arc<Member>]) -> GroupView {
    let leads = |serving: &zookeeper::Serving| matches!(serving.mode, Mode::Leader | Mode::Standalone);
    let leading: BTreeSet<i32> =
        ensemble.serving().filter(|(_, serving)| leads(serving)).map(|(id, _)| id).collect();
    // Who says that it is in no quorum is out where a leader and a majority say that they are. Else an election may be
    // under way, which a leader that lost its followers is late to notice, and each of them may be needed for it.
    let quorum = ensemble.serving().count() > members.len() / 2;
    let out = if leading.len() == 1 && quorum { Standing::Out } else { Standing::Silent };
    let mut leaders = BTreeSet::new();
    let member = |facts: &Arc<Member>| {
        let (standing, note) = match ensemble.members.get(&facts.id) {
            Some(zookeeper::MemberView::Serving(serving)) => match serving.mode {
                Mode::Leader => (Standing::Up, "leader"),
                Mode::Standalone => (Standing::Up, "standalone"),
                Mode::Follower => (Standing::Up, "follower"),
                Mode::Observer => (Standing::Up, "observer"),
                Mode::ReadOnly => (out, "read-only"),
            },
            Some(zookeeper::MemberView::NotServing) => (out, "in no quorum"),
            Some(zookeeper::MemberView::Unreachable { .. }) | None => (Standing::Silent, "unreachable"),
        };
        if leading.contains(&facts.id) {
            leaders.insert(facts.node.clone());
        }
        // An ensemble's member listens before it takes part, and reads its data within `initLimit`.
        (facts.node.clone(), MemberView { standing, closed: false, ill: false, note: note.to_owned() })
    };
    let members = Arc::new(members.iter().map(member).collect());
    GroupView { members, leaders, detail: Arc::new(ensemble) }
}

#[async_trait]
impl Role for Zookeeper {
    fn servers(&self, facts: &NodeFacts) -> BTreeSet<String> {
        let named = members_of(facts).into_values().filter_map(|server| server.known().ok());
        named.filter_map(|server| Some(server.split_once(':')?.0.to_owned())).collect()
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        let config = facts.properties(("dataDir", Layout::DATA));
        [("zoo.cfg".into(), File::properties(config)), ("logback.xml".into(), File::text(LOGBACK))].into()
    }

    fn process(&self, _facts: &NodeFacts) -> Process {
        Process::Java {
            options: vec![format!("-Dlogback.configurationFile={}/logback.xml", Layout::CONFIG)],
            main: "org.apache.zookeeper.server.quorum.QuorumPeerMain".into(),
            arguments: vec![format!("{}/zoo.cfg", Layout::CONFIG)],
        }
    }

    fn admit(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let port = facts.ports.get("client")?;
        let client = |server: &Output<String>| {
            Some(format!("{}:{port}", server.known().ok()?.split(':').next().unwrap_or_default()))
        };
        let mut command: Vec<String> =
            [Layout::OCTAD, "admit", "--data", Layout::DATA].map(str::to_owned).into();
        let servers: Vec<String> = members_of(facts).into_values().map(client).collect::<Option<_>>()?;
        if !servers.is_empty() {
            let own = facts.settings.get(&format!("server.{}", facts.id)).and_then(client)?;
            command.extend(["--servers".into(), servers.join(","), "--own".into(), own]);
        }
        Some(command)
    }

    fn data_files(&self, facts: &NodeFacts, bootstrap: bool) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([("myid".to_owned(), format!("{}\n", facts.id))]);
        if bootstrap {
            // ZooKeeper's own sign that an empty data directory may be trusted; it removes the file when it starts.
            files.insert("initialize".to_owned(), String::new());
        }
        files
    }

    fn bootstraps(&self, existing: usize, declared: usize) -> bool {
        // With fewer than a majority made, no transaction can ever have been committed; with a majority, the others
        // hold every one, and a newcomer that trusted its emptiness could outvote them.
        existing < declared / 2 + 1
    }

    async fn observe(&self, wire: &dyn Wire, members: &[Arc<Member>]) -> GroupView {
        let addresses = members
            .iter()
            .filter_map(|facts| Some((facts.id, facts.endpoint("client")?)))
            .collect::<BTreeMap<_, _>>();
        seen(wire.zookeeper().describe(&addresses).await, members)
    }

    fn health(&self, view: &GroupView, members: &[Arc<Member>], without: &BTreeSet<String>) -> Health {
        let size = view.members.len();
        let left = view.members.keys().filter(|name| !without.contains(*name)).count();
        if !without.is_empty() && left < size / 2 + 1 {
            let needed = size / 2 + 1;
            return Health::Short(format!("{left} of {size} servers are left, and {needed} are needed"));
        }
        let mut away = view.away();
        away.retain(|name| !without.contains(*name));
        if !away.is_empty() {
            let up = view.up_count();
            return Health::Unhealthy(format!("{up} of {size} servers serve, without {}", away.join(", ")));
        }
        let counted = members.iter().filter(|facts| !without.contains(&facts.node));
        let expected = counted.map(|facts| facts.id).collect();
        match view.detail::<EnsembleView>().map(|ensemble| ensemble.health(&expected)) {
            Some(Ok(_)) => Health::Healthy,
            Some(Err(reason)) => Health::Unhealthy(reason.to_string()),
            None => Health::Unhealthy("the ensemble was not asked".into()),
        }
    }

    fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
        // One without a process can't be missed, and one that is alone has nobody to be elected by.
        if roll.without_process().is_none() && view.members.len() > 1 && view.leader().is_none() {
            return roll.still(|_| true).unwrap_or(Next::Wait(NotSafe::NoSingleLeader));
        }
        // The leader last: each change of leader interrupts all sessions for a moment.
        alike::next(roll, view, |name| self.may_disrupt(name, roll.interrupts, view))
    }

    fn may_disrupt(&self, node: &str, _: &BTreeSet<String>, view: &GroupView) -> Result<(), NotSafe> {
        let size = view.members.len();
        let others = view.up_count() - usize::from(view.is_up(node));
        let needed = size / 2 + 1;
        // An ensemble of one has no majority to keep; that it stops is told in the preview.
        if size == 1 || others >= needed {
            return Ok(());
        }
        Err(NotSafe::QuorumLost { member: node.to_owned(), remaining: others, size, needed })
    }

    fn absences(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeMap<String, Absence> {
        let (size, up) = (view.members.len(), view.up_count());
        let absence = match size {
            1 => Absence::Interruption,
            _ => Absence::Quorum { left: up.saturating_sub(1), size, needed: size / 2 + 1 },
        };
        members.iter().filter(|name| view.is_up(name)).map(|name| (name.clone(), absence.clone())).collect()
    }

    fn allows_change(&self, before: &NodeFacts, after: &NodeFacts) -> Result<(), Refusal> {
        let (old, new) = (members_of(before), members_of(after));
        if old == new {
            return Ok(());
        }
        if old.keys().eq(new.keys()) {
            return Err(Refusal {
                key: after.key(),
                reason: "the addresses of its ensemble's servers can't change yet: they find each other by them".into(),
                hint: "leave its servers where they are (`--target` takes others alone), or give their hosts addresses that stay".into(),
            });
        }
        Err(Refusal {
            key: after.key(),
            reason: format!(
                "the ensemble can't change from {} to {} members yet: \
                 empty new members could outvote the one that holds the data",
                size(&old),
                size(&new)
            ),
            hint: "put the old number of servers, their ids and addresses back".into(),
        })
    }

    fn refill(&self, member: &NodeFacts, view: &GroupView) -> Result<String, NotSafe> {
        let size = view.members.len();
        if size == 1 {
            return Err(NotSafe::QuorumLost { member: member.node.clone(), remaining: 0, size, needed: 1 });
        }
        // A leader leads only while a majority follows it.
        match view.leader().filter(|leader| *leader != member.node) {
            Some(leader) => Ok(format!("all is copied from {leader}, and it votes only after that")),
            None => Err(NotSafe::NoSingleLeader),
        }
    }

    fn after_restart(&self, node: &str, view: &GroupView) -> Vec<GroupView> {
        view.after_restart(node)
    }

    fn allows_removal(&self, _leaving: &NodeFacts, _view: &GroupView) -> Result<(), NotSafe> {
        Err(NotSafe::QuorumFixed)
    }
}

/// The supervisor and journald write the time of each line, so the pattern doesn't.
const LOGBACK: &str = include_str!("logback.xml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FACTS_VERSION, HostFacts, ProcessSeen, Software, Source};
    use crate::zookeeper::{Latency, MemberView as Answer, Serving};

    const RUNS: Option<ProcessSeen> = Some(ProcessSeen::Runs);

    fn facts(id: i32) -> Arc<Member> {
        let (node, host) = (format!("zk-{id}"), format!("10.0.0.{id}"));
        let host = HostFacts { name: host.clone(), address: host.into(), zone: None, machine: None };
        let source = Source::Jars { digest: "d".into() };
        let software = Software { name: "zookeeper".into(), version: "3.9.3".into(), source };
        Arc::new(Member::from(NodeFacts {
            version: FACTS_VERSION,
            stack: "s".into(),
            node,
            role: Zookeeper::NAME.into(),
            group: "zookeeper".into(),
            id,
            host,
            ports: [("client".to_owned(), 2181)].into(),
            software,
            settings: BTreeMap::new(),
            fence: false,
            watchdog: false,
            jvm: None,
        }))
    }

    fn serving(mode: Mode) -> Answer {
        Answer::Serving(Serving {
            mode,
            zxid: 1,
            version: "3.9.3".into(),
            connections: 0,
            outstanding: 0,
            latency: Latency::default(),
            synced_followers: None,
        })
    }

    fn silent() -> Answer {
        Answer::Unreachable { why: "no answer in time".into() }
    }

    /// Servers 1, 2, … that answer so.
    fn view(answers: impl IntoIterator<Item = Answer>) -> GroupView {
        let members: BTreeMap<i32, Answer> = (1..).zip(answers).collect();
        let facts: Vec<_> = members.keys().copied().map(facts).collect();
        seen(EnsembleView { members }, &facts)
    }

    fn next(view: &GroupView, pending: &[(&str, Option<ProcessSeen>)]) -> Next {
        let (pending, interrupts) = (pending.iter().copied().collect(), BTreeSet::new());
        Zookeeper.next(&Roll { pending: &pending, interrupts: &interrupts }, view)
    }

    #[test]
    fn a_silent_server_is_out_by_nobodys_word() {
        let two = || [serving(Mode::Leader), serving(Mode::Follower)];
        let one_silent = view(two().into_iter().chain([silent()]));
        assert_eq!(one_silent.standing("zk-3"), Some(Standing::Silent));
        // It may hang, and two of three do without it; of the others none can be spared.
        assert_eq!(next(&one_silent, &[("zk-3", RUNS)]), Next::Do("zk-3".into()));
        assert!(matches!(next(&one_silent, &[("zk-1", RUNS)]), Next::Wait(NotSafe::MembersAway { .. })));
        // Two are silent: each may be the one that the ensemble stands on.
        let two_silent = view([serving(Mode::Follower), silent(), silent()]);
        for server in ["zk-2", "zk-3"] {
            assert_eq!(two_silent.standing(server), Some(Standing::Silent));
            assert_eq!(next(&two_silent, &[(server, RUNS)]), Next::Wait(NotSafe::NoSingleLeader));
            assert_eq!(next(&two_silent, &[(server, Some(ProcessSeen::Gone))]), Next::Do(server.into()));
        }
    }

    #[test]
    fn a_server_in_no_quorum_is_out_where_a_leader_and_a_majority_say_that_they_are() {
        let left = |answers: [Answer; 3]| view(answers).standing("zk-3");
        let out = [serving(Mode::Leader), serving(Mode::Follower), Answer::NotServing];
        assert_eq!(left(out), Some(Standing::Out));
        // A leader that lost its followers is late to notice, and each may be needed for the next election.
        assert_eq!(left([serving(Mode::Leader), silent(), Answer::NotServing]), Some(Standing::Silent));
        assert_eq!(
            left([serving(Mode::Follower), serving(Mode::Follower), Answer::NotServing]),
            Some(Standing::Silent)
        );
    }

    #[test]
    fn the_leader_goes_last() {
        let whole = view([serving(Mode::Follower), serving(Mode::Leader), serving(Mode::Follower)]);
        let all = [("zk-1", None), ("zk-2", None), ("zk-3", None)];
        assert_eq!(next(&whole, &all), Next::Do("zk-1".into()));
        assert_eq!(next(&whole, &all[1..]), Next::Do("zk-3".into()));
        assert_eq!(next(&whole, &all[1..2]), Next::Do("zk-2".into()));
    }
}
