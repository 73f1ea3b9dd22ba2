//! A broker's settings where the stack says nothing, and why each is what it is.

use super::Broker;
use crate::model::Output;
use std::collections::BTreeMap;

impl Broker {
    /// Settings of every broker, before the stack's own are laid over them. `replication` and `min_insync` are those
    /// of topics that don't say otherwise, and of Kafka's own.
    pub fn default_settings(replication: u16, min_insync: u16) -> BTreeMap<String, Output<String>> {
        let figures = [
            ("default.replication.factor", replication),
            ("min.insync.replicas", min_insync),
            ("offsets.topic.replication.factor", replication),
            ("transaction.state.log.replication.factor", replication),
            ("transaction.state.log.min.isr", min_insync),
        ];
        let fixed = [
            // A replica that isn't in sync must never become leader: acknowledged records would be lost.
            ("unclean.leader.election.enable", "false"),
            // A topic that a typing error made would have none of the promises.
            ("auto.create.topics.enable", "false"),
            // Leaders are handed over before a broker stops.
            ("controlled.shutdown.enable", "true"),
            // 24 pauses of 0.5 s between the tries: a broker learns of a new controller only from itself, at the end of a
            // failover, which takes up to 9.6 s with 2,000 partitions. When all stop together there is nobody to hand over
            // to, and this is what that costs: once, since they do it side by side.
            ("controlled.shutdown.max.retries", "25"),
            ("controlled.shutdown.retry.backoff.ms", "500"),
            // A leader that told a controller of its ISR, and isn't answered since that is cut off, tells the next one only after
            // this; with Kafka's 30 s, after the 22 to 33 s below, that was more than 60.
            ("controller.socket.timeout.ms", "15000"),
            // A follower that stands still stalls acks=all for this long, or until its session ends; Kafka's default is
            // 30 s. A leader that is heard and hears nobody keeps its session for 5/3 of its length, and must not have
            // taken its followers out of the ISR before that: more than 20 s and a tick.
            ("replica.lag.time.max.ms", "22000"),
            // A follower that was told to follow before its leader was told to lead tries again this much later; with
            // Kafka's 1 s every start and every election has replicas out of sync for a second.
            ("replica.fetch.backoff.ms", "100"),
            // A follower takes up a partition only once its fetch under way is answered, and one with nothing new to
            // tell is answered after this; with Kafka's 500 ms that is what each election costs acks=all at most.
            ("replica.fetch.wait.max.ms", "100"),
            // After a fresh start, consumers of the first group would wait 3 s for others to join.
            ("group.initial.rebalance.delay.ms", "0"),
            // Kafka's 50 partitions are for hundreds of groups; fewer make start, election and recovery shorter.
            ("offsets.topic.num.partitions", "10"),
            ("transaction.state.log.num.partitions", "10"),
            // 1 CPU and 1 GB: requests and their queue bounded in bytes (Kafka's 100 MB a request would be a quarter of
            // the heap), a small log cleaner, two recovery threads.
            ("socket.request.max.bytes", "33554432"),
            ("queued.max.request.bytes", "67108864"),
            ("log.cleaner.dedupe.buffer.size", "16777216"),
            ("num.recovery.threads.per.data.dir", "2"),
            ("num.network.threads", "3"),
            ("num.io.threads", "4"),
            // By bytes for each partition, so that a disk can't fill: time alone doesn't bound it.
            ("log.retention.hours", "168"),
            ("log.retention.bytes", "1073741824"),
            // What is over the limit is looked for this often; in Kafka's 5 minutes 100 MB/s put 18 GB on each of 5 disks.
            ("log.retention.check.interval.ms", "30000"),
            ("log.segment.bytes", "134217728"),
            // What a lost or frozen host costs, two thirds of Kafka's 18 s: three times what brokers were ever late with a word
            // to ZooKeeper under full load, and more than syncLimit; docs/failover.md has the figures.
            ("zookeeper.session.timeout.ms", "12000"),
            ("zookeeper.connection.timeout.ms", "18000"),
        ];
        let figures = figures.into_iter().map(|(name, value)| (name, value.to_string()));
        let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
        figures.chain(fixed).map(|(name, value)| (name.to_owned(), Output::from(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_asks_for_as_long_as_a_controller_may_take_to_fail_over() {
        let settings = Broker::default_settings(3, 2);
        let number = |name: &str| settings[name].known().unwrap().parse::<u64>().unwrap();
        // Between two tries is a pause, after the last one none.
        let pauses = number("controlled.shutdown.max.retries") - 1;
        let asks_for_ms = pauses * number("controlled.shutdown.retry.backoff.ms");
        assert!(asks_for_ms >= 12_000, "a failover with 2,000 partitions took 9.6 s: {asks_for_ms} ms");
    }
}
