//! The files of ours that a container finds in `/etc`: `hostname`, `hosts` and `resolv.conf`.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use super::config::HostConfig;
use super::links::Link;
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

/// A host or domain name is one word: it is written between others.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), Error> {
    match name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(Error::Invalid(format!(
            "invalid {kind} {name:?}: it has a space, a line break or the like in it"
        ))),
        false => Ok(()),
    }
}

/// `name:address` or `name=address`; nothing for the address stands for the host's, as the container sees it.
fn extra_host(entry: &str) -> Result<(&str, Option<IpAddr>), Error> {
    let bad = || Error::Invalid(format!("bad format for add-host: {entry:?}"));
    let (name, address) = entry.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
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
        ("resolv.conf", resolver(container, networks)),
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

/// Tells a container that runs of another resolver, in the file that it has.
pub(super) fn write_resolver(
    container: &Container,
    places: &Places,
    networks: &Networks,
) -> Result<(), Error> {
    let path = places.etc("resolv.conf");
    let written = fs::write(&path, resolver(container, networks));
    written.map_err(|source| Error::File { doing: "write", path, source })
}

fn is_in_host_network(host: &HostConfig) -> bool {
    host.network_mode == "host"
}

fn hosts(container: &Container, networks: &Networks) -> Result<String, Error> {
    // With the host's network go the host's names.
    let of_host = match is_in_host_network(&container.host) {
        true => fs::read_to_string("/etc/hosts").unwrap_or_default(),
        false => String::new(),
    };
    let mut text = match of_host {
        text if text.is_empty() => HOSTS.to_owned(),
        text if text.ends_with('\n') => text,
        text => format!("{text}\n"),
    };
    for entry in container.host.extra_hosts.iter().flatten() {
        let (name, address) = extra_host(entry)?;
        let addresses = match address {
            Some(address) => vec![address],
            None => networks.host_gateways(&container.endpoints)?,
        };
        text.extend(addresses.iter().map(|address| format!("{address}\t{name}\n")));
    }
    text.extend(container.links.iter().filter_map(Link::line));
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

/// Whether a container asks the engine: in networks that people made, and where it can't reach whom the host asks.
pub(super) fn asks_the_engine(container: &Container, networks: &Networks) -> bool {
    if container.is_in_a_made_network() {
        return true;
    }
    let given = container.host.dns.as_ref().is_some_and(|list| !list.is_empty());
    if given || !container.endpoints.contains_key("bridge") {
        return false;
    }
    let servers = crate::networks::servers(&networks.resolvers.text_for_others());
    !servers.is_empty() && servers.iter().all(IpAddr::is_loopback)
}

/// A container without a network has no resolver to ask, unless it is given one. In networks that people made, the engine
/// answers; in the default one, the host's resolvers do where they can be reached from there.
fn resolver(container: &Container, networks: &Networks) -> String {
    let host = &container.host;
    let present = networks.resolvers.text_for_others();
    if asks_the_engine(container, networks) {
        return own_resolver(host, &present, container.is_in_a_made_network());
    }
    let present = match container.endpoints.contains_key("bridge") {
        true => reachable(&present),
        false if is_in_host_network(host) => networks.resolvers.text(),
        false => String::new(),
    };
    replaced(&present, host)
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

/// Names of containers have no dots: where there are any, the search list comes after the name alone.
fn own_resolver(host: &HostConfig, present: &str, with_names: bool) -> String {
    let line = |word: &str| {
        present.lines().find_map(|line| line.strip_prefix(word)?.split_once(' ')).map(|(_, rest)| rest)
    };
    let words =
        |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty()).map(|list| list.join(" "));
    let search = words(&host.dns_search).or_else(|| line("search").map(str::to_owned));
    let mut options =
        words(&host.dns_options).or_else(|| line("options").map(str::to_owned)).unwrap_or_default();
    if with_names && !options.contains("ndots:") {
        options = format!("{options} ndots:0");
    }
    let mut text = format!("nameserver {}\n", network::RESOLVER);
    if let Some(search) = search.filter(|search| search != ".") {
        text.push_str(&format!("search {search}\n"));
    }
    if !options.trim().is_empty() {
        text.push_str(&format!("options {}\n", options.trim()));
    }
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
        let own = |with_names| own_resolver(&host(&[], &[]), text, with_names);
        assert_eq!(own(true), "nameserver 127.0.0.11\nsearch a.b\noptions ndots:0\n");
        assert_eq!(own(false), "nameserver 127.0.0.11\nsearch a.b\n");
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for bad in ["foo", ":1.1.1.1", "a b:1.1.1.1", "a:x", "a\n:1.1.1.1"] {
            assert!(check(&host(&[bad], &[])).is_err(), "{bad}");
        }
        assert!(check(&host(&[], &["1.1.1.1\noptions x"])).is_err());
    }
}
