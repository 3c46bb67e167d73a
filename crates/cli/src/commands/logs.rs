//! `logs`.

use client::encode;
use flags::go;
use http::Method;

use super::filters;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session;

/// Prints what a container wrote.
pub(crate) fn logs(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = call.args().first().map_or("", String::as_str);
    let truth = |flag: &str, key: &str| flags.bool(flag).then(|| format!("{key}=1"));
    let time = |flag: &str| {
        parameter(flag, flags.find(flag))
            .map_err(|why| Error::Usage(format!("invalid value for \"{flag}\": {why}")))
    };
    let (since, until) = (time("since")?, time("until")?);
    let query = [
        Some("stdout=1".to_owned()),
        Some("stderr=1".to_owned()),
        truth("follow", "follow"),
        truth("timestamps", "timestamps"),
        truth("details", "details"),
        since,
        until,
        Some(format!("tail={}", encode(flags.text("tail")))),
    ];
    call.with_engine(|engine| async move {
        let container = engine.get(&format!("/containers/{}/json", encode(name))).await?;
        let id = container["Id"].as_str().unwrap_or(name);
        let framed = container["Config"]["Tty"] != true;
        let path = filters::with_query(&format!("/containers/{}/logs", encode(id)), &query);
        session::print(engine.stream(Method::GET, &path, None).await?, framed).await?;
        Ok(0)
    })
}

/// A flag's time as the API takes it: seconds since 1970, from `10m` (ago), RFC 3339 with or without zone, or as it is.
pub(crate) fn parameter(flag: &str, text: Option<&str>) -> Result<Option<String>, String> {
    let Some(text) = text else { return Ok(None) };
    let time = timestamp(text);
    let is_number = time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    match is_number {
        true => Ok(Some(format!("{flag}={}", encode(&time)))),
        false => Err(format!("failed to parse value as time or duration: {text:?}")),
    }
}

fn timestamp(text: &str) -> String {
    // No time ago is the beginning of all time, as it is for docker.
    if text != "0"
        && let Ok(ago) = go::parse_duration(text)
    {
        let then =
            jiff::Timestamp::now().checked_sub(jiff::SignedDuration::try_from(ago).unwrap_or_default());
        return then.map(seconds).unwrap_or_default();
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return seconds(instant);
    }
    let local =
        text.parse::<jiff::civil::DateTime>().or_else(|_| text.parse::<jiff::civil::Date>().map(Into::into));
    let zoned = local.ok().and_then(|local| local.to_zoned(jiff::tz::TimeZone::system()).ok());
    zoned.map_or_else(|| text.to_owned(), |zoned| seconds(zoned.timestamp()))
}

/// An instant as the API takes it.
pub(crate) fn seconds(instant: jiff::Timestamp) -> String {
    format!("{}.{:09}", instant.as_second(), instant.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(timestamp("0"), "0");
        assert_eq!(timestamp("2026-01-02T03:04:05.5Z"), "1767323045.500000000");
        assert_eq!(timestamp("1767323045"), "1767323045");
        assert_eq!(parameter("since", None), Ok(None));
        assert_eq!(parameter("since", Some("1.5")), Ok(Some("since=1.5".into())));
        let why = "failed to parse value as time or duration: \"yesterday\"";
        assert_eq!(parameter("since", Some("yesterday")), Err(why.into()));
        let ago: f64 = timestamp("10s").parse().unwrap();
        assert!((super::super::units::now() as f64 - ago - 10.0).abs() < 5.0);
    }
}
