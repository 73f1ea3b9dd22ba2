//! The wire against real servers: a Kafka cluster in ZooKeeper mode, a ZooKeeper ensemble, and strangers.

mod claims;
mod newcomers;
mod servers;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use octad::kafka::{
    BrokerAnswer, ClusterView, ConfigSource, ControllerStanding, Kafka, KafkaError, NewTopic, Safeguards,
    Timeouts, TopicPartition,
};
use octad::wire::{NetworkWire, Wire};
use octad::zookeeper::{EnsembleView, Healthy, MemberView, Mode, Unhealthy};

use self::servers::{Cluster, Ensemble};

/// Generous: JVMs start beside other builds on two cores.
const PATIENCE: Duration = Duration::from_secs(90);

fn wire() -> NetworkWire {
    let kafka = Timeouts { answer: Duration::from_secs(2), ..Timeouts::default() };
    NetworkWire::new(kafka, octad::zookeeper::Timeout::default())
}

/// Describes until the view is as wanted.
async fn until(kafka: &Arc<dyn Kafka>, what: &str, wanted: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = kafka.describe().await;
        match seen {
            Ok(view) if wanted(&view) => return view,
            seen if Instant::now() > deadline => panic!("not seen in {PATIENCE:?}: {what}; last: {seen:#?}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn whole(view: &ClusterView, brokers: usize) -> bool {
    let agreed = matches!(view.controller_standing(), ControllerStanding::Agreed(_));
    let all = |alive: &BTreeSet<i32>| alive.len() == brokers;
    let everyone = view.answers.values().all(|answer| match answer {
        BrokerAnswer::Answered { alive, differing, .. } => all(alive) && differing.is_empty(),
        BrokerAnswer::Silent { .. } => false,
    });
    agreed && everyone && view.under_replicated().next().is_none()
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions,
        replication_factor,
        configs: BTreeMap::new(),
        placement: Vec::new(),
    }
}

fn one(topic: &str, partition: i32) -> BTreeSet<TopicPartition> {
    BTreeSet::from([TopicPartition::new(topic, partition)])
}

#[tokio::test]
async fn a_cluster_is_described_and_changed() {
    // One cluster for all of it, since starting it takes longest; each part cleans up or names its topics.
    let mut cluster = Cluster::start(3);
    let kafka = wire().kafka(&cluster.bootstrap(), &[]);
    a_fresh_cluster_is_seen_whole(&cluster, &kafka).await;
    a_topic_lives_from_creation_to_deletion(&kafka).await;
    a_broker_tells_what_topics_inherit(&kafka).await;
    refusals_carry_kafkas_words(&cluster, &kafka).await;
    a_reordered_partition_is_led_by_its_new_first_replica(&kafka).await;
    a_moved_replica_is_a_reassignment_until_it_caught_up(&kafka).await;
    a_controller_outside_the_bootstrap_is_found(&cluster, &kafka).await;
    a_frozen_broker_is_silent_not_an_error(&mut cluster, &kafka).await;
    a_killed_controller_is_replaced(&mut cluster, &kafka).await;
    a_single_zookeeper_is_healthy_alone(&mut cluster).await;
    without_zookeeper_no_broker_is_asked_for_settings(&mut cluster).await;
}

/// A broker that is asked for settings meanwhile waits with one of its two request threads until ZooKeeper is back.
async fn without_zookeeper_no_broker_is_asked_for_settings(cluster: &mut Cluster) {
    let kafka = wire().kafka(&cluster.bootstrap(), &[cluster.zookeeper.address(1)]);
    let named = until(&kafka, "the controller that ZooKeeper names", |view| whole(view, 3)).await;
    assert!(named.controller.is_some());
    cluster.zookeeper.members[0].kill();
    for _ in 0..5 {
        assert!(matches!(kafka.describe().await, Err(KafkaError::NoZookeeper)));
    }
    // All of them still answer.
    let clients = octad::kafka::Client::new(cluster.bootstrap(), octad::kafka::Timeouts::default());
    let (_, partitions) = clients.partitions().await.unwrap();
    assert!(!partitions.is_empty());
    for id in 1..=3 {
        let one = octad::kafka::Client::new(vec![cluster.address(id)], octad::kafka::Timeouts::default());
        one.partitions().await.unwrap();
    }
}

async fn a_fresh_cluster_is_seen_whole(cluster: &Cluster, kafka: &Arc<dyn Kafka>) {
    let view = until(kafka, "a whole cluster", |view| whole(view, 3)).await;
    assert_eq!(view.cluster_id.as_ref().unwrap().len(), 22);
    assert_eq!(view.seen_by, view.controller);
    assert_eq!(view.reassignments, Some(vec![]));
    assert!(view.topics.is_empty());
    for id in 1..=3 {
        assert_eq!(view.brokers[&id].address(), cluster.address(id));
        assert_eq!(view.brokers[&id].rack, Some(format!("zone-{id}")));
        assert!(
            matches!(view.answers[&cluster.address(id)], BrokerAnswer::Answered { id: Some(of), .. } if of == id)
        );
    }
}

async fn a_topic_lives_from_creation_to_deletion(kafka: &Arc<dyn Kafka>) {
    let set = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let configs = set(&[("retention.ms", "60000"), ("segment.bytes", "1048576")]);
    let orders = NewTopic { configs: configs.clone(), ..topic("orders", 3, 3) };
    let id = kafka.create_topic(&orders).await.unwrap();
    let view = kafka.describe().await.unwrap();
    let seen = &view.topics["orders"];
    assert_eq!(seen.id, id);
    assert_eq!((seen.partitions.len(), seen.min_insync_replicas, seen.internal), (3, 2, false));
    assert_eq!(seen.configs, configs);
    let id = id.unwrap();
    assert_eq!(id.len(), 22);
    assert!(seen.partitions.values().all(|p| p.replicas.len() == 3 && p.leader.is_some()));

    let error = kafka.create_topic(&orders).await.unwrap_err();
    assert!(matches!(&error, KafkaError::TopicExists { topic } if topic == "orders"), "{error}");

    kafka.grow_topic("orders", 5).await.unwrap();
    let unset = BTreeSet::from(["retention.ms".to_string()]);
    kafka.alter_topic_configs("orders", &set(&[("min.insync.replicas", "1")]), &unset).await.unwrap();
    let view = kafka.describe().await.unwrap();
    assert_eq!(view.topics["orders"].partitions.len(), 5);
    assert_eq!(view.topics["orders"].min_insync_replicas, 1);
    assert_eq!(
        view.topics["orders"].configs,
        set(&[("min.insync.replicas", "1"), ("segment.bytes", "1048576")])
    );
    let all = kafka.describe_topic_configs("orders").await.unwrap();
    assert_eq!(all["min.insync.replicas"].source, ConfigSource::DynamicTopic);
    assert_eq!(all["retention.ms"].source, ConfigSource::Default);
    assert_eq!(all["segment.bytes"].value.as_deref(), Some("1048576"));

    let placement = vec![vec![2, 3], vec![3, 1]];
    let placed = NewTopic { placement: placement.clone(), configs, ..topic("placed", 2, 2) };
    kafka.create_topic(&placed).await.unwrap();
    let view = kafka.describe().await.unwrap();
    let seen = &view.topics["placed"];
    assert_eq!(seen.partitions.values().map(|p| p.replicas.clone()).collect::<Vec<_>>(), placement);
    assert_eq!((seen.partitions[&0].leader, seen.configs.len()), (Some(2), 2));
    kafka.delete_topic("placed").await.unwrap();

    // By its id only that one goes, whatever its name is given to.
    let strange = "AAAAAAAAAAAAAAAAAAAAAg";
    for other in [strange, "no id"] {
        let error = kafka.delete_topic_of_id("orders", other).await.unwrap_err();
        assert!(matches!(&error, KafkaError::UnknownTopic { topic } if topic == "orders"), "{error}");
    }
    assert_eq!(kafka.describe().await.unwrap().topics["orders"].id.as_ref(), Some(&id));
    kafka.delete_topic_of_id("orders", &id).await.unwrap();
    assert!(!kafka.describe().await.unwrap().topics.contains_key("orders"));
    for error in [
        kafka.delete_topic("absent").await.unwrap_err(),
        kafka.grow_topic("absent", 9).await.unwrap_err(),
        kafka
            .alter_topic_configs("absent", &set(&[("retention.ms", "1")]), &BTreeSet::new())
            .await
            .unwrap_err(),
        kafka.describe_topic_configs("absent").await.unwrap_err(),
    ] {
        assert!(matches!(&error, KafkaError::UnknownTopic { topic } if topic == "absent"), "{error}");
    }
}

async fn a_broker_tells_what_topics_inherit(kafka: &Arc<dyn Kafka>) {
    let settings = kafka.describe_broker_configs().await.unwrap();
    assert_eq!(settings["log.retention.hours"].value.as_deref(), Some("168"));
    assert_eq!(settings["log.retention.ms"].value, None);
    assert_eq!(settings["min.insync.replicas"].source, ConfigSource::StaticBroker);
    // As the broker reckons for a topic without a setting of its own.
    kafka.create_topic(&topic("plain", 1, 1)).await.unwrap();
    let all = kafka.describe_topic_configs("plain").await.unwrap();
    let own = all.into_iter().filter_map(|(name, entry)| Some((name, entry.value?))).collect();
    let inherited = Safeguards::of_broker(|name| settings.get(name)?.value.clone());
    let reckoned = inherited.with_topic(&own);
    assert_eq!((inherited.lowered(&reckoned), reckoned.lowered(&inherited)), (vec![], vec![]));
    kafka.delete_topic("plain").await.unwrap();
}

async fn refusals_carry_kafkas_words(cluster: &Cluster, kafka: &Arc<dyn Kafka>) {
    let controller = kafka.describe().await.unwrap().controller.unwrap();
    let at = cluster.address(controller);
    let error = kafka.create_topic(&topic("wide", 1, 4)).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "broker at {at} refused CreateTopics for topic wide: INVALID_REPLICATION_FACTOR ("
        )),
        "{error}"
    );
    kafka.create_topic(&topic("narrow", 2, 1)).await.unwrap();
    let error = kafka.grow_topic("narrow", 1).await.unwrap_err().to_string();
    assert!(error.contains("refused CreatePartitions for topic narrow: INVALID_PARTITIONS ("), "{error}");
    let nonsense = BTreeMap::from([("retention.ms".to_string(), "soon".to_string())]);
    let error =
        kafka.alter_topic_configs("narrow", &nonsense, &BTreeSet::new()).await.unwrap_err().to_string();
    assert!(
        error.contains("refused IncrementalAlterConfigs for topic narrow: INVALID_CONFIG (")
            && error.contains("soon"),
        "{error}"
    );
    let orders = BTreeMap::from([(TopicPartition::new("narrow", 1), vec![9])]);
    let error = kafka.reassign(&orders).await.unwrap_err().to_string();
    assert!(
        error.contains("refused AlterPartitionReassignments for narrow-1: INVALID_REPLICA_ASSIGNMENT"),
        "{error}"
    );
    kafka.delete_topic("narrow").await.unwrap();
}

async fn a_reordered_partition_is_led_by_its_new_first_replica(kafka: &Arc<dyn Kafka>) {
    kafka.create_topic(&topic("turned", 1, 3)).await.unwrap();
    let before =
        until(kafka, "a full ISR", |view| whole(view, 3)).await.topics["turned"].partitions[&0].clone();
    let mut replicas = before.replicas.clone();
    replicas.rotate_left(1);
    let orders = BTreeMap::from([(TopicPartition::new("turned", 0), replicas.clone())]);
    kafka.reassign(&orders).await.unwrap();
    assert_eq!(kafka.list_reassignments().await.unwrap(), []);
    let view =
        until(kafka, "the new order", |view| view.topics["turned"].partitions[&0].replicas == replicas).await;
    assert_eq!(view.topics["turned"].partitions[&0].leader, before.leader);
    assert_eq!(view.not_preferred().map(|p| p.name()).collect::<BTreeSet<_>>(), one("turned", 0));
    assert_eq!(view.under_replicated().count(), 0);

    kafka.elect_preferred(&one("turned", 0)).await.unwrap();
    let view = kafka.describe().await.unwrap();
    assert_eq!(view.topics["turned"].partitions[&0].leader, Some(replicas[0]));
    assert_eq!(view.not_preferred().count(), 0);
    kafka.elect_preferred(&one("turned", 0)).await.expect("an election that is not needed is no error");

    let error = kafka.elect_preferred(&one("turned", 7)).await.unwrap_err();
    let KafkaError::PartitionsRejected { failures, .. } = &error else { panic!("{error}") };
    assert_eq!(failures[0].partition, TopicPartition::new("turned", 7));
    assert_eq!(failures[0].code.to_string(), "UNKNOWN_TOPIC_OR_PARTITION");
}

async fn a_moved_replica_is_a_reassignment_until_it_caught_up(kafka: &Arc<dyn Kafka>) {
    kafka.create_topic(&topic("moved", 1, 1)).await.unwrap();
    let before = kafka.describe().await.unwrap().topics["moved"].partitions[&0].replicas[0];
    let after = before % 3 + 1;
    let orders = BTreeMap::from([(TopicPartition::new("moved", 0), vec![after])]);
    kafka.reassign(&orders).await.unwrap();
    // An empty partition moves in milliseconds: whether it is still seen in flight is chance.
    for inflight in kafka.list_reassignments().await.unwrap() {
        assert_eq!((inflight.topic.as_str(), inflight.partition), ("moved", 0));
        assert_eq!((inflight.adding, inflight.removing), (vec![after], vec![before]));
    }
    let moved = |view: &ClusterView| view.topics["moved"].partitions[&0].replicas == [after];
    let view = until(kafka, "the replica moved", |v| moved(v) && v.reassignments == Some(vec![])).await;
    assert_eq!(view.replicas_on(before).filter(|p| p.topic == "moved").count(), 0);
    kafka.delete_topic("moved").await.unwrap();
}

async fn a_controller_outside_the_bootstrap_is_found(cluster: &Cluster, kafka: &Arc<dyn Kafka>) {
    let controller = kafka.describe().await.unwrap().controller.unwrap();
    let other = cluster.address(controller % 3 + 1);
    let narrow = wire().kafka(std::slice::from_ref(&other), &[]);
    let view = narrow.describe().await.unwrap();
    assert_eq!((view.controller, view.seen_by), (Some(controller), Some(controller)));
    assert_eq!(
        view.answers.keys().cloned().collect::<BTreeSet<_>>(),
        BTreeSet::from([other, cluster.address(controller)])
    );
    assert_eq!(narrow.list_reassignments().await.unwrap(), []);
}

async fn a_frozen_broker_is_silent_not_an_error(cluster: &mut Cluster, kafka: &Arc<dyn Kafka>) {
    let controller = kafka.describe().await.unwrap().controller.unwrap();
    let frozen = controller % 3 + 1;
    let address = cluster.address(frozen);
    cluster.broker(frozen).freeze();
    let view = kafka.describe().await.unwrap();
    cluster.broker(frozen).thaw();
    let BrokerAnswer::Silent { why, closed } = &view.answers[&address] else { panic!("{view:#?}") };
    assert_eq!((why.as_str(), closed), ("no answer to Metadata within 2s", &false));
    assert_eq!(view.controller_standing(), ControllerStanding::Agreed(controller));
    until(kafka, "the thawed broker", |view| whole(view, 3)).await;
}

async fn a_killed_controller_is_replaced(cluster: &mut Cluster, kafka: &Arc<dyn Kafka>) {
    kafka.create_topic(&topic("steady", 3, 3)).await.unwrap();
    let before = until(kafka, "a full ISR", |view| whole(view, 3)).await;
    let dead = before.controller.unwrap();
    let address = cluster.address(dead);
    cluster.broker(dead).kill();

    let view = kafka.describe().await.unwrap();
    let BrokerAnswer::Silent { why, closed } = &view.answers[&address] else { panic!("{view:#?}") };
    assert!(why.starts_with("cannot connect: ") && why.contains("refused") && *closed, "{why}");
    assert_eq!(view.controller_standing(), ControllerStanding::NotAnswering(dead));
    assert_eq!(view.reassignments, None, "nobody to ask");
    assert!(view.seen_by.is_some_and(|id| id != dead));

    // Asked for before there is a controller: waits for the next one.
    kafka.create_topic(&topic("patient", 1, 2)).await.unwrap();
    let view = until(kafka, "another controller and shrunken ISRs", |view| {
        matches!(view.controller_standing(), ControllerStanding::Agreed(id) if id != dead)
            && view.replicas_on(dead).all(|p| !p.state.isr.contains(&dead) && p.state.leader != Some(dead))
    })
    .await;
    assert!(view.topics.contains_key("patient"));
    assert!(!view.brokers.contains_key(&dead));
    assert_eq!(view.under_replicated().filter(|p| p.topic == "steady").count(), 3);
    assert!(view.under_replicated().all(|p| p.missing() == [dead] && p.state.offline == [dead]));
    assert_eq!((view.offline().count(), view.under_min_isr().count()), (0, 0));
    // Another one may be led by another broker too, whose own comes back to it when that is asked for.
    let orphan =
        view.not_preferred().find(|p| p.topic == "steady" && p.state.replicas.first() == Some(&dead));
    let orphan = orphan.expect("one preferred the dead broker");
    let error = kafka.elect_preferred(&one("steady", orphan.partition)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{}: PREFERRED_LEADER_NOT_AVAILABLE (", orphan.name())), "{error}");

    cluster.restart(dead);
    let view = until(kafka, "the broker back in every ISR", |view| whole(view, 3)).await;
    let displaced = view.not_preferred().map(|p| p.name()).collect();
    kafka.elect_preferred(&displaced).await.unwrap();
    assert_eq!(kafka.describe().await.unwrap().not_preferred().count(), 0);
}

async fn a_single_zookeeper_is_healthy_alone(cluster: &mut Cluster) {
    let zookeeper = wire().zookeeper();
    let members = BTreeMap::from([(1, cluster.zookeeper.address(1))]);
    let view = zookeeper.describe(&members).await;
    assert_eq!(view.health(&BTreeSet::from([1])), Ok(Healthy::Standalone { member: 1 }));
    let (_, serving) = view.serving().next().unwrap();
    assert_eq!((serving.mode, serving.synced_followers), (Mode::Standalone, None));
    assert!(serving.version.starts_with("3.9."), "{}", serving.version);
    assert!(serving.zxid > 0);
    assert!(serving.connections >= 3, "a session of each broker");
}

#[tokio::test]
async fn an_ensemble_tells_its_leader_and_its_losses() {
    let mut ensemble = Ensemble::start(3, 201);
    let members: BTreeMap<i32, String> = (1..=3).map(|id| (id, ensemble.address(id))).collect();
    let expected: BTreeSet<i32> = members.keys().copied().collect();
    let zookeeper = wire().zookeeper();
    let until = async |what: &str, wanted: &dyn Fn(&EnsembleView) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = zookeeper.describe(&members).await;
            if wanted(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "not seen in {PATIENCE:?}: {what}; last: {view:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };

    let view = until("a healthy ensemble", &|view| view.health(&expected).is_ok()).await;
    let Ok(Healthy::Ensemble { leader }) = view.health(&expected) else { panic!("{view:#?}") };
    let (_, says) = view.serving().find(|(id, _)| *id == leader).unwrap();
    assert_eq!(says.synced_followers, Some(2));

    let follower = leader % 3 + 1;
    ensemble.members[follower as usize - 1].kill();
    let view = until("the leader noticed", &|view| {
        view.serving().any(|(id, says)| id == leader && says.synced_followers == Some(1))
    })
    .await;
    assert!(
        matches!(view.health(&expected), Err(Unhealthy::Unreachable { member, .. }) if member == follower),
        "{view:#?}"
    );
    let left: BTreeSet<i32> = expected.iter().copied().filter(|id| *id != follower).collect();
    assert_eq!(view.health(&left), Ok(Healthy::Ensemble { leader }));

    ensemble.members[leader as usize - 1].kill();
    let last = 6 - leader - follower;
    until("the last one gave up serving", &|view| view.members[&last] == MemberView::NotServing).await;
}

#[tokio::test]
#[ignore = "measures the time of a description; run it alone, with --nocapture"]
async fn a_description_of_5_brokers_and_50_topics_is_fast() {
    let cluster = Cluster::start(5);
    let kafka = wire().kafka(&cluster.bootstrap(), &[]);
    until(&kafka, "a whole cluster", |view| whole(view, 5)).await;
    for number in 0..50 {
        kafka.create_topic(&topic(&format!("t{number}"), 6, 3)).await.unwrap();
    }
    until(&kafka, "full ISRs", |view| whole(view, 5)).await;
    let mut taken: Vec<Duration> = vec![];
    for _ in 0..100 {
        let start = Instant::now();
        kafka.describe().await.unwrap();
        taken.push(start.elapsed());
    }
    let first = Instant::now();
    wire().kafka(&cluster.bootstrap(), &[]).describe().await.unwrap();
    let unconnected = first.elapsed();
    taken.sort();
    eprintln!(
        "median {:?}, 95th {:?}, worst {:?}, unconnected {unconnected:?}",
        taken[50], taken[95], taken[99]
    );
    assert!(taken[50] < Duration::from_millis(100), "{taken:?}");
}
