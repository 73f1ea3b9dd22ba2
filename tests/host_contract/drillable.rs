//! What a host must do that can be drilled.

use crate::bench::{Bench, Part, parts};
use octad::host::{Ability, Cut, Drillable, HostError, RunState};
use octad::supervisor::Signal;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// All of it; what takes an ability that the host lacks is refused, and no more is asked of that.
pub(crate) const CONTRACT: &[(&str, Part)] = parts!(
    a_lost_host_comes_back_with_what_ran,
    a_process_that_is_halted_is_seen_so,
    what_it_lacks_it_refuses,
    where_nothing_is_disturbed_there_is_nothing_to_mend,
    a_host_that_is_cut_off_says_nothing_until_it_is_mended,
    a_host_tells_whom_its_packets_reach,
);

/// The bench's host, for what drills do.
pub(crate) fn drilled(bench: &Bench) -> &dyn Drillable {
    bench.host.drillable().expect("it can be drilled")
}

async fn disturbance(bench: &Bench) -> Option<&'static str> {
    drilled(bench).disturbance().await.unwrap()
}

async fn a_lost_host_comes_back_with_what_ran(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    for _ in 0..2 {
        drilled(bench).lose().await.unwrap();
        let begun = Instant::now();
        while bench.host.power().await.unwrap() != Some(false) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is still up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    bench.host.boot().await.unwrap();
    let begun = Instant::now();
    while !matches!(bench.node().await.run, RunState::Running { current: true, .. }) {
        assert!(begun.elapsed() < Duration::from_secs(10), "its host does not start it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(bench.node().await.data && bench.pid().await != pid);
}

async fn a_process_that_is_halted_is_seen_so(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    drilled(bench).signal(bench.name(), Signal::Stop).await.unwrap();
    // The kernel halts it once it is its turn to run.
    let begun = Instant::now();
    while bench.node().await.run != RunState::Frozen {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not halted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drilled(bench).signal(bench.name(), Signal::Cont).await.unwrap();
    assert_eq!(bench.pid().await, pid);
}

async fn what_it_lacks_it_refuses(bench: &Bench) {
    bench.made().await;
    if bench.host.lacks(Ability::Cut).is_some() {
        let refused = drilled(bench).cut(&Cut::off()).await;
        assert!(matches!(refused, Err(HostError::Unable { .. })), "{refused:?}");
    }
    if bench.host.lacks(Ability::FillDisk).is_some() {
        let refused = drilled(bench).fill_disk(bench.name()).await;
        assert!(matches!(refused, Err(HostError::Unable { .. })), "{refused:?}");
    }
    assert_eq!(disturbance(bench).await, None);
}

async fn where_nothing_is_disturbed_there_is_nothing_to_mend(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    assert_eq!(disturbance(bench).await, None);
    drilled(bench).mend().await.unwrap();
    assert_eq!(bench.pid().await, pid);
}

/// Where the node serves.
pub(crate) fn address(bench: &Bench) -> String {
    bench.deployment.facts.endpoint("client").expect("a server has clients")
}

/// This machine's address, as the node's host sees it.
fn machine(bench: &Bench) -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(address(bench)).unwrap();
    socket.local_addr().unwrap().ip()
}

/// What one more connection to the server gives within a second; `None` where it gives nothing at all.
async fn asked(address: &str) -> Option<std::io::Result<String>> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        answered(&mut stream).await
    };
    tokio::time::timeout(Duration::from_secs(1), ask).await.ok()
}

async fn answered(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"ruok").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map(|_| answer)
}

/// Waits until the server serves.
pub(crate) async fn serves(address: &str) {
    let begun = Instant::now();
    while !matches!(asked(address).await, Some(Ok(answer)) if answer == "imok") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it doesn't serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_host_that_is_cut_off_says_nothing_until_it_is_mended(bench: &Bench) {
    if bench.host.lacks(Ability::Cut).is_some() {
        return;
    }
    bench.made().await;
    let address = address(bench);
    serves(&address).await;
    let IpAddr::V4(machine) = machine(bench) else { panic!("hosts have IPv4 addresses") };
    let nobody = [machine.octets()[0], machine.octets()[1], machine.octets()[2], 77];
    for cut in [Cut::off(), Cut::off_from([machine]), Cut::deaf()] {
        let mut before = TcpStream::connect(&address).await.unwrap();
        for _ in 0..2 {
            drilled(bench).cut(&cut).await.unwrap();
        }
        assert_eq!(disturbance(bench).await, Some("cut off"));
        assert!(asked(&address).await.is_none(), "{cut:?}: a new connection hears of it");
        let silent = tokio::time::timeout(Duration::from_secs(1), answered(&mut before)).await;
        assert!(silent.is_err(), "{cut:?}: an old connection hears of it: {silent:?}");
        // Packets that got lost are sent again.
        drilled(bench).mend().await.unwrap();
        assert_eq!(disturbance(bench).await, None);
        serves(&address).await;
        let mut rest = String::new();
        let late = tokio::time::timeout(Duration::from_secs(20), before.read_to_string(&mut rest)).await;
        assert!(matches!(late, Ok(Ok(_))) && rest == "imok", "{cut:?}: {late:?} {rest}");
    }
    drilled(bench).cut(&Cut::off_from([nobody.into()])).await.unwrap();
    serves(&address).await;
    drilled(bench).cut(&Cut::off()).await.unwrap();
    bench.host.boot().await.unwrap();
    serves(&address).await;
}

async fn a_host_tells_whom_its_packets_reach(bench: &Bench) {
    if bench.host.lacks(Ability::Cut).is_some() {
        return;
    }
    bench.host.boot().await.unwrap();
    let listener = TcpListener::bind((machine(bench), 0)).unwrap();
    let (taken, refused) = (listener.local_addr().unwrap(), SocketAddr::new(machine(bench), 1));
    for address in [taken, refused] {
        assert!(drilled(bench).reaches(address).await.unwrap(), "{address}");
    }
    drilled(bench).cut(&Cut::off()).await.unwrap();
    for address in [taken, refused] {
        assert!(!drilled(bench).reaches(address).await.unwrap(), "{address}");
    }
}
