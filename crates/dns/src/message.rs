//! The wire format, as far as a resolver that passes on what it doesn't know has to read it.
//!
//! A query's one question is all that is looked at, and whether EDNS is spoken; names in it are never compressed, so no
//! pointer is ever followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub(crate) const HEADER: usize = 12;
/// What every client takes over UDP.
const SMALL: usize = 512;
/// What we promise to take over UDP ourselves.
const OWN_SIZE: u16 = 4096;
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
const INTERNET: u16 = 1;
/// Short: a container may be another's successor at the same name a moment later.
const LIFETIME: u32 = 5;

/// Types of records.
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const ANY: u16 = 255;
}

/// How a query went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Fine = 0,
    Malformed = 1,
    Failed = 2,
    Unknown = 3,
    Unsupported = 4,
    Refused = 5,
}

/// What is found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(String),
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Question(Question),
    /// Nothing to be answered but with this.
    Wrong(Vec<u8>),
    /// No query at all.
    Ignored,
}

/// A query with one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the last dot; nothing if it isn't text.
    pub name: Option<String>,
    pub kind: u16,
    class: u16,
    /// The header and the question, as they came.
    head: Vec<u8>,
    /// The largest answer by UDP, if EDNS is spoken.
    size: Option<u16>,
}

/// Reads what a client sent.
pub fn read(bytes: &[u8]) -> Received {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Received::Ignored };
    let is_answer = header[2] & 0x80 != 0;
    if is_answer {
        return Received::Ignored;
    }
    let wrong = |code| Received::Wrong(bare(header, code));
    if header[2] & 0x78 != 0 {
        return wrong(Code::Unsupported);
    }
    let [questions, answers, authorities, more] = counts(header);
    if questions != 1 || answers != 0 || authorities != 0 {
        return wrong(Code::Malformed);
    }
    let Some((name, after)) = name_at(bytes, HEADER) else { return wrong(Code::Malformed) };
    let (Some(kind), Some(class)) = (u16_at(bytes, after), u16_at(bytes, after + 2)) else {
        return wrong(Code::Malformed);
    };
    let end = after + 4;
    let Some(size) = edns(bytes, end, more) else { return wrong(Code::Malformed) };
    Received::Question(Question { name, kind, class, head: bytes[..end].to_vec(), size })
}

impl Question {
    /// An answer that is no longer than what the client takes over UDP, or, without a limit, than any message.
    pub fn answer(&self, code: Code, found: &[Data], transport: crate::Transport) -> Vec<u8> {
        let limit = match transport {
            crate::Transport::Tcp => usize::from(u16::MAX),
            crate::Transport::Udp => usize::from(self.size.unwrap_or(0)).max(SMALL),
        };
        let mut message = self.head.clone();
        let reserved = if self.size.is_some() { 11 } else { 0 };
        let mut count: u16 = 0;
        let mut cut = false;
        for data in found {
            let before = message.len();
            put(&mut message, data);
            if message.len() + reserved > limit {
                message.truncate(before);
                cut = true;
                break;
            }
            count += 1;
        }
        if self.size.is_some() {
            message.extend([0, 0, kind::OPT as u8]);
            message.extend(OWN_SIZE.to_be_bytes());
            message.extend([0; 6]);
        }
        let header = answer_header(&self.head, code, count, self.size.is_some(), cut);
        message.splice(..HEADER, header);
        message
    }

    /// The address that a reverse question is about.
    pub fn address(&self) -> Option<IpAddr> {
        let name = self.name.as_deref()?;
        if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
            let mut octets = digits.rsplit('.').map(|part| part.parse::<u8>().ok());
            let ip = [octets.next()??, octets.next()??, octets.next()??, octets.next()??];
            return octets.next().is_none().then(|| IpAddr::from(ip));
        }
        let digits = name.strip_suffix(".ip6.arpa")?;
        let mut value: u128 = 0;
        let mut count = 0;
        for part in digits.rsplit('.') {
            let digit = Some(part).filter(|part| part.len() == 1)?;
            value = value << 4 | u128::from(u8::from_str_radix(digit, 16).ok()?);
            count += 1;
            if count > 32 {
                return None;
            }
        }
        (count == 32).then(|| IpAddr::V6(Ipv6Addr::from(value)))
    }

    pub(crate) fn is_internet(&self) -> bool {
        self.class == INTERNET
    }

    /// Whether a message is an answer to this question under that id.
    pub(crate) fn is_answered_by(&self, message: &[u8], id: [u8; 2]) -> bool {
        let Some(head) = message.get(..self.head.len()) else { return false };
        head[..2] == id
            && head[2] & 0x80 != 0
            && head[4..6] == [0, 1]
            && head[HEADER..].eq_ignore_ascii_case(&self.head[HEADER..])
    }
}

/// The addresses in a resolver's answer, each with how long it may be believed. Which name leads to which isn't asked: all
/// of it is the answer to one question.
pub(crate) fn addresses_in(answer: &[u8]) -> Vec<(IpAddr, Duration)> {
    let mut found = Vec::new();
    let _ = read_addresses(answer, &mut found);
    found
}

/// As far as it can be read.
fn read_addresses(answer: &[u8], found: &mut Vec<(IpAddr, Duration)>) -> Option<()> {
    let [questions, answers, ..] = counts(answer.first_chunk()?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = skip_name(answer, at)? + 4;
    }
    for _ in 0..answers {
        let after = skip_name(answer, at)?;
        let (kind, class) = (u16_at(answer, after)?, u16_at(answer, after + 2)?);
        let lifetime = answer.get(after + 4..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
        let start = after + 10;
        at = start + usize::from(u16_at(answer, after + 8)?);
        let data = answer.get(start..at)?;
        let ip = match kind {
            kind::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            kind::AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        let lasts = Duration::from_secs(u64::from(lifetime));
        found.extend(ip.filter(|_| class == INTERNET).map(|ip| (ip, lasts)));
    }
    Some(())
}

/// A resolver's verdict, which decides whether the next one is asked.
pub(crate) fn code_of(message: &[u8]) -> Option<u8> {
    message.get(3).map(|byte| byte & 15)
}

fn bare(header: &[u8; HEADER], code: Code) -> Vec<u8> {
    let mut answer = answer_header(header, code, 0, false, false).to_vec();
    // No question is repeated.
    answer[4..6].fill(0);
    answer
}

fn answer_header(query: &[u8], code: Code, answers: u16, edns: bool, cut: bool) -> [u8; HEADER] {
    let wants_recursion = query[2] & 1;
    let [high, low] = answers.to_be_bytes();
    let flags = [0x80 | wants_recursion | u8::from(cut) << 1, 0x80 | code as u8];
    [query[0], query[1], flags[0], flags[1], 0, 1, high, low, 0, 0, 0, u8::from(edns)]
}

fn put(message: &mut Vec<u8>, data: &Data) {
    let (kind, bytes) = match data {
        Data::A(ip) => (kind::A, ip.octets().to_vec()),
        Data::Aaaa(ip) => (kind::AAAA, ip.octets().to_vec()),
        Data::Ptr(name) => (kind::PTR, encoded(name)),
    };
    // The name is the question's.
    message.extend([0xc0, HEADER as u8]);
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    message.extend(LIFETIME.to_be_bytes());
    message.extend((bytes.len() as u16).to_be_bytes());
    message.extend(bytes);
}

/// What is too long for DNS is cut.
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(MAX_LABEL)];
        if bytes.len() + label.len() + 2 > MAX_NAME {
            break;
        }
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// A name that isn't compressed, and where what follows it begins.
fn name_at(bytes: &[u8], start: usize) -> Option<(Option<String>, usize)> {
    let mut at = start;
    let mut name = Some(String::new());
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > MAX_LABEL || at + length - start >= MAX_NAME {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        at += length;
        name = name.and_then(|mut name| {
            let text = std::str::from_utf8(label).ok().filter(|text| !text.contains('.'))?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&text.to_ascii_lowercase());
            Some(name)
        });
    }
}

/// What is said of EDNS among these records; nothing if they make no sense.
fn edns(bytes: &[u8], mut at: usize, records: u16) -> Option<Option<u16>> {
    let mut size = None;
    for _ in 0..records {
        let after = skip_name(bytes, at)?;
        let (kind, class) = (u16_at(bytes, after)?, u16_at(bytes, after + 2)?);
        let length = u16_at(bytes, after + 8)?;
        at = after + 10 + usize::from(length);
        if at > bytes.len() {
            return None;
        }
        if kind == kind::OPT {
            size = Some(class);
        }
    }
    Some(size)
}

/// Past a name that may be compressed. Where a pointer leads is nobody's business here.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if usize::from(length) <= MAX_LABEL => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

fn counts(header: &[u8; HEADER]) -> [u16; 4] {
    [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Transport;

    pub(crate) fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
        let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
        bytes.extend(encoded(name));
        bytes.extend(kind.to_be_bytes());
        bytes.extend(INTERNET.to_be_bytes());
        if let Some(size) = edns {
            bytes.extend([0, 0, kind::OPT as u8]);
            bytes.extend(size.to_be_bytes());
            bytes.extend([0; 6]);
        }
        bytes
    }

    pub(crate) fn question(name: &str, kind: u16, edns: Option<u16>) -> Question {
        match read(&query(name, kind, edns)) {
            Received::Question(question) => question,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_question_is_read_in_lower_case_and_repeated_as_it_came() {
        let asked = question("Web.Example", kind::A, None);
        assert_eq!((asked.name.as_deref(), asked.kind), (Some("web.example"), kind::A));
        let answer = asked.answer(Code::Fine, &[Data::A(Ipv4Addr::new(10, 0, 0, 2))], Transport::Udp);
        assert_eq!(answer[..8], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(answer.windows(11).any(|bytes| bytes == b"Web\x07Example"), "{answer:?}");
        assert!(answer.ends_with(&[0, 4, 10, 0, 0, 2]));
        assert!(asked.is_answered_by(&answer, [0xab, 0xcd]));
        assert!(!asked.is_answered_by(&answer, [0xab, 0xce]));
        assert!(!question("web.example", kind::AAAA, None).is_answered_by(&answer, [0xab, 0xcd]));
    }

    #[test]
    fn addresses_are_found_behind_other_records_and_none_in_what_is_cut() {
        let asked = question("web.example", kind::A, None);
        let [first, second] = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];
        let found = [Data::Ptr("alias.example".to_owned()), Data::A(first), Data::A(second)];
        let answer = asked.answer(Code::Fine, &found, Transport::Tcp);
        let lasts = Duration::from_secs(u64::from(LIFETIME));
        assert_eq!(addresses_in(&answer), [(first.into(), lasts), (second.into(), lasts)]);
        assert_eq!(addresses_in(&answer[..answer.len() - 1]), [(first.into(), lasts)]);
        (0..answer.len()).for_each(|length| assert!(addresses_in(&answer[..length]).len() < 2));
    }

    #[test]
    fn an_answer_is_as_long_as_the_client_takes_and_says_that_it_was_cut() {
        let many: Vec<Data> = (0..100).map(|n| Data::A(Ipv4Addr::new(10, 0, 0, n))).collect();
        for (edns, transport, limit, cut) in [
            (None, Transport::Udp, 512, true),
            (Some(1232), Transport::Udp, 1232, true),
            (Some(4096), Transport::Udp, 4096, false),
            (None, Transport::Tcp, 4096, false),
        ] {
            let answer = question("web", kind::A, edns).answer(Code::Fine, &many, transport);
            assert!(answer.len() <= limit, "{}", answer.len());
            assert_eq!(answer[2] & 2 != 0, cut, "{edns:?} {transport:?}");
            assert_eq!(u16::from(answer[11]), u16::from(edns.is_some()));
        }
    }

    #[test]
    fn reverse_questions_are_about_addresses() {
        let address = |name: &str| question(name, kind::PTR, None).address();
        assert_eq!(address("4.3.2.10.in-addr.arpa"), Some("10.2.3.4".parse().unwrap()));
        let digits = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(address(digits), Some("fd00::1".parse().unwrap()));
        for wrong in
            ["3.2.10.in-addr.arpa", "5.4.3.2.10.in-addr.arpa", "256.1.1.1.in-addr.arpa", "1.ip6.arpa", "web"]
        {
            assert_eq!(address(wrong), None, "{wrong}");
        }
        assert_eq!(address(&format!("0.{digits}")), None);
    }

    #[test]
    fn s140_what_makes_no_sense_is_answered_with_an_error_or_not_at_all() {
        let good = query("web", kind::A, None);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            read(&bytes)
        };
        let code = |received: Received| match received {
            Received::Wrong(answer) => Some(answer[3] & 15),
            _ => None,
        };
        assert_eq!(read(&good[..11]), Received::Ignored);
        assert_eq!(with(2, 0x81), Received::Ignored);
        assert_eq!(code(with(2, 0x28)), Some(4));
        assert_eq!(code(with(5, 2)), Some(1));
        assert_eq!(code(with(5, 0)), Some(1));
        assert_eq!(code(with(7, 1)), Some(1));
        // A pointer to itself, and a label that leaves the message.
        assert_eq!(code(with(HEADER, 0xc0)), Some(1));
        assert_eq!(code(with(HEADER, 63)), Some(1));
        // Records that are announced and don't come.
        assert_eq!(code(with(11, 200)), Some(1));
        let long = [&good[..HEADER], &[1, b'a'].repeat(128), &[0, 0, 1, 0, 1]].concat();
        assert_eq!(code(read(&long)), Some(1));
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Received::Question(question) = read(&bytes) {
                let _ = question.address();
                let answer = question.answer(Code::Fine, &[], Transport::Udp);
                prop_assert!(answer.len() <= 512 && question.is_answered_by(&answer, [bytes[0], bytes[1]]));
            }
        }

        #[test]
        fn a_damaged_query_is_read_without_harm(at in 0_usize..60, byte: u8, cut in 0_usize..60) {
            let mut bytes = query("a.rather.long.name.of.a.container", kind::AAAA, Some(1232));
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            if let Received::Question(question) = read(&bytes) {
                let name = question.name.clone().unwrap_or_default();
                prop_assert!(name.len() < MAX_NAME);
                let answer = question.answer(Code::Fine, &[Data::Ptr(name)], Transport::Udp);
                prop_assert!(answer.len() <= usize::from(question.size.unwrap_or(0)).max(SMALL));
            }
        }

        #[test]
        fn names_of_any_length_fit(name in "[a-z.]{0,600}") {
            prop_assert!(encoded(&name).len() <= MAX_NAME);
        }
    }
}
