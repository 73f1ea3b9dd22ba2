//! The controller's host is cut off from the other brokers, and a topic can't do without it: the watchdog must leave it
//! running, and has another broker become the controller. Else no partition anywhere could change its leader or its
//! replicas in sync as long as the cut lasts.

use super::cut_off_peers::{cut_from_peers, no_peers};
use super::{BOUND, Fault, Lasts, Objective, Strike};
use crate::drill::TOPIC;
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::Ability;
use crate::kafka::{KafkaError, NewTopic, PartitionView};
use async_trait::async_trait;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Within this time those who reach each other must be without it: the bound on any interruption. Leaders take a follower
/// out of the ISR after `replica.lag.time.max.ms`, 22 s, look each half of that, and have to hear of the next controller.
const WITHOUT_IT: Duration = BOUND;

/// Between looks at that.
const LOOK: Duration = Duration::from_millis(500);

/// The fault.
#[derive(Default)]
pub(super) struct ControllerNotSpared {
    cut_off: Mutex<Option<i32>>,
}

#[async_trait]
impl Fault for ControllerNotSpared {
    fn name(&self) -> &'static str {
        "controller-not-spared"
    }

    fn about(&self) -> &'static str {
        "the controller's host is cut off from the other brokers, and a topic can't do without it"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, _: &Scene) -> Objective {
        // What it leads waits as long as it is cut off. Then its followers come back, each when it tries again.
        Objective::within(BOUND).since_undone()
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        let few = (scene.brokers().len() < 3).then(|| "the stack has fewer than three brokers".to_owned());
        few.or_else(|| no_peers(scene))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let controller = scene.controller().await?;
        let other = scene.plain_broker(0).await?;
        let topic = NewTopic {
            name: needs_it(),
            partitions: 1,
            replication_factor: 2,
            configs: [("min.insync.replicas".to_owned(), "2".to_owned())].into(),
            placement: vec![vec![other.id, controller.id]],
        };
        let kafka = scene.kafka(&scene.bootstrap());
        kafka.create_topic(&topic).await.map_err(failed)?;
        *self.cut_off.lock().expect("no holder of the id panics") = Some(controller.id);
        cut_from_peers(scene, controller, strike).await
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }

    async fn heal(&self, scene: &Scene) -> Result<(), DrillError> {
        let Some(cut_off) = *self.cut_off.lock().expect("no holder of the id panics") else { return Ok(()) };
        let others = scene.brokers().iter().filter(|facts| facts.id != cut_off);
        let others: Vec<String> = others.filter_map(|facts| facts.endpoint("client")).collect();
        let kafka = scene.kafka(&others);
        let begun = Instant::now();
        loop {
            let view = kafka.describe().await.map_err(failed)?;
            let waits = view
                .partitions()
                .find(|held| held.topic.starts_with(TOPIC) && counts_on(held.state, cut_off));
            if view.controller.is_some_and(|controller| controller != cut_off) && waits.is_none() {
                break;
            }
            if begun.elapsed() >= WITHOUT_IT {
                let whom = waits.map_or("broker".to_owned(), |held| held.name().to_string());
                scene.not_kept(format!(
                    "after {} s the controller is {:?}, and {whom} still counts on broker {cut_off}",
                    WITHOUT_IT.as_secs(),
                    view.controller
                ));
                break;
            }
            scene.pause(LOOK).await?;
        }
        kafka.delete_topic(&needs_it()).await.map_err(failed)
    }
}

/// The topic that can't do without it.
fn needs_it() -> String {
    format!("{TOPIC}not-spared")
}

/// Whether a partition that others lead, and could do without the broker, waits for it.
fn counts_on(partition: &PartitionView, broker: i32) -> bool {
    partition.leader.is_some_and(|leader| leader != broker)
        && partition.replicas.len() > 2
        && partition.isr.contains(&broker)
}

fn failed(source: KafkaError) -> DrillError {
    DrillError::Kafka { action: "arrange that a topic needs the controller", source }
}
