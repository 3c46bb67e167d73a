//! D-Bus' messages: little-endian, every value at a multiple of its size from the message's start.

const LITTLE_ENDIAN: u8 = b'l';
const VERSION: u8 = 1;
/// Up to and with the length of the header's fields.
pub(crate) const START: usize = 16;
/// Names of files and units, and a few words.
const MAX_TEXT: usize = 64 << 10;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A setting of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    pub value: Value,
}

impl Property {
    pub fn new(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value }
    }
}

/// The types that the settings of a unit have which a runtime sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
    Signed(i32),
    Unsigned(u32),
    /// Process numbers.
    Numbers(Vec<u32>),
    /// A set of small numbers, a bit for each.
    Bits(Vec<u8>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Flag(_) => "b",
            Self::Number(_) => "t",
            Self::Signed(_) => "i",
            Self::Unsigned(_) => "u",
            Self::Numbers(_) => "au",
            Self::Bits(_) => "ay",
        }
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Text(text) => out.text(text),
            Self::Flag(flag) => out.u32(u32::from(*flag)),
            Self::Number(number) => out.u64(*number),
            Self::Signed(number) => out.u32(number.cast_unsigned()),
            Self::Unsigned(number) => out.u32(*number),
            Self::Numbers(all) => out.array(4, |out| all.iter().for_each(|number| out.u32(*number))),
            Self::Bits(all) => out.array(1, |out| out.0.extend(all)),
        }
    }
}

/// A method's call while it is written.
#[derive(Debug)]
pub(crate) struct Call {
    member: &'static str,
    signature: String,
    body: Writer,
}

impl Call {
    /// A method of systemd's manager.
    pub(crate) fn manager(member: &'static str) -> Self {
        Self { member, signature: String::new(), body: Writer::default() }
    }

    pub(crate) fn member(&self) -> &'static str {
        self.member
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        self.body.text(text);
        self
    }

    pub(crate) fn flag(mut self, flag: bool) -> Self {
        self.signature.push('b');
        self.body.u32(u32::from(flag));
        self
    }

    pub(crate) fn properties(mut self, all: &[Property]) -> Self {
        self.signature.push_str("a(sv)");
        self.body.array(8, |out| {
            for property in all {
                out.align(8);
                out.text(&property.name);
                out.signature(property.value.signature());
                property.value.write(out);
            }
        });
        self
    }

    /// An empty list of units with their settings.
    pub(crate) fn properties_of_units(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        self.body.array(8, |_| {});
        self
    }

    pub(crate) fn encode(&self, serial: u32) -> Vec<u8> {
        const CALL: u8 = 1;
        let mut out = Writer(vec![LITTLE_ENDIAN, CALL, 0, VERSION]);
        out.u32(self.body.0.len() as u32);
        out.u32(serial);
        out.array(8, |out| {
            let mut field = |code: u8, kind: &str, text: &str| {
                out.align(8);
                out.0.push(code);
                out.signature(kind);
                if kind == "g" { out.signature(text) } else { out.text(text) }
            };
            field(PATH, "o", "/org/freedesktop/systemd1");
            field(INTERFACE, "s", "org.freedesktop.systemd1.Manager");
            field(MEMBER, "s", self.member);
            field(DESTINATION, "s", "org.freedesktop.systemd1");
            field(SIGNATURE, "g", &self.signature);
        });
        out.align(8);
        out.0.extend(&self.body.0);
        out.0
    }
}

#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, size: usize) {
        self.0.resize(self.0.len().next_multiple_of(size), 0);
    }

    fn u32(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.align(8);
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// The length goes before the elements and doesn't count what aligns the first of them.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let first = self.0.len();
        elements(self);
        let length = (self.0.len() - first) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Answer,
    Error,
    Signal,
    Other,
}

/// What systemd said, as far as we look at it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) answers: Option<u32>,
    pub(crate) member: Option<String>,
    pub(crate) error: Option<String>,
    bytes: Vec<u8>,
    body: usize,
}

/// How many bytes follow the first [`START`] of a message.
pub(crate) fn length_after_start(start: &[u8; START]) -> Option<usize> {
    if start[0] != LITTLE_ENDIAN || start[3] != VERSION {
        return None;
    }
    let number = |at: usize| usize::try_from(u32_at(start, at)?).ok();
    let fields = START.checked_add(number(12)?)?.checked_next_multiple_of(8)?;
    fields.checked_add(number(4)?)?.checked_sub(START)
}

impl Message {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = match bytes.get(1)? {
            2 => Kind::Answer,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let end = START.checked_add(usize::try_from(u32_at(bytes, 12)?).ok()?)?;
        let body = end.checked_next_multiple_of(8)?;
        let mut message =
            Self { kind, answers: None, member: None, error: None, bytes: bytes.to_vec(), body };
        let mut fields = Reader { bytes: bytes.get(..end)?, at: START };
        while fields.at < end {
            fields.align(8);
            let code = fields.byte()?;
            match (code, fields.signature()?.as_str()) {
                (REPLY_SERIAL, "u") => message.answers = Some(fields.number()?),
                (MEMBER, "s") => message.member = Some(fields.text()?),
                (ERROR_NAME, "s") => message.error = Some(fields.text()?),
                (_, "u") => drop(fields.number()?),
                (_, "s" | "o") => drop(fields.text()?),
                (_, "g") => drop(fields.signature()?),
                _ => return None,
            }
        }
        Some(message)
    }

    pub(crate) fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.bytes, at: self.body }
    }
}

/// Reads values in order; nothing is what isn't there, or isn't so.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, size: usize) {
        self.at = self.at.next_multiple_of(size);
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        self.align(4);
        let number = u32_at(self.bytes, self.at)?;
        self.at += 4;
        Some(number)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= MAX_TEXT)?;
        self.take(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// A text and the zero after it.
    fn take(&mut self, length: usize) -> Option<String> {
        let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length + 1;
        String::from_utf8(text.to_vec()).ok()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_with_every_value_at_its_place() {
        let bytes = Call::manager("StopUnit").text("a.scope").text("fail").encode(7);
        let start: &[u8; START] = bytes[..START].try_into().unwrap();
        assert_eq!(length_after_start(start), Some(bytes.len() - START));
        assert_eq!(bytes[..12], *b"l\x01\0\x01\x15\0\0\0\x07\0\0\0");
        assert!(bytes.ends_with(b"\x07\0\0\0a.scope\0\x04\0\0\0fail\0"));
    }

    #[test]
    fn properties_are_structs_of_a_name_and_a_variant() {
        let all = [Property::new("PIDs", Value::Numbers(vec![5])), Property::new("X", Value::Number(1))];
        let call = Call::manager("StartTransientUnit").properties(&all).properties_of_units();
        assert_eq!(call.signature, "a(sv)a(sa(sv))");
        let expected: &[u8] = b"\x04\0\0\0PIDs\0\x02au\0\0\0\0\x04\0\0\0\x05\0\0\0\
            \x01\0\0\0X\0\x01t\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";
        let length = expected.len();
        assert_eq!(call.body.0[8..8 + length], *expected);
        assert_eq!(usize::from(call.body.0[0]), length);
        assert!(call.body.0.ends_with(&[0; 8]));
    }

    /// What systemd sends, written with the same writer.
    fn message(kind: u8, fields: &dyn Fn(&mut Writer), body: &dyn Fn(&mut Writer)) -> Vec<u8> {
        let mut inner = Writer::default();
        body(&mut inner);
        let mut out = Writer(vec![LITTLE_ENDIAN, kind, 0, VERSION]);
        out.u32(inner.0.len() as u32);
        out.u32(9);
        out.array(8, fields);
        out.align(8);
        out.0.extend(inner.0);
        out.0
    }

    fn job_removed() -> Vec<u8> {
        let fields = |out: &mut Writer| {
            for (code, kind, text) in
                [(PATH, "o", "/x"), (MEMBER, "s", "JobRemoved"), (SIGNATURE, "g", "uoss")]
            {
                out.align(8);
                out.0.push(code);
                out.signature(kind);
                if kind == "g" { out.signature(text) } else { out.text(text) }
            }
        };
        message(4, &fields, &|out| {
            out.u32(3);
            ["/job/3", "a.scope", "done"].iter().for_each(|text| out.text(text));
        })
    }

    #[test]
    fn a_signal_is_read() {
        let bytes = job_removed();
        let start: &[u8; START] = bytes[..START].try_into().unwrap();
        assert_eq!(length_after_start(start), Some(bytes.len() - START));
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_deref()), (Kind::Signal, Some("JobRemoved")));
        let mut body = message.body();
        assert_eq!((body.number(), body.text().as_deref()), (Some(3), Some("/job/3")));
        assert_eq!((body.text().as_deref(), body.text().as_deref()), (Some("a.scope"), Some("done")));
        assert_eq!(body.number(), None);
    }

    #[test]
    fn an_error_names_the_call_that_it_answers() {
        let fields = |out: &mut Writer| {
            out.0.push(REPLY_SERIAL);
            out.signature("u");
            out.u32(4);
            out.align(8);
            out.0.push(ERROR_NAME);
            out.signature("s");
            out.text("no.such");
        };
        let message = Message::decode(&message(3, &fields, &|out| out.text("why"))).unwrap();
        assert_eq!((message.kind, message.answers), (Kind::Error, Some(4)));
        assert_eq!(
            (message.error.as_deref(), message.body().text().as_deref()),
            (Some("no.such"), Some("why"))
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_nothing() {
        let good = job_removed();
        for length in 0..good.len() {
            let _ = Message::decode(&good[..length]).map(|message| message.body().text());
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                if let Some(message) = Message::decode(&bad) {
                    let mut body = message.body();
                    let _ = (body.number(), body.text(), body.text(), body.text());
                }
                let _ = length_after_start(bad[..START].try_into().unwrap());
            }
        }
    }
}
