//! When a cluster of brokers is healthy. Pure.

use super::seen::{Seen, cluster, left_out};
use crate::kafka::{BrokerAnswer, ControllerStanding, LocatedPartition};
use crate::role::{GroupView, Health};
use std::collections::BTreeSet;

pub(super) fn health(view: &GroupView, without: &BTreeSet<String>) -> Health {
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
