//! BuildKit's messages, under the names that its own sources call their packages by.

pub use bollard_buildkit_proto::fsutil::types::Stat;
pub use bollard_buildkit_proto::google::protobuf::{Any, Timestamp};
pub use bollard_buildkit_proto::google::rpc::Status;
pub use bollard_buildkit_proto::health;
pub use bollard_buildkit_proto::moby::buildkit::secrets::v1 as secrets;
pub use bollard_buildkit_proto::moby::buildkit::v1 as control;
pub use bollard_buildkit_proto::moby::buildkit::v1::frontend as gateway;
pub use bollard_buildkit_proto::moby::buildkit::v1::{apicaps, sourcepolicy, types};
pub use bollard_buildkit_proto::moby::filesync::packet::BytesMessage;
pub use bollard_buildkit_proto::moby::filesync::v1 as auth;
pub use bollard_buildkit_proto::moby::sshforward::v1 as ssh;
pub use bollard_buildkit_proto::pb;

/// containerd's content, as far as it is read: nobody generates these for us.
pub mod content {
    use std::collections::HashMap;

    use super::Timestamp;

    /// A blob.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Info {
        #[prost(string, tag = "1")]
        pub digest: String,
        #[prost(int64, tag = "2")]
        pub size: i64,
        #[prost(message, optional, tag = "3")]
        pub created_at: Option<Timestamp>,
        #[prost(message, optional, tag = "4")]
        pub updated_at: Option<Timestamp>,
        #[prost(map = "string, string", tag = "5")]
        pub labels: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct InfoRequest {
        #[prost(string, tag = "1")]
        pub digest: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct InfoResponse {
        #[prost(message, optional, tag = "1")]
        pub info: Option<Info>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct ListContentRequest {
        #[prost(string, repeated, tag = "1")]
        pub filters: Vec<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ListContentResponse {
        #[prost(message, repeated, tag = "1")]
        pub info: Vec<Info>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct ReadContentRequest {
        #[prost(string, tag = "1")]
        pub digest: String,
        #[prost(int64, tag = "2")]
        pub offset: i64,
        /// 0: to the end.
        #[prost(int64, tag = "3")]
        pub size: i64,
    }

    /// What a message that writes is for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum Action {
        Stat = 0,
        Write = 1,
        Commit = 2,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct WriteContentRequest {
        #[prost(enumeration = "Action", tag = "1")]
        pub action: i32,
        #[prost(string, tag = "2")]
        pub r#ref: String,
        #[prost(int64, tag = "3")]
        pub total: i64,
        #[prost(string, tag = "4")]
        pub expected: String,
        #[prost(int64, tag = "5")]
        pub offset: i64,
        #[prost(bytes = "vec", tag = "6")]
        pub data: Vec<u8>,
        #[prost(map = "string, string", tag = "7")]
        pub labels: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct WriteContentResponse {
        #[prost(enumeration = "Action", tag = "1")]
        pub action: i32,
        #[prost(message, optional, tag = "2")]
        pub started_at: Option<Timestamp>,
        #[prost(message, optional, tag = "3")]
        pub updated_at: Option<Timestamp>,
        #[prost(int64, tag = "4")]
        pub offset: i64,
        #[prost(int64, tag = "5")]
        pub total: i64,
        #[prost(string, tag = "6")]
        pub digest: String,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct ReadContentResponse {
        #[prost(int64, tag = "1")]
        pub offset: i64,
        #[prost(bytes = "vec", tag = "2")]
        pub data: Vec<u8>,
    }
}
