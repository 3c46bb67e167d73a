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
