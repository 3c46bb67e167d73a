//! A container's place in a network: what is said of it, and what `connect` and `run` can ask for.

use serde_json::Value;
use testkit::command;

use super::Site;

fn places(site: &Site, container: &str) -> Value {
    serde_json::from_str(&site.inspect(container, "{{json .NetworkSettings.Networks}}"))
        .expect("the test's own")
}

// covers: cli docker network connect --ip6
// covers: value option-key --network ip6
// covers: cli docker run --ip6
// covers: cli docker create --ip6
// covers: cli docker container run --ip6
// covers: cli docker container create --ip6
// covers: field EndpointIPAMConfig IPv4Address
// covers: field EndpointIPAMConfig IPv6Address
#[test]
fn an_address_of_either_family_is_the_one_that_was_asked_for() {
    let site = Site::isolated();
    let network =
        site.network("a", &["--ipv6", "--subnet", "10.226.30.0/24", "--subnet", "fd00:226:30::/64"]);
    let other = site.network("b", &[]);
    for ours in [true, false] {
        for (number, verb) in
            [&["run", "-d"][..], &["create"], &["container", "run", "-d"], &["container", "create"]]
                .iter()
                .enumerate()
        {
            let name = site.engine.name("c");
            let wanted = format!("fd00:226:30::{}", number + 5);
            let mut client = site.client(ours);
            client.args(*verb).args([
                "--name",
                &name,
                "--network",
                &network,
                "--ip",
                "10.226.30.9",
                "--ip6",
                &wanted,
            ]);
            command::run(client.args([&site.image, "sleep", "1000"])).ok();
            if verb.contains(&"create") {
                site.docker(&["start", &name]);
            }
            let place = &places(&site, &name)[&network];
            assert_eq!(place["GlobalIPv6Address"], wanted);
            assert_eq!(place["IPAMConfig"]["IPv4Address"], "10.226.30.9");
            assert_eq!(place["IPAMConfig"]["IPv6Address"], wanted);
            assert!(site.exec(&name, "busybox ip -o -6 addr").1.contains(&format!("{wanted}/64")));
            site.docker(&["rm", "-f", &name]);
        }
        let long = format!("name={network},ip6=fd00:226:30::77");
        let member = site.stays("long", &["--network", &long]);
        assert_eq!(places(&site, &member)[&network]["GlobalIPv6Address"], "fd00:226:30::77");
        site.docker(&["rm", "-f", &member]);
        let member = site.stays("late", &["--network", &other]);
        command::run(site.client(ours).args([
            "network",
            "connect",
            "--ip6",
            "fd00:226:30::78",
            &network,
            &member,
        ]))
        .ok();
        assert_eq!(places(&site, &member)[&network]["GlobalIPv6Address"], "fd00:226:30::78");
        site.docker(&["rm", "-f", &member]);
    }
}

// covers: cli docker network connect --link-local-ip
// covers: value option-key --network link-local-ip
// covers: cli docker run --link-local-ip
// covers: cli docker create --link-local-ip
// covers: cli docker container run --link-local-ip
// covers: cli docker container create --link-local-ip
// covers: field EndpointIPAMConfig LinkLocalIPs
// covers: field EndpointIPAMConfig LinkLocalIPs[]
#[test]
fn link_local_addresses_are_had_beside_the_networks_own() {
    let site = Site::isolated();
    let network = site.network("a", &[]);
    let asked = ["169.254.7.7", "fe80::77"];
    for ours in [true, false] {
        for verb in [&["run", "-d"][..], &["create"], &["container", "run", "-d"], &["container", "create"]] {
            let name = site.engine.name("c");
            let mut client = site.client(ours);
            client.args(verb).args(["--name", &name, "--network", &network]);
            client.args(["--link-local-ip", asked[0], "--link-local-ip", asked[1]]);
            command::run(client.args([&site.image, "sleep", "1000"])).ok();
            if verb.contains(&"create") {
                site.docker(&["start", &name]);
            }
            let addresses = site.exec(&name, "busybox ip -o addr show dev eth0").1;
            assert!(addresses.contains("169.254.7.7/16") && addresses.contains("fe80::77/64"), "{addresses}");
            assert_eq!(
                places(&site, &name)[&network]["IPAMConfig"]["LinkLocalIPs"],
                serde_json::json!(asked)
            );
            site.docker(&["rm", "-f", &name]);
        }
        let long = format!("name={network},link-local-ip={},link-local-ip={}", asked[0], asked[1]);
        let member = site.stays("long", &["--network", &long]);
        assert!(site.exec(&member, "busybox ip -o addr show dev eth0").1.contains("169.254.7.7/16"));
        site.docker(&["rm", "-f", &member]);
        let member = site.stays("late", &[]);
        command::run(site.client(ours).args([
            "network",
            "connect",
            "--link-local-ip",
            asked[0],
            &network,
            &member,
        ]))
        .ok();
        assert!(site.exec(&member, "busybox ip -o addr show dev eth1").1.contains("169.254.7.7/16"));
        site.docker(&["rm", "-f", &member]);
    }
    let long = format!("name={network},link-local-ip=10.1.1.1");
    let said = site.refused(&["create", "--network", &long, &site.image, "true"]);
    assert!(said.contains("invalid link-local IP address: 10.1.1.1"), "{said}");
}

// covers: cli docker network connect --driver-opt
// covers: value option-key --network driver-opt
// covers: value network-option any driver com.docker.network.endpoint.sysctls
// covers: value network-option any driver com.docker.network.endpoint.ifname
// refuses: value network-option any driver com.docker.network.endpoint.macaddress because a place's MAC address has a field of its own
// refuses: value network-option any driver com.docker.network.endpoint.exposedports because the container's own configuration says what it exposes
// refuses: value network-option any driver com.docker.network.endpoint.dnsservers because it exists for Windows only
// refuses: value network-option any driver com.docker.network.endpoint.name because it is dockerd's own note
// refuses: value network-option any driver com.docker.network.driver because it is the beginning of other options' names
// refuses: value network-option any driver com.docker.network.driver.private because it is the beginning of other options' names
// refuses: value network-option any driver com.docker.network.generic because it is how dockerd hands options to its drivers
// refuses: value network-option any driver com.docker.network.portmap because it is how dockerd hands ports to its drivers
// refuses: value network-option any driver com.docker.network.advertise_addr_ms because no address is announced: a new neighbour is asked for
// refuses: value network-option any driver com.docker.network.advertise_addr_nmsgs because no address is announced: a new neighbour is asked for
// refuses: value network-option any driver com.docker.network.driver.overlay.vxlanid_list because networks of several hosts are not part of Ketch
// refuses: value network-option any driver com.docker.network.gateway because a network's addresses have a field of their own
// refuses: value network-option any driver com.docker.network.internal because a network's own field says it
// refuses: value network-option any driver com.docker.network.host_ipv4 because a bridge's ports are published where host_binding_ipv4 says
// refuses: value network-option any driver com.docker.network.host_ipv6 because containers go out under whatever address the host's route has
// refuses: value network-option any driver com.docker.network.driver.private.no_proxy_6to4 because there is no proxy
// refuses: value network-option bridge com.docker.network.bridge.default_bridge because only the predefined network is the default
#[test]
fn a_place_may_have_a_name_and_switches_for_its_link() {
    let site = Site::isolated();
    let (network, other) = (site.network("a", &[]), site.network("b", &[]));
    let name = "com.docker.network.endpoint.ifname=lan7";
    let switch = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0";
    for ours in [true, false] {
        let member = site.engine.name("c");
        let long = format!("name={network},\"driver-opt={name}\",\"driver-opt={switch}\"");
        let words = ["run", "-d", "--name", &member, "--network", &long, &site.image, "sleep", "1000"];
        command::run(site.client(ours).args(words)).ok();
        let (_, value) = site.exec(&member, "cat /proc/sys/net/ipv4/conf/lan7/log_martians");
        assert_eq!(value, "1");
        let options = &places(&site, &member)[&network]["DriverOpts"];
        assert_eq!(options["com.docker.network.endpoint.ifname"], "lan7");
        let connect = [
            "network",
            "connect",
            "--driver-opt",
            "com.docker.network.endpoint.ifname=lan8",
            &other,
            &member,
        ];
        command::run(site.client(ours).args(connect)).ok();
        assert!(site.exec(&member, "busybox ip -o link").1.contains("lan8"));
        site.docker(&["network", "disconnect", &other, &member]);
        let connect = ["network", "connect", "--driver-opt", name, &other, &member];
        let taken = command::run(site.client(ours).args(connect)).assert_code(1);
        assert!(taken.stderr.contains("another link of the container is called lan7"), "{}", taken.stderr);
        site.docker(&["rm", "-f", &member]);
    }
    for (option, expected) in [
        (
            "com.docker.network.endpoint.sysctls=net.ipv4.conf.eth0.log_martians=1",
            "unrecognised network interface sysctl 'net.ipv4.conf.eth0.log_martians=1'",
        ),
        (
            "com.docker.network.endpoint.sysctls=kernel.shmmax=1",
            "unrecognised network interface sysctl 'kernel.shmmax=1'",
        ),
        ("com.docker.network.endpoint.ifname=toolongname123456", "can be no link's name"),
        ("com.docker.network.endpoint.ifname=lo", "can be no link's name"),
        (
            "com.docker.network.endpoint.macaddress=02:00:00:00:00:01",
            "the endpoint option com.docker.network.endpoint.macaddress is not supported",
        ),
    ] {
        let long = format!("name={network},driver-opt={option}");
        let said = site.refused(&["create", "--network", &long, &site.image, "true"]);
        assert!(said.contains(expected), "{said}");
    }
    for option in [
        "com.docker.network.portmap",
        "com.docker.network.host_ipv4",
        "com.docker.network.bridge.default_bridge",
    ] {
        let name = site.engine.name("x");
        let said = site.refused(&["network", "create", "-o", &format!("{option}=1"), &name]);
        assert!(said.contains(&format!("the network option {option} is not supported")), "{said}");
    }
}

// covers: cli docker network connect --link
// covers: cli docker network connect
// covers: cli docker network disconnect
#[test]
fn a_link_given_at_the_connection_is_a_name_in_that_network() {
    let site = Site::isolated();
    let network = site.network("a", &[]);
    let server = site.serves("server", &["--network", &network]);
    for ours in [true, false] {
        let member = site.stays("c", &[]);
        let link = format!("{server}:web");
        command::run(site.client(ours).args(["network", "connect", "--link", &link, &network, &member])).ok();
        assert_eq!(site.fetched_in(&member, "web/index.html"), "here");
        assert_eq!(places(&site, &member)[&network]["Links"], serde_json::json!([link]));
        command::run(site.client(ours).args(["network", "disconnect", &network, &member])).ok();
        assert_ne!(site.fetch_in(&member, "web/index.html").0, 0);
        site.docker(&["rm", "-f", &member]);
    }
}

// covers: value network-option any driver com.docker.network.enable_ipv4
// covers: value network-option any driver com.docker.network.enable_ipv6
// covers: value network-driver docker network create -d bridge
// covers: value ipam-driver docker network create --ipam-driver defaultipam
// covers: cli docker network create
// covers: cli docker network inspect
// covers: cli docker network inspect --verbose
// covers: cli docker network ls
// covers: cli docker network list --filter
// covers: cli docker network list --format
// covers: cli docker network list --no-trunc
// covers: cli docker network list --quiet
// covers: cli docker network prune
// covers: cli docker network remove --force
#[test]
fn commands_by_their_other_words_do_the_same() {
    let site = Site::isolated();
    for ours in [true, false] {
        let run = |words: &[&str]| command::run(site.client(ours).args(words)).ok();
        let name = site.engine.name("n");
        let options = ["com.docker.network.enable_ipv4=false", "com.docker.network.enable_ipv6=true"];
        let id = run(&[
            "network",
            "create",
            "-d",
            "bridge",
            "--ipam-driver",
            "default",
            "-o",
            options[0],
            "-o",
            options[1],
            &name,
        ]);
        let shown = run(&["network", "inspect", "--verbose", "-f", "{{.EnableIPv4}} {{.EnableIPv6}}", &name]);
        assert_eq!(shown, "false true");
        let member = site.stays("c", &["--network", &name]);
        let addresses = site.exec(&member, "busybox ip -o addr show dev eth0").1;
        assert!(!addresses.contains("inet ") && addresses.contains("inet6 fd"), "{addresses}");
        site.docker(&["rm", "-f", &member]);
        assert!(run(&["network", "inspect", &name]).contains(&id));
        let filter = format!("name={name}");
        assert_eq!(run(&["network", "list", "--filter", &filter, "--format", "{{.Name}}"]), name);
        assert_eq!(run(&["network", "list", "--filter", &filter, "--no-trunc", "--quiet"]), id);
        assert!(run(&["network", "ls"]).lines().any(|line| line.contains(&name)));
        run(&["network", "remove", "--force", &name, "nosuch-network"]);
        let unused = site.network("unused", &[]);
        assert!(run(&["network", "prune", "--force"]).contains(&unused));
    }
}

// covers: field NetworkInspect Status
// covers: field NetworkStatus IPAM
// covers: field IPAMStatus Subnets
// covers: field IPAMStatus Subnets.*
// covers: field SubnetStatus IPsInUse
// covers: field SubnetStatus DynamicIPsAvailable
// refuses: field Network Peers because networks of several hosts are not part of Ketch
// refuses: field Network Peers[] because networks of several hosts are not part of Ketch
// refuses: field NetworkInspect Services because services of a swarm are not part of Ketch
// refuses: field NetworkInspect Services.* because services of a swarm are not part of Ketch
// refuses: field ServiceInfo VIP because services of a swarm are not part of Ketch
// refuses: field ServiceInfo Ports because services of a swarm are not part of Ketch
// refuses: field ServiceInfo Ports[] because services of a swarm are not part of Ketch
// refuses: field ServiceInfo LocalLBIndex because services of a swarm are not part of Ketch
// refuses: field ServiceInfo Tasks because services of a swarm are not part of Ketch
// refuses: field ServiceInfo Tasks[] because services of a swarm are not part of Ketch
// refuses: field NetworkTaskInfo Name because services of a swarm are not part of Ketch
// refuses: field NetworkTaskInfo EndpointID because services of a swarm are not part of Ketch
// refuses: field NetworkTaskInfo EndpointIP because services of a swarm are not part of Ketch
// refuses: field NetworkTaskInfo Info because services of a swarm are not part of Ketch
// refuses: field NetworkTaskInfo Info.* because services of a swarm are not part of Ketch
// refuses: field NetworkAttachment Network because tasks of a swarm are not part of Ketch
// refuses: field NetworkAttachment Addresses because tasks of a swarm are not part of Ketch
// refuses: field NetworkAttachment Addresses[] because tasks of a swarm are not part of Ketch
#[test]
fn how_many_addresses_are_left_is_told() {
    use testkit::http::Request;
    let site = Site::of(testkit::Engine::ours());
    let flags = [
        "--ipv6",
        "--subnet",
        "10.226.40.0/24",
        "--ip-range",
        "10.226.40.64/27",
        "--subnet",
        "fd00:226:40::/64",
    ];
    let network = site.network("a", &flags);
    let counted = || {
        let path = format!("/v1.52/networks/{network}");
        let told = site.engine.request_unchecked(&Request::new("GET", &path)).expect(200).json();
        told["Status"]["IPAM"]["Subnets"].clone()
    };
    let empty = counted();
    // The network's own address, the last one and the gateway are nobody's.
    assert_eq!(empty["10.226.40.0/24"], serde_json::json!({"IPsInUse": 3, "DynamicIPsAvailable": 32}));
    assert_eq!(empty["fd00:226:40::/64"]["DynamicIPsAvailable"], u64::MAX - 1);
    let member = site.stays("c", &["--network", &network]);
    assert_eq!(counted()["10.226.40.0/24"], serde_json::json!({"IPsInUse": 4, "DynamicIPsAvailable": 31}));
    site.docker(&["rm", "-f", &member]);
    assert_eq!(counted(), empty);
    let older = site.engine.get(&format!("/networks/{network}")).json();
    assert!(older.get("Status").is_none(), "{older}");
}

// covers: field ContainerConfig NetworkDisabled
#[test]
fn a_container_that_wants_no_network_has_only_itself() {
    let site = Site::isolated();
    let engine = &site.engine;
    let name = engine.name("alone");
    let config = serde_json::json!({
        "Image": engine.busybox(), "Cmd": ["sh", "-c", "cat /proc/net/dev; sleep 1000"], "NetworkDisabled": true,
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let links = command::run(engine.docker_command().args(["exec", &name, "cat", "/proc/net/dev"])).ok();
    let links: Vec<&str> =
        links.lines().filter_map(|line| line.split_once(':')).map(|(link, _)| link.trim()).collect();
    assert_eq!(links, ["lo"]);
    assert_eq!(
        site.inspect(&name, "{{json .NetworkSettings.Networks}} {{.Config.NetworkDisabled}}"),
        "{} true"
    );
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}
