//! The topics of a drill: the probe's, and others named after it.

use super::{Drill, RECOVERY};
use crate::drill::TOPIC;
use crate::drill::error::DrillError;
use crate::drill::placement::ring;
use crate::drill::probe::{Assignment, Library, Load, Shipped};
use crate::drill::scene::Scene;
use crate::kafka::{ClusterView, NewTopic};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the load's topic is called after that.
const LOAD: &str = "load";

/// Removes what drills that were cut off have left behind.
///
/// # Errors
/// Where the cluster can't be asked.
pub async fn clear_leftovers(scene: &Scene) -> Result<(), DrillError> {
    let kafka = scene.kafka(&scene.bootstrap());
    let view =
        kafka.describe().await.map_err(|source| DrillError::Kafka { action: "list topics", source })?;
    for topic in view.topics.keys().filter(|name| name.starts_with(TOPIC)) {
        // One that can't be removed now hurts nobody but by its size.
        let _ = kafka.delete_topic(topic).await;
    }
    Ok(())
}

impl Drill<'_> {
    /// The topics that it makes: the probe's, and others named after it.
    pub(super) fn topics(&self) -> Vec<String> {
        let mut topics = vec![self.assignment.topic.clone()];
        topics.extend(self.terms.as_shipped.iter().map(|library| self.topic_beside(library)));
        if self.terms.load > 0 {
            topics.push(self.topic_beside(&LOAD));
        }
        topics
    }

    fn topic_beside(&self, what: &dyn std::fmt::Display) -> String {
        format!("{}-{what}", self.assignment.topic)
    }

    /// Makes a topic with a partition for each of the probe's.
    pub(super) async fn create_topic(
        &self,
        name: &str,
        replicas: Option<i16>,
        configs: BTreeMap<String, String>,
    ) -> Result<(), DrillError> {
        let partitions = self.assignment.partitions;
        let default = i16::try_from(self.scene.replicas()).unwrap_or(1);
        let replication_factor = replicas.unwrap_or(default);
        let brokers = self.scene.zoned();
        // More than there are is for Kafka to refuse.
        let placed = usize::try_from(replication_factor).ok().filter(|replicas| *replicas <= brokers.len());
        let placement = placed.map(|replicas| ring(&brokers, partitions, replicas)).unwrap_or_default();
        let topic = NewTopic { name: name.to_owned(), partitions, replication_factor, configs, placement };
        let failed = |source| DrillError::Kafka { action: "create a topic for the drill", source };
        self.kafka.create_topic(&topic).await.map(drop).map_err(failed)
    }

    /// Begins to write the load; `None` where none is wanted.
    pub(super) async fn load(&self) -> Result<Option<Load>, DrillError> {
        if self.terms.load == 0 {
            return Ok(None);
        }
        // Small segments and little kept, so that a long drill doesn't fill the disk.
        let configs = [("segment.bytes", "16777216"), ("retention.bytes", "33554432")];
        let configs = configs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let topic = self.topic_beside(&LOAD);
        self.create_topic(&topic, None, configs).await?;
        Ok(Some(Load::start(&self.assignment, &topic, self.terms.load)?))
    }

    /// Has a producer of each library write that was asked for, each to a topic of its own.
    pub(super) async fn shipped(&self) -> Result<BTreeMap<Library, Shipped>, DrillError> {
        let mut writing = BTreeMap::new();
        for library in &self.terms.as_shipped {
            let assignment = Assignment { topic: self.topic_beside(library), ..self.assignment.clone() };
            self.create_topic(&assignment.topic, self.terms.replicas, self.terms.configs.clone()).await?;
            writing.insert(*library, Shipped::start(*library, &assignment, self.java)?);
        }
        Ok(writing)
    }

    /// Waits until every broker knows of the probe's topic. librdkafka's consumer, where it asks one that doesn't, has its
    /// group deal out nothing, and leaves it at that for good.
    pub(super) async fn known_everywhere(&self) -> Result<ClusterView, DrillError> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            let failed = |source| DrillError::Kafka { action: "ask who knows of the drill's topic", source };
            let view = self.kafka.describe().await.map_err(failed)?;
            if view.all_know(&self.assignment.topic, self.assignment.partitions) {
                return Ok(view);
            }
            if Instant::now() >= deadline {
                let reason = "not every broker has been told of the drill's topic".into();
                return Err(DrillError::Unhealthy { reason });
            }
            self.scene.pause(Duration::from_millis(20)).await?;
        }
    }
}
