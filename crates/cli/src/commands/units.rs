//! Sizes and times as docker words them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A size with powers of 1000 and this many significant digits: `4.126MB`.
pub(crate) fn size(bytes: f64, digits: usize) -> String {
    scale(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"], digits)
}

/// A size with powers of 1024: `23.54GiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    scale(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"], 4)
}

fn scale(mut value: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// C's `%.<digits>g`.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let exponential = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < digits => trim(&format!("{value:.*}", digits - 1 - exponent)),
        _ => format!("{}e+{exponent:02}", trim(mantissa)),
    }
}

/// `About an hour`, for a time that lies so many seconds back.
pub(crate) fn age(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `3 hours ago`, for a time in seconds since 1970.
pub(crate) fn ago(created: i64) -> String {
    format!("{} ago", age(now() - created))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The instant of one of the engine's texts.
pub(crate) fn seconds_of(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Go's `time.Time.String` in the local zone: `2026-11-21 08:10:47 +0000 UTC`.
pub(crate) fn local(seconds: i64) -> String {
    let zone = TimeZone::system();
    match Timestamp::from_second(seconds) {
        Ok(instant) => instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => String::new(),
    }
}

/// Go's `time.Time.String` of an RFC 3339 text, in the zone that it is written in: UTC, from an engine.
pub(crate) fn full(text: &str) -> String {
    let Ok(instant) = text.parse::<Timestamp>() else { return String::new() };
    instant.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

/// Go's RFC 3339 in the local zone: `2026-11-21T08:10:47Z`.
pub(crate) fn local_rfc3339(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(instant) => instant
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
            .replace("+00:00", "Z"),
        Err(_) => String::new(),
    }
}

/// An instant with nanoseconds in the local zone, as `events` prints it.
pub(crate) fn local_nanos(nanos: i64) -> String {
    local_as(nanos, "%Y-%m-%dT%H:%M:%S.%9f%:z").replace("+00:00", "Z")
}

/// The same as `compose events` prints it.
pub(crate) fn local_micros(nanos: i64) -> String {
    local_as(nanos, "%Y-%m-%d %H:%M:%S.%6f")
}

fn local_as(nanos: i64, format: &str) -> String {
    let instant = Timestamp::from_nanosecond(nanos.into());
    instant.map(|at| at.to_zoned(TimeZone::system()).strftime(format).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_worded_as_docker_does() {
        let sizes: Vec<String> =
            [0.0, 999.0, 1000.0, 4_125_987.0, 2_063_000.0].iter().map(|n| size(*n, 4)).collect();
        assert_eq!(sizes, ["0B", "999B", "1kB", "4.126MB", "2.063MB"]);
        assert_eq!(size(4_125_987.0, 3), "4.13MB");
        assert_eq!(binary_size(25_275_000_000.0), "23.54GiB");
        assert_eq!(size(999_999.0, 3), "1e+03kB");
    }

    #[test]
    fn ages_are_worded_as_docker_does() {
        let words: Vec<String> =
            [0, 1, 59, 60, 119, 3599, 3600, 5400, 47 * 3600, 48 * 3600, 15 * 86400, 90 * 86400, 800 * 86400]
                .iter()
                .map(|s| age(*s))
                .collect();
        assert_eq!(
            words,
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "About a minute",
                "59 minutes",
                "About an hour",
                "2 hours",
                "47 hours",
                "2 days",
                "2 weeks",
                "3 months",
                "2 years"
            ]
        );
    }
}
