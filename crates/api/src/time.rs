//! Times as Go writes them.

use std::time::SystemTime;

/// What Go's zero time looks like; dockerd says it for "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with as many of nine decimals as are needed, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| NEVER.to_owned(), |time| time.to_string())
}

/// RFC 3339 in whole seconds.
pub(crate) fn rfc3339_seconds(time: SystemTime) -> String {
    let whole = jiff::Timestamp::from_second(seconds(time));
    whole.map_or_else(|_| NEVER.to_owned(), |time| time.to_string())
}

/// Whole seconds since the epoch.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    jiff::Timestamp::try_from(time).map_or(0, jiff::Timestamp::as_second)
}

/// Nanoseconds since the epoch.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    jiff::Timestamp::try_from(time)
        .ok()
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .unwrap_or_default()
}

/// `Less than a second`, `5 seconds`, `About a minute`, … as docker's listings have it.
pub(crate) fn human_duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (7300, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 30, "4 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 800, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
