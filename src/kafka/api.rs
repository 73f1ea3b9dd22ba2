//! The requests Octad speaks: each one's number, name and answer. A new request is one line here.

use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, ApiVersionsRequest,
    ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, ElectLeadersRequest,
    ElectLeadersResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

/// A request with the answer that belongs to it. (The wire crate has such a trait too, but only together with
/// everything a broker needs.)
pub(crate) trait Api: Encodable + HeaderVersion + Message {
    /// Its number.
    const KEY: ApiKey;
    /// Its name in Kafka's protocol guide.
    const NAME: &'static str;
    /// Its answer.
    type Response: Decodable + HeaderVersion + Message;
}

macro_rules! apis {
    ($($name:ident: $request:ty => $response:ty;)*) => {$(
        impl Api for $request {
            const KEY: ApiKey = ApiKey::$name;
            const NAME: &'static str = stringify!($name);
            type Response = $response;
        }
    )*};
}

apis! {
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse;
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse;
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse;
    DescribeLogDirs: DescribeLogDirsRequest => DescribeLogDirsResponse;
    ElectLeaders: ElectLeadersRequest => ElectLeadersResponse;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse;
    ListPartitionReassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
    Metadata: MetadataRequest => MetadataResponse;
}
