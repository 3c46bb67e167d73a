//! Encodings and digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::Arguments;
use crate::Error;
use crate::value::Value;

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let hashed = |algorithm: &'static digest::Algorithm| {
        of.count(1, 1)?;
        Ok::<_, Error>(Value::Text(hex(digest::digest(algorithm, of.text(0)?.as_bytes()).as_ref())))
    };
    let value = match name {
        "base64encode" => {
            of.count(1, 1)?;
            Value::Text(STANDARD.encode(of.text(0)?))
        }
        "base64decode" => {
            of.count(1, 1)?;
            let bytes = STANDARD.decode(of.text(0)?).map_err(|e| Error::wrong(e.to_string()))?;
            Value::Text(String::from_utf8(bytes).map_err(|_| Error::wrong("what is encoded is no text"))?)
        }
        "urlencode" => {
            of.count(1, 1)?;
            Value::Text(urlencode(&of.text(0)?))
        }
        "jsonencode" => {
            of.count(1, 1)?;
            // As Go writes it: safe within HTML.
            let text = of.get(0).to_json().to_string();
            Value::Text(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
        }
        "jsondecode" => {
            of.count(1, 1)?;
            let parsed: serde_json::Value =
                serde_json::from_str(&of.text(0)?).map_err(|e| Error::wrong(e.to_string()))?;
            Value::of_json(&parsed)
        }
        "csvdecode" => {
            of.count(1, 1)?;
            csv(&of.text(0)?)?
        }
        "md5" => {
            of.count(1, 1)?;
            Value::Text(hex(&md5(of.text(0)?.as_bytes())))
        }
        "sha1" => hashed(&digest::SHA1_FOR_LEGACY_USE_ONLY)?,
        "sha256" => hashed(&digest::SHA256)?,
        "sha512" => hashed(&digest::SHA512)?,
        "bcrypt" => {
            of.count(1, 2)?;
            let cost = if of.all().len() == 2 { of.index(1)? } else { 10 };
            let cost = u32::try_from(cost).ok().filter(|cost| (4..=31).contains(cost));
            let cost = cost.ok_or_else(|| Error::wrong("a cost is from 4 to 31"))?;
            Value::Text(bcrypt::hash(of.text(0)?, cost).map_err(|e| Error::wrong(e.to_string()))?)
        }
        "uuidv4" => {
            of.count(0, 0)?;
            let mut bytes = [0; 16];
            let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
            filled.map_err(|_| Error::wrong("the kernel gives no random bytes"))?;
            Value::Text(uuid(bytes, 4))
        }
        "uuidv5" => uuidv5(of)?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn urlencode(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

/// Rows as objects, by the names in the first one.
fn csv(text: &str) -> Result<Value, Error> {
    let mut rows = rows(text)?.into_iter();
    let Some(names) = rows.next() else { return Err(Error::wrong("missing header line")) };
    let object = |row: Vec<String>| match row.len() == names.len() {
        true => Ok(Value::Map(names.iter().cloned().zip(row.into_iter().map(Value::Text)).collect())),
        false => Err(Error::wrong("wrong number of fields")),
    };
    rows.map(object).collect::<Result<_, _>>().map(Value::List)
}

/// Comma-separated lines, of which fields may be quoted.
pub(crate) fn rows(text: &str) -> Result<Vec<Vec<String>>, Error> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err(Error::wrong("a quoted field has no end"));
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}

fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

fn uuidv5(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(2, 2)?;
    let space = of.text(0)?;
    let text = match space.as_str() {
        "dns" => "6ba7b8109dad11d180b400c04fd430c8".to_owned(),
        "url" => "6ba7b8119dad11d180b400c04fd430c8".to_owned(),
        "oid" => "6ba7b8129dad11d180b400c04fd430c8".to_owned(),
        "x500" => "6ba7b8149dad11d180b400c04fd430c8".to_owned(),
        other => other.replace('-', ""),
    };
    let byte =
        |at: usize| text.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let invalid = || Error::wrong(format!("{space:?} is no namespace"));
    let mut bytes =
        (0..16).map(byte).collect::<Option<Vec<u8>>>().filter(|_| text.len() == 32).ok_or_else(invalid)?;
    bytes.extend_from_slice(of.text(1)?.as_bytes());
    let hashed = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let first = <[u8; 16]>::try_from(&hashed.as_ref()[..16]).map_err(|_| invalid())?;
    Ok(Value::Text(uuid(first, 5)))
}

/// RFC 1321, for those who still name files by it.
fn md5(message: &[u8]) -> [u8; 16] {
    const TURNS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(8 * message.len() as u64).to_le_bytes());
    for block in padded.chunks_exact(64) {
        let word = |at: usize| {
            u32::from_le_bytes([block[4 * at], block[4 * at + 1], block[4 * at + 2], block[4 * at + 3]])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_usize {
            let (mixed, at) = match step / 16 {
                0 => (b & c | !b & d, step),
                1 => (d & b | !d & c, 5 * step + 1),
                2 => (b ^ c ^ d, 3 * step + 5),
                _ => (c ^ (b | !d), 7 * step),
            };
            let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(mixed).wrapping_add(constant).wrapping_add(word(at % 16));
            let turned = sum.rotate_left(TURNS[step / 16 * 4 + step % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (sum, more) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(more);
        }
    }
    let mut made = [0; 16];
    for (bytes, word) in made.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_digest_is_right_at_every_length() {
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&md5(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        let digits = "1234567890".repeat(8);
        assert_eq!(hex(&md5(digits.as_bytes())), "57edf4a22be3c955ac49da2e2107b67a");
        // Lengths around a block's end, by their digests' digest: as md5sum has them.
        let all: String = (50..70).map(|length| hex(&md5(&vec![b'x'; length]))).collect();
        assert_eq!(hex(&md5(all.as_bytes())), ALL);
    }

    const ALL: &str = "a5be18b510c81a4e898758dd745667f7";
}
