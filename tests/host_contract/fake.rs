//! The fake world's hosts, changed node by node or as a whole.

use crate::bench::{Bench, Harm, hold, zookeeper_at};
use crate::{any, whole};
use octad::host::FakeWorld;
use std::path::Path;

impl Harm for FakeWorld {
    fn alter_file(&self) {
        FakeWorld::alter_file(self, "zk-1", "zoo.cfg");
    }

    fn put_foreign_data(&self) {
        FakeWorld::put_foreign_data(self, "zk-1", "zk-1");
    }

    fn lose_data(&self) {
        FakeWorld::lose_data(self, "zk-1");
    }

    fn nothing_is_left(&self) -> bool {
        self.is_empty()
    }
}

#[tokio::test]
async fn the_fake_world_does_what_any_host_must() {
    hold(
        &|| {
            let world = FakeWorld::new();
            let (host, deployment) = zookeeper_at(world.backend(), "", Path::new("nowhere"));
            Bench { host, deployment, harm: Box::new(world) }
        },
        any::CONTRACT,
    )
    .await;
}

fn changed_whole() -> Bench {
    let world = FakeWorld::new();
    let option = "hosts.options.whole = true\n";
    let (host, deployment) = zookeeper_at(world.backend(), option, Path::new("nowhere"));
    Bench { host, deployment, harm: Box::new(world) }
}

#[tokio::test]
async fn its_hosts_that_are_changed_as_a_whole_do_what_any_host_must_and_what_such_hosts_must() {
    hold(&changed_whole, any::CONTRACT).await;
    hold(&changed_whole, whole::CONTRACT).await;
}
