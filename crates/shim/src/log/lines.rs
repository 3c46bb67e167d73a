//! Streams cut into lines as Docker's log copier does it.
//!
//! A line that is longer than the buffer is logged in pieces, all with the time of the first; only the last piece has
//! the newline. What comes before the end of the stream without a newline is logged without one.

/// As much of one line as is kept in memory.
const BUFFER: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One record of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    /// Whether a newline follows the text.
    pub(crate) complete: bool,
    /// Nanoseconds since the epoch.
    pub(crate) time: u64,
    /// Which piece of a line this is, if it is one.
    pub(crate) piece: Option<Piece>,
}

/// One piece of a line that is logged in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The same for all pieces of a line.
    pub(crate) id: [u8; 32],
    /// From one.
    pub(crate) ordinal: u32,
    pub(crate) last: bool,
    /// The time of the first one.
    time: u64,
}

impl Piece {
    fn first(time: u64) -> Self {
        let mut id = [0; 32];
        // Only to tell lines apart: without randomness it is the time that does.
        if rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty()).is_err() {
            id[..8].copy_from_slice(&time.to_be_bytes());
        }
        Self { id, ordinal: 1, last: false, time }
    }

    /// As many bytes as it takes to pass one on.
    pub(crate) const BYTES: usize = 32 + 4 + 1 + 8;

    pub(crate) fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.id);
        bytes[32..36].copy_from_slice(&self.ordinal.to_ne_bytes());
        bytes[36] = u8::from(self.last);
        bytes[37..].copy_from_slice(&self.time.to_ne_bytes());
        bytes
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: bytes.get(..32)?.try_into().ok()?,
            ordinal: u32::from_ne_bytes(bytes.get(32..36)?.try_into().ok()?),
            last: *bytes.get(36)? == 1,
            time: u64::from_ne_bytes(bytes.get(37..45)?.try_into().ok()?),
        })
    }

    /// The id as text: 64 hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.id.iter().fold(String::with_capacity(64), |mut text, byte| {
            use std::fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[derive(Default)]
pub(crate) struct Lines {
    held: Vec<u8>,
    /// The next piece of a line that is being logged in pieces.
    next: Option<Piece>,
}

impl Lines {
    pub(crate) fn push(&mut self, mut bytes: &[u8], now: u64, record: &mut dyn FnMut(Line<'_>)) {
        while !bytes.is_empty() {
            let room = BUFFER - self.held.len();
            let window = &bytes[..bytes.len().min(room)];
            match memchr::memchr(b'\n', window) {
                Some(end) => {
                    self.line(&window[..end], now, record);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    self.held.extend_from_slice(window);
                    bytes = &bytes[window.len()..];
                    if self.held.len() == BUFFER {
                        self.piece(now, record);
                    }
                }
            }
        }
    }

    pub(crate) fn end(&mut self, now: u64, record: &mut dyn FnMut(Line<'_>)) {
        if !self.held.is_empty() {
            self.piece(now, record);
        }
        self.next = None;
    }

    fn line(&mut self, rest: &[u8], now: u64, record: &mut dyn FnMut(Line<'_>)) {
        let piece = self.next.take().map(|piece| Piece { last: true, ..piece });
        let time = piece.map_or(now, |piece| piece.time);
        if self.held.is_empty() {
            return record(Line { text: rest, complete: true, time, piece });
        }
        self.held.extend_from_slice(rest);
        record(Line { text: &self.held, complete: true, time, piece });
        self.held.clear();
    }

    fn piece(&mut self, now: u64, record: &mut dyn FnMut(Line<'_>)) {
        let piece = self.next.unwrap_or_else(|| Piece::first(now));
        record(Line { text: &self.held, complete: false, time: piece.time, piece: Some(piece) });
        self.next = Some(Piece { ordinal: piece.ordinal + 1, ..piece });
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool, u64)> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for (time, chunk) in (1..).zip(chunks) {
            lines.push(chunk, time, &mut |l| out.push((l.text.to_vec(), l.complete, l.time)));
        }
        lines.end(99, &mut |l| out.push((l.text.to_vec(), l.complete, l.time)));
        out
    }

    #[test]
    fn a_line_has_the_time_at_which_its_end_came() {
        assert_eq!(
            records(&[b"a\nb", b"c\n\nlast"]),
            [
                (b"a".to_vec(), true, 1),
                (b"bc".to_vec(), true, 2),
                (b"".to_vec(), true, 2),
                (b"last".to_vec(), false, 99)
            ]
        );
    }

    #[test]
    fn a_long_line_comes_in_pieces_of_one_time() {
        let long = vec![b'x'; BUFFER + 5];
        let got = records(&[&long, b"y\nz\n"]);
        assert_eq!((got[0].0.len(), got[0].1, got[0].2), (BUFFER, false, 1));
        assert_eq!(got[1], (b"xxxxxy".to_vec(), true, 1));
        assert_eq!(got[2], (b"z".to_vec(), true, 2));
    }

    #[test]
    fn pieces_of_a_line_are_counted_and_have_one_id() {
        let (mut lines, mut pieces) = (Lines::default(), Vec::new());
        lines.push(&vec![b'x'; 2 * BUFFER], 1, &mut |line| pieces.extend(line.piece));
        lines.push(b"y\nz\n", 2, &mut |line| pieces.push(line.piece.unwrap_or(Piece::first(9))));
        assert_eq!(pieces.iter().map(|piece| piece.ordinal).collect::<Vec<_>>(), [1, 2, 3, 1]);
        assert_eq!(pieces.iter().map(|piece| piece.last).collect::<Vec<_>>(), [false, false, true, false]);
        assert!(pieces[0].id == pieces[2].id && pieces[0].id != pieces[3].id);
        assert_eq!(pieces[0].hex().len(), 64);
    }

    proptest! {
        #[test]
        fn not_a_byte_is_lost_or_doubled(chunks in proptest::collection::vec("[ab\n]{0,40}", 0..10)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(|c| c.as_bytes()).collect();
            let mut joined = Vec::new();
            for (text, complete, _) in records(&chunks) {
                joined.extend(text);
                joined.extend(complete.then_some(b'\n'));
            }
            prop_assert_eq!(joined, chunks.concat());
        }
    }
}
