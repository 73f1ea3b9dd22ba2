//! Brokers on hosts that can be cut off.

use crate::subnet::Subnet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use octad::host::{Ability, Backend as _, Cut, Host, Identity, Isolation, LocalBackend, LocalOptions};
use octad::model::HostInputs;
use octad::wire::{NetworkWire, Wire as _};

use crate::bench::{Bench, Stack, until};
use crate::client::wait_for;
use crate::skip::skip;

const FIVE_AND_ONE: &str = r#"
program = "ha"
[hosts]
subnet = "SUBNET"
isolation = "netns"
[zookeeper]
servers = 1
[topics.activity]
partitions = 10
"#;

/// Whether such hosts can be had here; where not, what a test doesn't show is told, and why.
pub(crate) fn can_be_had(what: &str) -> bool {
    let host = host("nowhere".as_ref(), "any", "10.94.2.1");
    let checked = tokio::runtime::Runtime::new().unwrap().block_on(host.check());
    let lacking = checked.err().map(|error| error.to_string()).or_else(|| host.lacks(Ability::Cut));
    lacking.is_none_or(|lacking| {
        skip(&format!("{what}: {lacking}"));
        false
    })
}

fn host(site: &std::path::Path, name: &str, address: &str) -> Arc<dyn Host> {
    let options = LocalOptions { isolation: Isolation::Netns, disk_mib: None }.written();
    let inputs = HostInputs { address: Some(address.parse().unwrap()), options, ..HostInputs::default() };
    LocalBackend::default().host(site, name, &inputs, Identity::Name).unwrap()
}

/// Ends the hosts of these brokers at once. Nothing that dies there says goodbye: the links are cut first.
fn lose(stack: &Stack, brokers: &[u8]) {
    let hosts = brokers
        .iter()
        .map(|id| host(&stack.site(), &format!("broker-{id}"), &format!("{}{}", stack.subnet(), 100 + id)));
    let hosts: Vec<_> = hosts.collect();
    wait_for(async {
        for cut in join_all(hosts.iter().map(|host| async { host.drill()?.cut(&Cut::off()).await })).await {
            cut.unwrap();
        }
        for lost in join_all(hosts.iter().map(|host| async { host.drill()?.lose().await })).await {
            lost.unwrap();
        }
    });
}

#[test]
#[ignore = "takes minutes: `scripts/test --all` asks for it"]
fn no_watchdog_stops_those_who_are_left_where_most_hosts_are_lost() {
    if !can_be_had("no host is lost") {
        return;
    }
    let bench = Bench::for_a_whole_cluster();
    let stack = bench.stack("left", Subnet::apart(), FIVE_AND_ONE);
    stack.up();
    let left = ["broker-4", "broker-5"];
    let pids = || left.map(|broker| stack.node(broker)["pid"].clone());
    let before = pids();
    let bootstrap = [4, 5].map(|id| format!("{}{}:9092", stack.subnet(), 100 + id));
    let describe = || wait_for(async { NetworkWire::default().kafka(&bootstrap, &[]).describe().await });
    let view = describe().unwrap();
    let living = |id: &i32| [4, 5].contains(id);
    let partitions = &view.topics["activity"].partitions;
    let with_a_living = partitions.iter().filter(|(_, partition)| partition.replicas.iter().any(living));
    let alive: Vec<i32> = with_a_living.map(|(id, _)| *id).collect();
    assert!(!alive.is_empty(), "{view:?}");

    lose(&stack, &[1, 2, 3]);
    // Their sessions last 12 s and a tick; others lead as soon as those are over. Slower on a machine that is busy.
    until("the living lead what they have", Duration::from_secs(90), || {
        let view = describe().map_err(|error| error.to_string())?;
        let partitions = &view.topics["activity"].partitions;
        let led = |id: &i32| partitions[id].leader.as_ref().is_some_and(living);
        if alive.iter().all(led) { Ok(()) } else { Err(format!("{partitions:?}")) }
    });
    assert_eq!(pids(), before, "nobody was killed");
    let log = |broker: &str| {
        fs::read_to_string(stack.site().join(format!("hosts/{broker}/log/{broker}.log"))).unwrap()
    };
    let logs = left.map(log).concat();
    assert!(!logs.contains("stopped it so that"), "{logs}");
    assert!(logs.contains("not stopped: "), "the detector: one of them looked cut off for a while:\n{logs}");
    stack.destroy();
    stack.assert_gone();
}
