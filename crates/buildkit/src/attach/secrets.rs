//! Secrets, read when they are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use grpc::{Call, Code, Status};

use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};

/// BuildKit's own limit.
pub(crate) const MAX_SECRET: usize = 500 << 10;

/// Where a secret is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In our environment.
    Variable(String),
}

/// Gives one away.
pub(super) async fn give(secrets: &BTreeMap<String, SecretSource>, call: Call) -> Result<(), Status> {
    let answer = |question: GetSecretRequest| async move {
        let id = question.id;
        match secrets.get(&id) {
            Some(source) => Ok(GetSecretResponse { data: read(source)? }),
            None => Err(Status::new(Code::NotFound, format!("secret {id} not found"))),
        }
    };
    call.answer(answer).await
}

fn read(source: &SecretSource) -> Result<Vec<u8>, Status> {
    match source {
        SecretSource::Variable(name) => {
            Ok(std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).unwrap_or_default())
        }
        SecretSource::File(path) => {
            let unreadable = |e: std::io::Error| {
                Status::new(Code::Unknown, format!("failed to read {}: {e}", path.display()))
            };
            let mut bytes = Vec::new();
            let file = File::open(path).map_err(unreadable)?;
            file.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.len() > MAX_SECRET {
                let why = format!("invalid secret size in {}, maximum {MAX_SECRET} bytes", path.display());
                return Err(Status::new(Code::Unknown, why));
            }
            Ok(bytes)
        }
    }
}
