//! What any host must do.

use crate::bench::{Bench, Part, STOP, beginning, parts};
use octad::clock::Until;
use octad::host::{HostChange, HostError, NodeObservation, RunState, Stop};
use std::time::{Duration, Instant};

/// All of it.
pub(crate) const CONTRACT: &[(&str, Part)] = parts!(
    a_host_comes_to_be_once,
    a_node_is_formatted_once,
    foreign_data_is_not_formatted,
    data_of_another_id_is_foreign,
    the_same_files_are_the_same_generation,
    altered_files_are_seen_and_put_right,
    a_node_without_data_does_not_start,
    a_node_that_lost_its_data_does_not_start,
    a_node_that_lost_its_data_can_be_given_an_empty_disk,
    a_stop_that_comes_late_changes_nothing,
    a_running_node_is_not_started_again,
    a_new_generation_waits_for_a_restart,
    a_stop_is_final_and_may_be_repeated,
    a_renamed_node_goes_on_with_its_data,
    an_unknown_node_is_stopped_renamed_and_removed_already,
    a_removed_node_is_gone_with_its_data,
    a_halted_host_keeps_all_and_starts_what_ran,
    a_destroyed_host_leaves_nothing,
    a_change_begins_anew_what_it_names_and_nothing_else,
);

async fn a_host_comes_to_be_once(bench: &Bench) {
    assert_eq!(bench.host.power().await.unwrap(), None);
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    assert!(bench.host.nodes().await.unwrap().is_empty());
    let address = bench.host.boot().await.unwrap();
    assert_eq!(bench.host.boot().await.unwrap(), address);
    assert_eq!(bench.host.power().await.unwrap(), Some(true));
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
}

async fn a_node_is_formatted_once(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.format(&beginning(&bench.deployment, false)).await.unwrap();
    assert_eq!(bench.host.nodes().await.unwrap(), [bench.name().to_owned()].into());
    let node = bench.node().await;
    assert!(node.data);
    assert_eq!((node.deployment, node.run), (None, RunState::Stopped));
}

async fn foreign_data_is_not_formatted(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.harm.put_foreign_data();
    for _ in 0..2 {
        let refused = bench.host.format(&beginning(&bench.deployment, true)).await;
        assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    }
    assert!(!bench.node().await.data);
    assert_eq!(bench.host.nodes().await.unwrap(), [bench.name().to_owned()].into());
}

async fn data_of_another_id_is_foreign(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    let mut other = bench.deployment.clone();
    other.facts.id += 1;
    let refused = bench.host.format(&beginning(&other, true)).await;
    assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
}

async fn the_same_files_are_the_same_generation(bench: &Bench) {
    bench.host.boot().await.unwrap();
    let first = bench.host.install(&bench.deployment).await.unwrap();
    let again = bench.host.install(&bench.deployment).await.unwrap();
    assert_eq!(first, again);
    let other = bench.host.install(&bench.with_setting("maxClientCnxns", "61")).await.unwrap();
    assert_ne!(first, other);
    // Whatever is other in the document, and be it in no file.
    let mut command = bench.deployment.clone();
    command.fence = Some(vec!["/bin/true".into()]);
    assert_ne!(bench.host.install(&command).await.unwrap(), first);
    assert_eq!(bench.node().await.deployment, Some(serde_json::to_value(&command).unwrap()));
    assert_eq!(bench.host.install(&bench.deployment).await.unwrap(), first);
    let node = bench.node().await;
    assert_eq!(node.deployment, Some(serde_json::to_value(&bench.deployment).unwrap()));
    assert_eq!(node.altered, Vec::<String>::new());
    assert!(!node.data);
}

async fn altered_files_are_seen_and_put_right(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.install(&bench.deployment).await.unwrap();
    bench.harm.alter_file();
    assert_eq!(bench.node().await.altered, ["zoo.cfg"]);
    let rendered = bench.host.render(&bench.deployment);
    let mut lying = bench.host.files("zk-1").await.unwrap();
    assert_ne!(lying.remove("zoo.cfg"), rendered.get("zoo.cfg").cloned());
    assert!(lying.iter().all(|(name, text)| rendered.get(name) == Some(text)));
    bench.host.install(&bench.deployment).await.unwrap();
    assert_eq!(bench.node().await.altered, Vec::<String>::new());
    assert_eq!(bench.host.files("zk-1").await.unwrap(), rendered);
}

async fn a_node_without_data_does_not_start(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.install(&bench.deployment).await.unwrap();
    let refused = bench.host.start(bench.name()).await;
    assert!(matches!(refused, Err(HostError::NotStarted { .. })), "{refused:?}");
    assert!(matches!(bench.node().await.run, RunState::Failed { .. }));
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_node_that_lost_its_data_does_not_start(bench: &Bench) {
    bench.made().await;
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.harm.lose_data();
    assert!(!bench.node().await.data);
    let refused = bench.host.start(bench.name()).await;
    assert!(matches!(refused, Err(HostError::NotStarted { .. })), "{refused:?}");
}

async fn a_node_that_lost_its_data_can_be_given_an_empty_disk(bench: &Bench) {
    bench.made().await;
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.harm.lose_data();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    assert!(bench.node().await.data);
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_stop_that_comes_late_changes_nothing(bench: &Bench) {
    bench.made().await;
    let before = bench.node().await;
    let passed = Until::within(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refused = bench.host.stop(bench.name(), STOP, Some(passed)).await;
    assert!(matches!(refused, Err(HostError::TooLate { .. })), "{refused:?}");
    let pid = |node: &NodeObservation| match node.run {
        RunState::Running { pid, .. } => pid,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(pid(&bench.node().await), pid(&before));
    bench.host.stop(bench.name(), STOP, Some(Until::within(Duration::from_secs(60)))).await.unwrap();
    assert_eq!(bench.node().await.run, RunState::Stopped);
}

async fn a_running_node_is_not_started_again(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    bench.host.start(bench.name()).await.unwrap();
    assert_eq!(bench.pid().await, pid);
}

async fn a_new_generation_waits_for_a_restart(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    assert!(bench.is_current().await);
    bench.host.install(&bench.deployment).await.unwrap();
    assert!(bench.is_current().await, "the same generation again changes nothing");
    bench.host.install(&bench.with_setting("maxClientCnxns", "61")).await.unwrap();
    assert!(!bench.is_current().await);
    assert_eq!(bench.pid().await, pid, "what runs goes on");
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_stop_is_final_and_may_be_repeated(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.stop(bench.name(), STOP, None).await.unwrap();
        assert_eq!(bench.node().await.run, RunState::Stopped);
    }
    assert!(bench.node().await.data);
}

async fn a_renamed_node_goes_on_with_its_data(bench: &Bench) {
    let mut renamed = bench.deployment.clone();
    renamed.facts.node = "zk-a".into();
    let there = || bench.host.node("zk-a");
    bench.made().await;
    assert!(bench.host.rename(bench.name(), "zk-a").await.is_err(), "it runs");
    assert_eq!(there().await.unwrap(), None);
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    for _ in 0..2 {
        bench.host.rename(bench.name(), "zk-a").await.unwrap();
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
        let node = there().await.unwrap().unwrap();
        assert_eq!((node.data, node.run), (true, RunState::Stopped));
    }
    // It holds what it held, and its marker has the new name.
    let mut other = renamed.clone();
    other.facts.id += 1;
    let refused = bench.host.format(&beginning(&other, true)).await;
    assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    bench.host.format(&beginning(&renamed, true)).await.unwrap();
    bench.host.install(&renamed).await.unwrap();
    bench.host.start("zk-a").await.unwrap();
    let node = there().await.unwrap().unwrap();
    assert_eq!(node.deployment, Some(serde_json::to_value(&renamed).unwrap()));
    assert!(matches!(node.run, RunState::Running { current: true, .. }));
    bench.host.rename(bench.name(), "zk-a").await.unwrap();
    assert!(matches!(there().await.unwrap().unwrap().run, RunState::Running { current: true, .. }));
    // Nothing is left that its host would start by the old name.
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    let taken = bench.host.rename(bench.name(), "zk-a").await;
    assert!(matches!(taken, Err(HostError::NameTaken { .. })), "{taken:?}");
}

async fn an_unknown_node_is_stopped_renamed_and_removed_already(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.stop("nobody", STOP, None).await.unwrap();
    bench.host.rename("nobody", "somebody").await.unwrap();
    bench.host.remove("nobody").await.unwrap();
    assert!(bench.host.start("nobody").await.is_err());
    assert_eq!(bench.host.node("nobody").await.unwrap(), None);
}

async fn a_removed_node_is_gone_with_its_data(bench: &Bench) {
    bench.made().await;
    assert!(bench.host.remove(bench.name()).await.is_err(), "it runs");
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    for _ in 0..2 {
        bench.host.remove(bench.name()).await.unwrap();
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    }
    bench.made().await;
    assert!(bench.is_current().await);
}

async fn a_halted_host_keeps_all_and_starts_what_ran(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.halt().await.unwrap();
        assert_eq!(bench.host.power().await.unwrap(), Some(false));
    }
    let node = bench.node().await;
    assert_eq!((node.data, node.run), (true, RunState::Stopped));
    assert!(bench.host.start(bench.name()).await.is_err(), "the host is down");
    // A host that is down can't be told to forget what it ran.
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.boot().await.unwrap();
    let begun = Instant::now();
    while !matches!(bench.node().await.run, RunState::Running { current: true, .. }) {
        assert!(begun.elapsed() < Duration::from_secs(10), "its host does not start it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert_eq!(bench.node().await.run, RunState::Stopped, "what was stopped stays so");
}

async fn a_destroyed_host_leaves_nothing(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.destroy().await.unwrap();
        assert_eq!(bench.host.power().await.unwrap(), None);
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
        assert!(bench.harm.nothing_is_left());
    }
}

async fn a_change_begins_anew_what_it_names_and_nothing_else(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    let nodes = [bench.with_setting("maxClientCnxns", "61")];
    let late = Stop { timeout: STOP, until: Some(Until::within(Duration::ZERO)) };
    tokio::time::sleep(Duration::from_millis(5)).await;
    let anew = |stop| [(bench.name().to_owned(), stop)].into();
    let refused = bench.host.apply(&HostChange { nodes: &nodes, anew: &anew(late), boots: false }).await;
    assert!(matches!(refused, Err(HostError::TooLate { .. })), "{refused:?}");
    assert_eq!(bench.pid().await, pid);
    let in_time = Stop { timeout: STOP, until: Some(Until::within(Duration::from_secs(60))) };
    let generations =
        bench.host.apply(&HostChange { nodes: &nodes, anew: &anew(in_time), boots: false }).await.unwrap();
    assert_eq!(generations.keys().collect::<Vec<_>>(), [bench.name()]);
    assert!(bench.is_current().await);
    bench.host.confirm().await.unwrap();
    let changed = bench.pid().await;
    assert_ne!(changed, pid);
    // A node that goes on as it is isn't touched.
    bench.host.apply(&HostChange { nodes: &nodes, anew: &Default::default(), boots: false }).await.unwrap();
    bench.host.confirm().await.unwrap();
    assert_eq!(bench.pid().await, changed);
    assert!(!bench.host.unconfirmed().await.unwrap());
}
