//! Gateway modes: who reaches what of a bridge's containers, and under which address they go out.

use testkit::{Engine, Lan, command};

use super::{Site, fetch, fetched, ip};

const MODE_4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE_6: &str = "com.docker.network.bridge.gateway_mode_ipv6";

fn address_6(site: &Site, container: &str, network: &str) -> std::net::IpAddr {
    let template = format!("{{{{(index .NetworkSettings.Networks {network:?}).GlobalIPv6Address}}}}");
    ip(&site.inspect(container, &template))
}

// covers: value network-option bridge com.docker.network.bridge.gateway_mode_ipv6
#[test]
fn what_is_published_in_a_routed_network_is_reached_at_its_own_address() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let modes = [format!("{MODE_4}=routed"), format!("{MODE_6}=routed")];
    let routed = site.network("r", &["--ipv6", "-o", &modes[0], "-o", &modes[1]]);
    let server =
        site.serves("server", &["--network", &routed, "-p", "18140:80", "-p", "9000-9010:9000-9010"]);
    let other = site.network("other", &[]);
    let stranger = site.stays("stranger", &["--network", &other]);
    for address in [ip(&site.address(&server, &routed)), address_6(&site, &server, &routed)] {
        // Under its own address in both directions.
        assert_eq!(outside.at(|| fetched((address, 80), "/index.html")), "here");
        let host = if address.is_ipv4() { Lan::HOST } else { Lan::HOST_6 };
        assert!(outside.at(|| fetch((host, 18140), "/index.html")).is_err());
        assert!(fetch((ip("127.0.0.1"), 18140), "/").is_err());
        let refused = outside.at(|| fetch((address, 9005), "/")).unwrap_err();
        assert_eq!(
            refused.kind(),
            std::io::ErrorKind::ConnectionRefused,
            "a range is open, and nobody listens"
        );
        let closed = outside.at(|| fetch((address, 81), "/")).unwrap_err();
        assert_ne!(closed.kind(), std::io::ErrorKind::ConnectionRefused, "nothing is published there");
    }
    let own = site.address(&server, &routed);
    let ping = || {
        command::run(std::process::Command::new("busybox").args(["ping", "-c", "1", "-W", "5", &own])).code
    };
    assert_eq!(outside.at(ping), 0);
    let url = format!("{}/index.html", site.address(&server, &routed));
    assert_eq!(site.fetched_in(&stranger, &url), "here");
    // As dockerd shows it: no port of the host's.
    let shown = site.inspect(&server, "{{json (index .NetworkSettings.Ports \"80/tcp\")}}");
    assert_eq!(shown, "[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"\"},{\"HostIp\":\"::\",\"HostPort\":\"\"}]");
    // The port of the host is free for others.
    let second = site.serves("second", &["-p", "18140:80"]);
    assert_eq!(fetched((ip("127.0.0.1"), 18140), "/index.html"), "here");
    site.docker(&["rm", "-f", &server, &second]);
    assert!(outside.at(|| fetch((Lan::HOST, 18140), "/")).is_err());
}

#[test]
fn nothing_is_masqueraded_in_a_routed_network() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let listener = outside.at(|| std::net::TcpListener::bind("192.0.2.2:8000").unwrap());
    let mode = format!("{MODE_4}=routed");
    let routed = site.network("r", &["--subnet", "10.226.20.0/24", "-o", &mode]);
    let member = site.stays("c", &["--network", &routed, "--ip", "10.226.20.9"]);
    let seen = std::thread::spawn(move || listener.accept().unwrap().1.ip().to_string());
    site.exec(&member, "busybox nc -w 2 192.0.2.2 8000 < /dev/null");
    assert_eq!(seen.join().unwrap(), "10.226.20.9");
}

#[test]
fn an_isolated_network_has_no_address_of_the_hosts() {
    let site = Site::of(Engine::ours());
    let mode = format!("{MODE_4}=isolated");
    let name = site.engine.name("wrong");
    let said = site.refused(&["network", "create", "-o", &mode, &name]);
    assert!(said.contains("gateway mode 'isolated' can only be used for an internal network"), "{said}");
    let network =
        site.network("i", &["--internal", "-o", &mode, "-o", "com.docker.network.bridge.name=br-isolated"]);
    let server = site.serves("server", &["--network", &network]);
    let client = site.stays("client", &["--network", &network]);
    let address = site.address(&server, &network);
    // The first one: no gateway has it.
    assert!(address.ends_with(".1"), "{address}");
    assert_eq!(site.fetched_in(&client, &format!("{address}/index.html")), "here");
    let host = command::run(std::process::Command::new("busybox").args([
        "ip",
        "-o",
        "addr",
        "show",
        "dev",
        "br-isolated",
    ]))
    .ok();
    assert!(!host.contains("inet"), "{host}");
    assert!(fetch((ip(&address), 80), "/").is_err());
}

// covers: value network-option bridge com.docker.network.bridge.trusted_host_interfaces
#[test]
fn by_a_trusted_link_published_ports_are_reached_at_their_own_address() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let option = |links: &str| format!("com.docker.network.bridge.trusted_host_interfaces={links}");
    let trusting = site.network("t", &["-o", &option("nosuch0:lan0")]);
    let closed = site.network("u", &["-o", &option("nosuch0")]);
    let publish = ["-p", "18150:80", "-p", "127.0.0.1:18151:80"];
    let server = site.serves("server", &[&["--network", &trusting], &publish[..]].concat());
    let other = site.serves("other", &["--network", &closed, "-p", "18152:80"]);
    let at = |container: &str, network: &str| ip(&site.address(container, network));
    let (server_at, other_at) = (at(&server, &trusting), at(&other, &closed));
    assert_eq!(outside.at(|| fetched((server_at, 80), "/index.html")), "here");
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18150), "/index.html")), "here");
    assert!(outside.at(|| fetch((server_at, 81), "/")).is_err());
    assert!(outside.at(|| fetch((other_at, 80), "/")).is_err());
    // Twice published, once open: both go together.
    site.docker(&["rm", "-f", &server, &other]);
}

// covers: daemon flag --allow-direct-routing
// covers: daemon config-key allow-direct-routing
#[test]
fn with_direct_routing_all_published_ports_are_reached_at_their_own_address() {
    let by_flag = Engine::planned(|plan, _| plan.arg("--allow-direct-routing"));
    let by_key = Engine::planned(|plan, scratch| {
        plan.config(scratch, &serde_json::json!({"allow-direct-routing": true}))
    });
    for engine in [by_flag, by_key] {
        let site = Site::of(engine);
        let lan = Lan::new();
        let outside = lan.neighbour(2);
        let network = site.network("n", &[]);
        let stranger = site.stays("stranger", &["--network", &site.network("m", &[])]);
        let server = site.serves("server", &["--network", &network, "-p", "80"]);
        let closed = site.serves("closed", &["--network", &network]);
        let address = site.address(&server, &network);
        assert_eq!(outside.at(|| fetched((ip(&address), 80), "/index.html")), "here");
        let closed_at = ip(&site.address(&closed, &network));
        assert!(outside.at(|| fetch((closed_at, 80), "/")).is_err());
        // Networks don't reach each other by that.
        assert_ne!(site.fetch_in(&stranger, &format!("{address}/index.html")).0, 0);
    }
}
