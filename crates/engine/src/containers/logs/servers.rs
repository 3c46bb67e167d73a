//! Log servers: syslog, journald, GELF and Fluentd, with their addresses and what they are told of the container.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, json};
use shim::{Forward, Language, Packing, Server, SyslogFormat, WhenFull};

use super::about;
use super::options::Options;
use crate::Error;
use crate::containers::record::Container;

const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where a machine's own log listens.
const OWN_LOG: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];

/// An address as it was written.
enum Address<'a> {
    Host { tcp: bool, host: &'a str, port: u16 },
    Unix { stream: bool, path: &'a Path },
    OwnLog,
}

/// The options of a driver's own.
pub(super) fn options(driver: &str) -> Result<&'static [&'static str], Error> {
    match driver {
        "journald" => Ok(&[]),
        "syslog" => Ok(&["syslog-address", "syslog-facility", "syslog-format"]),
        "gelf" => Ok(&[
            "gelf-address",
            "gelf-compression-level",
            "gelf-compression-type",
            "gelf-tcp-max-reconnect",
            "gelf-tcp-reconnect-delay",
        ]),
        "fluentd" => Ok(&[
            "fluentd-address",
            "fluentd-async",
            "fluentd-buffer-limit",
            "fluentd-max-retries",
            "fluentd-retry-wait",
            "fluentd-sub-second-precision",
        ]),
        "awslogs" | "gcplogs" | "splunk" | "etwlogs" => Err(Error::Unsupported {
            feature: format!("log driver {driver}"),
            instead: Some(
                "use `json-file`, `local`, `syslog`, `journald`, `gelf`, `fluentd` or `none`".into(),
            ),
        }),
        other => Err(Error::Device(format!(
            "error looking up logging plugin {other}: plugin \"{other}\" not found"
        ))),
    }
}

/// Options of docker's that are known and not there; what to do instead.
pub(super) fn not_built(key: &str) -> Option<&'static str> {
    match key {
        key if key.starts_with("syslog-tls-") => Some("let a syslog daemon on this machine forward over TLS"),
        "fluentd-request-ack" => Some("let a Fluentd on this machine buffer and forward"),
        "fluentd-async-reconnect-interval" => Some("a connection that ends is made again by itself"),
        "fluentd-read-timeout" | "fluentd-write-timeout" => {
            Some("use mode=non-blocking: then nobody waits for the server")
        }
        _ => None,
    }
}

pub(super) fn check(options: &Options<'_>) -> Result<(), Error> {
    match options.driver {
        "syslog" => {
            syslog_address(options)?;
            facility(options)?;
            syslog_format(options).map(drop)
        }
        "gelf" => {
            packing(options)?;
            options.number("gelf-tcp-max-reconnect")?;
            options.number("gelf-tcp-reconnect-delay").map(drop)
        }
        "fluentd" => {
            fluentd_address(options)?;
            options.flag("fluentd-async")?;
            options.flag("fluentd-sub-second-precision")?;
            options.size("fluentd-buffer-limit")?;
            options.number("fluentd-max-retries")?;
            options.duration("fluentd-retry-wait").map(drop)
        }
        _ => Ok(()),
    }
}

/// What the shim is told about a container's log server.
pub(super) async fn forward(
    driver: &str,
    container: &Container,
    options: &Options<'_>,
) -> Result<Forward, Error> {
    let (buffer, when_full) = options.buffer()?;
    let plain = |to, language| Forward {
        to,
        language,
        buffer,
        when_full,
        connect_later: false,
        retry_after: 1000,
        attempts: u32::MAX,
    };
    match driver {
        "syslog" => {
            let language = Language::Syslog {
                format: syslog_format(options)?,
                facility: facility(options)?,
                host: about::host_name(),
                tag: about::tag(container, options)?,
            };
            Ok(plain(resolve(syslog_address(options)?).await?, language))
        }
        "journald" => journald(container, options).map(|language| plain(journal(), language)),
        "gelf" => {
            let (address, packing) = packing(options)?;
            let delay = options.number("gelf-tcp-reconnect-delay")?.unwrap_or(1);
            let forward = plain(resolve(address).await?, gelf(container, options, packing)?);
            let attempts = options.number("gelf-tcp-max-reconnect")?.unwrap_or(3).max(1);
            Ok(Forward { retry_after: u64::from(delay) * 1000, attempts, ..forward })
        }
        _ => fluentd(container, options, plain).await,
    }
}

// ── addresses ──

/// `host`, `host:port` or `[host]:port`.
fn host_port(text: &str, default: u16) -> Option<(&str, u16)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((host, port.parse().ok()?)),
        _ => Some((text, default)),
    }
    .filter(|(host, _)| !host.is_empty())
}

async fn resolve(address: Address<'_>) -> Result<Server, Error> {
    match address {
        Address::Unix { stream: true, path } => Ok(Server::UnixStream(path.to_owned())),
        Address::Unix { stream: false, path } => Ok(Server::UnixDatagram(path.to_owned())),
        Address::OwnLog => {
            let found = OWN_LOG.iter().map(PathBuf::from).find(|path| path.exists());
            let found = found.ok_or_else(|| {
                Error::Invalid(
                    "no syslog daemon listens on this machine: give its address by syslog-address".into(),
                )
            })?;
            Ok(Server::UnixDatagram(found))
        }
        Address::Host { tcp, host, port } => {
            let addresses = dial::addresses(host).await;
            let first = addresses
                .ok()
                .and_then(|list| list.into_iter().next())
                .ok_or_else(|| Error::Invalid(format!("cannot find the log server {host}: no such host")))?;
            let address = SocketAddr::new(first, port);
            Ok(if tcp { Server::Tcp(address) } else { Server::Udp(address) })
        }
    }
}

fn syslog_address<'a>(options: &Options<'a>) -> Result<Address<'a>, Error> {
    let Some(text) = options.text("syslog-address") else { return Ok(Address::OwnLog) };
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let host = |tcp| {
        let address = host_port(rest, 514);
        address
            .map(|(host, port)| Address::Host { tcp, host, port })
            .ok_or_else(|| options.wrong("syslog-address", &format!("{text:?} is no address")))
    };
    match scheme {
        "unix" => Ok(Address::Unix { stream: true, path: Path::new(rest) }),
        "unixgram" => Ok(Address::Unix { stream: false, path: Path::new(rest) }),
        "udp" => host(false),
        "tcp" => host(true),
        "tcp+tls" => Err(Error::Unsupported {
            feature: "syslog over TLS".into(),
            instead: Some("let a syslog daemon on this machine forward over TLS".into()),
        }),
        other => Err(Error::Invalid(format!("unsupported scheme: '{other}'"))),
    }
}

fn gelf_address<'a>(options: &Options<'a>) -> Result<Address<'a>, Error> {
    let invalid = |why: &str| Error::Invalid(why.to_owned());
    let text = options.text("gelf-address").ok_or_else(|| invalid("gelf-address is a required parameter"))?;
    let (tcp, rest) = match text.split_once("://") {
        Some(("tcp", rest)) => (true, rest),
        Some(("udp", rest)) => (false, rest),
        _ => return Err(invalid("gelf: endpoint needs to be TCP or UDP")),
    };
    match host_port(rest, 0) {
        Some((host, port)) if port > 0 => Ok(Address::Host { tcp, host, port }),
        _ => Err(invalid("gelf: please provide gelf-address as proto://host:port")),
    }
}

fn fluentd_address<'a>(options: &Options<'a>) -> Result<Address<'a>, Error> {
    let text = options.text("fluentd-address").unwrap_or("127.0.0.1:24224");
    let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
    match (scheme, host_port(rest, 24224)) {
        ("unix", _) => Ok(Address::Unix { stream: true, path: Path::new(rest) }),
        ("tcp", Some((host, port))) => Ok(Address::Host { tcp: true, host, port }),
        ("tls", _) => Err(Error::Unsupported {
            feature: "fluentd over TLS".into(),
            instead: Some("let a Fluentd on this machine forward over TLS".into()),
        }),
        _ => Err(options.wrong("fluentd-address", &format!("{text:?} is no address"))),
    }
}

// ── syslog ──

fn facility(options: &Options<'_>) -> Result<u8, Error> {
    let text = options.text("syslog-facility").unwrap_or("daemon");
    let local = |text: &str| text.strip_prefix("local")?.parse().ok().filter(|n| *n < 8).map(|n: u8| 16 + n);
    let named = FACILITIES.iter().zip(0..).find(|(name, _)| **name == text).map(|(_, number)| number);
    let number = text.parse().ok().filter(|number| *number < 24);
    named.or_else(|| local(text)).or(number).ok_or_else(|| Error::Invalid("invalid syslog facility".into()))
}

fn syslog_format(options: &Options<'_>) -> Result<SyslogFormat, Error> {
    match options.text("syslog-format") {
        None => Ok(SyslogFormat::Unix),
        Some("rfc3164") => Ok(SyslogFormat::Rfc3164),
        Some("rfc5424") => Ok(SyslogFormat::Rfc5424),
        Some("rfc5424micro") => Ok(SyslogFormat::Rfc5424Micro),
        Some(_) => Err(Error::Invalid("Invalid syslog format".into())),
    }
}

// ── journald ──

fn journal() -> Server {
    Server::UnixDatagram(JOURNAL.into())
}

fn journald(container: &Container, options: &Options<'_>) -> Result<Language, Error> {
    if !Path::new(JOURNAL).exists() {
        return Err(Error::Invalid("journald is not enabled on this host".into()));
    }
    let tag = about::tag(container, options)?;
    let extra = about::extra(container, options)?;
    let mut fields: BTreeMap<String, String> =
        extra.into_iter().map(|(name, value)| (journal_name(&name), value)).collect();
    fields.remove("");
    for (name, value) in [
        ("CONTAINER_ID", container.short_id()),
        ("CONTAINER_ID_FULL", &container.id),
        ("CONTAINER_NAME", &container.name),
        ("CONTAINER_TAG", &tag),
        ("IMAGE_NAME", &container.config.image),
        ("SYSLOG_IDENTIFIER", &tag),
        ("CONTAINER_LOG_EPOCH", &crate::id::container_id()),
    ] {
        fields.insert(name.to_owned(), value.to_owned());
    }
    Ok(Language::Journald { fields })
}

/// A field's name is of capitals, digits and low lines, of which none comes first.
fn journal_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(allowed).collect::<String>().trim_start_matches('_').to_owned()
}

// ── GELF ──

fn packing<'a>(options: &Options<'a>) -> Result<(Address<'a>, Packing), Error> {
    let address = gelf_address(options)?;
    let tcp = matches!(address, Address::Host { tcp: true, .. });
    for key in ["gelf-compression-type", "gelf-compression-level"] {
        if tcp && options.text(key).is_some() {
            return Err(options.wrong(key, "compression is only supported on UDP"));
        }
    }
    for key in ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"] {
        if !tcp && options.text(key).is_some() {
            return Err(options.wrong(key, "it is only valid for TCP"));
        }
    }
    let level = match options.text("gelf-compression-level") {
        None => 1,
        Some("-1") => 6,
        Some(text) => text
            .parse()
            .ok()
            .filter(|level| *level <= 9)
            .ok_or_else(|| options.wrong("gelf-compression-level", &format!("unknown value {text:?}")))?,
    };
    let packing = match options.text("gelf-compression-type") {
        _ if tcp => Packing::Zeros,
        None | Some("gzip") => Packing::Gzip { level },
        Some("zlib") => Packing::Zlib { level },
        Some("none") => Packing::Plain,
        Some(text) => {
            return Err(options.wrong("gelf-compression-type", &format!("unknown value {text:?}")));
        }
    };
    Ok((address, packing))
}

fn gelf(container: &Container, options: &Options<'_>, packing: Packing) -> Result<Language, Error> {
    let created = jiff::Timestamp::try_from(container.created).unwrap_or_default().to_string();
    let own = json!({
        "host": about::host_name(),
        "_container_id": container.id,
        "_container_name": container.name,
        "_image_id": container.image.as_str(),
        "_image_name": container.config.image,
        "_command": container.command().join(" "),
        "_tag": about::tag(container, options)?,
        "_created": created,
    });
    let mut fields: Map<_, _> = own.as_object().cloned().unwrap_or_default();
    for (name, value) in about::extra(container, options)? {
        let name = if name.starts_with('_') { name } else { format!("_{name}") };
        fields.entry(name).or_insert_with(|| value.into());
    }
    Ok(Language::Gelf { fields, packing })
}

// ── Fluentd ──

async fn fluentd(
    container: &Container,
    options: &Options<'_>,
    plain: impl Fn(Server, Language) -> Forward,
) -> Result<Forward, Error> {
    let mut record = about::extra(container, options)?;
    record.insert("container_id".into(), container.id.clone());
    record.insert("container_name".into(), format!("/{}", container.name));
    let language = Language::Fluentd {
        tag: about::tag(container, options)?,
        record,
        nanoseconds: options.flag("fluentd-sub-second-precision")?.unwrap_or(false),
    };
    let forward = plain(resolve(fluentd_address(options)?).await?, language);
    let is_async = options.flag("fluentd-async")?.unwrap_or(false);
    let wait = options.duration("fluentd-retry-wait")?.unwrap_or(Duration::from_millis(500));
    let limit = options.size("fluentd-buffer-limit")?.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    Ok(Forward {
        connect_later: is_async,
        // What is sent behind the container's back doesn't hold it up.
        when_full: if is_async { WhenFull::Drop } else { forward.when_full },
        buffer: limit.unwrap_or(if is_async { 8 << 20 } else { forward.buffer }),
        retry_after: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        attempts: options.number("fluentd-max-retries")?.map_or(u32::MAX, |number| number.max(1)),
        ..forward
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_with_and_without_ports() {
        assert_eq!(host_port("a:1", 5), Some(("a", 1)));
        assert_eq!(host_port("a", 5), Some(("a", 5)));
        assert_eq!(host_port("[::1]:2", 5), Some(("[::1]", 2)));
        assert_eq!(host_port("[::1]", 5), Some(("[::1]", 5)));
        for wrong in ["", ":1", "a:x", "a:99999"] {
            assert_eq!(host_port(wrong, 5), None, "{wrong}");
        }
    }

    #[test]
    fn journald_s_names_are_of_capitals() {
        assert_eq!(journal_name("com.example.role-1"), "COM_EXAMPLE_ROLE_1");
        assert_eq!(journal_name("_x"), "X");
    }
}
