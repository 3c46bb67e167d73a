//! GELF 1.1: JSON in datagrams, compressed and cut into chunks, or over a stream with a zero behind each message.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Map, Value};

use super::severity;
use crate::Packing;
use crate::log::lines::{Line, Stream};

/// What fits into a datagram on every network, as the library that Docker uses has it.
const DATAGRAM: usize = 1420;
const CHUNK: usize = DATAGRAM - HEADER;
/// The magic number, an id, which chunk it is and of how many.
const HEADER: usize = 12;
/// A server takes no more.
const MOST_CHUNKS: usize = 128;

pub(super) fn message(
    fields: &Map<String, Value>,
    packing: Packing,
    line: &Line<'_>,
    stream: Stream,
    add: &mut dyn FnMut(Vec<u8>),
) {
    // A message without text isn't one.
    if line.text.is_empty() {
        return;
    }
    let mut document = Map::new();
    document.insert("version".into(), "1.1".into());
    document.insert("host".into(), fields.get("host").cloned().unwrap_or_default());
    document.insert("short_message".into(), String::from_utf8_lossy(line.text).into());
    document.insert("timestamp".into(), ((line.time / 1_000_000) as f64 / 1000.0).into());
    document.insert("level".into(), severity(stream).into());
    document.extend(fields.iter().filter(|(key, _)| *key != "host").map(|(k, v)| (k.clone(), v.clone())));
    let text = Value::Object(document).to_string().into_bytes();
    match pack(text, packing) {
        packed if packing == Packing::Zeros || packed.len() <= DATAGRAM => add(packed),
        packed => chunks(&packed, add),
    }
}

fn pack(mut text: Vec<u8>, packing: Packing) -> Vec<u8> {
    // Writing to memory can't fail; if it did, the message would go as it is.
    let packed = match packing {
        Packing::Zeros => {
            text.push(0);
            return text;
        }
        Packing::Plain => return text,
        Packing::Gzip { level } => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&text).and_then(|()| encoder.finish())
        }
        Packing::Zlib { level } => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&text).and_then(|()| encoder.finish())
        }
    };
    packed.unwrap_or(text)
}

fn chunks(packed: &[u8], add: &mut dyn FnMut(Vec<u8>)) {
    let count = packed.len().div_ceil(CHUNK);
    let mut id = [0; 8];
    let random = rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty());
    if count > MOST_CHUNKS || random.is_err() {
        return;
    }
    for (number, chunk) in packed.chunks(CHUNK).enumerate() {
        let header = [&[0x1e, 0x0f][..], &id[..], &[number as u8, count as u8][..]].concat();
        add([&header, chunk].concat());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn messages(text: &[u8], packing: Packing) -> Vec<Vec<u8>> {
        let fields = serde_json::json!({ "host": "h", "_tag": "t" });
        let line = Line { text, complete: true, time: 1_700_000_000_123_456_789, piece: None };
        let mut out = Vec::new();
        let fields = fields.as_object().cloned().unwrap_or_default();
        message(&fields, packing, &line, Stream::Stderr, &mut |datagram| out.push(datagram));
        out
    }

    const DOCUMENT: &str = "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"hi\",\
                            \"timestamp\":1700000000.123,\"level\":3,\"_tag\":\"t\"}";

    #[test]
    fn a_short_message_is_one_datagram() {
        assert_eq!(messages(b"hi", Packing::Plain), [DOCUMENT.as_bytes()]);
        assert_eq!(messages(b"hi", Packing::Zeros), [format!("{DOCUMENT}\0").as_bytes()]);
        let mut text = String::new();
        let packed = messages(b"hi", Packing::Gzip { level: 1 }).remove(0);
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, DOCUMENT);
        text.clear();
        let packed = messages(b"hi", Packing::Zlib { level: 1 }).remove(0);
        flate2::read::ZlibDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, DOCUMENT);
        assert!(messages(b"", Packing::Plain).is_empty());
    }

    #[test]
    fn a_long_one_is_cut_into_chunks_of_one_id() {
        let chunks = messages(&[b'x'; 5000], Packing::Plain);
        assert_eq!(chunks.len(), 4);
        for (number, chunk) in chunks.iter().enumerate() {
            assert!(chunk.len() <= DATAGRAM);
            assert_eq!((&chunk[..2], &chunk[2..10]), (&[0x1e, 0x0f][..], &chunks[0][2..10]));
            assert_eq!(chunk[10..12], [number as u8, 4]);
        }
        let whole: Vec<u8> = chunks.iter().flat_map(|chunk| &chunk[HEADER..]).copied().collect();
        assert!(serde_json::from_slice::<Value>(&whole).is_ok());
    }
}
