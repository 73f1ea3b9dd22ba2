//! One TCP connection to one broker: frames, correlation ids, API versions, time limits.
//!
//! The wire types are the kafka-protocol crate's; the connection is ours, because the engine needs requests
//! that client libraries don't have. One request at a time. Knows nothing of clusters or controllers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::api::Api;
use super::error::{ConnectionError, ErrorCode};

/// The largest answer that is read, in bytes: 100 MB, as much as a broker by default takes in a request
/// (`socket.request.max.bytes`) and far more than the metadata of any cluster Octad deploys. Anything over it
/// is another protocol's first bytes read as a length (HTTP's "HTTP" is 1.2 GB, a TLS alert 350 MB).
pub const RESPONSE_LIMIT: i32 = 100 * 1024 * 1024;

/// The name brokers see in their request log and quotas.
const CLIENT_ID: &str = "octad";

/// Every broker knows version 0, so nothing need be known of it beforehand. And its answer has a fixed shape
/// ([`is_version_list`]), so that a stranger is told from a broker before anything else of it is decoded.
const API_VERSIONS: i16 = 0;

/// The bytes of one API in a version 0 answer: key, lowest version, highest version.
const API_VERSION_BYTES: usize = 6;

/// The first correlation id ("octa"). Not 0 or 1, so that a stranger's bytes hardly ever look like an answer.
const FIRST_CORRELATION: i32 = 0x6f63_7461;

/// An open connection on which the API versions are agreed.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    next_correlation: i32,
    versions: BTreeMap<i16, VersionRange>,
}

impl Connection {
    /// Connects and asks which API versions the broker speaks. `connect` limits the first, `answer` the
    /// second.
    pub(crate) async fn open(
        address: &str,
        connect: Duration,
        answer: Duration,
    ) -> Result<Self, ConnectionError> {
        let stream = timeout(connect, TcpStream::connect(address))
            .await
            .map_err(|_| ConnectionError::ConnectTimedOut { after: connect })?
            .map_err(|source| ConnectionError::Connect { source })?;
        // Requests are small and each waits for its answer: Nagle would only add delay.
        stream.set_nodelay(true).map_err(|source| ConnectionError::Connect { source })?;
        let mut connection = Self { stream, next_correlation: FIRST_CORRELATION, versions: BTreeMap::new() };
        connection.negotiate(answer).await?;
        Ok(connection)
    }

    /// Whether the broker has kept it open: a killed broker's host has closed it by now.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends a request in the highest version that both sides know and waits for the answer. `build` gets
    /// that version, for requests whose shape depends on it. After an error, or when the returned future is
    /// dropped before its end, the connection must not be used again: an answer may still be under way.
    pub(crate) async fn call<R: Api>(
        &mut self,
        limit: Duration,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ConnectionError> {
        let version = self.version_of::<R>()?;
        self.exchange(version, limit, &build(version)).await
    }

    async fn negotiate(&mut self, limit: Duration) -> Result<(), ConnectionError> {
        let request = ApiVersionsRequest::default();
        let response = self.exchange(API_VERSIONS, limit, &request).await?;
        if let Some(code) = ErrorCode::of(response.error_code) {
            return Err(ConnectionError::NoVersions { code });
        }
        self.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
            .collect();
        Ok(())
    }

    fn version_of<R: Api>(&self) -> Result<i16, ConnectionError> {
        let (api, ours) = (R::NAME, R::VERSIONS.intersect(&R::Response::VERSIONS));
        let theirs = *self.versions.get(&(R::KEY as i16)).ok_or(ConnectionError::UnknownApi { api })?;
        let common = ours.intersect(&theirs);
        if common.is_empty() {
            return Err(ConnectionError::NoCommonVersion { api, theirs, ours });
        }
        Ok(common.max)
    }

    async fn exchange<R: Api>(
        &mut self,
        version: i16,
        limit: Duration,
        request: &R,
    ) -> Result<R::Response, ConnectionError> {
        let api = R::NAME;
        let correlation = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1);
        let frame = encode(correlation, version, request).map_err(|source| ConnectionError::Unencodable {
            api,
            version,
            source,
        })?;
        let answer = timeout(limit, self.send_and_receive(api, frame))
            .await
            .map_err(|_| ConnectionError::TimedOut { api, after: limit })??;
        decode::<R>(correlation, version, answer)
    }

    async fn send_and_receive(
        &mut self,
        api: &'static str,
        frame: BytesMut,
    ) -> Result<Bytes, ConnectionError> {
        let broken = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => ConnectionError::Closed { api },
            _ => ConnectionError::Broken { api, source },
        };
        self.stream.write_all(&frame).await.map_err(broken)?;
        let announced = self.stream.read_i32().await.map_err(broken)?;
        if !(0..=RESPONSE_LIMIT).contains(&announced) {
            return Err(ConnectionError::Oversized { api, announced });
        }
        // Grows with what arrives, not with what was announced.
        let mut answer = Vec::new();
        (&mut self.stream).take(announced as u64).read_to_end(&mut answer).await.map_err(broken)?;
        if answer.len() < announced as usize {
            return Err(ConnectionError::Closed { api });
        }
        Ok(answer.into())
    }
}

fn encode<R: Api>(
    correlation: i32,
    version: i16,
    request: &R,
) -> Result<BytesMut, Box<dyn std::error::Error + Send + Sync>> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = i32::try_from(frame.len() - size_of::<i32>())?;
    frame[..size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn decode<R: Api>(asked: i32, version: i16, mut answer: Bytes) -> Result<R::Response, ConnectionError> {
    let api = R::NAME;
    let undecodable = |source: Box<dyn std::error::Error + Send + Sync>| ConnectionError::Undecodable {
        api,
        version,
        source,
    };
    let got = match answer.first_chunk() {
        Some(bytes) => i32::from_be_bytes(*bytes),
        None => return Err(undecodable("shorter than a correlation id".into())),
    };
    if got != asked {
        return Err(ConnectionError::Mismatched { api, asked, got });
    }
    ResponseHeader::decode(&mut answer, R::Response::header_version(version))
        .map_err(|source| undecodable(source.into()))?;
    if R::KEY == ApiKey::ApiVersions && !is_version_list(&answer) {
        return Err(undecodable("no list of versions".into()));
    }
    R::Response::decode(&mut answer, version).map_err(|source| undecodable(source.into()))
}

/// Whether a body can be an answer to ApiVersions version 0: an error code, a count, and as many entries. The
/// wire crate allocates by whatever count it reads, and a stranger's would abort the process.
fn is_version_list(body: &[u8]) -> bool {
    let Some((_error_code, rest)) = body.split_at_checked(size_of::<i16>()) else { return false };
    let Some((count, apis)) = rest.split_first_chunk() else { return false };
    usize::try_from(i32::from_be_bytes(*count)).is_ok_and(|count| apis.len() / API_VERSION_BYTES == count)
        && apis.len() % API_VERSION_BYTES == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::MetadataRequest;

    #[test]
    fn a_frame_begins_with_the_length_of_what_follows() {
        let frame = encode(7, 1, &MetadataRequest::default()).unwrap();
        let length = i32::from_be_bytes(*frame.first_chunk().unwrap());
        assert_eq!(length as usize, frame.len() - 4);
        assert_eq!(&frame[8..12], 7i32.to_be_bytes());
    }

    #[test]
    fn an_answer_to_another_request_is_refused() {
        let answer = Bytes::from_static(&[0, 0, 0, 9]);
        let error = decode::<MetadataRequest>(7, 1, answer).unwrap_err();
        assert!(matches!(error, ConnectionError::Mismatched { asked: 7, got: 9, .. }), "{error}");
    }

    #[test]
    fn a_cut_answer_is_unintelligible() {
        for answer in [&[0, 0][..], &[0, 0, 0, 7, 0, 0, 0][..]] {
            let error = decode::<MetadataRequest>(7, 1, Bytes::copy_from_slice(answer)).unwrap_err();
            assert!(matches!(error, ConnectionError::Undecodable { .. }), "{error}");
        }
    }

    #[test]
    fn a_list_of_versions_is_as_long_as_it_says() {
        assert!(is_version_list(&[0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]));
        assert!(is_version_list(&[0, 35, 0, 0, 0, 0]), "a refusal");
        assert!(!is_version_list(&[0, 0, 0, 0, 0, 2, 0, 18, 0, 0, 0, 4]));
        assert!(!is_version_list(&[0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4, 0]));
        assert!(!is_version_list(&[0xff; 18]));
        assert!(!is_version_list(b""));
    }
}
