//! Lists of texts beside a call. Values that aren't ASCII go as a query's, with a note under another key.

use grpc::{Code, Metadata, Status};
use http::HeaderMap;

/// The most values of one key: the patterns of a large `.dockerignore`.
const MAX_VALUES: usize = 10_000;

/// All values of a key.
pub(crate) fn decode(metadata: &HeaderMap, key: &str) -> Result<Vec<String>, Status> {
    let encoded = metadata.get(format!("{key}-encoded")).is_some_and(|note| note == "1" || note == "true");
    let value = |value: &http::HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        if encoded { unescape(&text) } else { text.into_owned() }
    };
    let values: Vec<String> = metadata.get_all(key).iter().take(MAX_VALUES + 1).map(value).collect();
    match values.len() {
        0..=MAX_VALUES => Ok(values),
        _ => Err(Status::new(Code::InvalidArgument, format!("more than {MAX_VALUES} values of {key}"))),
    }
}

/// Adds values to what goes with a call.
pub(crate) fn encode(mut metadata: Metadata, key: &str, values: &[String]) -> Result<Metadata, Status> {
    let plain = values.iter().all(|value| value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    if !plain {
        metadata = metadata.and(&format!("{key}-encoded"), "1")?;
    }
    for value in values {
        metadata = metadata.and(key, &if plain { value.clone() } else { escape(value) })?;
    }
    Ok(metadata)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let hex = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.extend(hex);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_alphabets_come_back() {
        for text in ["größe/*", "a b", "100%", "a+b", "日本"] {
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
