//! What a host must do that is changed as a whole: its change is on trial until it is confirmed.

use crate::bench::{Bench, Part, STOP, parts};
use octad::clock::Until;
use octad::host::{HostChange, HostError, Stop};
use octad::model::Deployment;
use serde_json::Value;
use std::time::Duration;

/// All of it.
pub(crate) const CONTRACT: &[(&str, Part)] = parts!(
    a_change_is_on_trial_until_it_is_confirmed,
    a_change_that_is_taken_back_was_never_there,
    what_is_on_trial_is_not_booted,
    what_is_confirmed_is_booted,
    of_two_changes_on_trial_what_was_before_both_comes_back,
    where_nothing_is_on_trial_there_is_nothing_to_end,
    what_has_gone_back_is_not_confirmed,
    it_is_not_taken_back_too_late,
);

async fn apply(bench: &Bench, node: &Deployment) {
    let stop = Stop { timeout: STOP, until: None };
    let nodes = std::slice::from_ref(node);
    bench
        .host
        .apply(&HostChange { nodes, anew: &[(bench.name().to_owned(), stop)].into(), boots: false })
        .await
        .unwrap();
}

fn soon() -> Until {
    Until::within(STOP)
}

/// What the node is by its host's word, and runs with.
async fn document(bench: &Bench) -> Value {
    assert!(bench.is_current().await);
    bench.node().await.deployment.unwrap()
}

fn of(node: &Deployment) -> Value {
    serde_json::to_value(node).unwrap()
}

async fn a_change_is_on_trial_until_it_is_confirmed(bench: &Bench) {
    bench.made().await;
    assert!(!bench.host.unconfirmed().await.unwrap());
    let other = bench.with_setting("maxClientCnxns", "61");
    apply(bench, &other).await;
    assert!(bench.host.unconfirmed().await.unwrap());
    assert_eq!(document(bench).await, of(&other));
    for _ in 0..2 {
        assert!(bench.host.confirm().await.unwrap(), "and it says so however often it is asked");
        assert!(!bench.host.unconfirmed().await.unwrap());
    }
    bench.host.revert(soon()).await.unwrap();
    assert_eq!(document(bench).await, of(&other), "there is no way back");
}

async fn a_change_that_is_taken_back_was_never_there(bench: &Bench) {
    bench.made().await;
    apply(bench, &bench.with_setting("maxClientCnxns", "61")).await;
    for _ in 0..2 {
        bench.host.revert(soon()).await.unwrap();
        assert!(!bench.host.unconfirmed().await.unwrap());
        assert_eq!(document(bench).await, of(&bench.deployment));
    }
}

async fn what_is_on_trial_is_not_booted(bench: &Bench) {
    bench.made().await;
    apply(bench, &bench.with_setting("maxClientCnxns", "61")).await;
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert!(!bench.host.unconfirmed().await.unwrap());
    assert_eq!(document(bench).await, of(&bench.deployment));
}

async fn what_is_confirmed_is_booted(bench: &Bench) {
    bench.made().await;
    let other = bench.with_setting("maxClientCnxns", "61");
    apply(bench, &other).await;
    bench.host.confirm().await.unwrap();
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert_eq!(document(bench).await, of(&other));
}

async fn of_two_changes_on_trial_what_was_before_both_comes_back(bench: &Bench) {
    bench.made().await;
    apply(bench, &bench.with_setting("maxClientCnxns", "61")).await;
    apply(bench, &bench.with_setting("maxClientCnxns", "62")).await;
    bench.host.revert(soon()).await.unwrap();
    assert_eq!(document(bench).await, of(&bench.deployment));
}

async fn where_nothing_is_on_trial_there_is_nothing_to_end(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    bench.host.confirm().await.unwrap();
    bench.host.revert(soon()).await.unwrap();
    assert_eq!(bench.pid().await, pid);
}

async fn what_has_gone_back_is_not_confirmed(bench: &Bench) {
    bench.made().await;
    apply(bench, &bench.with_setting("maxClientCnxns", "61")).await;
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    for _ in 0..2 {
        assert!(!bench.host.confirm().await.unwrap());
    }
    let other = bench.with_setting("maxClientCnxns", "62");
    apply(bench, &other).await;
    assert!(bench.host.confirm().await.unwrap(), "that was the change before");
    assert_eq!(document(bench).await, of(&other));
}

async fn it_is_not_taken_back_too_late(bench: &Bench) {
    bench.made().await;
    let other = bench.with_setting("maxClientCnxns", "61");
    apply(bench, &other).await;
    let pid = bench.pid().await;
    let late = Until::within(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let refused = bench.host.revert(late).await;
    assert!(matches!(refused, Err(HostError::TooLate { .. })), "{refused:?}");
    assert_eq!((document(bench).await, bench.pid().await), (of(&other), pid));
    assert!(bench.host.unconfirmed().await.unwrap());
}
