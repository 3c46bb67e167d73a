//! What the engine tells of its machine and of who reaches what.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use testkit::{Engine, Lan, command};

use super::Site;

#[test]
fn each_port_says_who_reaches_it_and_by_which_rule() {
    let site = Site::of(Engine::ours());
    let _lan = Lan::new();
    let network = site.network("six", &["--ipv6"]);
    site.stays("all", &["-p", "18190:80", "-p", "18191-18199:91-99/udp", "-p", "127.0.0.1:18200:80"]);
    site.stays("six", &["--network", &network, "-p", "192.0.2.1:18201:80"]);
    let lines = command::run(site.engine.ketch_command().args([
        "system",
        "ports",
        "--format",
        "{{.Port}}|{{.Reach}}|{{.Rule}}|{{.Hindered}}",
    ]))
    .ok();
    let line =
        |port: &str| lines.lines().find(|line| line.starts_with(port)).unwrap_or_else(|| panic!("{lines}"));
    assert!(line("0.0.0.0:18190/tcp").contains("|who reaches 192.0.2.1 (lan0)"), "{lines}");
    assert!(line("0.0.0.0:18190/tcp").contains("chain published, @ports4|nothing"), "{lines}");
    assert!(line("[::]:18190/tcp").contains("|a socket of the container's shim"), "{lines}");
    assert!(line("127.0.0.1:18200/tcp").contains("|this host alone|"), "{lines}");
    assert!(line("127.0.0.1:18200/tcp").contains("chain raw"), "{lines}");
    assert!(line("192.0.2.1:18201/tcp").contains("|who reaches 192.0.2.1|"), "{lines}");
    let table = command::run(site.engine.ketch_command().args(["system", "ports"])).ok();
    assert!(table.starts_with("PORT") && table.contains("REACHED BY"), "{table}");
}

fn findings(site: &Site) -> (i32, Value) {
    let output = command::run(site.engine.ketch_command().args(["system", "doctor", "--format", "json"]));
    (output.code, serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}")))
}

fn of<'a>(findings: &'a Value, subject: &str) -> &'a Value {
    findings.as_array().unwrap().iter().find(|finding| finding["Subject"] == subject).unwrap()
}

// covers: field FirewallInfo Info
// covers: field FirewallInfo Info[]
// covers: field FirewallInfo Info[][]
#[test]
fn info_says_how_the_firewalls_table_is_called() {
    let site = Site::of(Engine::ours());
    let told = site.docker(&["info", "--format", "{{json .FirewallBackend}}"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let [name, table] = [&told["Info"][0][0], &told["Info"][0][1]].map(|text| text.as_str().unwrap());
    assert!(name == "Table" && table.starts_with("ketch"), "{told}");
    site.stays("c", &[]);
    let rule = command::run(site.engine.ketch_command().args(["system", "ports", "--format", "json"])).ok();
    assert_eq!(rule, "");
}

#[test]
fn the_doctor_sees_what_is_in_the_way_and_names_what_helps() {
    let site = Site::of(Engine::ours());
    let _lan = Lan::new();
    let network = site.network("a", &["--subnet", "10.226.70.0/24"]);
    site.stays("c", &["--network", &network]);
    let (_, found) = findings(&site);
    for subject in [
        "kernel",
        "overlay",
        "subordinate ids",
        "other engines",
        "nftables",
        "source guard",
        "IPv4 forwarding",
        "other firewalls",
        "subnets",
    ] {
        assert_eq!(of(&found, subject)["Health"], "ok", "{found}");
    }
    assert!(of(&found, "disk")["Said"].as_str().unwrap().ends_with(" free"), "{found}");
    // dockerd's chain with its policy, and a route that came later.
    testkit::drop_what_is_forwarded("filter", "FORWARD");
    command::run(std::process::Command::new("ip").args(["route", "add", "10.226.70.128/25", "dev", "lan0"]))
        .ok();
    let (code, found) = findings(&site);
    assert_eq!(code, 1);
    let firewalls = of(&found, "other firewalls");
    assert!(firewalls["Said"].as_str().unwrap().starts_with("ip filter FORWARD drops"), "{found}");
    assert!(firewalls["Remedy"].as_str().unwrap().contains("DOCKER-USER"), "{found}");
    let subnets = of(&found, "subnets")["Said"].as_str().unwrap();
    assert!(subnets.contains("10.226.70.128/25 by lan0"), "{found}");
    let told = command::run(site.engine.ketch_command().args(["system", "doctor"]));
    assert!(told.code == 1 && told.stdout.contains("what helps: "), "{told:?}");
    // A network that is made now keeps out of its way; one that is asked for there says by what.
    let name = site.engine.name("b");
    let said = site.refused(&["network", "create", "--subnet", "10.226.70.192/26", &name]);
    assert!(said.contains("overlaps"), "{said}");
    testkit::flush_firewall();
}

#[test]
fn the_first_port_that_everybody_reaches_is_told_of() {
    let site = Site::of(Engine::ours());
    let _lan = Lan::new();
    let create = |port: &str, name: &str| {
        let name = site.engine.name(name);
        let words = ["create", "-p", port, "--name", &name, &site.image, "sleep", "1000"];
        command::run(site.engine.docker_command().args(words)).stderr
    };
    assert_eq!(create("18210:80", "before"), "");
    command::run(std::process::Command::new("ip").args(["addr", "add", "8.8.4.4/32", "dev", "lan0"])).ok();
    assert_eq!(create("127.0.0.1:18211:80", "own"), "");
    let said = create("18212:80", "first");
    assert!(said.starts_with("WARNING: Port 80 will be open to everybody at 8.8.4.4 (lan0)"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    site.docker(&["start", &site.engine.name("first")]);
    assert_eq!(create("18213:80", "second"), "");
}
