//! Containers in networks: several, addresses, connecting and disconnecting while they run.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, command};

use super::Site;

// covers: cli docker network connect --ip
// covers: cli docker network connect --alias
// covers: cli docker network connect --gw-priority
// covers: cli docker network disconnect --force
// covers: field NetworkDisconnectRequest Force
// covers: value event-type events network
// covers: value event-action events connect
// covers: value event-action events disconnect
#[test]
fn networks_come_and_go_while_a_container_runs() {
    let site = Site::isolated();
    let since = crate::life::now();
    let (first, second) = (site.network("a", &[]), site.network("b", &["--subnet", "10.226.1.0/24"]));
    let server = site.serves("server", &["--network", &second]);
    let client = site.stays("client", &["--network", &first]);
    let url = format!("{}/index.html", site.address(&server, &second));
    for (ours, address) in [(true, "10.226.1.77"), (false, "10.226.1.78")] {
        assert_ne!(site.fetch_in(&client, &url).0, 0);
        command::run(
            site.client(ours)
                .args(["network", "connect", "--ip", address, "--alias", "other", &second, &client]),
        )
        .ok();
        assert_eq!(site.address(&client, &second), address);
        let aliases = format!("{{{{json (index .NetworkSettings.Networks {second:?}).Aliases}}}}");
        assert_eq!(site.inspect(&client, &aliases), "[\"other\"]");
        assert_eq!(site.fetched_in(&client, &url), "here");
        let (_, links) = site.exec(&client, "busybox ip -o -4 addr");
        assert!(links.contains("eth1") && links.contains(address), "{links}");
        let again =
            command::run(site.client(ours).args(["network", "connect", &second, &client])).assert_code(1);
        assert!(
            again.stderr.contains(&format!("endpoint with name {client} already exists in network {second}")),
            "{}",
            again.stderr
        );
        command::run(site.client(ours).args(["network", "disconnect", &second, &client])).ok();
        assert_ne!(site.fetch_in(&client, &url).0, 0);
        let (_, links) = site.exec(&client, "busybox ip -o -4 addr");
        assert!(!links.contains("eth1"), "{links}");
        let gone =
            command::run(site.client(ours).args(["network", "disconnect", &second, &client])).assert_code(1);
        assert!(gone.stderr.contains(&format!("is not connected to network {second}")), "{}", gone.stderr);
        for words in [["nosuch-x", client.as_str()], [second.as_str(), "nosuch-x"]] {
            let output =
                command::run(site.client(ours).args(["network", "connect"]).args(words)).assert_code(1);
            assert!(output.stderr.contains("nosuch-x"), "{}", output.stderr);
        }
    }
    site.docker(&["network", "disconnect", "-f", &first, &client]);
    assert_eq!(site.inspect(&client, "{{len .NetworkSettings.Networks}}"), "0");
    let filter = format!("network={second}");
    let until = crate::life::now();
    let format = "{{.Action}} {{.Actor.Attributes.container}}";
    let told = site.docker(&[
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        "type=network",
        "--filter",
        &filter,
        "--format",
        format,
    ]);
    let id = site.inspect(&client, "{{.Id}}");
    let of_client: Vec<&str> =
        told.lines().filter(|line| line.ends_with(&id)).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(of_client, ["connect", "disconnect", "connect", "disconnect"], "{told}");
    assert!(told.starts_with("create"), "{told}");
}

// covers: value option-key --network name
// covers: value option-key --network alias
// covers: value option-key --network ip
// covers: value option-key --network mac-address
// covers: value option-key --network gw-priority
// covers: cli docker run --network
// covers: cli docker run --network-alias
// covers: cli docker run --ip
// covers: cli docker run --mac-address
// covers: cli docker container run --network
// covers: cli docker container run --network-alias
// covers: cli docker container run --ip
// covers: cli docker container run --mac-address
// covers: cli docker create --network
// covers: cli docker create --network-alias
// covers: cli docker create --ip
// covers: cli docker create --mac-address
// covers: cli docker container create --network
// covers: cli docker container create --network-alias
// covers: cli docker container create --ip
// covers: cli docker container create --mac-address
#[test]
fn what_is_said_of_a_network_is_what_the_container_has() {
    let site = Site::isolated();
    let (first, second) = (
        site.network("a", &["--subnet", "10.226.2.0/24"]),
        site.network("b", &["--subnet", "10.226.3.0/24"]),
    );
    for ours in [true, false] {
        for verb in [&["run", "-d"][..], &["create"], &["container", "run", "-d"], &["container", "create"]] {
            let name = site.engine.name("c");
            let long =
                format!("name={second},alias=Y,ip=10.226.3.9,mac-address=02:42:00:00:00:09,gw-priority=7");
            let mut client = site.client(ours);
            client.args(verb).args([
                "--name",
                &name,
                "--network",
                &first,
                "--ip",
                "10.226.2.9",
                "--network-alias",
                "x",
            ]);
            client.args([
                "--mac-address",
                "02:42:00:00:00:08",
                "--network",
                &long,
                &site.image,
                "sleep",
                "1000",
            ]);
            command::run(&mut client).ok();
            if verb.contains(&"create") {
                site.docker(&["start", &name]);
            }
            let networks: Value =
                serde_json::from_str(&site.inspect(&name, "{{json .NetworkSettings.Networks}}")).unwrap();
            for (network, alias, last, priority) in [(&first, "x", 8, 0), (&second, "y", 9, 7)] {
                let found = &networks[network];
                let subnet = if network == &first { 2 } else { 3 };
                assert_eq!(found["IPAddress"], format!("10.226.{subnet}.9"));
                assert_eq!(found["Gateway"], format!("10.226.{subnet}.1"));
                assert_eq!(found["MacAddress"], format!("02:42:00:00:00:0{last}"));
                assert_eq!((&found["Aliases"][0], &found["GwPriority"]), (&alias.into(), &priority.into()));
                assert!(found["DNSNames"].as_array().unwrap().contains(&alias.into()), "{found}");
            }
            let (_, route) = site.exec(&name, "busybox ip route show default");
            assert!(route.contains("via 10.226.3.1"), "{route}");
            let (_, link) = site.exec(&name, "cat /sys/class/net/eth0/address");
            assert_eq!(link, "02:42:00:00:00:08");
            site.docker(&["rm", "-f", &name]);
        }
    }
}

#[test]
fn an_address_is_one_containers_and_wrong_ones_are_refused() {
    let site = Site::isolated();
    let network = site.network("a", &["--subnet", "10.226.4.0/29"]);
    let first = site.stays("first", &["--network", &network, "--ip", "10.226.4.5"]);
    let name = site.engine.name("second");
    let refused = |flags: &[&str]| {
        let said = site.refused(&[&["run", "-d", "--name", &name], flags, &[&site.image, "true"]].concat());
        let _ = command::run(site.engine.docker_command().args(["rm", "-f", &name]));
        said
    };
    let said = refused(&["--network", &network, "--ip", "10.226.4.5"]);
    assert!(said.contains("Address already in use"), "{said}");
    let said = refused(&["--network", &network, "--ip", "10.227.4.5"]);
    assert!(said.contains("no configured subnet or ip-range contain the IP address 10.227.4.5"), "{said}");
    let said = refused(&["--ip", "172.17.0.99"]);
    assert!(said.contains("user specified IP address is supported on user defined networks only"), "{said}");
    // Six addresses, of which the gateway and one container have theirs.
    for number in 0..4 {
        site.stays(&format!("c{number}"), &["--network", &network]);
    }
    let said = refused(&["--network", &network]);
    assert!(said.contains("no available IPv4 addresses on this network's address pools"), "{said}");
    site.docker(&["rm", "-f", &first]);
    let last = site.stays("last", &["--network", &network]);
    assert_eq!(site.address(&last, &network), "10.226.4.5");
}

#[test]
fn another_containers_network_is_shared() {
    let site = Site::isolated();
    let server = site.serves("server", &[]);
    let network = format!("container:{server}");
    let client = site.stays("client", &["--network", &network]);
    assert_eq!(site.fetched_in(&client, "127.0.0.1/index.html"), "here");
    let said = site.refused(&["create", "--network", &network, "-p", "80", &site.image]);
    assert!(
        said.contains("conflicting options: port publishing and the container type network mode"),
        "{said}"
    );
}

// covers: cli docker run --add-host
// covers: cli docker run --dns
// covers: cli docker run --dns-search
// covers: cli docker run --dns-option
#[test]
fn hosts_and_resolvers_are_what_was_asked_for() {
    let site = Site::isolated();
    let network = site.network("a", &["--subnet", "10.226.5.0/24"]);
    for ours in [true, false] {
        let run = |flags: &[&str], file: &str| {
            let mut client = site.client(ours);
            client.args(["run", "--rm"]).args(flags).args([&site.image, "cat", file]);
            command::run(&mut client).ok()
        };
        let flags = [
            "--network",
            &network,
            "--add-host",
            "up:host-gateway",
            "--add-host",
            "six=[fd00::1]",
            "--ip",
            "10.226.5.9",
            "--hostname",
            "me",
        ];
        let hosts = run(&flags, "/etc/hosts");
        assert!(hosts.contains("fd00::1\tsix") && hosts.contains("10.226.5.9\tme"), "{hosts}");
        let gateway = hosts.lines().find_map(|line| line.strip_suffix("\tup")).unwrap_or_default();
        assert!(gateway.parse::<std::net::Ipv4Addr>().is_ok(), "{hosts}");
        let resolvers = run(
            &["--dns", "192.0.2.53", "--dns-search", "a.example", "--dns-option", "ndots:3"],
            "/etc/resolv.conf",
        );
        for line in ["nameserver 192.0.2.53", "search a.example", "options ndots:3"] {
            assert!(resolvers.lines().any(|known| known == line), "{resolvers}");
        }
        let resolvers = run(&["--network", &network], "/etc/resolv.conf");
        assert!(resolvers.contains("nameserver 127.0.0.11"), "{resolvers}");
    }
}

/// Only where neighbours may know an address under another station do they hear of the one that it has: all of them would.
#[test]
fn an_address_that_another_container_had_is_reached_at_once() {
    let mut site = Site::of(Engine::isolated());
    let network = site.network("n", &["--subnet", "10.226.4.0/24", "--subnet", "fd00:226:4::/64", "--ipv6"]);
    let client = site.stays("client", &["--network", &network]);
    let once =
        |site: &Site, address: &str| site.exec(&client, &format!("busybox ping -c 1 -W 1 {address}")).0;
    let other = ["--mac-address", "02:42:00:00:00:77"];
    let holders: [(&[&str], &str); 6] = [
        (&[], "0"),
        (&[], "0"),
        (&other, "1"),
        (&[], "1"),
        (&["--mac-address", "02:42:00:00:00:78"], "1"),
        (&[], "1"),
    ];
    for (number, (flags, announced)) in holders.into_iter().enumerate() {
        // What is remembered outlives an engine.
        if number == 5 {
            site.engine.crash_and_restart();
        }
        let at = ["--network", &network, "--ip", "10.226.4.77", "--ip6", "fd00:226:4::77"];
        let holder = site.stays("holder", &[&at, flags].concat());
        assert_eq!(once(&site, "10.226.4.77"), 0, "{number}");
        assert_eq!(once(&site, "fd00:226:4::77"), 0, "{number}");
        let told = |name: &str| site.exec(&holder, &format!("cat /proc/sys/net/{name}")).1;
        assert_eq!(told("ipv4/conf/eth0/arp_notify"), announced, "{number}");
        assert_eq!(told("ipv6/conf/eth0/ndisc_notify"), "1", "{number}");
        site.docker(&["rm", "-f", &holder]);
    }
    // Without IPv4 a station is no address', and is always told.
    let only = site.network("six", &["--ipv4=false", "--ipv6", "--subnet", "fd00:226:5::/64"]);
    let client = site.stays("other", &["--network", &only]);
    for number in 0..3 {
        let holder = site.stays("holder", &["--network", &only, "--ip6", "fd00:226:5::77"]);
        assert_eq!(site.exec(&client, "busybox ping -c 1 -W 1 fd00:226:5::77").0, 0, "{number}");
        site.docker(&["rm", "-f", &holder]);
    }
}

/// As Ansible sends it: Go passes over what is null, and of labels and ports the name counts.
#[test]
fn what_a_client_leaves_null_is_not_said() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    let name = engine.name("nulls");
    let range =
        json!({"Subnet": "10.231.7.0/24", "IPRange": null, "Gateway": null, "AuxiliaryAddresses": null});
    let wanted = json!({
        "Name": name, "Driver": null, "Options": null, "Labels": {"a": null},
        "IPAM": {"Driver": "default", "Options": null, "Config": [range]},
    });
    engine.request_unchecked(&Request::new("POST", "/networks/create").json(&wanted)).expect(201);
    let network = engine.get(&format!("/networks/{name}")).expect(200).json();
    assert_eq!(network["Labels"], json!({"a": ""}));
    assert_eq!(network["IPAM"]["Config"][0]["Subnet"], "10.231.7.0/24");

    let wanted = json!({
        "Image": image, "Cmd": ["true"], "Labels": {"a": null}, "ExposedPorts": {"80/tcp": null},
        "Volumes": {"/data": null}, "HostConfig": {"NetworkMode": name, "PortBindings": null},
        "NetworkingConfig": {"EndpointsConfig": {&name: {"IPAMConfig": null, "Aliases": null, "DriverOpts": null}}},
    });
    let path = format!("/containers/create?name={}", engine.name("nulls-c"));
    let made = engine.request_unchecked(&Request::new("POST", &path).json(&wanted)).expect(201).json();
    let id = made["Id"].as_str().unwrap();
    let container = engine.get(&format!("/containers/{id}/json")).expect(200).json();
    assert_eq!(container["Config"]["Labels"], json!({"a": ""}));
    assert_eq!(container["Config"]["ExposedPorts"], json!({"80/tcp": {}}));
    assert_eq!(container["Mounts"][0]["Destination"], "/data");
    assert!(container["NetworkSettings"]["Networks"][&name].is_object(), "{container}");
    engine.request_unchecked(&Request::new("DELETE", &format!("/containers/{id}?v=1"))).expect(204);
    engine.request_unchecked(&Request::new("DELETE", &format!("/networks/{name}"))).expect(204);
}
