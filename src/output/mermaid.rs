//! The architecture of a declared stack as a Mermaid flowchart: groups of hosts with their nodes, what holds which
//! topics, and which group needs which. The same declaration gives the same text.

use crate::model::{Key, NodeFacts, counted};
use crate::stack::{Declaration, Needs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The diagram.
pub(super) fn text(stack: &Declaration) -> String {
    let nodes: BTreeMap<&Key, NodeFacts> = stack
        .resources
        .iter()
        .filter_map(|(key, declared)| Some((key, NodeFacts::of(&declared.inputs).ok()?)))
        .collect();
    let mut by_host: BTreeMap<&str, Vec<&NodeFacts>> = BTreeMap::new();
    for facts in nodes.values() {
        by_host.entry(&facts.host.name).or_default().push(facts);
    }
    let mut out = String::from("flowchart TB\n");
    for (name, group) in &stack.groups {
        let _ = writeln!(
            out,
            "  subgraph {}[\"{name}: {} × {}\"]",
            id("group", name),
            group.members.len(),
            group.role
        );
        // Without this line Mermaid stacks the hosts; with it they stand side by side, the last one first.
        out.push_str("    direction TB\n");
        for (host, nodes) in by_host.iter().rev() {
            if nodes.iter().all(|facts| facts.group == *name) {
                draw_host(&mut out, "    ", host, nodes);
            }
        }
        out.push_str("  end\n");
    }
    // One that runs nodes of several groups stands in none of them.
    for (host, nodes) in &by_host {
        if nodes.iter().any(|facts| facts.group != nodes[0].group) {
            draw_host(&mut out, "  ", host, nodes);
            for facts in nodes {
                let _ = writeln!(out, "  {} -.- {}", id("group", &facts.group), id("node", &facts.node));
            }
        }
    }
    for (key, declared) in stack.resources.iter().filter(|(key, _)| !nodes.contains_key(key)) {
        for needs in &declared.needs {
            if let Needs::Group(group) = needs {
                let label = described(key, &declared.inputs);
                let _ =
                    writeln!(out, "  {}[(\"{label}\")] --- {}", id(&key.kind, &key.name), id("group", group));
            }
        }
    }
    let edges: BTreeSet<(&str, &str)> = nodes
        .iter()
        .flat_map(|(key, facts)| {
            let needed = stack.resources[*key].needs.iter().filter_map(|needs| match needs {
                Needs::Group(group) => Some(group.as_str()),
                Needs::Resource(_) => None,
            });
            needed.map(|needed| (facts.group.as_str(), needed))
        })
        .collect();
    for (group, needed) in edges {
        let _ = writeln!(out, "  {} -- needs --> {}", id("group", group), id("group", needed));
    }
    out
}

fn draw_host(out: &mut String, indent: &str, host: &str, nodes: &[&NodeFacts]) {
    let _ = writeln!(out, "{indent}subgraph {}[\"host {host}\"]", id("host", host));
    for facts in nodes {
        let port = facts.ports.get("client").or(facts.ports.values().next());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let at = match facts.host.address.known() {
            Ok(address) => format!("{address}{port}"),
            Err(_) => "address known after up".to_owned(),
        };
        let (node, role) = (&facts.node, &facts.role);
        let _ = writeln!(out, "{indent}  {}[\"<b>{node}</b><br>{role}<br>{at}\"]", id("node", node));
    }
    let _ = writeln!(out, "{indent}end");
}

/// A resource that a group holds, with its figures.
fn described(key: &Key, inputs: &Value) -> String {
    let figure = |name: &str| inputs.get(name).and_then(Value::as_i64);
    let figures = figure("partitions").zip(figure("replication_factor")).map(|(partitions, replicas)| {
        format!("<br>{} × {}", counted(partitions, "partition"), counted(replicas, "replica"))
    });
    format!("{} <b>{}</b>{}", key.kind, key.name, figures.unwrap_or_default())
}

/// An id as Mermaid takes it: letters, digits and underscores. Names that differ only in other characters stay apart
/// by the code of each.
fn id(kind: &str, name: &str) -> String {
    let mut id = format!("{kind}_");
    for letter in name.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' => id.push(letter),
            '-' => id.push('_'),
            other => {
                let _ = write!(id, "_{:x}_", u32::from(other));
            }
        }
    }
    id
}
