//! What a network's containers reach outside, where it has a list.

use std::net::Ipv4Addr;

use serde_json::json;
use testkit::{Engine, Lan, Scratch};

use super::Site;
use super::isolation::serve_in_background;
use crate::dns::Resolver;

// covers: value network-option bridge com.ketch.egress
#[test]
fn a_network_with_a_list_reaches_what_is_listed_and_nothing_else() {
    let mut site = Site::of(Engine::planned(|plan, scratch: &Scratch| {
        let file = scratch.write("resolv.conf", "nameserver 127.0.0.1\n");
        plan.config(scratch, &json!({"resolv-conf": file}))
    }));
    let lan = Lan::new();
    let hosts: Vec<_> = [2, 3, 4].map(|number| lan.neighbour(number)).into();
    for host in &hosts {
        host.at(|| serve_in_background("[::]:8000"));
    }
    serve_in_background("0.0.0.0:8001");
    let resolver = Resolver::at("127.0.0.1", Ipv4Addr::new(192, 0, 2, 3));
    let list = "com.ketch.egress=192.0.2.2,2001:db8::2,allowed.test,*.below.test";
    let (closed, open) = (site.network("closed", &["-o", list, "--ipv6"]), site.network("open", &["--ipv6"]));
    let (inside, free) =
        (site.stays("in", &["--network", &closed]), site.stays("free", &["--network", &open]));
    let beside = site.serves("beside", &["--network", &closed]);
    let elsewhere = site.serves("elsewhere", &["--network", &open, "-p", "18180:80"]);
    let outside = ["192.0.2.3:8000/", "192.0.2.4:8000/", "[2001:db8::3]:8000/", "192.0.2.1:8001/"];
    for url in outside.iter().chain(&["192.0.2.1:18180/index.html"]) {
        assert_eq!(site.fetched_in(&free, url).len(), if url.ends_with('l') { 4 } else { 6 }, "{url}");
        assert_ne!(site.fetch_in(&inside, url).0, 0, "{url}");
    }
    let reached = |site: &Site, urls: &[&str]| {
        urls.iter().for_each(|url| assert_eq!(site.fetched_in(&inside, url), "served", "{url}"));
    };
    reached(&site, &["192.0.2.2:8000/", "[2001:db8::2]:8000/"]);
    assert_eq!(site.fetched_in(&inside, &format!("{beside}/index.html")), "here");
    assert_ne!(site.fetch_in(&inside, &format!("{}/index.html", site.address(&elsewhere, &open))).0, 0);
    // What isn't listed isn't asked of anybody: names carry words out, too.
    for name in ["other.test", "allowed.test.evil.test", "below.test"] {
        assert_ne!(site.exec(&inside, &format!("busybox nslookup -type=a {name}")).0, 0, "{name}");
    }
    assert_eq!(resolver.asked(), 0);
    // What is, is reached from the answer on.
    for name in ["allowed.test", "far.below.test"] {
        assert_eq!(site.exec(&inside, &format!("busybox nslookup -type=a {name}")).0, 0, "{name}");
    }
    assert!(resolver.asked() >= 2);
    reached(&site, &["192.0.2.3:8000/"]);
    assert_ne!(site.fetch_in(&inside, "192.0.2.4:8000/").0, 0);
    testkit::flush_firewall();
    reached(&site, &["192.0.2.3:8000/", "192.0.2.2:8000/"]);
    site.engine.crash_and_restart();
    reached(&site, &["192.0.2.3:8000/", "192.0.2.2:8000/"]);
    for url in ["192.0.2.4:8000/", "192.0.2.1:8001/"] {
        assert_ne!(site.fetch_in(&inside, url).0, 0, "{url}");
    }
    // A way out that has no list is one.
    site.docker(&["network", "connect", &open, &inside]);
    assert_eq!(site.exec(&inside, "busybox nslookup -type=a other.test").0, 0);
}

#[test]
fn a_list_that_makes_no_sense_is_refused() {
    let site = Site::of(Engine::ours());
    let name = site.engine.name("x");
    for (flags, expected) in [
        (&["-o", "com.ketch.egress=10.0.0"][..], "10.0.0 is no address, no subnet and no name"),
        (&["-o", "com.ketch.egress=10.0.0.0/40"], "invalid subnet 10.0.0.0/40"),
        (&["--internal", "-o", "com.ketch.egress="], "an internal network reaches nothing"),
        (&["-o", "com.ketch.guard=maybe"], "failed to parse com.ketch.guard value: maybe"),
    ] {
        let said = site.refused(&[&["network", "create"], flags, &[&name]].concat());
        assert!(said.contains(expected), "{flags:?}: {said}");
    }
}
