//! `--log-opt`: which driver takes which, what their values may be. Everything else is refused, in docker's words.

use std::time::Duration;

use super::super::config::LogConfig;
use super::servers;
use crate::Error;
use crate::images::duration;

/// The most that may wait for a log server in `mode=non-blocking`.
const MOST_BUFFER: u64 = 1 << 30;
/// Options of every driver.
const COMMON: &[&str] =
    &["mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
/// Which labels and variables are told with a line, and how it is called.
const ABOUT: &[&str] = &["labels", "labels-regex", "env", "env-regex", "tag"];

/// A driver's options as they were given.
pub(super) struct Options<'a> {
    pub(super) driver: &'a str,
    config: &'a LogConfig,
}

impl<'a> Options<'a> {
    pub(super) fn new(config: &'a LogConfig) -> Self {
        Self { driver: &config.r#type, config }
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.config.config.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let read = |text: &str| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            other => Err(self.wrong(key, &format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
        };
        self.text(key).map(read).transpose()
    }

    /// A size in bytes. `k` is a thousand where a file's is meant, as docker has it.
    pub(super) fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        let base = if key == "max-buffer-size" { 1024 } else { 1000 };
        let Some(text) = self.text(key) else { return Ok(None) };
        match size(text, base) {
            None => Err(self.wrong(key, &format!("invalid size: '{text}'"))),
            Some(0) => Err(self.wrong(key, &format!("{key} must be a positive number"))),
            some => Ok(some),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, Error> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        match number {
            0 => Err(self.wrong(key, &format!("{key} cannot be less than 1"))),
            1..=1000 => Ok(Some(number)),
            _ => Err(self.wrong(key, &format!("{key} cannot be more than 1000"))),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u32>, Error> {
        let read = |text: &str| {
            let wrong = || self.wrong(key, &format!("{key} must be a positive integer, not {text:?}"));
            text.parse().map_err(|_| wrong())
        };
        self.text(key).map(read).transpose()
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, Error> {
        let read = |text: &str| {
            duration(text).ok_or_else(|| self.wrong(key, &format!("time: invalid duration {text:?}")))
        };
        self.text(key).map(read).transpose()
    }

    /// What waits for the disk at most; nothing where the container waits for it.
    pub(super) fn file_buffer(&self) -> Result<Option<usize>, Error> {
        let is_asked = self.text("mode") == Some("non-blocking");
        Ok(is_asked.then(|| self.buffer()).transpose()?.map(|(size, _)| size))
    }

    /// What waits for a log server at most, and whether the container waits, too.
    pub(super) fn buffer(&self) -> Result<(usize, shim::WhenFull), Error> {
        if self.text("mode") == Some("non-blocking") {
            let size = self.size("max-buffer-size")?.unwrap_or(1 << 20).min(MOST_BUFFER);
            return Ok((usize::try_from(size).unwrap_or(usize::MAX), shim::WhenFull::Drop));
        }
        Ok((256 * 1024, shim::WhenFull::Wait))
    }

    /// `why` an option's value can't be.
    pub(super) fn wrong(&self, key: &str, why: &str) -> Error {
        Error::Invalid(format!("log option {key} of {}: {why}", self.driver))
    }
}

/// Refuses what no container can be given: unknown drivers, options that aren't the driver's, values that can't be.
pub fn check(asked: &LogConfig) -> Result<(), Error> {
    let options = Options::new(asked);
    let own: &[&str] = match asked.r#type.as_str() {
        "none" if !asked.config.is_empty() => {
            return Err(Error::Invalid("invalid logging opts for driver none".into()));
        }
        "none" => &[],
        "json-file" | "local" => &["max-size", "max-file", "compress"],
        driver => servers::options(driver)?,
    };
    let about = if matches!(options.driver, "local" | "none") { &[][..] } else { ABOUT };
    for key in asked.config.keys().map(String::as_str) {
        if let Some(instead) = servers::not_built(key) {
            let feature = format!("log option {key}");
            return Err(Error::Unsupported { feature, instead: Some(instead.into()) });
        }
        if ![COMMON, own, about].iter().any(|list| list.contains(&key)) {
            return Err(Error::Invalid(unknown(options.driver, key)));
        }
    }
    check_mode(&options)?;
    check_files(&options)?;
    super::about::check(&options)?;
    servers::check(&options)
}

fn unknown(driver: &str, key: &str) -> String {
    match driver {
        "local" => format!("unknown log opt '{key}' for log driver local"),
        driver => format!("unknown log opt '{key}' for {driver} log driver"),
    }
}

fn check_mode(options: &Options<'_>) -> Result<(), Error> {
    match options.text("mode") {
        Some("non-blocking") => options.size("max-buffer-size").map(drop),
        None | Some("blocking") if options.text("max-buffer-size").is_some() => {
            let why = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
            Err(Error::Invalid(why.into()))
        }
        None | Some("blocking") => Ok(()),
        Some(other) => Err(Error::Invalid(format!("logger: logging mode not supported: {other}"))),
    }
}

fn check_files(options: &Options<'_>) -> Result<(), Error> {
    for [size, count, compress] in
        [["max-size", "max-file", "compress"], ["cache-max-size", "cache-max-file", "cache-compress"]]
    {
        options.size(size)?;
        let files = options.count(count)?;
        if options.flag(compress)? == Some(true) && files == Some(1) {
            let why = format!("{compress} cannot be true when {count} is less than 2");
            return Err(options.wrong(compress, &why));
        }
    }
    options.flag("cache-disabled").map(drop)
}

/// `10k`, `1.5 MB`, `20MiB`, as docker's clients write sizes: a number, a factor of `base`, and letters that say nothing more.
pub(crate) fn size(text: &str, base: u64) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = (&lower[..end], lower[end..].trim_start());
    let (power, rest) = match unit.chars().next() {
        Some(letter @ ('k' | 'm' | 'g' | 't' | 'p')) => ("kmgtp".find(letter)? as u32 + 1, &unit[1..]),
        _ => (0, unit),
    };
    let number: f64 = number.parse().ok().filter(|_| matches!(rest, "" | "b" | "ib"))?;
    let bytes = number * base.checked_pow(power)? as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(driver: &str, options: &[(&str, &str)]) -> Option<String> {
        let config = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        check(&LogConfig { r#type: driver.into(), config }).err().map(|error| error.to_string())
    }

    #[test]
    fn sizes_are_docker_s() {
        for (text, bytes) in [("10", 10), ("10k", 10_000), ("1.5 MB", 1_500_000), ("2GiB", 2_000_000_000)] {
            assert_eq!(size(text, 1000), Some(bytes), "{text}");
        }
        assert_eq!(size("4k", 1024), Some(4096));
        for wrong in ["", "x", "-1", "1x", "1kk", "k", "1.2.3", "99999999999p"] {
            assert_eq!(size(wrong, 1000), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_driver_does_not_take_is_refused_by_name() {
        for (driver, key, why) in [
            ("json-file", "foo", "unknown log opt 'foo' for json-file log driver"),
            ("local", "tag", "unknown log opt 'tag' for log driver local"),
            ("syslog", "max-size", "unknown log opt 'max-size' for syslog log driver"),
            ("journald", "max-file", "unknown log opt 'max-file' for journald log driver"),
            ("fluentd", "x", "unknown log opt 'x' for fluentd log driver"),
            ("none", "max-size", "invalid logging opts for driver none"),
            ("json-file", "mode", "logger: logging mode not supported: 1"),
            (
                "local",
                "max-buffer-size",
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            ("awslogs", "x", "log driver awslogs is not supported"),
            ("foo", "x", "error looking up logging plugin foo: plugin \"foo\" not found"),
            ("fluentd", "fluentd-request-ack", "log option fluentd-request-ack is not supported"),
            ("syslog", "syslog-tls-cert", "log option syslog-tls-cert is not supported"),
        ] {
            assert_eq!(refusal(driver, &[(key, "1")]).as_deref(), Some(why));
        }
    }

    #[test]
    fn values_that_can_not_be_are_refused() {
        for (driver, key, value, why) in [
            ("json-file", "max-size", "0", "max-size must be a positive number"),
            ("json-file", "max-size", "-1", "invalid size: '-1'"),
            ("json-file", "max-file", "0", "max-file cannot be less than 1"),
            ("json-file", "compress", "maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax"),
            ("json-file", "env-regex", "(", "error parsing regexp"),
            ("json-file", "tag", "{{.Nope", "template: log-tag"),
            ("gelf", "tag", "x", "gelf-address is a required parameter"),
            ("gelf", "gelf-address", "x", "gelf: endpoint needs to be TCP or UDP"),
            ("syslog", "syslog-format", "x", "Invalid syslog format"),
            ("syslog", "syslog-facility", "foo", "invalid syslog facility"),
            ("syslog", "syslog-address", "foo://x", "unsupported scheme: 'foo'"),
            ("syslog", "syslog-address", "tcp+tls://x", "syslog over TLS is not supported"),
        ] {
            let refusal = refusal(driver, &[(key, value)]).unwrap_or_default();
            assert!(refusal.contains(why), "{key}={value}: {refusal}");
        }
        let one = refusal("local", &[("max-file", "1"), ("compress", "true")]).unwrap_or_default();
        assert!(one.ends_with("compress cannot be true when max-file is less than 2"), "{one}");
        assert_eq!(refusal("local", &[("max-file", "1")]), None);
        let buffer = [("mode", "non-blocking"), ("max-buffer-size", "4m")];
        for driver in ["json-file", "local"] {
            assert_eq!(refusal(driver, &buffer), None);
        }
        let server = [buffer[0], buffer[1], ("syslog-address", "udp://127.0.0.1:514")];
        assert_eq!(refusal("syslog", &server), None);
    }
}
