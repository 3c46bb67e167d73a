//! The files of ours that a container finds in `/etc`: `hostname`, `hosts` and `resolv.conf`.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use super::config::HostConfig;
use super::namespaces;
use super::record::{Container, Places};
use crate::Error;

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

/// `name:address` or `name=address`.
fn extra_host(entry: &str) -> Result<(&str, IpAddr), Error> {
    let bad = || Error::Invalid(format!("bad format for add-host: {entry:?}"));
    let (name, address) = entry.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    if address == "host-gateway" {
        let feature = "host-gateway in --add-host".to_owned();
        return Err(Error::Unsupported { feature, instead: Some("write the host's address".into()) });
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse();
    address
        .map(|address| (name, address))
        .map_err(|_| Error::Invalid(format!("invalid IP address in add-host: {bare:?}")))
}

/// Writes them. A container in another's network has that one's.
pub(super) fn write(container: &Container, places: &Places) -> Result<(), Error> {
    if namespaces::other(&container.host.network_mode).is_some() {
        return Ok(());
    }
    for (name, text) in [
        ("hostname", format!("{}\n", container.config.hostname)),
        ("hosts", hosts(&container.host)?),
        ("resolv.conf", resolver(&container.host)),
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

fn hosts(host: &HostConfig) -> Result<String, Error> {
    let mut text = match of_host(host, "/etc/hosts") {
        text if text.is_empty() => HOSTS.to_owned(),
        text if text.ends_with('\n') => text,
        text => format!("{text}\n"),
    };
    for entry in host.extra_hosts.iter().flatten() {
        let (name, address) = extra_host(entry)?;
        text.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(text)
}

/// A container without a network has no resolver to ask, unless it is given one.
fn resolver(host: &HostConfig) -> String {
    let present = of_host(host, "/etc/resolv.conf");
    let [servers, search, options] =
        [&host.dns, &host.dns_search, &host.dns_options].map(|list| list.clone().unwrap_or_default());
    if servers.is_empty() && search.is_empty() && options.is_empty() {
        return present;
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
    fn names_and_resolvers_are_added() {
        let text = hosts(&host(&["a:1.2.3.4", "b=[::1]"], &[])).unwrap();
        assert!(text.ends_with("\n1.2.3.4\ta\n::1\tb\n"), "{text}");
        assert_eq!(resolver(&host(&[], &["1.1.1.1"])), "nameserver 1.1.1.1\n");
        assert_eq!(resolver(&host(&[], &[])), "");
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for bad in ["foo", ":1.1.1.1", "a b:1.1.1.1", "a:x", "a\n:1.1.1.1"] {
            assert!(check(&host(&[bad], &[])).is_err(), "{bad}");
        }
        assert!(check(&host(&[], &["1.1.1.1\noptions x"])).is_err());
    }
}
