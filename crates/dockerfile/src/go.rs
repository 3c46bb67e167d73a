//! How Go writes and reads values: its forms are part of messages, of history and of what flags accept.

use std::fmt::Write as _;
use std::time::Duration;

/// A string as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            // A space of another script would look like a plain one.
            c if c.is_whitespace() && c != ' ' => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `time.ParseDuration`, without signs: the places that take one have no use for the past. The error is Go's text.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration {}", quote(text));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        if !digits.contains(|c: char| c.is_ascii_digit()) || digits.matches('.').count() > 1 {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("missing unit in duration {}", quote(text)));
        }
        let factor = nanoseconds(unit)
            .ok_or_else(|| format!("unknown unit {} in duration {}", quote(unit), quote(text)))?;
        total += digits.parse::<f64>().map_err(|_| invalid())? * factor;
        rest = next;
    }
    // Go counts in an i64 of nanoseconds.
    if total >= 9.2e18 {
        return Err(invalid());
    }
    Ok(Duration::from_nanos(total as u64))
}

fn nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

/// `units.RAMInBytes`: a number with a unit of 1024s.
pub(crate) fn ram(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(number);
    let unit = unit.trim_start_matches(' ');
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let size = digits.parse::<f64>().ok()? * 1024_f64.powi(power);
    (size.is_finite() && size < 9.2e18).then_some(size as u64)
}

/// One record of comma-separated values, as `encoding/csv` reads it.
pub(crate) fn csv(text: &str) -> Result<Vec<String>, &'static str> {
    const BARE: &str = "parse error: bare \" in non-quoted field";
    const EXTRANEOUS: &str = "parse error: extraneous or missing \" in quoted-field";
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, after) =
                rest.split_once(',').map_or((rest, None), |(field, after)| (field, Some(after)));
            if field.contains('"') {
                return Err(BARE);
            }
            fields.push(field.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Ok(fields),
            }
            continue;
        };
        let (field, after) = quoted_field(quoted).ok_or(EXTRANEOUS)?;
        fields.push(field);
        if after.is_empty() {
            return Ok(fields);
        }
        rest = after.strip_prefix(',').ok_or(EXTRANEOUS)?;
    }
}

/// What stands up to the closing quote, of which two mean one, and what follows.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        for (text, quoted) in
            [("a", r#""a""#), ("a\"\\\n\u{1}", r#""a\"\\\n\x01""#), ("é\u{a0}", r#""é\u00a0""#)]
        {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn durations_as_go_reads_them() {
        for (text, millis) in [("0", 0), ("1.5s", 1500), ("1h2m", 3_720_000), ("10ms", 10), ("+3s", 3000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, why) in [
            ("", "invalid duration \"\""),
            ("5", "missing unit in duration \"5\""),
            ("5x", "unknown unit \"x\" in duration \"5x\""),
            ("s", "invalid duration \"s\""),
            ("9999999h9999999h", "invalid duration \"9999999h9999999h\""),
        ] {
            assert_eq!(duration(text), Err(why.to_owned()));
        }
    }

    #[test]
    fn sizes_and_records() {
        assert_eq!(ram("1.5k"), Some(1536));
        assert_eq!(ram("2GiB"), Some(2 << 30));
        assert_eq!(ram("x"), None);
        let fields = |text| csv(text).map(|fields| fields.join("|"));
        assert_eq!(fields("type=bind,\"target=/a,b\",x"), Ok("type=bind|target=/a,b|x".to_owned()));
        assert_eq!(fields("\"a\"\"b\""), Ok("a\"b".to_owned()));
        assert!(fields("a\"b").is_err() && fields("\"a").is_err() && fields("\"a\"b").is_err());
    }
}
