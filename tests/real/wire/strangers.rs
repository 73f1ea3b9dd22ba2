//! Addresses where no Kafka or ZooKeeper answers: the errors must say where and why.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use octad::kafka::{Client, ConnectionError, Kafka, KafkaError, NewTopic, Timeouts};
use octad::zookeeper::{FourLetter, MemberView, Timeout, Unhealthy, Zookeeper};

use super::servers::host;

const SHORT: Duration = Duration::from_millis(300);

fn client(addresses: &[String]) -> Client {
    Client::new(addresses.to_vec(), Timeouts { connect: SHORT, answer: SHORT, change: SHORT })
}

/// The reasons why a description of these addresses got no answer.
async fn reasons(addresses: &[String]) -> Vec<ConnectionError> {
    match client(addresses).describe().await {
        Err(KafkaError::NobodyAnswered { attempts, .. }) => attempts.into_iter().map(|a| a.why).collect(),
        other => panic!("{other:#?}"),
    }
}

/// Accepts every connection and treats it so, each on a thread of its own, until the process ends.
fn listener(treat: impl Fn(TcpStream) + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind((host(250).as_str(), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || treat(stream));
        }
    });
    address
}

/// Never answers.
fn silent() -> String {
    saying(|_| vec![])
}

/// Answers the first request so, and nothing after that.
fn saying(answer: fn(&[u8]) -> Vec<u8>) -> String {
    listener(move |mut stream| {
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(&answer(&request[..length])).unwrap();
        // Returns when the client hangs up or resets, either of which ends it.
        let _ = stream.read_to_end(&mut vec![]);
    })
}

/// An address at which nobody listens.
fn vacant() -> String {
    TcpListener::bind((host(251).as_str(), 0)).unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn nobody_listening_names_every_address() {
    let addresses = [vacant(), vacant()];
    for error in [
        client(&addresses).describe().await.unwrap_err(),
        client(&addresses).delete_topic("t").await.unwrap_err(),
        client(&addresses).describe_topic_configs("t").await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.starts_with("no broker answered: "), "{text}");
        for address in &addresses {
            assert!(text.contains(&format!("{address} (cannot connect: ")), "{text}");
        }
        assert!(std::error::Error::source(&error).is_none(), "the causes are in the list");
    }
}

#[tokio::test]
async fn a_listener_that_never_answers_times_out() {
    let start = Instant::now();
    let reasons = reasons(&[silent()]).await;
    assert!(start.elapsed() < 3 * SHORT, "{:?}", start.elapsed());
    assert!(
        matches!(reasons[..], [ConnectionError::TimedOut { api: "ApiVersions", after: SHORT }]),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn silent_brokers_are_waited_for_together() {
    let addresses: Vec<_> = (0..8).map(|_| silent()).collect();
    let start = Instant::now();
    assert_eq!(reasons(&addresses).await.len(), 8);
    assert!(start.elapsed() < 3 * SHORT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn another_protocol_is_recognized() {
    let http = saying(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let tls = saying(|_| vec![0x15, 3, 3, 0, 2, 2, 40]);
    let echo = saying(|request| request.to_vec());
    let hang_up = listener(drop);
    let http = reasons(&[http]).await;
    assert!(matches!(http[..], [ConnectionError::Oversized { announced: 0x4854_5450, .. }]), "{http:?}");
    let tls = reasons(&[tls]).await;
    assert!(matches!(tls[..], [ConnectionError::Oversized { .. }]), "{tls:?}");
    let echo = reasons(&[echo]).await;
    assert!(matches!(echo[..], [ConnectionError::Mismatched { .. }]), "{echo:?}");
    let hang_up = reasons(&[hang_up]).await;
    assert!(
        matches!(hang_up[..], [ConnectionError::Closed { .. } | ConnectionError::Broken { .. }]),
        "{hang_up:?}"
    );
}

#[tokio::test]
async fn garbage_in_a_kafka_frame_is_unintelligible() {
    let garbage = saying(|request| {
        let mut answer = vec![0, 0, 0, 16];
        answer.extend(&request[8..12]);
        answer.extend([0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        answer
    });
    let reasons = reasons(&[garbage]).await;
    assert!(matches!(reasons[..], [ConnectionError::Undecodable { api: "ApiVersions", .. }]), "{reasons:?}");
}

#[tokio::test]
async fn asking_for_nothing_reaches_nobody() {
    let kafka = client(&[vacant()]);
    kafka.reassign(&BTreeMap::new()).await.unwrap();
    kafka.elect_preferred(&BTreeSet::new()).await.unwrap();
    kafka.alter_topic_configs("t", &BTreeMap::new(), &BTreeSet::new()).await.unwrap();
    let topic = NewTopic {
        name: "t".into(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        placement: Vec::new(),
    };
    kafka.create_topic(&topic).await.unwrap_err();
}

#[tokio::test]
async fn zookeeper_members_that_do_not_answer_are_told_apart() {
    let (vacant, silent) = (vacant(), silent());
    let http = saying(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let members = BTreeMap::from([(1, vacant.clone()), (2, silent.clone()), (3, http.clone())]);
    let view = FourLetter::new(Timeout(SHORT)).describe(&members).await;
    let why = |id| match &view.members[&id] {
        MemberView::Unreachable { why } => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(why(1).starts_with(&format!("cannot connect to {vacant}: ")), "{}", why(1));
    assert_eq!(why(2), format!("{silent} did not answer srvr within 300ms"));
    assert_eq!(
        why(3),
        format!("{http} did not answer srvr within 300ms"),
        "an answer ends when the server hangs up"
    );
    let expected = members.keys().copied().collect();
    assert!(matches!(view.health(&expected), Err(Unhealthy::Unreachable { member: 1, .. })));
}
