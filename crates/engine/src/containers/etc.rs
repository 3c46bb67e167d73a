//! The files of ours that a container finds in `/etc`: `hostname`, `hosts` and `resolv.conf`.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use super::config::HostConfig;
use super::namespaces;
use super::record::{Container, Places};
use crate::Error;
use crate::networks::{Lease, Networks};

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// What each file is called, in our folder and in the container.
pub(super) const NAMES: [&str; 3] = ["resolv.conf", "hostname", "hosts"];

/// Refuses names that can't be written down.
pub(super) fn check(host: &HostConfig) -> Result<(), Error> {
    for entry in host.extra_hosts.iter().flatten() {
        extra_host(entry)?;
    }
    let lines = [&host.dns, &host.dns_search, &host.dns_options];
    match lines.into_iter().flatten().flatten().find(|word| word.contains(['\n', '\r', '\0'])) {
        Some(word) => Err(Error::Invalid(format!("invalid DNS setting: {word:?}"))),
        None => Ok(()),
    }
}

/// `name:address` or `name=address`; nothing for the address stands for the host's, as the container sees it.
fn extra_host(entry: &str) -> Result<(&str, Option<IpAddr>), Error> {
    let bad = || Error::Invalid(format!("bad format for add-host: {entry:?}"));
    let (name, address) = entry.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Ok((name, None));
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse();
    address
        .map(|address| (name, Some(address)))
        .map_err(|_| Error::Invalid(format!("invalid IP address in add-host: {bare:?}")))
}

/// Writes them. A container in another's network has that one's.
pub(super) fn write(container: &Container, places: &Places, networks: &Networks) -> Result<(), Error> {
    if namespaces::other(&container.host.network_mode).is_some() {
        return Ok(());
    }
    for (name, text) in [
        ("hostname", format!("{}\n", container.config.hostname)),
        ("hosts", hosts(container, networks)?),
        ("resolv.conf", resolver(container)),
    ] {
        let path = places.etc(name);
        fs::write(&path, text).map_err(|source| Error::File { doing: "write", path, source })?;
    }
    Ok(())
}

/// Where each file of a container is: with the network go its names.
pub(super) fn path(name: &str, container: &Container, places: &Places) -> PathBuf {
    match namespaces::other(&container.host.network_mode) {
        Some(id) => places.sibling(id).etc(name),
        None => places.etc(name),
    }
}

/// With the host's network go the host's names.
fn of_host(host: &HostConfig, path: &str) -> String {
    match host.network_mode.as_str() {
        "host" => fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    }
}

fn hosts(container: &Container, networks: &Networks) -> Result<String, Error> {
    let mut text = match of_host(&container.host, "/etc/hosts") {
        text if text.is_empty() => HOSTS.to_owned(),
        text if text.ends_with('\n') => text,
        text => format!("{text}\n"),
    };
    for entry in container.host.extra_hosts.iter().flatten() {
        let (name, address) = extra_host(entry)?;
        let address = match address {
            Some(address) => address,
            None => networks.host_gateway(&container.endpoints)?,
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    let name = match container.config.domainname.as_str() {
        "" => container.config.hostname.clone(),
        domain => format!("{0}.{domain} {0}", container.config.hostname),
    };
    let leases = container.endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref());
    for held in leases.flat_map(Lease::addresses) {
        text.push_str(&format!("{}\t{name}\n", held.ip));
    }
    Ok(text)
}

/// A container without a network has no resolver to ask, unless it is given one. In networks that people made, the engine
/// answers; in the default one, the host's resolvers do where they can be reached from there.
fn resolver(container: &Container) -> String {
    let host = &container.host;
    if container.asks_the_engine() {
        return own_resolver(host);
    }
    let present = match container.endpoints.contains_key("bridge") {
        true => reachable(&host_resolver()),
        false => of_host(host, "/etc/resolv.conf"),
    };
    replaced(&present, host)
}

/// The host's resolvers; behind a resolver of systemd's own, those that it asks.
pub(crate) fn host_resolver() -> String {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("nameserver")).collect();
    match servers.iter().all(|server| server.trim() == "127.0.0.53") && !servers.is_empty() {
        true => fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap_or(text),
        false => text,
    }
}

fn is_loopback(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next());
    address.and_then(|text| text.parse().ok()).is_some_and(|ip: IpAddr| ip.is_loopback())
}

/// Without what only the host itself can ask.
fn reachable(text: &str) -> String {
    text.lines().filter(|line| !is_loopback(line)).fold(String::new(), |all, line| all + line + "\n")
}

fn own_resolver(host: &HostConfig) -> String {
    let present = host_resolver();
    let line = |word: &str| {
        present.lines().find_map(|line| line.strip_prefix(word)?.split_once(' ')).map(|(_, rest)| rest)
    };
    let words =
        |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty()).map(|list| list.join(" "));
    let search = words(&host.dns_search).or_else(|| line("search").map(str::to_owned));
    let mut options =
        words(&host.dns_options).or_else(|| line("options").map(str::to_owned)).unwrap_or_default();
    if !options.contains("ndots:") {
        options = format!("{options} ndots:0");
    }
    let mut text = "nameserver 127.0.0.11\n".to_owned();
    if let Some(search) = search.filter(|search| search != ".") {
        text.push_str(&format!("search {search}\n"));
    }
    text.push_str(&format!("options {}\n", options.trim()));
    text
}

/// With what was asked for in the place of what is there.
fn replaced(present: &str, host: &HostConfig) -> String {
    let [servers, search, options] =
        [&host.dns, &host.dns_search, &host.dns_options].map(|list| list.clone().unwrap_or_default());
    if servers.is_empty() && search.is_empty() && options.is_empty() {
        return present.to_owned();
    }
    let is =
        |line: &str, words: &[&str]| words.iter().any(|word| line.split_whitespace().next() == Some(word));
    let replaced = [
        (!servers.is_empty(), &["nameserver"][..]),
        (!search.is_empty(), &["search", "domain"]),
        (!options.is_empty(), &["options"]),
    ];
    let kept =
        present.lines().filter(|line| !replaced.iter().any(|(given, words)| *given && is(line, words)));
    let mut lines: Vec<String> = kept.map(str::to_owned).collect();
    lines.extend(servers.iter().map(|server| format!("nameserver {server}")));
    // A dot alone takes the search list away.
    if search.iter().any(|word| word != ".") {
        lines.push(format!("search {}", search.join(" ")));
    }
    if !options.is_empty() {
        lines.push(format!("options {}", options.join(" ")));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(extra: &[&str], dns: &[&str]) -> HostConfig {
        let list = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
        HostConfig { extra_hosts: list(extra), dns: list(dns), ..HostConfig::default() }
    }

    #[test]
    fn resolvers_are_replaced_and_those_out_of_reach_left_out() {
        assert_eq!(replaced("", &host(&[], &["1.1.1.1"])), "nameserver 1.1.1.1\n");
        assert_eq!(replaced("", &host(&[], &[])), "");
        let text = "nameserver 127.0.0.1\nnameserver 9.9.9.9\nnameserver ::1\nsearch a.b\n";
        assert_eq!(reachable(text), "nameserver 9.9.9.9\nsearch a.b\n");
        assert!(own_resolver(&host(&[], &[])).starts_with("nameserver 127.0.0.11\n"));
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for bad in ["foo", ":1.1.1.1", "a b:1.1.1.1", "a:x", "a\n:1.1.1.1"] {
            assert!(check(&host(&[bad], &[])).is_err(), "{bad}");
        }
        assert!(check(&host(&[], &["1.1.1.1\noptions x"])).is_err());
    }
}
