//! One run of one fault: topic, probe, idle time, fault, recovery, reading back. Whatever happens, the fault is undone
//! and the topic removed.

mod topics;

use super::TOPIC;
use super::chronicle::Chronicler;
use super::error::DrillError;
use super::fault::{Fault, Lasts, Objective, Since};
use super::pauses;
use super::probe::{Assignment, Consumer, JavaClients, Library, Load, Producer, Shipped, read_back};
use super::scene::Scene;
use super::sign::Sign;
use super::trial::{Notes, Trial};
use super::watch::Watch;
use super::witness::Witness;
use crate::kafka::Kafka;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
pub use topics::clear_leftovers;

/// Partitions for each broker, so that every one leads some and follows some.
const PARTITIONS_PER_BROKER: i32 = 2;

/// Between the first records and the idle time, until the longest pause of such a stretch has settled: a server that
/// has just started is slow until its code is compiled.
const WARM_UP_STRETCH: Duration = Duration::from_secs(2);

/// How long that may take. What isn't steady by then is measured as it is.
const WARM_UP: Duration = Duration::from_secs(30);

/// How long the cluster is measured while nothing goes wrong.
const IDLE: Duration = Duration::from_secs(5);

/// How long the cluster is watched once all is whole again.
const AFTER: Duration = Duration::from_secs(2);

/// How long a fault that lasts until records flow again may last at most: the user's bound on any interruption.
const UNSERVED: Duration = Duration::from_secs(60);

/// How long a fault that clients are over with is kept up at most for signs of it that weren't seen yet: a session of
/// 18 s, as Kafka is shipped, and a third more for a broker that is deaf, doesn't end before.
const UNSEEN: Duration = Duration::from_secs(30);

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
    /// `acks` of the probe's producer: `all` or `1`.
    pub acks: String,
    /// Settings of the probe's topic that differ from the brokers'.
    pub configs: BTreeMap<String, String>,
    /// Libraries of which a producer writes beside the probe, with which nobody has set anything.
    pub as_shipped: Vec<Library>,
}

impl Default for Terms {
    fn default() -> Self {
        // One record each 40 ms tells a pause of 300 ms to within a seventh, and leaves small machines to their work.
        Self {
            rate: 25,
            load: 0,
            replicas: None,
            acks: "all".into(),
            configs: BTreeMap::new(),
            as_shipped: Vec::new(),
        }
    }
}

/// Drills one fault once. `java` is the second client that reads the log back, or why there is none.
///
/// # Errors
/// Where something else went wrong than what was meant to; the fault is undone by then as far as can be.
pub async fn run(
    scene: &Scene,
    fault: &dyn Fault,
    objective: Objective,
    terms: &Terms,
    java: &Result<JavaClients, String>,
) -> Result<Trial, DrillError> {
    if let Some(reason) = fault.refusal(scene) {
        return Err(DrillError::Refused { fault: fault.name(), reason });
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let run = u64::try_from(now.as_micros()).unwrap_or_default();
    let drill = Drill {
        scene,
        fault,
        since: objective.since,
        terms,
        java,
        kafka: scene.kafka(&scene.bootstrap()),
        assignment: Assignment {
            bootstrap: scene.bootstrap().join(","),
            topic: format!("{TOPIC}{run:x}"),
            partitions: i32::try_from(scene.brokers().len()).unwrap_or(1) * PARTITIONS_PER_BROKER,
            run,
            rate: terms.rate,
            acks: terms.acks.clone(),
            epoch: Instant::now(),
        },
    };
    scene.settle().await;
    let result = drill.run().await;
    if result.is_err() {
        // What went wrong first is what must be told.
        let _ = scene.restore().await;
    }
    // Neither is what a drill is about; the next one tries again.
    Consumer::forget_groups(&drill.assignment).await;
    for topic in drill.topics() {
        let _ = drill.kafka.delete_topic(&topic).await;
    }
    result
}

/// One run.
struct Drill<'a> {
    scene: &'a Scene,
    fault: &'a dyn Fault,
    since: Since,
    terms: &'a Terms,
    java: &'a Result<JavaClients, String>,
    kafka: Arc<dyn Kafka>,
    assignment: Assignment,
}

impl Drill<'_> {
    async fn run(&self) -> Result<Trial, DrillError> {
        let Self { scene, terms, java, assignment, .. } = self;
        let fault = self.fault;
        let epoch = assignment.epoch;
        self.create_topic(&assignment.topic, terms.replicas, terms.configs.clone()).await?;
        let load = self.load().await?;
        let shipped = self.shipped().await?;
        let topics = self.known_everywhere().await?.topics;
        let required = topics.into_iter().map(|(name, topic)| (name, topic.min_insync_replicas)).collect();
        let watch = Watch::start(scene.bootstrap(), assignment.topic.clone(), required, epoch);
        let consumer = Consumer::start(assignment)?;
        let producer = Producer::attentive(assignment)?;
        let servers = scene.servers().iter().filter_map(|facts| facts.endpoint("client")).collect();
        let chronicler = Chronicler::start(servers, &assignment.topic, epoch);
        let unread = || consumer.counts().iter().filter(|count| **count == 0).count();
        let silent_as_shipped = || shipped.values().map(Shipped::silent).sum::<usize>();
        let flows = || producer.silent() + unread() + silent_as_shipped() == 0;
        if !until(scene, RECOVERY, flows).await? {
            let reason = format!(
                "of {} partitions {} took no record of the probe, {} gave none, and {} took none of clients as shipped",
                assignment.partitions,
                producer.silent(),
                unread(),
                silent_as_shipped()
            );
            return Err(DrillError::Unhealthy { reason });
        }
        warm_up(scene, &producer, epoch).await?;
        let idle_from = epoch.elapsed();
        scene.pause(IDLE).await?;

        let rebalances = consumer.rebalances();
        let marks = Mutex::new(Vec::new());
        let witness = Witness::new(scene, chronicler.so_far(), epoch);
        let mark = |what: &str| {
            scene.events().notice(format!("{}: {what}", fault.name()));
            marks.lock().expect("no holder of the marks panics").push((epoch.elapsed(), what.to_owned()));
        };
        let strike = |what: &str, signs: &[Sign]| {
            // Before the deed: a sign may be gone as soon as it came.
            signs.iter().for_each(|sign| witness.expect(sign));
            mark(what);
        };
        let target = fault.inject(scene, &strike).await?;
        // Not from the mark on, which is before the deed: what was acknowledged until it was done says nothing of it.
        let struck = epoch.elapsed();
        match fault.lasts() {
            Lasts::UntilServed => {
                let served = || producer.acks_since(struck + LATE).iter().all(|count| *count > 1);
                until(scene, UNSERVED, served).await?;
                until(scene, UNSEEN, || witness.saw_all()).await?;
            }
            Lasts::For(time) => scene.pause(time).await?,
            Lasts::Itself => {}
        }
        fault.heal(scene).await?;
        // What is seen from now on may be what the mending does.
        let evidence = witness.finish();
        scene.restore().await?;
        let undone = epoch.elapsed();
        mark("undone");
        recovered(scene, fault, &watch, undone).await?;
        mark("whole again");
        scene.pause(AFTER).await?;

        let end = epoch.elapsed();
        let carried = load.as_ref().map_or(0, Load::carried);
        blocking(move || drop(load)).await;
        let (samples, chronicle) = (watch.finish(), chronicler.finish());
        let gave_up = producer.gave_up();
        let (written, producer_done) = blocking(move || (producer.finish(DRAIN), Instant::now())).await;
        let finish = |(library, shipped): (Library, Shipped)| (library, shipped.finish(DRAIN));
        let as_shipped = blocking(move || shipped.into_iter().map(finish).collect()).await;
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
        let again = match java {
            Ok(java) => java.read_back(assignment, log.iter().map(Vec::len).sum()).await,
            Err(reason) => Err(reason.clone()),
        };
        let marks = marks.into_inner().expect("no holder of the marks panics");
        Ok(Trial::of(Notes {
            target,
            carried,
            run: assignment.run,
            marks,
            counted_from: match self.since {
                Since::Fault => None,
                Since::Undone => Some(undone),
            },
            evidence,
            not_kept: scene.take_not_kept(),
            idle_from,
            end,
            written,
            gave_up,
            delivered,
            rebalances,
            drained,
            log,
            again,
            as_shipped,
            samples,
            chronicle,
        }))
    }
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

/// Waits until the longest pauses between acknowledgements have settled.
async fn warm_up(scene: &Scene, producer: &Producer, epoch: Instant) -> Result<(), DrillError> {
    let begun = Instant::now();
    let mut longest = Vec::new();
    while !pauses::steady(&longest) && begun.elapsed() < WARM_UP {
        let from = epoch.elapsed();
        scene.pause(WARM_UP_STRETCH).await?;
        longest.push(producer.longest_pause(from));
    }
    Ok(())
}

/// Looks every 20 ms until it is so; whether it was in time.
async fn until(scene: &Scene, limit: Duration, so: impl Fn() -> bool) -> Result<bool, DrillError> {
    let deadline = Instant::now() + limit;
    while !so() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        scene.pause(Duration::from_millis(20)).await?;
    }
    Ok(true)
}

/// For what waits in a thread of its own, as librdkafka does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody cancels it while it is awaited here.
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}
