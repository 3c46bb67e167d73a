//! What comes from our standard input, given when the engine asks for it.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use grpc::{Call, Code, Status};

use crate::proto::BytesMessage;

const PIECE: usize = 32 << 10;

/// The address under which the engine finds an upload: only a session's own host answers it.
#[must_use]
pub fn address(name: &str) -> String {
    format!("http://buildkit-session/{name}")
}

/// Gives one away; there is no second time.
pub(super) async fn give(
    uploads: &Mutex<BTreeMap<String, Box<dyn Read + Send>>>,
    call: Call,
) -> Result<(), Status> {
    let name = call.text("urlpath").unwrap_or_default().trim_start_matches('/').to_owned();
    let found = uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    let Some(mut input) = found else {
        return Err(Status::new(Code::NotFound, format!("no such upload: {name}")));
    };
    let sender = call.sender;
    let copied = tasks::blocking(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = input.read(&mut buffer).map_err(|e| Status::new(Code::Unknown, e.to_string()))?;
            if count == 0 {
                return Ok(());
            }
            sender.blocking_send(&BytesMessage { data: buffer[..count].to_vec() })?;
        }
    });
    copied.await.map_err(|e| Status::new(Code::Internal, e.to_string()))?
}
