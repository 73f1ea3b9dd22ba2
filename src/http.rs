//! Services as they are seen by whoever connects, and files that are fetched: plain TCP, HTTP and HTTPS. Does I/O; knows
//! no service.

use crate::causes::with_causes;
use crate::model::HealthCheck;
use std::io;
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a member may take to answer, as long as a ZooKeeper server may.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a server of files may take to be connected to, and may then be silent.
const CONNECT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);

/// Why a member doesn't serve, or isn't known to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotServing {
    /// Its host says that nobody listens there.
    #[error("nobody listens")]
    Closed,
    /// It answers that it does not.
    #[error("answers {found} instead of {wanted}")]
    Status {
        /// Its answer.
        found: u16,
        /// The one that it should give.
        wanted: u16,
    },
    /// It could not be asked.
    #[error("does not answer: {why}")]
    Silent {
        /// Why, with the whole chain of causes.
        why: String,
    },
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server can't be reached, or broke off.
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    /// The server has something else to say.
    #[error("its server answers {status}")]
    Status {
        /// Such as `404 Not Found`.
        status: String,
    },
    /// It can't be written.
    #[error("it can't be written")]
    Write(#[source] io::Error),
}

/// A client, with whatever it needs for TLS.
fn client() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // One that is there already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
}

/// Asks the member at `address` (`host:port`) whether it serves. No proxy is between, and nobody is followed elsewhere.
pub(crate) async fn ask(address: &str, check: &HealthCheck) -> Result<(), NotServing> {
    match check {
        HealthCheck::Tcp { .. } => match tokio::time::timeout(ANSWER, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(NotServing::Closed),
            Ok(Err(error)) => Err(NotServing::Silent { why: error.to_string() }),
            Err(_) => Err(NotServing::Silent { why: format!("no connection within {} s", ANSWER.as_secs()) }),
        },
        HealthCheck::Http { path, status, .. } => {
            // In plain text, which no certificate of the machine is needed for.
            let client = client().no_proxy().tls_certs_only(std::iter::empty());
            let client = client.redirect(reqwest::redirect::Policy::none()).timeout(ANSWER);
            let ask = async || client.build()?.get(format!("http://{address}{path}")).send().await;
            match ask().await.map(|answer| answer.status().as_u16()) {
                Ok(found) if found == *status => Ok(()),
                Ok(found) => Err(NotServing::Status { found, wanted: *status }),
                Err(error) if is_refused(&error) => Err(NotServing::Closed),
                Err(error) => Err(NotServing::Silent { why: with_causes(&error.without_url()) }),
            }
        }
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    error.downcast_ref().is_some_and(refused) || error.source().is_some_and(is_refused)
}

/// Fetches a file, through whatever proxy the environment names. `progress` is told how many bytes have come, and of how
/// many where the server says that.
pub(crate) async fn fetch(
    url: &str,
    to: &mut (impl AsyncWrite + Unpin),
    progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
) -> Result<(), FetchError> {
    let client = client().connect_timeout(CONNECT).read_timeout(SILENCE).build()?;
    let mut answer = client.get(url).send().await?;
    if !answer.status().is_success() {
        return Err(FetchError::Status { status: answer.status().to_string() });
    }
    let (length, mut come) = (answer.content_length(), 0);
    progress(come, length);
    while let Some(piece) = answer.chunk().await? {
        to.write_all(&piece).await.map_err(FetchError::Write)?;
        come += piece.len() as u64;
        progress(come, length);
    }
    to.flush().await.map_err(FetchError::Write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    /// A server that gives this answer to each that connects, and its address.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_member_serves_where_it_answers_as_it_should() {
        let check = HealthCheck::http("web", "/health");
        let well = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(ask(&well, &check).await, Ok(()));
        assert_eq!(ask(&well, &HealthCheck::tcp("web")).await, Ok(()));
        let ill = server("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        let told = NotServing::Status { found: 503, wanted: 200 };
        assert_eq!(ask(&ill, &check).await, Err(told));
        let elsewhere = server("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
        let told = NotServing::Status { found: 302, wanted: 200 };
        assert_eq!(ask(&elsewhere, &check).await, Err(told), "nobody is followed elsewhere");
    }

    #[tokio::test]
    async fn nobody_listening_is_told_from_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let http = HealthCheck::http("web", "/");
        // It takes connections and says nothing.
        assert!(matches!(ask(&address, &http).await, Err(NotServing::Silent { .. })));
        drop(listener);
        assert_eq!(ask(&address, &http).await, Err(NotServing::Closed));
        assert_eq!(ask(&address, &HealthCheck::tcp("web")).await, Err(NotServing::Closed));
    }

    #[tokio::test]
    async fn a_file_is_fetched_and_a_refusal_is_told() {
        let quiet = |_, _| {};
        let there = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        let mut file = Vec::new();
        fetch(&format!("http://{there}/a"), &mut file, &quiet).await.unwrap();
        assert_eq!(file, b"hello");
        let gone = server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let refused = fetch(&format!("http://{gone}/a"), &mut file, &quiet).await.unwrap_err();
        assert_eq!(refused.to_string(), "its server answers 404 Not Found");
        let cut_off = server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
        assert!(fetch(&format!("http://{cut_off}/a"), &mut file, &quiet).await.is_err());
    }
}
