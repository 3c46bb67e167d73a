//! Reading attributes. What is cut short ends the reading: the kernel doesn't send such, and nobody else is listened to.

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub kind: u16,
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Text without the zero byte that ends it.
    pub fn text(&self) -> &'a str {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        str::from_utf8(&self.value[..end]).unwrap_or_default()
    }
}

/// The attributes in a message's rest or in another attribute.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_of(bytes)?);
        let kind = u16_of(bytes.get(2..)?)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    })
}

pub fn u8_of(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

pub fn u16_of(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

pub fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}
