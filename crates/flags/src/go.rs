//! Values as Go's standard library and docker's option types read and print them, with their error texts.

use std::time::Duration;

/// `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(syntax_error("ParseBool", text)),
    }
}

/// `strconv.ParseInt` with base 0, as pflag reads its numbers: `0x`, `0o`, `0b` and `_` are understood.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = parse_digits(digits).map_err(|e| e.text("ParseInt", text))?;
    let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(value).map_err(|_| NumberError::Range.text("ParseInt", text))
}

/// `strconv.ParseUint` with base 0 and a width in bits.
pub fn parse_uint(text: &str, bits: u8) -> Result<u64, String> {
    let value = parse_digits(text).map_err(|e| e.text("ParseUint", text))?;
    if bits < 64 && value >> bits != 0 {
        return Err(NumberError::Range.text("ParseUint", text));
    }
    Ok(value)
}

/// `strconv.ParseFloat`, without hexadecimal mantissas.
pub fn parse_float(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| syntax_error("ParseFloat", text))
}

enum NumberError {
    Syntax,
    Range,
}

impl NumberError {
    fn text(&self, function: &str, input: &str) -> String {
        match self {
            Self::Syntax => syntax_error(function, input),
            Self::Range => format!("strconv.{function}: parsing {}: value out of range", quote(input)),
        }
    }
}

fn syntax_error(function: &str, input: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", quote(input))
}

fn parse_digits(text: &str) -> Result<u64, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let prefixed = digits.len() != lower.len();
    if digits.is_empty()
        || digits.ends_with('_')
        || digits.contains("__")
        || (digits.starts_with('_') && !prefixed)
    {
        return Err(NumberError::Syntax);
    }
    let mut value: u64 = 0;
    let mut overflow = false;
    for c in digits.chars().filter(|c| *c != '_') {
        let digit = c.to_digit(radix).ok_or(NumberError::Syntax)?;
        match value.checked_mul(u64::from(radix)).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            None => overflow = true,
        }
    }
    if overflow { Err(NumberError::Range) } else { Ok(value) }
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `time.ParseDuration`, for durations that are not negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() || rest.starts_with('-') {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() && !number.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        let scale = scale.ok_or_else(|| {
            if number.is_empty() {
                invalid()
            } else {
                format!("time: unknown unit {} in duration {}", quote(unit), quote(text))
            }
        })?;
        let part = scaled(number, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|t| i64::try_from(*t).is_ok()).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok(Duration::from_nanos(total))
}

/// `number × scale`, exactly, with the digits after the point cut where they fall below 1.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        value = value.checked_add(unit * u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// `units.RAMInBytes`: powers of 1024 with or without `i` and `b`, in either case.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let power = match suffix.as_str() {
        "" | "b" => 0,
        _ => {
            let (letter, tail) = suffix.split_at_checked(1).ok_or_else(invalid)?;
            if !matches!(tail, "" | "b" | "ib") {
                return Err(invalid());
            }
            1 + "kmgtpezy".find(letter).ok_or_else(invalid)?
        }
    };
    let value = number * 1024_f64.powi(i32::try_from(power).map_err(|_| invalid())?);
    // Go's conversion wraps silently; a size that no file can have is an error here.
    if value >= 9.2e18 { Err(invalid()) } else { Ok(value as i64) }
}

/// `%q`, for the texts that reach a message.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() && (c as u32) < 0x80 => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `filepath.Clean`: a path without what changes nothing.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// One record of `encoding/csv`, as pflag splits the values of a `strings` flag.
pub fn split_csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut field = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(c) => field.push(c),
                    None => return Err("parse error: extraneous or missing \" in quoted-field".into()),
                }
            }
            if !matches!(chars.peek(), None | Some(',')) {
                return Err("parse error: extraneous or missing \" in quoted-field".into());
            }
        }
        while let Some(c) = chars.next_if(|c| *c != ',') {
            if c == '"' {
                return Err("parse error: bare \" in non-quoted-field".into());
            }
            field.push(c);
        }
        fields.push(field);
        if chars.next().is_none() {
            return Ok(fields);
        }
    }
}
