//! `docker network …` and ours.

use serde_json::{Value, json};
use testkit::{Engine, command};

use super::Site;

// covers: cli docker network
// covers: cli docker network create --internal
// covers: cli docker network create --label
// covers: cli docker network create --subnet
// covers: cli docker network create --gateway
// covers: cli docker network create --ip-range
// covers: cli docker network create --aux-address
// covers: cli docker network create --opt
// covers: cli docker network create --attachable
// covers: cli docker network create --driver
// covers: cli docker network inspect --format
// covers: cli docker network rm
// covers: cli docker network remove
#[test]
fn a_network_is_made_shown_and_removed_alike_by_both_clients() {
    let site = Site::isolated();
    let mut shown: Vec<Value> = Vec::new();
    for (number, ours) in [(90, false), (91, true)] {
        let name = site.engine.name(&format!("n{number}"));
        let subnet = format!("10.223.{number}.0/24");
        let [gateway, range, auxiliary] =
            ["254", "128/25", "130"].map(|last| format!("10.223.{number}.{last}"));
        let mut client = site.client(ours);
        client.args([
            "network",
            "create",
            "--driver",
            "bridge",
            "--internal",
            "--attachable",
            "--subnet",
            &subnet,
        ]);
        client.args(["--gateway", &gateway, "--ip-range", &range, "--label", "a=1", "--label", "b"]);
        client.args(["--aux-address", &format!("router={auxiliary}")]);
        client.args(["-o", "com.docker.network.driver.mtu=1400", &name]);
        let id = command::run(&mut client).ok();
        assert_eq!(id.len(), 64, "{id}");
        let text = command::run(site.client(ours).args(["network", "inspect", &name])).ok();
        let other = command::run(site.client(!ours).args(["network", "inspect", &id[..12]])).ok();
        assert_eq!(text, other);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let network = value[0].as_object_mut().unwrap();
        assert_eq!((&network["Name"], &network["Id"]), (&json!(name), &json!(id)));
        for key in ["Name", "Id", "Created"] {
            network.remove(key);
        }
        let text = serde_json::to_string(&value[0]).unwrap().replace(&format!("10.223.{number}."), "X.");
        shown.push(serde_json::from_str(&text).unwrap());
        let verb = if ours { "remove" } else { "rm" };
        assert_eq!(command::run(site.client(ours).args(["network", verb, &name])).ok(), name);
    }
    let expected = json!({
        "Scope": "local", "Driver": "bridge", "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{
            "Subnet": "X.0/24", "IPRange": "X.128/25", "Gateway": "X.254", "AuxiliaryAddresses": {"router": "X.130"},
        }]},
        "Internal": true, "Attachable": true, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
        "Containers": {}, "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"a": "1", "b": ""},
    });
    assert_eq!(shown, [expected.clone(), expected]);
}

// covers: cli docker network ls --filter
// covers: cli docker network ls --format
// covers: cli docker network ls --no-trunc
// covers: cli docker network ls --quiet
// covers: cli docker network list
// covers: value filter docker network ls driver
// covers: value filter docker network ls id
// covers: value filter docker network ls label
// covers: value filter docker network ls name
// covers: value filter docker network ls scope
// covers: value filter docker network ls type
// covers: value format-field docker network ls .ID
// covers: value format-field docker network ls .Name
// covers: value format-field docker network ls .Driver
// covers: value format-field docker network ls .Scope
// covers: value format-field docker network ls .IPv6
// covers: value format-field docker network ls .Internal
// covers: value format-field docker network ls .Labels
// covers: value format-field docker network ls .Label
// covers: value format-field docker network ls .CreatedAt
// covers: value format-method network.networkContext .CreatedAt
// covers: value format-method network.networkContext .Driver
// covers: value format-method network.networkContext .ID
// covers: value format-method network.networkContext .IPv4
// covers: value format-method network.networkContext .IPv6
// covers: value format-method network.networkContext .Internal
// covers: value format-method network.networkContext .Label
// covers: value format-method network.networkContext .Labels
// covers: value format-method network.networkContext .Name
// covers: value format-method network.networkContext .Scope
#[test]
fn the_list_is_filtered_and_formatted_alike_by_both_clients() {
    let site = Site::isolated();
    let first = site.network("n2", &["--label", "color=red", "--internal"]);
    let second = site.network("n10", &["--label", "color=blue"]);
    let named = format!("name={}", site.engine.name("n"));
    let id = site.docker(&["network", "inspect", "-f", "{{.Id}}", &first]);
    let by_id = format!("id={}", &id[..20]);
    let alike = |words: &[&str]| {
        let [ours, theirs] = [true, false].map(|ours| {
            command::run(site.client(ours).args(["network", "ls", "--filter", &named]).args(words)).ok()
        });
        assert_eq!(ours, theirs, "{words:?}");
        ours
    };
    let table = alike(&[]);
    let names: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, [&first, &second]);
    for (filter, expected) in [
        ("driver=bridge", vec![&first, &second]),
        ("driver=host", vec![]),
        ("label=color", vec![&first, &second]),
        ("label=color=blue", vec![&second]),
        ("scope=local", vec![&first, &second]),
        ("scope=swarm", vec![]),
        ("type=custom", vec![&first, &second]),
        ("type=builtin", vec![]),
        ("dangling=true", vec![&first, &second]),
        ("dangling=false", vec![]),
        (&by_id, vec![&first]),
    ] {
        let text = alike(&["--filter", filter, "--format", "{{.Name}}"]);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{filter}");
    }
    let fields = "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label \"color\"}} {{.CreatedAt}}";
    let line = alike(&["--filter", &by_id, "--format", fields]);
    let expected = format!("{} {first} bridge local true false true color=red red ", &id[..12]);
    assert!(line.starts_with(&expected) && line.ends_with("+0000 UTC"), "{line}");
    alike(&["--format", &format!("table {fields}")]);
    alike(&["--format", "json"]);
    assert_eq!(alike(&["-q", "--no-trunc", "--filter", &by_id]), id);
    assert_eq!(alike(&["--quiet", "--filter", &by_id]), id[..12]);
    for ours in [true, false] {
        let output =
            command::run(site.client(ours).args(["network", "list", "--filter", "type=x"])).assert_code(1);
        assert_eq!(output.stderr.trim(), "Error response from daemon: invalid filter: 'type'='x'");
    }
}

// covers: cli docker network rm --force
#[test]
fn what_cannot_be_removed_says_why_and_the_rest_goes() {
    let site = Site::isolated();
    let name = site.network("used", &[]);
    let container = site.stays("c", &["--network", &name]);
    for ours in [true, false] {
        let other = site.network("unused", &[]);
        let output =
            command::run(site.client(ours).args(["network", "rm", "nosuch-x", &name, &other])).assert_code(1);
        assert_eq!(output.stdout.trim(), other);
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert_eq!(lines[0], "Error response from daemon: network nosuch-x not found");
        let start = format!(
            "Error response from daemon: error while removing network: network {name} has active endpoints (name:\"{container}\" id:\""
        );
        assert!(lines[1].starts_with(&start), "{lines:?}");
        assert_eq!(lines[2], "exit status 1");
        let output = command::run(site.client(ours).args(["network", "rm", "-f", "nosuch-x"])).assert_code(0);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
        for predefined in ["bridge", "host", "none"] {
            let output = command::run(site.client(ours).args(["network", "rm", predefined])).assert_code(1);
            let expected = format!(
                "Error response from daemon: {predefined} is a pre-defined network and cannot be removed"
            );
            assert_eq!(output.stderr.lines().next(), Some(expected.as_str()));
        }
    }
    // A container that doesn't run holds nothing.
    site.docker(&["rm", "-f", &container]);
    site.docker(&["network", "rm", &name]);
}

// covers: cli docker network prune --force
// covers: cli docker network prune --filter
// covers: value filter docker network prune until
// covers: value filter docker network prune label
// covers: cli docker system prune --all
// covers: cli docker system prune --filter
// covers: cli docker system prune --force
#[test]
fn pruning_takes_what_nobody_is_in() {
    // Never from an engine that others use.
    let site = Site::of(Engine::ours());
    let [kept, used, first, second] = ["kept", "used", "first", "second"]
        .map(|name| site.network(name, &["--label", &format!("is={name}")]));
    site.stays("c", &["--network", &used]);
    for (ours, name) in [(true, &first), (false, &second)] {
        let filter = format!("label=is={}", name.rsplit('-').next().unwrap());
        for none in ["until=1h", "label=nosuch"] {
            let text =
                command::run(site.client(ours).args(["network", "prune", "-f", "--filter", none])).ok();
            assert_eq!(text, "");
        }
        let output =
            command::run(site.client(ours).args(["network", "prune", "--force", "--filter", &filter]));
        assert_eq!(output.assert_code(0).stdout, format!("Deleted Networks:\n{name}\n\n"));
        // Nobody says yes.
        let text = command::run(site.client(ours).args(["network", "prune"])).stdout;
        assert!(text.starts_with(
            "WARNING! This will remove all custom networks not used by at least one container."
        ));
    }
    let text =
        command::run(site.client(true).args(["system", "prune", "-a", "-f", "--filter", "label!=is=x"])).ok();
    assert!(
        text.contains(&format!("Deleted Networks:\n{kept}\n")) && text.contains("Total reclaimed space: "),
        "{text}"
    );
    let left = site.docker(&["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"]);
    assert_eq!(left, used);
}

// covers: cli docker network create --config-from
// covers: cli docker network create --config-only
// covers: cli docker network create --ipv4
// covers: cli docker network create --ipv6
// covers: cli docker network create --ipam-driver
// covers: cli docker network create --ipam-opt
// covers: cli docker network create --scope
// covers: cli docker network create --ingress
#[test]
fn wrong_networks_are_refused_alike() {
    let site = Site::isolated();
    let taken = site.network("taken", &["--subnet", "10.224.7.0/24"]);
    let name = site.engine.name("n");
    for (flags, expected) in [
        (
            &["--subnet", "192.268.100.0/24"][..],
            "Error response from daemon: invalid network config:\ninvalid subnet 192.268.100.0/24: invalid CIDR block notation",
        ),
        (
            &["--subnet", "10.224.8.5/24"],
            "Error response from daemon: invalid network config:\ninvalid subnet 10.224.8.5/24: it should be 10.224.8.0/24",
        ),
        (
            &["--subnet", "10.224.8.0/24", "--gateway", "10.225.0.1"],
            "no matching subnet for gateway 10.225.0.1",
        ),
        (&["--gateway", "10.225.0.1"], "every ip-range or gateway must have a corresponding subnet"),
        (
            &["--subnet", "10.224.0.0/16"],
            "Error response from daemon: invalid pool request: Pool overlaps with other one on this address space",
        ),
        (&["--driver", "nosuch"], "Error response from daemon: plugin \"nosuch\" not found"),
        (
            &["--driver", "host"],
            "Error response from daemon: only one instance of \"host\" network is allowed",
        ),
        (&["--ipam-driver", "nosuch"], "Error response from daemon: plugin \"nosuch\" not found"),
        (&["--ipv4=false"], "Error response from daemon: IPv4 or IPv6 must be enabled"),
        (
            &["--config-from", "nosuch"],
            "Error response from daemon: configuration network \"nosuch\" does not exist",
        ),
        (
            &["-o", "com.docker.network.bridge.enable_icc=maybe"],
            "Error response from daemon: failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)",
        ),
    ] {
        for ours in [true, false] {
            let output = command::run(site.client(ours).args(["network", "create"]).args(flags).arg(&name))
                .assert_code(1);
            // Ours adds how to put it right.
            let said = output.stderr.trim_end().split(" (10.").next().unwrap_or_default();
            assert_eq!(said, expected, "{flags:?}, ours: {ours}");
        }
    }
    assert_eq!(
        site.refused(&["network", "create", &taken]).trim(),
        format!("Error response from daemon: network with name {taken} already exists")
    );
    let lent = site.network(
        "lent",
        &["--config-only", "--subnet", "10.224.9.0/24", "-o", "com.docker.network.driver.mtu=1300"],
    );
    let borrowed = site.network("borrowed", &["--config-from", &lent]);
    let template = "{{(index .IPAM.Config 0).Subnet}} {{index .Options \"com.docker.network.driver.mtu\"}} {{.ConfigFrom.Network}}";
    assert_eq!(
        site.docker(&["network", "inspect", "-f", template, &borrowed]),
        format!("10.224.9.0/24 1300 {lent}")
    );
    assert_eq!(site.docker(&["network", "inspect", "-f", "{{.ConfigOnly}} {{.Driver}}", &lent]), "true null");
    let said = site.refused(&["network", "rm", &lent]);
    assert!(said.contains(&format!("configuration network {lent:?} is in use")), "{said}");
    for words in [["--scope", "swarm"], ["--driver", "overlay"], ["--ingress", "--attachable"]] {
        if !site.engine.is_peer() {
            let said = site.refused(&["network", "create", words[0], words[1], &name]);
            assert!(said.contains("not supported"), "{said}");
        }
    }
}
