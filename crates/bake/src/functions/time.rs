//! Times, and versions.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Arguments;
use crate::Error;
use crate::value::Value;

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let value = match name {
        "timestamp" => {
            of.count(0, 0)?;
            Value::Text(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        }
        "timeadd" => {
            of.count(2, 2)?;
            let (at, more) = (time(&of.text(0)?)?, of.text(1)?);
            let (back, length) = match more.strip_prefix('-') {
                Some(length) => (true, length),
                None => (false, more.as_str()),
            };
            let length = flags::go::parse_duration(length).map_err(Error::wrong)?;
            let length = SignedDuration::try_from(length).map_err(|e| Error::wrong(e.to_string()))?;
            let moved = if back { at.checked_sub(length) } else { at.checked_add(length) };
            let moved = moved.map_err(|e| Error::wrong(e.to_string()))?;
            Value::Text(rfc3339(&moved))
        }
        "formatdate" | "formattimestamp" => {
            of.count(2, 2)?;
            Value::Text(format(&of.text(0)?, &time_or_seconds(of.get(1))?)?)
        }
        "unixtimestampparse" => {
            of.count(1, 1)?;
            let at = Timestamp::from_second(of.index(0)?).map_err(|e| Error::wrong(e.to_string()))?;
            parts(&at.to_zoned(TimeZone::UTC))
        }
        "semvercmp" => {
            of.count(2, 2)?;
            Value::Bool(fits(&of.text(0)?, &of.text(1)?)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// RFC 3339, in the zone that it says.
fn time(text: &str) -> Result<Zoned, Error> {
    let invalid = || Error::wrong(format!("{text:?} is no time as RFC 3339 writes it"));
    let at: Timestamp = text.parse().map_err(|_| invalid())?;
    let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|_| invalid())?;
    let offset = match pieces.offset() {
        Some(jiff::fmt::temporal::PiecesOffset::Numeric(offset)) => offset.offset(),
        _ => jiff::tz::Offset::UTC,
    };
    Ok(at.to_zoned(offset.to_time_zone()))
}

fn time_or_seconds(value: &Value) -> Result<Zoned, Error> {
    match value {
        Value::Number(_) => {
            let at = Timestamp::from_second(value.to_index()?).map_err(|e| Error::wrong(e.to_string()))?;
            Ok(at.to_zoned(TimeZone::UTC))
        }
        other => time(&other.to_text()?),
    }
}

fn rfc3339(at: &Zoned) -> String {
    match at.offset() == jiff::tz::Offset::UTC {
        true => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        false => at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

/// HCL's language of dates: runs of one letter.
fn format(pattern: &str, at: &Zoned) -> Result<String, Error> {
    let mut made = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if c == '\'' {
            let quoted = &rest[1..];
            let end = quoted.find('\'').ok_or_else(|| Error::wrong("a quote has no end"))?;
            made.push_str(if end == 0 { "'" } else { &quoted[..end] });
            rest = &quoted[end + 1..];
            continue;
        }
        if !c.is_ascii_alphabetic() {
            made.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let length = rest.find(|other| other != c).unwrap_or(rest.len());
        let run = &rest[..length];
        rest = &rest[length..];
        let directive = match run {
            "YYYY" => "%Y",
            "YY" => "%y",
            "MMMM" => "%B",
            "MMM" => "%b",
            "MM" => "%m",
            "M" => "%-m",
            "DD" => "%d",
            "D" => "%-d",
            "EEEE" => "%A",
            "EEE" => "%a",
            "hh" => "%H",
            "h" => "%-H",
            "HH" => "%I",
            "H" => "%-I",
            "AA" => "%p",
            "aa" => "%P",
            "mm" => "%M",
            "m" => "%-M",
            "ss" => "%S",
            "s" => "%-S",
            "ZZZZZ" => "%:z",
            "ZZZZ" => "%z",
            "ZZZ" if at.offset() == jiff::tz::Offset::UTC => {
                made.push_str("UTC");
                continue;
            }
            "Z" if at.offset() == jiff::tz::Offset::UTC => {
                made.push('Z');
                continue;
            }
            "ZZZ" => "%z",
            "Z" => "%:z",
            other => return Err(Error::wrong(format!("a date has no {other:?}"))),
        };
        made.push_str(&at.strftime(directive).to_string());
    }
    Ok(made)
}

fn parts(at: &Zoned) -> Value {
    let number = |number: i64| Value::Number(number as f64);
    let text = |directive: &str| Value::Text(at.strftime(directive).to_string());
    let week = at.date().iso_week_date();
    let fields = [
        ("year", number(at.year().into())),
        ("year_day", number(at.day_of_year().into())),
        ("day", number(at.day().into())),
        ("month", number(at.month().into())),
        ("month_name", text("%B")),
        ("weekday", number(at.weekday().to_sunday_zero_offset().into())),
        ("weekday_name", text("%A")),
        ("hour", number(at.hour().into())),
        ("minute", number(at.minute().into())),
        ("second", number(at.second().into())),
        ("rfc3339", Value::Text(rfc3339(at))),
        ("iso_year", number(week.year().into())),
        ("iso_week", number(week.week().into())),
    ];
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A version's numbers, and what comes before its release.
fn version(text: &str) -> Result<([u64; 3], usize, String), Error> {
    let invalid = || Error::wrong(format!("{text:?} is no version"));
    let bare = text.trim().trim_start_matches('v').split('+').next().unwrap_or_default();
    let (numbers, before) = bare.split_once('-').unwrap_or((bare, ""));
    let mut made = [0; 3];
    let mut count = 0;
    for part in numbers.split('.') {
        let place = made.get_mut(count).ok_or_else(invalid)?;
        if !matches!(part, "x" | "X" | "*") {
            *place = part.parse().map_err(|_| invalid())?;
            count += 1;
        }
    }
    Ok((made, count, before.to_owned()))
}

/// Whether a version is within a constraint: `>= 1.2, < 2`, `~1.2`, `^1`.
fn fits(text: &str, constraint: &str) -> Result<bool, Error> {
    let (own, _, own_before) = version(text)?;
    let order = |other: &[u64; 3], before: &str| {
        own.cmp(other).then_with(|| match (own_before.is_empty(), before.is_empty()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => std::cmp::Ordering::Greater,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) => own_before.as_str().cmp(before),
        })
    };
    for part in constraint.split("||") {
        let mut all = true;
        for one in part.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let at = one
                .find(|c: char| !matches!(c, '=' | '!' | '<' | '>' | '~' | '^' | ' '))
                .unwrap_or(one.len());
            let (wanted, count, before) = version(&one[at..])?;
            let order = order(&wanted, &before);
            let same = |count: usize| own[..count] == wanted[..count];
            all &= match one[..at].trim() {
                "" | "=" if count < 3 => same(count),
                "" | "=" => order.is_eq(),
                "!=" => !order.is_eq(),
                ">" => order.is_gt(),
                ">=" | "=>" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" | "=<" => order.is_le(),
                "~" | "~>" => order.is_ge() && same(count.clamp(1, 2)),
                "^" => {
                    let kept = wanted.iter().position(|number| *number > 0).map_or(count.max(1), |at| at + 1);
                    order.is_ge() && same(kept)
                }
                other => return Err(Error::wrong(format!("a version isn't compared by {other:?}"))),
            };
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}
