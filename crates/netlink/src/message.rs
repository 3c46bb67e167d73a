//! Writing a message: a header, a fixed part that the message's kind defines, then attributes, which may nest.

/// `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
const NESTED: u16 = 1 << 15;

/// A message on its way to the kernel.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// `REQUEST` and `ACK` are always asked for.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        const REQUEST: u16 = 1;
        const ACK: u16 = 4;
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST | ACK).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        let mut message = Self { bytes };
        message.pad();
        message
    }

    /// One that has no answer of its own: the ends of a batch.
    pub fn silent(kind: u16, fixed: &[u8]) -> Self {
        let mut message = Self::new(kind, 0, fixed);
        message.bytes[6..8].copy_from_slice(&1_u16.to_ne_bytes());
        message
    }

    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        // An attribute that is longer than its length can say is a mistake of ours; the kernel refuses what is cut off.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    pub fn flag(&mut self, kind: u16) -> &mut Self {
        self.bytes(kind, &[])
    }

    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// In the network's byte order, as netfilter has all its numbers.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// With the zero byte that ends it.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Attributes within an attribute.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        inner(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Bytes that stand before the attributes of a nest: the fixed part of a message within a message.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The message as it is sent, under this number.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    /// Whether the kernel says what became of it.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.bytes[6] & 4 != 0
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes;

    #[test]
    fn attributes_nest_and_are_padded() {
        let mut message = Message::new(16, 0, &[1, 2, 3, 4]);
        message.text(3, "br0").nest(18, |inner| {
            inner.text(1, "bridge").u8(2, 7);
        });
        let bytes = message.finish(9);
        assert_eq!(bytes.len() % 4, 0);
        let all: Vec<_> = attributes(&bytes[HEADER + 4..]).collect();
        assert_eq!((all[0].kind, all[0].value), (3, &b"br0\0"[..]));
        let inner: Vec<_> = attributes(all[1].value).collect();
        assert_eq!((all[1].kind, inner[0].value, inner[1].value), (18, &b"bridge\0"[..], &[7][..]));
    }
}
