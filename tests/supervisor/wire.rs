//! The socket as another program sees it.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use crate::host::TestHost;

#[tokio::test]
async fn one_connection_carries_many_requests_and_survives_bad_ones() {
    let host = TestHost::new();
    host.supervisor().await;
    let stream = UnixStream::connect(host.dir.join("supervisor.sock")).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut say = async |line: &str| -> Value {
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    assert_eq!(say(r#"{"v":1,"request":"hello","new":true}"#).await["ok"]["protocol"], 1);
    let unknown = say(r#"{"v":1,"request":"dance"}"#).await;
    assert_eq!(unknown["error"]["code"], "unknown-request");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("dance"));
    assert_eq!(say("nonsense").await["error"]["code"], "bad-request");
    assert_eq!(say(r#"{"v":9,"request":"status"}"#).await["error"]["code"], "unsupported-version");
    assert_eq!(say(r#"{"v":1,"request":"status"}"#).await, json!({"v": 1, "ok": {"units": []}}));
}

#[tokio::test]
async fn an_endless_request_is_refused() {
    let host = TestHost::new();
    host.supervisor().await;
    let mut stream = UnixStream::connect(host.dir.join("supervisor.sock")).await.unwrap();
    stream.write_all(&vec![b' '; 64 * 1024]).await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    assert!(answer.contains("bad-request"), "{answer}");
}
