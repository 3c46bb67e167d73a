//! Syslog: RFC 3164, RFC 5424 and what a machine's own socket takes.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::severity;
use crate::SyslogFormat;
use crate::log::lines::{Line, Stream};

/// One line with what Docker puts before it.
pub(super) fn message(
    format: SyslogFormat,
    facility: u8,
    (host, tag): (&str, &str),
    line: &Line<'_>,
    stream: Stream,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + host.len() + 2 * tag.len() + 64);
    let priority = u32::from(facility) * 8 + u32::from(severity(stream));
    let (pid, time) = (std::process::id(), time(format, line.time));
    // Writing to memory can't fail.
    let _ = match format {
        SyslogFormat::Unix => write!(out, "<{priority}>{time} {tag}[{pid}]: "),
        SyslogFormat::Rfc3164 => write!(out, "<{priority}>{time} {host} {tag}[{pid}]: "),
        SyslogFormat::Rfc5424 | SyslogFormat::Rfc5424Micro => {
            write!(out, "<{priority}>1 {time} {host} {tag} {pid} {tag} - ")
        }
    };
    out.extend_from_slice(line.text);
    out.push(b'\n');
    out
}

/// In the machine's own time zone, as syslog has it.
fn time(format: SyslogFormat, nanoseconds: u64) -> String {
    let time = Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default();
    let zoned = time.to_zoned(TimeZone::system());
    let zone = if zoned.offset().is_zero() { "Z" } else { "%:z" };
    let pattern = match format {
        SyslogFormat::Unix | SyslogFormat::Rfc3164 => "%b %e %H:%M:%S".to_owned(),
        SyslogFormat::Rfc5424 => format!("%Y-%m-%dT%H:%M:%S{zone}"),
        SyslogFormat::Rfc5424Micro => format!("%Y-%m-%dT%H:%M:%S.%6f{zone}"),
    };
    zoned.strftime(&pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_docker_s_do() {
        let line = Line { text: b"hello", complete: true, time: 1_700_000_000_123_456_789, piece: None };
        let say = |format, stream| {
            let text = message(format, 16, ("host", "tag"), &line, stream);
            String::from_utf8(text).unwrap().replace(&std::process::id().to_string(), "PID")
        };
        // Whatever this machine's time zone is, minutes and seconds are these but for a few zones.
        let unix = say(SyslogFormat::Unix, Stream::Stdout);
        assert!(unix.starts_with("<134>Nov 1") && unix.ends_with(":20 tag[PID]: hello\n"), "{unix}");
        let rfc3164 = say(SyslogFormat::Rfc3164, Stream::Stderr);
        assert!(rfc3164.starts_with("<131>Nov 1") && rfc3164.ends_with(":20 host tag[PID]: hello\n"));
        let rfc5424 = say(SyslogFormat::Rfc5424, Stream::Stdout);
        assert!(rfc5424.starts_with("<134>1 2023-11-1") && rfc5424.ends_with(" host tag PID tag - hello\n"));
        assert!(say(SyslogFormat::Rfc5424Micro, Stream::Stdout).contains(":20.123456"));
    }
}
