//! How a call ended, as its last headers say it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// gRPC's codes. Numbers that it doesn't have are `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are gRPC's")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of this number.
    #[must_use]
    pub fn of(number: i32) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied()).unwrap_or(Self::Unknown)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The kind of failure.
    pub code: Code,
    /// The sentence.
    pub message: String,
    /// A `google.rpc.Status`, encoded, where the other side sent one: clients draw source lines from it.
    pub details: Bytes,
}

impl Status {
    /// A failure with a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: diag::plain(&message.into()), details: Bytes::new() }
    }

    /// The connection broke.
    pub fn broken(what: &str, why: impl fmt::Display) -> Self {
        Self::new(Code::Unavailable, format!("{what}: {why}"))
    }

    /// Bytes that aren't the message that they should be.
    pub fn garbled(why: impl fmt::Display) -> Self {
        Self::new(Code::Internal, format!("cannot decode a message: {why}"))
    }

    /// A method that isn't there, in the words that clients look for.
    #[must_use]
    pub fn unimplemented(path: &str) -> Self {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        Self::new(Code::Unimplemented, format!("unknown method {method} for service {service}"))
    }

    /// The trailers that say it; of a success, `None`.
    pub(crate) fn trailers(status: Option<&Self>) -> HeaderMap {
        let mut map = HeaderMap::new();
        let Some(status) = status else {
            map.insert(STATUS, HeaderValue::from_static("0"));
            return map;
        };
        map.insert(STATUS, HeaderValue::from(status.code as u16));
        if let Ok(text) = HeaderValue::from_str(&escaped(&status.message)) {
            map.insert(MESSAGE, text);
        }
        if !status.details.is_empty()
            && let Ok(text) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(&status.details))
        {
            map.insert(DETAILS, text);
        }
        map
    }

    /// What trailers, or the headers of an answer without a body, say. `None` where they say nothing.
    pub(crate) fn of_trailers(map: &HeaderMap) -> Option<Result<(), Self>> {
        let text = |name: &str| map.get(name).and_then(|value| value.to_str().ok());
        let code = Code::of(text(STATUS)?.parse().ok()?);
        if code == Code::Ok {
            return Some(Ok(()));
        }
        let message = unescaped(text(MESSAGE).unwrap_or_default());
        let details = text(DETAILS).map(|text| text.trim_end_matches('='));
        let details = details.and_then(|text| STANDARD_NO_PAD.decode(text).ok()).unwrap_or_default();
        Some(Err(Self { code, message, details: details.into() }))
    }
}

/// gRPC's own percent-encoding: of all but printable ASCII, and of the percent sign.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if *byte == b'%' => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The value of a header whose name ends in `-bin`.
pub(crate) fn binary(value: &[u8]) -> String {
    STANDARD.encode(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_trailers() {
        let status =
            Status {
                code: Code::NotFound, message: "100% of\n„x“".into(), details: vec![1, 2, 255].into()
            };
        let back = Status::of_trailers(&Status::trailers(Some(&status)));
        assert_eq!(back, Some(Err(status)));
        assert_eq!(Status::of_trailers(&Status::trailers(None)), Some(Ok(())));
        assert_eq!(Status::of_trailers(&HeaderMap::new()), None);
    }

    #[test]
    fn half_an_escape_is_text() {
        assert_eq!(unescaped("50%"), "50%");
        assert_eq!(unescaped("%zz%4"), "%zz%4");
        assert_eq!(unescaped("%41"), "A");
    }
}
