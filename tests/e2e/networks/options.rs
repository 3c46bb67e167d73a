//! The options of a bridge network, by what they do.

use testkit::{Engine, Lan, command};

use super::{Site, fetch, fetched, ip};

// covers: value network-option bridge com.docker.network.bridge.name
// covers: value network-option bridge com.docker.network.bridge.enable_ip_masquerade
// covers: value network-option bridge com.docker.network.bridge.host_binding_ipv4
// covers: value network-option bridge com.docker.network.bridge.inhibit_ipv4
// covers: value network-option any driver com.docker.network.driver.mtu
// covers: value network-option any driver com.docker.network.container_iface_prefix
#[test]
fn each_option_does_what_it_says() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let option = |name: &str, value: &str| format!("com.docker.network.{name}={value}");
    let bound = site.network("bound", &["-o", &option("bridge.host_binding_ipv4", "127.0.0.1")]);
    let server = site.serves("bound-c", &["--network", &bound, "-p", "18100:80"]);
    assert_eq!(site.docker(&["port", &server]), "80/tcp -> 127.0.0.1:18100");
    assert_eq!(fetched((ip("127.0.0.1"), 18100), "/index.html"), "here");
    assert!(outside.at(|| super::fetch((Lan::HOST, 18100), "/")).is_err());

    let named = site.network(
        "named",
        &[
            "-o",
            &option("bridge.name", "br-mine"),
            "-o",
            &option("driver.mtu", "1280"),
            "-o",
            &option("container_iface_prefix", "lan"),
        ],
    );
    let member = site.stays("named-c", &["--network", &named]);
    let (_, links) = site.exec(&member, "busybox ip -o link");
    assert!(links.contains("lan0") && links.contains("mtu 1280"), "{links}");
    let host = command::run(
        std::process::Command::new("busybox").args(["ip", "-o", "-4", "addr", "show", "dev", "br-mine"]),
    )
    .ok();
    let gateway = site.docker(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", &named]);
    assert!(host.contains(&gateway), "{host}");
    site.docker(&["rm", "-f", &member]);
    site.docker(&["network", "rm", &named]);
    let gone =
        command::run(std::process::Command::new("busybox").args(["ip", "link", "show", "dev", "br-mine"]));
    assert_ne!(gone.code, 0, "{}", gone.stdout);

    // Under its own address, or the host's.
    let kept = site.network(
        "kept",
        &["--subnet", "10.226.10.0/24", "-o", &option("bridge.enable_ip_masquerade", "false")],
    );
    let plain = site.network("plain", &["--subnet", "10.226.11.0/24"]);
    let listener = outside.at(|| std::net::TcpListener::bind("192.0.2.2:8000").unwrap());
    let seen = std::thread::spawn(move || [(); 2].map(|()| listener.accept().unwrap().1.ip().to_string()));
    for (name, network, address) in [("kept-c", &kept, "10.226.10.9"), ("plain-c", &plain, "10.226.11.9")] {
        let member = site.stays(name, &["--network", network, "--ip", address]);
        site.exec(&member, "busybox nc -w 2 192.0.2.2 8000 < /dev/null");
    }
    assert_eq!(seen.join().unwrap(), ["10.226.10.9", "192.0.2.1"]);

    let silent = site.network(
        "silent",
        &[
            "--subnet",
            "10.226.12.0/24",
            "-o",
            &option("bridge.inhibit_ipv4", "true"),
            "-o",
            &option("bridge.name", "br-silent"),
        ],
    );
    site.stays("silent-c", &["--network", &silent]);
    let host = command::run(std::process::Command::new("busybox").args([
        "ip",
        "-o",
        "-4",
        "addr",
        "show",
        "dev",
        "br-silent",
    ]))
    .ok();
    assert!(!host.contains("10.226.12.1"), "{host}");
}

// covers: value network-option bridge com.docker.network.bridge.gateway_mode_ipv4
#[test]
fn the_gateway_mode_decides_who_reaches_unpublished_ports() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let open = site.network("open", &["-o", "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"]);
    let server = site.serves("c", &["--network", &open]);
    let address = ip(&site.address(&server, &open));
    assert_eq!(outside.at(|| fetched((address, 80), "/index.html")), "here");
    // What one family is opened for says nothing of the other.
    let six =
        site.network("six", &["--ipv6", "-o", "com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected"]);
    let address = ip(&site.address(&site.serves("d", &["--network", &six]), &six));
    assert!(address.is_ipv4() && outside.at(|| fetch((address, 80), "/index.html")).is_err());
    let name = site.engine.name("wrong");
    let said = site.refused(&[
        "network",
        "create",
        "-o",
        "com.docker.network.bridge.gateway_mode_ipv4=nosuch",
        &name,
    ]);
    assert!(said.contains("unknown gateway mode nosuch"), "{said}");
}

// covers: daemon flag --mtu
// covers: daemon flag --icc
// covers: daemon flag --ip
// covers: daemon flag --ip-masq
// covers: daemon flag --default-address-pool
// covers: field SystemInfo DefaultAddressPools
// covers: field SystemInfo DefaultAddressPools[]
// covers: field SystemInfo DefaultAddressPools[].Base
// covers: field SystemInfo DefaultAddressPools[].Size
#[test]
fn the_default_network_is_as_the_administrator_says() {
    let site = Site::of(Engine::planned(|plan, _| {
        let plan = plan
            .arg("--mtu")
            .arg("1300")
            .arg("--icc=false")
            .arg("--ip-masq=false")
            .arg("--ip")
            .arg("127.0.0.1");
        let pool = |base: &str, size: u8| format!("base={base},size={size}");
        plan.arg("--default-address-pool")
            .arg(pool("10.228.0.0/16", 20))
            .arg("--default-address-pool")
            .arg(pool("10.229.0.0/24", 28))
    }));
    let template = "{{(index .IPAM.Config 0).Subnet}} {{json .Options}}";
    let said = site.docker(&["network", "inspect", "-f", template, "bridge"]);
    assert!(said.starts_with("10.228.0.0/20 "), "{said}");
    for option in [
        "driver.mtu\":\"1300",
        "bridge.enable_icc\":\"false",
        "bridge.enable_ip_masquerade\":\"false",
        "bridge.host_binding_ipv4\":\"127.0.0.1",
    ] {
        assert!(said.contains(option), "{said}");
    }
    let server = site.serves("c", &["-p", "18130:80"]);
    assert_eq!(site.docker(&["port", &server]), "80/tcp -> 127.0.0.1:18130");
    assert!(site.exec(&server, "busybox ip -o link").1.contains("mtu 1300"));
    let other = site.network("a", &[]);
    assert!(site.docker(&["network", "inspect", "-f", template, &other]).starts_with("10.228.16.0/20"));
    let info = testkit::http::Request::new("GET", "/info");
    let pools = &site.engine.request_unchecked(&info).expect(200).json()["DefaultAddressPools"];
    let expected =
        serde_json::json!([{"Base": "10.228.0.0/16", "Size": 20}, {"Base": "10.229.0.0/24", "Size": 28}]);
    assert_eq!(*pools, expected);
}

// covers: daemon config-key mtu
// covers: daemon config-key icc
// covers: daemon config-key ip
// covers: daemon config-key ip-masq
// covers: daemon config-key default-address-pools
// covers: daemon config-key default-address-pools[].base
// covers: daemon config-key default-address-pools[].size
#[test]
fn the_administrators_file_says_the_same() {
    let site = Site::of(Engine::planned(|plan, scratch| {
        let keys = serde_json::json!({
            "mtu": 1300, "icc": false, "ip": "127.0.0.1", "ip-masq": false,
            "default-address-pools": [{"base": "10.228.0.0/16", "size": 20}],
        });
        plan.config(scratch, &keys)
    }));
    let template = "{{(index .IPAM.Config 0).Subnet}} {{json .Options}}";
    let said = site.docker(&["network", "inspect", "-f", template, "bridge"]);
    assert!(said.starts_with("10.228.0.0/20 "), "{said}");
    for option in ["mtu\":\"1300", "icc\":\"false", "masquerade\":\"false", "binding_ipv4\":\"127.0.0.1"] {
        assert!(said.contains(option), "{said}");
    }
}
