//! One run of one fault: topic, probe, idle time, fault, recovery, reading back. Whatever happens, the fault is undone
//! and the topic removed.

use super::error::DrillError;
use super::fault::{Fault, Lasts};
use super::probe::{Assignment, Consumer, Load, Producer, read_back};
use super::scene::Scene;
use super::trial::{Notes, Trial};
use super::watch::Watch;
use crate::kafka::{Kafka, NewTopic};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// What the probe's topics are called, before a number.
const TOPIC: &str = "octad-drill-";

/// Partitions for each broker, so that every one leads some and follows some.
const PARTITIONS_PER_BROKER: i32 = 2;

/// Between the first records and the idle time: connections are made and caches filled.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long the cluster is measured while nothing goes wrong.
const IDLE: Duration = Duration::from_secs(5);

/// How long the cluster is watched once all is whole again.
const AFTER: Duration = Duration::from_secs(2);

/// How long a fault that lasts until records flow again may last at most: the user's bound on any interruption.
const UNSERVED: Duration = Duration::from_secs(60);

/// How long the stack may take to be whole again once the fault is undone.
const RECOVERY: Duration = Duration::from_secs(180);

/// How long the last records may take to be acknowledged, and to come to the consumers.
const DRAIN: Duration = Duration::from_secs(30);

/// How drills are made.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Records a second that the probe writes to each partition.
    pub rate: u32,
    /// Bytes a second that the cluster carries beside the probe; 0 for none.
    pub load: u64,
    /// Replicas of the probe's topic; the cluster's default where `None`.
    pub replicas: Option<i16>,
    /// `acks` of the probe's producer.
    pub acks: &'static str,
    /// Settings of the probe's topic that differ from the brokers'.
    pub configs: BTreeMap<String, String>,
}

impl Default for Terms {
    fn default() -> Self {
        // One record each 20 ms tells a pause of 300 ms to within a tenth, and leaves small machines to their work.
        Self { rate: 50, load: 0, replicas: None, acks: "all", configs: BTreeMap::new() }
    }
}

/// Removes what drills that were cut off have left behind.
///
/// # Errors
/// Where the cluster can't be asked.
pub async fn clear_leftovers(scene: &Scene) -> Result<(), DrillError> {
    let kafka = scene.registry().wire().kafka(&scene.bootstrap());
    let view =
        kafka.describe().await.map_err(|source| DrillError::Kafka { action: "list topics", source })?;
    for topic in view.topics.keys().filter(|name| name.starts_with(TOPIC)) {
        // One that can't be removed now hurts nobody but by its size.
        let _ = kafka.delete_topic(topic).await;
    }
    Ok(())
}

/// Drills one fault once.
///
/// # Errors
/// Where something else went wrong than what was meant to; the fault is undone by then as far as can be.
pub async fn run(scene: &Scene, fault: &dyn Fault, terms: &Terms) -> Result<Trial, DrillError> {
    if let Some(reason) = fault.refusal(scene) {
        return Err(DrillError::Refused { fault: fault.name(), reason });
    }
    let kafka = scene.registry().wire().kafka(&scene.bootstrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let run = u64::try_from(now.as_micros()).unwrap_or_default();
    let assignment = Assignment {
        bootstrap: scene.bootstrap().join(","),
        topic: format!("{TOPIC}{run:x}"),
        partitions: i32::try_from(scene.brokers().len()).unwrap_or(1) * PARTITIONS_PER_BROKER,
        run,
        rate: terms.rate,
        acks: terms.acks,
        epoch: Instant::now(),
    };
    scene.settle().await;
    create_topic(scene, kafka.as_ref(), &assignment, terms).await?;
    let result = with_topic(scene, fault, &assignment, kafka.as_ref(), terms.load).await;
    if result.is_err() {
        // What went wrong first is what must be told.
        let _ = scene.restore().await;
    }
    // Neither is what a drill is about; the next one tries again.
    Consumer::forget_group(&assignment).await;
    let _ = kafka.delete_topic(&assignment.topic).await;
    if terms.load > 0 {
        let _ = kafka.delete_topic(&load_topic(&assignment)).await;
    }
    result
}

async fn create_topic(
    scene: &Scene,
    kafka: &dyn Kafka,
    assignment: &Assignment,
    terms: &Terms,
) -> Result<(), DrillError> {
    let topic = NewTopic {
        name: assignment.topic.clone(),
        partitions: assignment.partitions,
        replication_factor: terms.replicas.unwrap_or(default_replicas(scene)),
        configs: terms.configs.clone(),
    };
    let failed = |source| DrillError::Kafka { action: "create the probe's topic", source };
    kafka.create_topic(&topic).await.map_err(failed)
}

async fn create_load_topic(
    scene: &Scene,
    kafka: &dyn Kafka,
    assignment: &Assignment,
    name: &str,
) -> Result<(), DrillError> {
    // Small segments and little kept, so that a long drill doesn't fill the disk.
    let configs = [("segment.bytes", "16777216"), ("retention.bytes", "33554432")];
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: assignment.partitions,
        replication_factor: default_replicas(scene),
        configs: configs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    let failed = |source| DrillError::Kafka { action: "create the topic for the load", source };
    kafka.create_topic(&topic).await.map_err(failed)
}

fn load_topic(assignment: &Assignment) -> String {
    format!("{}-load", assignment.topic)
}

fn default_replicas(scene: &Scene) -> i16 {
    scene.broker_setting("default.replication.factor").and_then(|text| text.parse().ok()).unwrap_or(1)
}

async fn with_topic(
    scene: &Scene,
    fault: &dyn Fault,
    assignment: &Assignment,
    kafka: &dyn Kafka,
    rate: u64,
) -> Result<Trial, DrillError> {
    let epoch = assignment.epoch;
    let load = match rate {
        0 => None,
        rate => {
            let topic = load_topic(assignment);
            create_load_topic(scene, kafka, assignment, &topic).await?;
            Some(Load::start(assignment, &topic, rate)?)
        }
    };
    let failed = |source| DrillError::Kafka { action: "ask how many replicas must be in sync", source };
    let topics = kafka.describe().await.map_err(failed)?.topics;
    let required = topics.into_iter().map(|(name, topic)| (name, topic.min_insync_replicas)).collect();
    let watch = Watch::start(scene.bootstrap(), assignment.topic.clone(), required, epoch);
    let consumer = Consumer::start(assignment)?;
    let producer = Producer::start(assignment)?;
    let flows = || {
        let acked = producer.acks_since(Duration::ZERO).iter().all(|count| *count > 0);
        acked && consumer.counts().iter().all(|count| *count > 0)
    };
    if !until(scene, RECOVERY, flows).await? {
        return Err(DrillError::Unhealthy { reason: "the probe's records do not flow".into() });
    }
    pause(scene, WARM_UP).await?;
    let idle_from = epoch.elapsed();
    pause(scene, IDLE).await?;

    let rebalances = consumer.rebalances();
    let marks = Mutex::new(Vec::new());
    let mark = |what: &str| {
        scene.events().notice(format!("{}: {what}", fault.name()));
        marks.lock().expect("no holder of the marks panics").push((epoch.elapsed(), what.to_owned()));
    };
    let target = fault.inject(scene, &mark).await?;
    let struck =
        marks.lock().expect("no holder of the marks panics").last().map_or(epoch.elapsed(), |last| last.0);
    match fault.lasts() {
        Lasts::UntilServed => {
            let served = || producer.acks_since(struck + LATE).iter().all(|count| *count > 1);
            until(scene, UNSERVED, served).await?;
        }
        Lasts::For(time) => pause(scene, time).await?,
        Lasts::Itself => {}
    }
    fault.heal(scene).await?;
    scene.restore().await?;
    let undone = epoch.elapsed();
    mark("undone");
    recovered(scene, fault, &watch, undone).await?;
    mark("whole again");
    pause(scene, AFTER).await?;

    let end = epoch.elapsed();
    let carried = load.as_ref().map_or(0, Load::carried);
    blocking(move || drop(load)).await;
    let samples = watch.finish();
    let (written, producer_done) = blocking(move || (producer.finish(DRAIN), Instant::now())).await;
    let acked = |place: usize| {
        written.get(place).map_or(0, |written: &super::probe::Written| {
            written.outcomes.iter().filter(|outcome| outcome.is_acked()).count()
        })
    };
    let all_came = || consumer.counts().iter().enumerate().all(|(place, count)| *count >= acked(place));
    let drained = until(scene, DRAIN, all_came).await?.then(|| producer_done.elapsed());
    let rebalances = consumer.rebalances() - rebalances;
    let delivered = blocking(move || consumer.finish()).await;
    scene.events().notice(format!("{}: reading the log back", fault.name()));
    let reader = assignment.clone();
    let log = blocking(move || read_back(&reader)).await?;
    let marks = marks.into_inner().expect("no holder of the marks panics");
    Ok(Trial::of(Notes {
        target,
        carried,
        run: assignment.run,
        marks,
        idle_from,
        end,
        written,
        delivered,
        rebalances,
        drained,
        log,
        samples,
    }))
}

/// Acknowledgements that were under way at the moment of the fault come within this time.
const LATE: Duration = Duration::from_millis(100);

/// Waits until the stack is healthy and every partition has all its replicas in a look that began after the fault was
/// undone.
async fn recovered(
    scene: &Scene,
    fault: &dyn Fault,
    watch: &Watch,
    undone: Duration,
) -> Result<(), DrillError> {
    let whole = || {
        watch.last().is_some_and(|sample| {
            // The look itself takes a while.
            sample.at > undone + Duration::from_secs(1) && sample.under_replicated == 0
        })
    };
    let not = |reason| DrillError::NotRecovered { fault: fault.name(), after_s: RECOVERY.as_secs(), reason };
    if !until(scene, RECOVERY, whole).await? {
        let lacking = watch.last().map_or(0, |sample| sample.under_replicated);
        return Err(not(format!("{lacking} partitions lack replicas in sync")));
    }
    scene.wait_healthy(RECOVERY).await.map_err(not)
}

/// Looks every 20 ms until it is so; whether it was in time.
async fn until(scene: &Scene, limit: Duration, so: impl Fn() -> bool) -> Result<bool, DrillError> {
    let deadline = Instant::now() + limit;
    while !so() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        pause(scene, Duration::from_millis(20)).await?;
    }
    Ok(true)
}

async fn pause(scene: &Scene, time: Duration) -> Result<(), DrillError> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = scene.options.interrupt.wait() => Err(DrillError::Interrupted),
    }
}

/// For what waits in a thread of its own, as librdkafka does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody cancels it while it is awaited here.
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}
