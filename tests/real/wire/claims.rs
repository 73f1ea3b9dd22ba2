//! Brokers that a roll claims before it stops them, in a real ZooKeeper.

use std::collections::BTreeSet;
use std::time::Duration;

use octad::clock::Until;
use octad::kafka::{self, Claim, NotClaimed};
use octad::zookeeper::Session;

use super::PATIENCE;
use super::servers::Ensemble;

/// Claims a broker, once the server serves.
async fn claimed(servers: &[String], broker: i32) -> Claim {
    let deadline = Until::within(PATIENCE);
    loop {
        match kafka::claim(servers, broker, Duration::from_secs(3)).await {
            Ok(claim) => return claim,
            Err(error) => assert!(!deadline.has_passed(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_claimed_broker_is_asked_for_until_the_claim_is_over_and_no_other_is_claimed_beside_it() {
    let mut ensemble = Ensemble::start(1, 231);
    let servers = [ensemble.address(1)];
    let claim = claimed(&servers, 3).await;
    let mut session = Session::open_any(&servers).await.unwrap();
    assert!(session.read("/octad-watchdog/asked-3").await.unwrap().is_some());

    let limit = Duration::from_secs(3);
    for other in [3, 4] {
        let refused = kafka::claim(&servers, other, limit).await;
        let Err(NotClaimed::Asked { brokers }) = refused else { panic!("{refused:?}") };
        assert_eq!(brokers, BTreeSet::from([3]), "broker {other}");
    }
    assert!(
        session.read("/octad-watchdog/asked-4").await.unwrap().is_none(),
        "what is refused leaves nothing"
    );

    // It is kept, and each time for no longer than a session lasts.
    let first = claim.until();
    let deadline = Until::within(PATIENCE);
    while claim.until() == first && !deadline.has_passed() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        claim.is_held() && claim.until() > first && claim.until() <= Until::within(Duration::from_secs(4))
    );

    claim.release().await;
    assert!(session.read("/octad-watchdog/asked-3").await.unwrap().is_none());

    // Nobody answers any more: it is over by itself, and doesn't say that it holds.
    let lost = claimed(&servers, 3).await;
    ensemble.members[0].kill();
    let deadline = Until::within(PATIENCE);
    while lost.is_held() || !lost.until().has_passed() {
        assert!(!deadline.has_passed(), "a claim holds without ZooKeeper");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
