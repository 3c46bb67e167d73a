//! HEALTHCHECK.

use std::time::Duration;

use super::flags::{Flags, Takes};
use crate::error::Problem;
use crate::go;
use crate::source::Arguments;

/// A health check as the image's configuration holds it; what wasn't said is zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// `NONE`, or `CMD` and arguments, or `CMD-SHELL` and one text.
    pub test: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub start_period: Duration,
    pub start_interval: Duration,
    pub retries: u32,
}

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

pub(super) fn parse(given: &[String], arguments: Arguments) -> Result<Health, Problem> {
    let Arguments::Typed(kind, rest) = arguments else {
        return Err(Problem::AtLeastOne("HEALTHCHECK"));
    };
    let kind = kind.to_uppercase();
    if kind == "NONE" {
        if !matches!(*rest, Arguments::None) {
            return Err(Problem::HealthNone);
        }
        return Ok(Health { test: vec![kind], ..Health::default() });
    }
    let flags = Flags::read(given, &FLAGS)?;
    Ok(Health {
        test: test(kind, *rest)?,
        interval: duration(&flags, "interval")?,
        timeout: duration(&flags, "timeout")?,
        start_period: duration(&flags, "start-period")?,
        start_interval: duration(&flags, "start-interval")?,
        retries: retries(&flags.text("retries"))?,
    })
}

fn test(kind: String, rest: Arguments) -> Result<Vec<String>, Problem> {
    if kind != "CMD" {
        return Err(Problem::HealthType(kind));
    }
    let (kind, words) = match rest {
        Arguments::Text(text) => ("CMD-SHELL", vec![text]),
        Arguments::Json(words) if !words.is_empty() => ("CMD", words),
        _ => return Err(Problem::HealthCommand),
    };
    Ok([vec![kind.to_owned()], words].concat())
}

fn duration(flags: &Flags, name: &'static str) -> Result<Duration, Problem> {
    let text = flags.text(name);
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    let duration = go::duration(&text).map_err(Problem::Duration)?;
    if !duration.is_zero() && duration < Duration::from_millis(1) {
        return Err(Problem::HealthInterval(name));
    }
    Ok(duration)
}

fn retries(text: &str) -> Result<u32, Problem> {
    if text.is_empty() {
        return Ok(0);
    }
    let wrong = |why| Problem::Integer { value: text.to_owned(), why };
    let number: i64 = text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        wrong(match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        })
    })?;
    let number = i32::try_from(number).map_err(|_| wrong("value out of range"))?;
    u32::try_from(number).map_err(|_| Problem::NegativeRetries(number.into()))
}
