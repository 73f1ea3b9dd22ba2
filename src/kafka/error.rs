//! What can go wrong between Octad and a Kafka cluster. No I/O.

use crate::causes::with_causes;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::VersionRange;
use thiserror::Error;

use super::api::Api;
use super::connection::RESPONSE_LIMIT;
use super::view::TopicPartition;

/// Why one broker could not be talked to. Says nothing of which broker: whoever holds the address adds it.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// Nobody listens there, or there is no such host.
    #[error("cannot connect")]
    Connect {
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The host drops packets, or its backlog is full.
    #[error("no connection within {after:?}")]
    ConnectTimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// It accepted and never answered: frozen, overloaded, or not Kafka.
    #[error("no answer to {api} within {after:?}")]
    TimedOut {
        /// The request.
        api: &'static str,
        /// The time it was given.
        after: Duration,
    },
    /// It hung up instead of answering.
    #[error("closed the connection instead of answering {api}")]
    Closed {
        /// The request.
        api: &'static str,
    },
    /// The connection broke.
    #[error("connection broke during {api}")]
    Broken {
        /// The request.
        api: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The length of the answer is negative or over [`RESPONSE_LIMIT`].
    #[error(
        "announced an answer of {announced} bytes to {api} (the limit is {RESPONSE_LIMIT}): not a plain-text Kafka listener?"
    )]
    Oversized {
        /// The request.
        api: &'static str,
        /// The length it announced.
        announced: i32,
    },
    /// The answer is to another request than the one asked.
    #[error("answered request {got} instead of {api}, request {asked}: not a Kafka listener?")]
    Mismatched {
        /// The request.
        api: &'static str,
        /// Its number.
        asked: i32,
        /// The number in the answer.
        got: i32,
    },
    /// The answer makes no sense.
    #[error("unintelligible answer to {api} version {version}: not a Kafka listener?")]
    Undecodable {
        /// The request.
        api: &'static str,
        /// The version both sides spoke.
        version: i16,
        /// Where it broke.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The request has something in it that this version of it can't say.
    #[error("{api} version {version} cannot carry the request")]
    Unencodable {
        /// The request.
        api: &'static str,
        /// The version both sides know.
        version: i16,
        /// What it can't.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It knows the API, in other versions than Octad.
    #[error("speaks {api} versions {theirs}, Octad {ours}")]
    NoCommonVersion {
        /// The API.
        api: &'static str,
        /// The broker's versions.
        theirs: VersionRange,
        /// Octad's versions.
        ours: VersionRange,
    },
    /// It does not know the API at all.
    #[error("does not know {api}")]
    UnknownApi {
        /// The API.
        api: &'static str,
    },
    /// It refused to say which versions it speaks.
    #[error("refused ApiVersions: {code}")]
    NoVersions {
        /// Its reason.
        code: ErrorCode,
    },
}

impl ConnectionError {
    /// Whether the host answered, and says that nobody listens there.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Connect { source } if source.kind() == std::io::ErrorKind::ConnectionRefused)
    }

    /// Whether this broker certainly never got the request: no connection, or none agreed on. Another may be
    /// asked then without doing a change twice.
    pub(crate) fn is_before_sending(&self) -> bool {
        let handshake = ApiVersionsRequest::NAME;
        match self {
            Self::Connect { .. } | Self::ConnectTimedOut { .. } | Self::NoVersions { .. } => true,
            Self::NoCommonVersion { .. } | Self::UnknownApi { .. } | Self::Unencodable { .. } => true,
            Self::TimedOut { api, .. } | Self::Closed { api } | Self::Broken { api, .. } => *api == handshake,
            Self::Oversized { api, .. } | Self::Mismatched { api, .. } => *api == handshake,
            Self::Undecodable { api, .. } => *api == handshake,
        }
    }
}

/// Why a request to the cluster failed.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// Not one of the brokers asked gave an answer.
    #[error("no broker answered: {}", list(attempts))]
    NobodyAnswered {
        /// Each address asked, with why it did not.
        attempts: Vec<Attempt>,
        /// The brokers that ZooKeeper has registered all the same; `None` where it wasn't or couldn't be asked.
        registered: Option<BTreeSet<i32>>,
    },
    /// Nobody of the ensemble answered. Brokers read topics' settings there, and each that is asked for them meanwhile has
    /// one thread less for its clients until ZooKeeper is back: none was asked.
    #[error(
        "ZooKeeper didn't answer in time, and brokers, which need it to tell topics' settings, were not asked"
    )]
    NoZookeeper,
    /// Not one of the brokers that answer is registered in ZooKeeper, so that none of them reaches it: as in
    /// [`NoZookeeper`](Self::NoZookeeper), none was asked for settings.
    #[error(
        "no broker that answers is registered in ZooKeeper ({}), and they would wait for it when asked for settings",
        addresses.join(", ")
    )]
    NotRegistered {
        /// The brokers that answer.
        addresses: Vec<String>,
    },
    /// The bootstrap addresses lead to more than one cluster.
    #[error("brokers of different clusters: {first_address} is of {first}, {other_address} of {other}")]
    DifferentClusters {
        /// One address.
        first_address: String,
        /// Its cluster id.
        first: String,
        /// Another address.
        other_address: String,
        /// Its cluster id.
        other: String,
    },
    /// The request was, or may have been, sent to this broker, and its answer was not received.
    #[error("broker at {address}")]
    Unreachable {
        /// Its address.
        address: String,
        /// What happened.
        source: ConnectionError,
    },
    /// No controller took the request in time; it was not carried out.
    #[error("no controller took {api} within {waited:?}: {}", last.as_deref().unwrap_or("no broker names a live one"))]
    NoController {
        /// The request.
        api: &'static str,
        /// How long one was looked for.
        waited: Duration,
        /// What the last attempt ran into.
        last: Option<String>,
    },
    /// There is a topic of that name.
    #[error("topic {topic} exists already")]
    TopicExists {
        /// The topic.
        topic: String,
    },
    /// There is no topic of that name.
    #[error("no topic {topic}")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// Kafka refused.
    #[error("broker at {address} refused {api}{}: {code}{}", of(subject), said(message))]
    Rejected {
        /// The broker's address.
        address: String,
        /// The request.
        api: &'static str,
        /// The topic it was about, if one.
        subject: Option<String>,
        /// Kafka's reason.
        code: ErrorCode,
        /// Kafka's words, if any.
        message: Option<String>,
    },
    /// Kafka refused for some partitions; it did as asked for the others.
    #[error("broker at {address} refused {api} for {}", list(failures))]
    PartitionsRejected {
        /// The broker's address.
        address: String,
        /// The request.
        api: &'static str,
        /// Those refused.
        failures: Vec<PartitionFailure>,
    },
    /// The answer leaves out what was asked for.
    #[error("broker at {address} answered {api} without {what}")]
    Unmentioned {
        /// The broker's address.
        address: String,
        /// The request.
        api: &'static str,
        /// What is missing.
        what: String,
    },
}

impl KafkaError {
    /// Whether the broker said that it isn't the controller: nothing was done, another must be asked.
    pub(crate) fn is_not_controller(&self) -> bool {
        match self {
            Self::Rejected { code, .. } => *code == ErrorCode(ResponseError::NotController),
            Self::PartitionsRejected { failures, .. } => {
                failures.iter().all(|f| f.code == ErrorCode(ResponseError::NotController))
            }
            _ => false,
        }
    }
}

/// One broker that was asked in vain.
#[derive(Debug)]
pub struct Attempt {
    /// Its address.
    pub address: String,
    /// Why it gave no answer.
    pub why: ConnectionError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, with_causes(&self.why))
    }
}

/// One partition that Kafka refused to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFailure {
    /// The partition.
    pub partition: TopicPartition,
    /// Kafka's reason.
    pub code: ErrorCode,
    /// Kafka's words, if any.
    pub message: Option<String>,
}

impl fmt::Display for PartitionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.partition, self.code, said(&self.message))
    }
}

/// An error code of Kafka's protocol; displayed by the name Kafka's documentation has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub(crate) ResponseError);

impl ErrorCode {
    /// The code in an answer; `None` for 0, which is success.
    pub(crate) fn of(code: i16) -> Option<Self> {
        ResponseError::try_from_code(code).map(Self)
    }

    /// Its number.
    pub fn number(&self) -> i16 {
        self.0.code()
    }

    /// Whether Kafka deems it worth trying again.
    pub fn is_retriable(&self) -> bool {
        self.0.is_retriable()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ResponseError::Unknown(number) = self.0 {
            return write!(f, "error {number}");
        }
        // The wire crate has the names in Rust's case: NotController for NOT_CONTROLLER.
        for (at, letter) in self.0.to_string().char_indices() {
            if at > 0 && letter.is_ascii_uppercase() {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn of(subject: &Option<String>) -> String {
    subject.as_ref().map(|topic| format!(" for topic {topic}")).unwrap_or_default()
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_carry_the_name_of_kafkas_documentation() {
        assert_eq!(ErrorCode::of(0), None);
        assert_eq!(ErrorCode::of(41).unwrap().to_string(), "NOT_CONTROLLER");
        assert_eq!(ErrorCode::of(80).unwrap().to_string(), "PREFERRED_LEADER_NOT_AVAILABLE");
        assert_eq!(ErrorCode::of(999).unwrap().to_string(), "error 999");
    }

    #[test]
    fn a_refusal_names_broker_request_topic_code_and_kafkas_words() {
        let error = KafkaError::Rejected {
            address: "a:9092".into(),
            api: "CreateTopics",
            subject: Some("orders".into()),
            code: ErrorCode::of(38).unwrap(),
            message: Some("Replication factor: 4 larger than available brokers: 3.".into()),
        };
        assert_eq!(
            error.to_string(),
            "broker at a:9092 refused CreateTopics for topic orders: INVALID_REPLICATION_FACTOR \
             (Replication factor: 4 larger than available brokers: 3.)"
        );
    }

    #[test]
    fn a_silent_cluster_is_named_address_by_address_with_causes() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = KafkaError::NobodyAnswered {
            attempts: vec![
                Attempt { address: "a:1".into(), why: ConnectionError::Connect { source: refused } },
                Attempt { address: "b:2".into(), why: ConnectionError::Closed { api: "Metadata" } },
            ],
            registered: None,
        };
        assert_eq!(
            error.to_string(),
            "no broker answered: a:1 (cannot connect: connection refused), \
             b:2 (closed the connection instead of answering Metadata)"
        );
    }
}
