//! docker's framing of stdout and stderr in one stream: `[stream, 0, 0, 0, length (4 bytes, big endian)] payload`.

use super::Stream;
use crate::error::Error;

/// Takes what the frames carry.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Stream, &[u8]) -> Result<(), Error>;

/// Takes the stream apart as it arrives; a frame is never held back until it is complete.
pub(crate) struct Demux {
    framed: bool,
    head: Vec<u8>,
    stream: Stream,
    left: usize,
}

impl Demux {
    pub(crate) fn new(framed: bool) -> Self {
        Self { framed, head: Vec::with_capacity(8), stream: Stream::Out, left: 0 }
    }

    /// Prints what `bytes` carry: what goes to one stream at one go, for a line a call would be many calls.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (mut held, mut to) = (Vec::with_capacity(bytes.len()), Stream::Out);
        self.feed(bytes, &mut |stream, payload| {
            if stream != to && !held.is_empty() {
                to.write(&held)?;
                held.clear();
            }
            to = stream;
            held.extend_from_slice(payload);
            Ok(())
        })?;
        if held.is_empty() { Ok(()) } else { to.write(&held) }
    }

    /// Hands what `bytes` carry to `sink`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: Sink<'_>) -> Result<(), Error> {
        if !self.framed {
            return sink(Stream::Out, bytes);
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(8 - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                self.begin_frame()?;
                continue;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left));
            sink(self.stream, payload)?;
            self.left -= payload.len();
            bytes = rest;
        }
        Ok(())
    }

    fn begin_frame(&mut self) -> Result<(), Error> {
        let Ok([stream, _, _, _, a, b, c, d]) = <[u8; 8]>::try_from(self.head.as_slice()) else {
            return Ok(());
        };
        self.head.clear();
        self.left = u32::from_be_bytes([a, b, c, d]) as usize;
        self.stream = match stream {
            0 | 1 => Stream::Out,
            // 3 carries an error of the engine's, which belongs where errors go.
            2 | 3 => Stream::Err,
            _ => return Err(Error::Usage(format!("Unrecognized input header: {stream}"))),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(chunks: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut demux = Demux::new(true);
        for chunk in chunks {
            demux.feed(chunk, &mut |stream, payload| {
                let sink = if stream == Stream::Out { &mut out } else { &mut err };
                sink.extend_from_slice(payload);
                Ok(())
            })?;
        }
        Ok((out, err))
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in proptest::collection::vec((1u8..3, "[a-z]{0,9}"), 0..9), cut in 1usize..20) {
            let (mut wire, mut out, mut err) = (Vec::new(), Vec::new(), Vec::new());
            for (stream, text) in &frames {
                wire.extend_from_slice(&[*stream, 0, 0, 0, 0, 0, 0, text.len() as u8]);
                wire.extend_from_slice(text.as_bytes());
                if *stream == 1 { out.extend_from_slice(text.as_bytes()) } else { err.extend_from_slice(text.as_bytes()) }
            }
            let chunks: Vec<&[u8]> = wire.chunks(cut).collect();
            prop_assert_eq!(collect(&chunks).unwrap(), (out, err));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = collect(&[&bytes]);
        }
    }
}
