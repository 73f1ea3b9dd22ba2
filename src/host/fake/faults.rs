//! What tests do to a simulated world.

use super::FakeWorld;
use super::record::{Cause, Cut};
use super::world::{Disk, Run, World};
use std::time::Duration;

impl FakeWorld {
    /// Does something that nobody asked Octad for. Unknown nodes, hosts and topics are a mistake in the test.
    fn fault<T>(&self, what: String, fault: impl FnOnce(&mut World) -> Option<T>) -> T {
        let mut world = self.lock();
        world.cause = Cause::Fault(what.clone());
        let result = fault(&mut world);
        world.cause = Cause::Time;
        drop(world);
        result.unwrap_or_else(|| panic!("{what}: there is no such thing in this world"))
    }

    /// How many observations joining and catching up each take. Default: 1; 0 is at once.
    pub fn set_lag(&self, observations: u64) {
        self.lock().lag = observations;
    }

    /// Has the world give hosts ids of its own, and make them anew where their options change. To be said before the first is
    /// made.
    pub fn give_ids(&self) {
        self.lock().gives_ids = true;
    }

    /// Has a host answer nobody who asks it, or do so again; what runs on it goes on.
    pub fn unreachable(&self, host: &str, from_now_on: bool) {
        let mut world = self.lock();
        match from_now_on {
            true => world.unreachable.insert(host.to_owned()),
            false => world.unreachable.remove(host),
        };
    }

    /// How much is free on the file system that all hosts share. Default: nobody knows.
    pub fn set_shared_disk(&self, bytes: u64) {
        self.lock().shared_disk = Some(bytes);
    }

    /// How much the busiest partition of a topic takes in a second. Default: nobody knows.
    pub fn set_rate(&self, topic: &str, bytes: f64) {
        self.lock().rates.insert(topic.to_owned(), bytes);
    }

    /// How long each deed of Octad's takes, so that several can be under way at once. Default: no time.
    pub fn set_deed_duration(&self, takes: Duration) {
        self.lock().takes = takes;
    }

    /// Lets everything that was begun take effect.
    pub fn settle(&self) {
        self.lock().settle();
    }

    /// A node's process dies and is started again by its host.
    pub fn crash(&self, node: &str) {
        self.fault(format!("crash {node}"), |world| {
            world.nodes.get(node)?.pid()?;
            world.end(node, Run::Stopped);
            let pid = world.number();
            world.nodes.get_mut(node)?.restarts += 1;
            world.spawn(node, pid);
            Some(())
        });
    }

    /// A node's process dies, and so does each that its host starts, until [`FakeWorld::mend`].
    pub fn kill(&self, node: &str) {
        self.fault(format!("kill {node}"), |world| {
            world.nodes.get_mut(node)?.broken = true;
            world.end(node, Run::Failing { last_exit: "signal 9".into() });
            world.nodes.get_mut(node)?.restarts = 3;
            Some(())
        });
    }

    /// A killed node's next process lives, and so does one that is refused to start.
    pub fn mend(&self, node: &str) {
        self.fault(format!("mend {node}"), |world| {
            world.refused.remove(node);
            world.unreadable.remove(node);
            let pid = world.number();
            let mended = world.nodes.get_mut(node)?;
            mended.broken = false;
            if matches!(mended.run, Run::Failing { .. }) {
                world.spawn(node, pid);
            }
            Some(())
        });
    }

    /// Somebody stops a node, and it stays so.
    pub fn stop_by_hand(&self, node: &str) {
        self.fault(format!("stop {node}"), |world| {
            world.nodes.get(node)?;
            world.stop(node);
            Some(())
        });
    }

    /// A node's process is halted, until it is stopped and started.
    pub fn freeze(&self, node: &str) {
        self.fault(format!("freeze {node}"), |world| {
            world.nodes.get(node)?.pid()?;
            world.end(node, Run::Frozen);
            Some(())
        });
    }

    /// A broker's process stands still, and nobody is told: it answers nobody, and its session ends after some looks.
    pub fn stand_still(&self, node: &str) {
        self.fault(format!("{node} stands still"), |world| {
            world.nodes.get(node)?.pid()?;
            world.stands_still(node);
            Some(())
        });
    }

    /// A broker is cut off from most others, as its watchdog says from now on, or no longer so.
    pub fn cut_off(&self, broker: i32, from_now_on: bool) {
        self.fault(format!("broker {broker} is cut off: {from_now_on}"), |world| {
            match from_now_on {
                true => world.asked.insert(broker),
                false => world.asked.remove(&broker),
            }
            .then_some(())
        });
    }

    /// A node's data disk is away: unmounted, or broken.
    pub fn lose_data(&self, node: &str) {
        self.fault(format!("lose the data of {node}"), |world| {
            let lost = world.nodes.get_mut(node)?.disk.take();
            world.end(node, Run::Failed { reason: "the marker of its data directory is missing".into() });
            world.nodes.get_mut(node)?.lost = lost;
            Some(())
        });
    }

    /// The data disk is back.
    pub fn restore_data(&self, node: &str) {
        self.fault(format!("restore the data of {node}"), |world| {
            let node = world.nodes.get_mut(node)?;
            node.disk = node.lost.take();
            node.disk.as_ref().map(|_| ())
        });
    }

    /// Somebody puts an empty disk in the place of a node's, with the sign on it that it is this node's.
    pub fn replace_disk(&self, node: &str) {
        self.fault(format!("replace the disk of {node}"), |world| {
            let number = world.number();
            world.end(node, Run::Stopped);
            let disk = world.nodes.get_mut(node)?.disk.as_mut()?;
            (disk.number, disk.zxid) = (number, 0);
            Some(())
        });
    }

    /// Data that is nobody's lies where that of `node` on `host` will be.
    pub fn put_foreign_data(&self, host: &str, node: &str) {
        self.fault(format!("foreign data of {node}"), |world| {
            let number = world.number();
            let disk = Disk { number, marker: None, trusted: false, zxid: 0 };
            world.node_on(host, node).ok()?.disk = Some(disk);
            Some(())
        });
    }

    /// Somebody changes a file of a node's generation.
    pub fn alter_file(&self, node: &str, file: &str) {
        self.add_line(node, file, "# by another hand");
    }

    /// Somebody adds a line to a configuration file of a node.
    pub fn add_line(&self, node: &str, file: &str, line: &str) {
        self.fault(format!("alter {file} of {node}"), |world| {
            let generation = world.nodes.get_mut(node)?.generation.as_mut()?;
            generation.files.get_mut(file)?.push_str(&format!("{line}\n"));
            Some(generation.altered.insert(file.to_owned()))
        });
    }

    /// The configuration files of a node can't be read any more, until [`FakeWorld::mend`].
    pub fn unreadable_files(&self, node: &str) {
        self.lock().unreadable.insert(node.to_owned());
    }

    /// Nobody has confirmed in time what is on trial on a host: it goes back by itself.
    pub fn trial_ends(&self, host: &str) {
        self.fault(format!("the trial of {host} ends"), |world| {
            world.machines.get(host)?;
            world.take_back(host);
            Some(())
        });
    }

    /// A host is off at once, with all that ran on it.
    pub fn lose_host(&self, host: &str) {
        self.fault(format!("lose {host}"), |world| {
            world.machines.get(host)?;
            world.go_down(host);
            Some(())
        });
    }

    /// A node can't be started any more, until [`FakeWorld::mend`].
    pub fn refuse_start(&self, node: &str, reason: &str) {
        self.lock().refused.insert(node.to_owned(), reason.to_owned());
    }

    /// Somebody removes all that a host has of a node.
    pub fn remove_by_hand(&self, node: &str) {
        self.fault(format!("remove {node}"), |world| {
            world.nodes.get(node)?;
            world.stop(node);
            world.forget(node);
            Some(())
        });
    }

    /// What a node answers over HTTP from now on; `None` for what it should.
    pub fn answer(&self, node: &str, status: Option<u16>) {
        let mut world = self.lock();
        match status {
            Some(status) => drop(world.answers.insert(node.to_owned(), status)),
            None => drop(world.answers.remove(node)),
        }
    }

    /// The only path that a node knows over HTTP, whatever it is made to be asked for.
    pub fn knows_path(&self, node: &str, path: &str) {
        self.lock().paths.insert(node.to_owned(), path.to_owned());
    }

    /// A process whose configuration says this, as a setting or in a file of that name, ends at once, each time it is started.
    pub fn fatal_setting(&self, name: &str, value: &str) {
        self.lock().fatal.insert(name.to_owned(), value.to_owned());
    }

    /// Somebody sets a topic's setting, or unsets it.
    pub fn alter_topic(&self, topic: &str, setting: &str, value: Option<&str>) {
        self.fault(format!("alter {topic}"), |world| {
            let mut clusters = world.clusters.values_mut();
            let topic = clusters.find_map(|cluster| cluster.topics.get_mut(topic))?;
            match value {
                Some(value) => topic.configs.insert(setting.to_owned(), value.to_owned()),
                None => topic.configs.remove(setting),
            };
            Some(())
        });
    }

    /// Somebody deletes a topic.
    pub fn delete_topic(&self, topic: &str) {
        self.fault(format!("delete {topic}"), |world| {
            world.clusters.values_mut().find_map(|cluster| cluster.drop_topic(topic))
        });
    }

    /// Somebody deletes a topic and makes it anew, alike but for its id and its records.
    pub fn remake_topic(&self, topic: &str) {
        self.fault(format!("remake {topic}"), |world| {
            let id = format!("topic-{}", world.number());
            let cluster = world.clusters.values_mut().find(|cluster| cluster.topics.contains_key(topic))?;
            cluster.topics.get_mut(topic)?.id = id;
            Some(())
        });
    }

    /// Somebody begins to move a partition's replicas to these brokers, which takes for ever.
    pub fn move_replicas(&self, topic: &str, partition: i32, to: &[i32]) {
        self.fault(format!("move {topic}-{partition}"), |world| {
            let mut clusters = world.clusters.values_mut();
            clusters.find_map(|cluster| cluster.partition(topic, partition))?.target = Some(to.to_vec());
            Some(())
        });
    }

    /// Another cluster answers at the addresses of this one, alike but for its id.
    pub fn replace_cluster(&self, cluster: &str, id: &str) {
        self.fault(format!("replace {cluster}"), |world| {
            world.clusters.get_mut(cluster)?.id = Some(id.to_owned());
            Some(())
        });
    }

    /// Somebody creates a topic with one replica of each partition, or gives one that exists more partitions.
    pub fn grow_topic(&self, cluster: &str, topic: &str, partitions: i32) {
        self.fault(format!("grow {topic}"), |world| world.grown_by_another_hand(cluster, topic, partitions));
    }

    /// A replica falls behind and out of a partition's ISR; it comes back when its broker is started again, or by
    /// [`FakeWorld::catch_up`]. The last one in sync stays. Returns whether it was in it.
    pub fn shrink_isr(&self, topic: &str, partition: i32, broker: i32) -> bool {
        self.fault(format!("shrink {topic}-{partition}"), |world| {
            let mut clusters = world.clusters.values_mut();
            let cluster = clusters.find(|cluster| cluster.topics.contains_key(topic))?;
            Some(cluster.shrink(topic, partition, broker))
        })
    }

    /// Every replica on a running node catches up.
    pub fn catch_up(&self) {
        let mut world = self.lock();
        let running: Vec<String> =
            world.clusters.values().flat_map(|cluster| cluster.running.values().cloned()).collect();
        running.iter().for_each(|node| world.broker_caught_up(node));
    }

    /// The deed of this number, counted from the first after now as 1, is cut off.
    pub fn cut_at(&self, deed: usize, cut: Cut) {
        let mut world = self.lock();
        world.cut = Some((world.deeds.len() + deed, cut));
    }

    /// The deed of this number, counted from the first after now as 1, fails without effect.
    pub fn fail_at(&self, deed: usize) {
        self.cut_at(deed, Cut::Refused);
    }

    /// No deed is cut off any more.
    pub fn fail_never(&self) {
        self.lock().cut = None;
    }
}
