//! A message on the wire: a byte that says whether it is compressed, its length, itself.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::status::{Code, Status};

const HEAD: usize = 5;

/// The message with its head.
pub(crate) fn encode(message: &impl Message) -> Result<Bytes, Status> {
    let mut buffer = BytesMut::with_capacity(HEAD + message.encoded_len());
    append(&mut buffer, message)?;
    Ok(buffer.freeze())
}

/// Several, one after the other.
pub(crate) fn encode_all<M: Message>(messages: &[M]) -> Result<Bytes, Status> {
    let mut buffer = BytesMut::new();
    messages.iter().try_for_each(|message| append(&mut buffer, message))?;
    Ok(buffer.freeze())
}

fn append(buffer: &mut BytesMut, message: &impl Message) -> Result<(), Status> {
    let length = message.encoded_len();
    let declared = u32::try_from(length).map_err(|_| too_large(length, u32::MAX as usize))?;
    buffer.put_u8(0);
    buffer.put_u32(declared);
    message.encode(buffer).map_err(Status::garbled)
}

/// Takes one whole message off the front, if it is there.
pub(crate) fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, Status> {
    let Some((compressed, length)) = head(buffer) else { return Ok(None) };
    if compressed != 0 {
        return Err(Status::new(Code::Unimplemented, "messages must not be compressed"));
    }
    if length > limit {
        return Err(too_large(length, limit));
    }
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some(buffer.split_to(length).freeze()))
}

fn head(buffer: &[u8]) -> Option<(u8, usize)> {
    let (compressed, rest) = buffer.split_first()?;
    let length = rest.first_chunk::<4>()?;
    Some((*compressed, u32::from_be_bytes(*length) as usize))
}

fn too_large(length: usize, limit: usize) -> Status {
    let message = format!("received message larger than max ({length} vs. {limit})");
    Status::new(Code::ResourceExhausted, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_taken_before_it_is_whole() {
        let whole = encode(&"hello".to_owned()).unwrap();
        for end in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..end]);
            assert_eq!(take(&mut buffer, 100).unwrap(), None);
            assert_eq!(buffer.len(), end);
        }
        let mut buffer = BytesMut::from(&whole[..]);
        assert_eq!(String::decode(take(&mut buffer, 100).unwrap().unwrap()).unwrap(), "hello");
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_too_large_or_compressed_is_refused_by_its_head() {
        let mut large = BytesMut::from(&[0, 0, 1, 0, 0][..]);
        assert_eq!(take(&mut large, 100).unwrap_err().code, Code::ResourceExhausted);
        let mut compressed = BytesMut::from(&[1, 0, 0, 0, 0][..]);
        assert_eq!(take(&mut compressed, 100).unwrap_err().code, Code::Unimplemented);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(message)) = take(&mut buffer, 32) {
                prop_assert!(message.len() <= 32);
            }
        }
    }
}
