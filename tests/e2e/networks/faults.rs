//! Crashes in the midst of things, and others' hands: afterwards the records and the kernel say the same.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, Faults, Neighbour, command, eventually};

use super::{Site, fetched, ip};

/// What the engine says, and what the kernel has: cables at the host by bridge, and links in each container.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    /// Networks, with how many containers that run are in them.
    members: BTreeMap<String, usize>,
    links: BTreeMap<String, BTreeSet<String>>,
    ports: BTreeSet<u64>,
}

fn get(site: &Site, path: &str) -> Value {
    site.engine.request_unchecked(&Request::new("GET", path)).expect(200).json()
}

/// By the engine's word.
fn recorded(site: &Site) -> State {
    let mut state = State::default();
    for summary in get(site, "/containers/json").as_array().unwrap() {
        let id = summary["Id"].as_str().unwrap();
        let container = get(site, &format!("/containers/{id}/json"));
        let mut addresses = BTreeSet::new();
        for network in container["NetworkSettings"]["Networks"].as_object().unwrap().values() {
            let bridge = format!("br-{}", &network["NetworkID"].as_str().unwrap()[..12]);
            *state.members.entry(bridge).or_default() += 1;
            addresses.insert(network["IPAddress"].as_str().unwrap().to_owned());
        }
        state.links.insert(id.to_owned(), addresses);
        for port in summary["Ports"].as_array().unwrap() {
            state.ports.extend(port["PublicPort"].as_u64());
        }
    }
    state
}

/// By the kernel's.
fn actual(site: &Site) -> State {
    let mut state = State::default();
    let links = command::run(Command::new("ip").args(["-o", "link", "show"])).ok();
    for line in links.lines().filter(|line| line.contains(": veth")) {
        let master = line.split(" master ").nth(1).and_then(|rest| rest.split_whitespace().next());
        *state.members.entry(master.unwrap_or("none").to_owned()).or_default() += 1;
    }
    for summary in get(site, "/containers/json").as_array().unwrap() {
        let id = summary["Id"].as_str().unwrap();
        let pid = get(site, &format!("/containers/{id}/json"))["State"]["Pid"].as_i64().unwrap();
        let said = Neighbour::of_process(i32::try_from(pid).unwrap())
            .at(|| command::run(Command::new("ip").args(["-o", "-4", "addr", "show"])).ok());
        let addresses = said.lines().filter_map(|line| line.split(" inet ").nth(1)?.split('/').next());
        let own = addresses.filter(|address| !address.starts_with("127.")).map(str::to_owned);
        state.links.insert(id.to_owned(), own.collect());
    }
    state.ports = testkit::firewall_keys("ports4").iter().map(|key| port_of(key)).collect();
    state
}

/// Protocol in four bytes, then the port.
fn port_of(key: &[u8]) -> u64 {
    u64::from(key[4]) << 8 | u64::from(key[5])
}

#[track_caller]
fn agree(site: &Site) {
    // The kernel takes its time over cables that go.
    eventually(DEADLINE, || {
        let (recorded, actual) = (recorded(site), actual(site));
        if recorded == actual { Ok(()) } else { Err(format!("recorded {recorded:#?}\nactual {actual:#?}")) }
    });
}

fn post(socket: &Path, path: &str, body: &Value) -> u16 {
    // An engine that was killed meanwhile answers nothing.
    http::call(socket, &Request::new("POST", path).json(body)).map_or(0, |reply| reply.status())
}

#[test]
fn many_connects_and_disconnects_at_once_leave_what_is_recorded() {
    let mut site = Site::of(Engine::ours());
    let networks: Vec<String> = (0..4).map(|n| site.network(&format!("n{n}"), &[])).collect();
    let containers: Vec<String> =
        (0..6).map(|n| site.stays(&format!("c{n}"), &["--network", &networks[0]])).collect();
    let (faults, done) = (Faults::of(2000), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for worker in 0..20_u64 {
            let (networks, containers, done) = (&networks, &containers, &done);
            let socket = site.engine.socket().to_path_buf();
            let mut own = Faults::of(1);
            (0..worker * 7).for_each(|_| {
                own.below(2);
            });
            let count = faults.count / 20;
            scope.spawn(move || {
                for _ in 0..count {
                    let network = &networks[own.below(4) as usize];
                    let body = json!({"Container": containers[own.below(6) as usize], "Force": false});
                    let verb = if own.below(2) == 0 { "connect" } else { "disconnect" };
                    let status = post(&socket, &format!("/networks/{network}/{verb}"), &body);
                    // Done, or refused because it was so already.
                    assert!([200, 403, 500].contains(&status), "{verb}: {status}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(done.load(Ordering::Relaxed) > 0);
    agree(&site);
    site.engine.crash_and_restart();
    agree(&site);
}

#[test]
fn links_that_somebody_removed_are_there_again() {
    let mut site = Site::of(Engine::ours());
    let network = site.network("a", &[]);
    let server = site.serves("server", &["--network", &network, "-p", "18220:80"]);
    let beside = site.stays("beside", &["--network", &network]);
    let address = site.address(&server, &network);
    let remove = |link: &str| drop(command::run(Command::new("ip").args(["link", "del", link])).ok());
    let bridge = format!("br-{}", &site.docker(&["network", "inspect", "-f", "{{.Id}}", &network])[..12]);
    let cable = || {
        let links = command::run(Command::new("ip").args(["-o", "link", "show", "master", &bridge])).ok();
        links.lines().next().unwrap().split([':', '@']).nth(1).unwrap().trim().to_owned()
    };
    for what in ["bridge", "cable"] {
        remove(&if what == "bridge" { bridge.clone() } else { cable() });
        site.engine.crash_and_restart();
        assert_eq!(fetched((ip("127.0.0.1"), 18220), "/index.html"), "here", "{what}");
        assert_eq!(site.fetched_in(&beside, &format!("{address}/index.html")), "here", "{what}");
        agree(&site);
    }
    // Without a restart, whoever comes next makes the bridge anew, at the second try at the latest.
    remove(&bridge);
    let name = site.engine.name("next");
    let run = || {
        let words = ["run", "-d", "--name", &name, "--network", &network, &site.image, "sleep", "1000"];
        let output = command::run(site.engine.docker_command().args(words));
        let _ = (output.code != 0).then(|| site.docker(&["rm", "-f", &name]));
        output
    };
    let first = run();
    assert!(first.code == 0 || run().code == 0, "{first:?}");
    site.engine.crash_and_restart();
    agree(&site);
    // One that goes out for good takes what somebody removed with it.
    remove(&cable());
    for container in [&server, &beside, &name] {
        site.docker(&["rm", "-f", container]);
    }
    site.docker(&["network", "rm", &network]);
}

#[test]
fn a_route_that_comes_later_breaks_nothing_that_is_there() {
    let mut site = Site::of(Engine::ours());
    let network = site.network("a", &["--subnet", "10.226.80.0/24"]);
    site.serves("server", &["--network", &network, "-p", "18221:80"]);
    command::run(Command::new("ip").args(["route", "add", "10.226.80.0/28", "dev", "lan0"])).ok();
    site.engine.crash_and_restart();
    let found = command::run(site.engine.ketch_command().args(["system", "doctor"]));
    assert!(found.stdout.contains("overlaps the route to 10.226.80.0/28 by lan0"), "{found:?}");
    command::run(Command::new("ip").args(["route", "del", "10.226.80.0/28", "dev", "lan0"])).ok();
    assert_eq!(fetched((ip("127.0.0.1"), 18221), "/index.html"), "here");
    agree(&site);
}

#[test]
fn a_kill_in_the_midst_of_anything_leaves_what_is_recorded() {
    let mut site = Site::of(Engine::ours());
    let networks: Vec<String> = (0..3).map(|n| site.network(&format!("n{n}"), &[])).collect();
    let stays = site.stays("stays", &["--network", &networks[0], "-p", "18230:80"]);
    let mut faults = Faults::of(200);
    for round in 0..faults.count {
        let names: Vec<String> = (0..2).map(|n| site.engine.name(&format!("r{round}-{n}"))).collect();
        let socket = site.engine.socket().to_path_buf();
        let (image, member, networks) = (site.image.clone(), stays.clone(), networks.clone());
        let worker = std::thread::spawn(move || {
            let post = |path: &str, body: &Value| {
                let _ = post(&socket, path, body);
            };
            for (number, name) in names.iter().enumerate() {
                let port = (18231 + number).to_string();
                let config = json!({
                    "Image": image, "Cmd": ["sleep", "1000"],
                    "HostConfig": {"NetworkMode": networks[1], "PortBindings": {"80/tcp": [{"HostPort": port}]}},
                });
                post(&format!("/containers/create?name={name}"), &config);
                post(&format!("/containers/{name}/start"), &Value::Null);
                let body = json!({"Container": member});
                post(&format!("/networks/{}/connect", networks[2]), &body);
                post(&format!("/networks/{}/connect", networks[0]), &json!({"Container": name}));
                post(&format!("/networks/{}/disconnect", networks[2]), &body);
            }
        });
        faults.moment(Duration::from_millis(60));
        site.engine.crash_and_restart();
        worker.join().unwrap();
        agree(&site);
        for summary in get(&site, "/containers/json?all=1").as_array().unwrap() {
            let name = summary["Names"][0].as_str().unwrap().trim_start_matches('/').to_owned();
            if name != stays {
                site.docker(&["rm", "-f", &name]);
            }
        }
        agree(&site);
    }
}
