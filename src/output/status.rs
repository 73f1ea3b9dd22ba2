//! How a stack is, for people and for scripts.

use super::Style;
use crate::engine::{Inventory, State, stranger};
use crate::model::{Deployment, Key, Member, NodeFacts, Output, ProcessSeen};
use crate::registry::Registry;
use crate::resource::{Lasts, NodeKind, Observed, TopicKind, lasts, weakened};
use crate::role::Health;
use comfy_table::{Cell, ColumnConstraint, Table, presets};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How a stack is.
#[derive(Debug, Serialize)]
pub struct StackStatus {
    /// The stack's name.
    pub stack: String,
    /// Every group is healthy.
    pub healthy: bool,
    /// The groups.
    pub groups: BTreeMap<String, GroupStatus>,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// The other resources.
    pub resources: BTreeMap<String, String>,
    /// In what another hand made topics' records less safe than they are recorded to be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weakened: BTreeMap<String, Vec<String>>,
    /// For how long topics keep their records at the present rate, where that could be measured.
    pub retention: BTreeMap<String, Lasts>,
}

/// How a group is.
#[derive(Debug, Serialize)]
pub struct GroupStatus {
    /// It serves as it should.
    pub healthy: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members that serve; `None` where it could not be asked.
    pub up: Option<usize>,
    /// Members in all.
    pub members: usize,
    /// The member that leads: ZooKeeper's leader, Kafka's controller.
    pub leader: Option<String>,
}

/// How a node is.
#[derive(Debug, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// Its role.
    pub role: String,
    /// Its host.
    pub host: String,
    /// Where clients reach it.
    pub address: Option<String>,
    /// What its process does.
    pub process: String,
    /// Its process id on its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Seconds since its process started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_seconds: Option<u64>,
    /// How often its process was restarted after a failure.
    pub restarts: u64,
    /// What it is in its group.
    pub member: String,
}

impl StackStatus {
    /// The status that an inventory tells.
    pub fn of(registry: &Registry, state: &State, inventory: &Inventory) -> Self {
        let groups: BTreeMap<String, GroupStatus> =
            state.groups.keys().map(|name| (name.clone(), group(registry, state, inventory, name))).collect();
        let nodes: Vec<NodeStatus> = state
            .resources
            .iter()
            .filter(|(key, _)| key.kind == NodeKind::NAME)
            .filter_map(|(key, recorded)| {
                let facts = NodeFacts::of(&recorded.inputs).ok()?;
                let served = Deployment::of(&recorded.inputs).ok().flatten();
                let served = served.map(|deployment| deployment.serves).unwrap_or_default();
                Some(node(key, &facts, &served, inventory))
            })
            .collect();
        let resources = state
            .resources
            .keys()
            .filter(|key| key.kind != NodeKind::NAME)
            .map(|key| (key.to_string(), word(inventory.resources.get(key))))
            .collect();
        let retention = inventory.measured.rates.iter().filter_map(|(name, rate)| {
            let inputs = &state.resources.get(&Key::new(TopicKind::NAME, name))?.inputs;
            let cluster = state.groups.get(inputs.get("cluster")?.as_str()?)?;
            let broker = cluster.members.iter().find_map(|member| state.resources.get(member))?;
            let facts = NodeFacts::of(&broker.inputs).ok()?;
            let known = |(name, value): (String, Output<String>)| Some((name, value.known().ok()?.clone()));
            let settings = facts.settings.into_iter().filter_map(known).collect();
            Some((name.clone(), lasts(inputs, &settings, *rate)?))
        });
        let weakened = state.resources.iter().filter(|(key, _)| key.kind == TopicKind::NAME).filter_map(
            |(key, recorded)| {
                let how = weakened(recorded, inventory.resources.get(key)?);
                (!how.is_empty()).then(|| (key.name.clone(), how))
            },
        );
        Self {
            weakened: weakened.collect(),
            retention: retention.collect(),
            stack: state.stack.clone(),
            healthy: groups.values().all(|group| group.healthy),
            groups,
            nodes,
            resources,
        }
    }

    /// The status for people.
    pub(super) fn text(&self, style: Style) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["NODE", "ROLE", "ADDRESS", "PROCESS", "UP", "RESTARTS", "MEMBER"]);
        for node in &self.nodes {
            let up = node.up_seconds.map(|seconds| {
                let exact = humantime::format_duration(Duration::from_secs(seconds)).to_string();
                exact.split(' ').take(2).collect::<Vec<_>>().join(" ")
            });
            table.add_row([
                Cell::new(&node.node),
                Cell::new(&node.role),
                Cell::new(node.address.as_deref().unwrap_or("-")),
                Cell::new(&node.process),
                Cell::new(up.as_deref().unwrap_or("-")),
                Cell::new(node.restarts),
                Cell::new(&node.member),
            ]);
        }
        fit(&mut table);
        let mut out = String::new();
        for (name, group) in &self.groups {
            let (sign, words) = match &group.reason {
                None => (style.good("✓"), "healthy".to_owned()),
                Some(reason) => (style.bad("✗"), style.bad(reason)),
            };
            let leader = group.leader.as_ref().map(|leader| format!(", led by {leader}")).unwrap_or_default();
            let up = group.up.map_or_else(|| "not known how many".to_owned(), |up| up.to_string());
            out.push_str(&format!("{sign} {name}: {words} ({up} of {} up{leader})\n", group.members));
        }
        for (topic, how) in &self.weakened {
            for what in how {
                let what = format!("{what}; another hand set it");
                out.push_str(&format!("{} {topic}: {}\n", style.bad("!"), style.bad(&what)));
            }
        }
        let trimmed: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        format!("{out}\n{}\n{}", trimmed.join("\n"), self.retention_text(style))
    }

    /// Those topics first that size deletes from before time does.
    fn retention_text(&self, style: Style) -> String {
        let (first, others): (Vec<_>, Vec<_>) =
            self.retention.iter().partition(|(_, lasts)| lasts.size_first);
        let mut out = String::new();
        for (name, lasts) in first.iter().chain(&others).take(TOPICS_SHOWN) {
            let sign = if lasts.size_first { style.changing("…") } else { style.good("✓") };
            out.push_str(&format!("{sign} {name} {}\n", lasts.told));
        }
        let more = self.retention.len().saturating_sub(TOPICS_SHOWN);
        if more > 0 {
            out.push_str(&format!("  and {more} topics more; `--output json` has them all\n"));
        }
        if out.is_empty() { out } else { format!("\n{out}") }
    }
}

/// How many topics are told of. Those of a large stack would hide its nodes.
const TOPICS_SHOWN: usize = 10;

/// Columns that give way where a terminal is too narrow for all, the first one first. A pipe gets them all.
const GIVE_WAY: [usize; 4] = [5, 4, 1, 2];

fn fit(table: &mut Table) {
    let Some(width) = table.width() else { return };
    // Each column has a space at either side.
    let needed: Vec<u16> = table.column_max_content_widths().iter().map(|column| column + 2).collect();
    let mut sum: u16 = needed.iter().sum();
    for number in GIVE_WAY {
        if sum <= width {
            break;
        }
        sum -= needed[number];
        if let Some(column) = table.column_mut(number) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
}

fn group(registry: &Registry, state: &State, inventory: &Inventory, name: &str) -> GroupStatus {
    let group = &state.groups[name];
    let members: Vec<Arc<Member>> = group
        .members
        .iter()
        .filter_map(|key| Member::of(&state.resources.get(key)?.inputs).ok().map(Arc::new))
        .collect();
    let gone =
        |key: &Key| inventory.resources.get(key).is_none_or(|seen| seen.process() == Some(ProcessSeen::Gone));
    let view = inventory.groups.get(name);
    let health = match view.and_then(|view| stranger(registry, state, name, view)) {
        Some(another) => Health::Unhealthy(another.reason),
        None => match (registry.role_named(&group.role), view) {
            _ if group.members.iter().all(gone) => Health::Unhealthy("stopped".into()),
            (Some(role), Some(view)) => role.health(view, &members, &BTreeSet::new()),
            (None, _) => Health::Unhealthy(format!("this program doesn't know the role {}", group.role)),
            (_, None) => Health::Unhealthy("no member exists".into()),
        },
    };
    // Asked at its port alone, another process is taken for a member.
    let runs =
        |key: &Key| inventory.resources.get(key).is_none_or(|seen| seen.process() != Some(ProcessSeen::Gone));
    let taken = view.and_then(|view| group.members.iter().find(|key| view.is_up(&key.name) && !runs(key)));
    let health = match taken {
        Some(key) if health.is_healthy() => {
            Health::Unhealthy(format!("{} has no process, yet its group takes it to be up", key.name))
        }
        _ => health,
    };
    GroupStatus {
        healthy: health.is_healthy(),
        reason: health.lacks(),
        up: view.map_or(Some(0), |view| view.is_known().then(|| view.up_count())),
        members: group.members.len(),
        leader: view.and_then(|view| view.leader()).map(str::to_owned),
    }
}

/// Where clients reach a node: at its port of that name, at one that its role serves them at, else at its first.
fn address(facts: &NodeFacts, served: &[String]) -> Option<String> {
    let purposes = std::iter::once("client").chain(served.iter().map(String::as_str));
    purposes.chain(facts.ports.keys().map(String::as_str)).find_map(|purpose| facts.endpoint(purpose))
}

fn node(key: &Key, facts: &NodeFacts, served: &[String], inventory: &Inventory) -> NodeStatus {
    let run = match inventory.resources.get(key) {
        Some(Observed::Present { detail, .. }) => detail.get("run").cloned().unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    let number = |name: &str| run.get(name).and_then(serde_json::Value::as_u64);
    let member = inventory.groups.get(&facts.group).and_then(|view| view.members.get(&key.name));
    NodeStatus {
        node: key.name.clone(),
        role: facts.role.clone(),
        host: facts.host.name.clone(),
        address: address(facts, served),
        process: word(inventory.resources.get(key)),
        pid: number("pid"),
        // By its host's own word: two hosts may be of two minds about the time of day.
        up_seconds: number("age_ms").map(|age| age / 1000),
        restarts: number("restarts").unwrap_or(0),
        member: member.map_or_else(|| "unknown".to_owned(), |member| member.note.clone()),
    }
}

fn word(observed: Option<&Observed>) -> String {
    match observed {
        Some(Observed::Present { status, .. }) => status.clone(),
        Some(Observed::Absent) | None => "absent".into(),
        Some(Observed::Unknown(why)) => format!("unknown ({why})"),
    }
}
