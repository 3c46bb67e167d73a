//! The image's configuration and its history, which has to say the very same as BuildKit's.

use oci::image::{ContainerConfig, Healthcheck, History, ImageConfig, Platform};

/// `PATH` where an image says nothing.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether an instruction made a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    No,
    /// Made without a step of its own in the text, like WORKDIR's directory.
    Quiet,
    Yes,
}

/// The configuration of `scratch`.
pub(super) fn empty(platform: &Platform) -> ImageConfig {
    let config = ContainerConfig {
        working_dir: "/".to_owned(),
        env: vec![format!("PATH={PATH}")],
        ..ContainerConfig::default()
    };
    ImageConfig { platform: platform.clone(), config, ..ImageConfig::default() }
}

/// Writes down what was done.
pub(super) fn remember(image: &mut ImageConfig, what: String, layer: Layer, epoch: Option<i64>) {
    let mark = if layer == Layer::Yes { " # buildkit" } else { "" };
    image.history.push(History {
        created: epoch.map(rfc3339),
        created_by: Some(what + mark),
        comment: Some("buildkit.dockerfile.v0".to_owned()),
        empty_layer: layer == Layer::No,
        author: None,
    });
}

/// Seconds since 1970 as a date, by the civil calendar.
fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from the first of March of the year 0, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, carried) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carried;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Sets one variable where it stands, or adds it.
pub(super) fn set_env(list: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match list.iter_mut().find(|entry| super::environment::split(entry).0 == name) {
        Some(place) => *place = entry,
        None => list.push(entry),
    }
}

/// `["a" "b"]`, as Go prints a list with `%q`.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| dockerfile::quote(word)).collect();
    format!("[{}]", words.join(" "))
}

pub(super) fn health(check: &dockerfile::Health) -> Healthcheck {
    let nanoseconds = |time: std::time::Duration| {
        i64::try_from(time.as_nanos()).ok().filter(|nanoseconds| *nanoseconds > 0)
    };
    Healthcheck {
        test: check.test.clone(),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: Some(i64::from(check.retries)).filter(|retries| *retries > 0),
    }
}

/// The check as Go prints a pointer to it with `%q`: the number of retries comes out as a character.
pub(super) fn health_text(check: &dockerfile::Health) -> String {
    let times = [check.interval, check.timeout, check.start_period, check.start_interval];
    let times: Vec<String> = times.iter().map(|time| dockerfile::quote(&go_duration(*time))).collect();
    let retries = char::from_u32(check.retries).unwrap_or('\u{fffd}');
    let character = match retries {
        '\'' => "\\'".to_owned(),
        '"' => "\"".to_owned(),
        other => dockerfile::quote(&other.to_string()).trim_matches('"').to_owned(),
    };
    format!("HEALTHCHECK &{{{} {} '{character}'}}", quoted(&check.test), times.join(" "))
}

/// `1h2m3.5s`, as Go writes a duration.
fn go_duration(time: std::time::Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |unit: u128| {
        let whole = nanoseconds / unit;
        let rest = format!("{:0width$}", nanoseconds % unit, width = unit.ilog10() as usize);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { whole.to_string() } else { format!("{whole}.{rest}") }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (minutes, hours) = (time.as_secs() / 60, time.as_secs() / 3600);
            let below = std::time::Duration::new(time.as_secs() % 60, time.subsec_nanos());
            let rest = format!("{:.9}", below.as_secs_f64());
            let seconds = rest.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{}m{seconds}s", minutes % 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_civil() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn durations_are_gos() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1_500_000, "1.5ms"),
            (5_000_000_000, "5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (2_500_000_000, "2.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn a_check_is_printed_as_go_does() {
        let test = vec!["CMD-SHELL".to_owned(), "true \"x\"".to_owned()];
        let interval = Duration::from_secs(5);
        for (retries, character) in
            [(10, "\\n"), (0, "\\x00"), (3, "\\x03"), (39, "\\'"), (34, "\""), (65, "A")]
        {
            let check = dockerfile::Health { test: test.clone(), interval, retries, ..Default::default() };
            let expected = r#"HEALTHCHECK &{["CMD-SHELL" "true \"x\""] "5s" "0s" "0s" "0s" '"#;
            assert_eq!(health_text(&check), format!("{expected}{character}'}}"));
        }
    }
}
