//! Published ports: forms, listings, conflicts.

use testkit::{Engine, Lan, command};

use super::{Site, fetched, ip};

// covers: cli docker port
// covers: cli docker container port
// covers: cli docker run --publish
// covers: cli docker run --publish-all
// covers: cli docker run --expose
// covers: cli docker container run --publish
// covers: cli docker container run --publish-all
// covers: cli docker container run --expose
// covers: field PortSummary IP
// covers: field PortSummary PrivatePort
// covers: field PortSummary PublicPort
// covers: field PortSummary Type
// covers: field PortMap *
// covers: field PortMap *[]
// covers: field PortBinding HostIp
// covers: field PortBinding HostPort
#[test]
fn ports_are_listed_alike_by_both_clients() {
    let site = Site::of(Engine::ours());
    let flags = [
        "-p",
        "127.0.0.1:18080:80",
        "-p",
        "19000-19002:19000-19002",
        "-p",
        "53/udp",
        "-p",
        "18443-18445:443",
        "--expose",
        "7000-7001",
        "-p",
        "published=18081,target=81,protocol=udp",
    ];
    let name = site.stays("c", &flags);
    let random = site.port(&name, "53/udp");
    let first_of_range = site.port(&name, "443");
    assert_eq!(first_of_range, 18443);
    assert!(random >= 32768);
    for ours in [true, false] {
        let ports = command::run(site.client(ours).args([
            "ps",
            "--no-trunc",
            "--filter",
            &format!("name={name}"),
            "--format",
            "{{.Ports}}",
        ]))
        .ok();
        let expected = format!(
            "7000-7001/tcp, 0.0.0.0:19000-19002->19000-19002/tcp, [::]:19000-19002->19000-19002/tcp, 0.0.0.0:{random}->53/udp, [::]:{random}->53/udp, 127.0.0.1:18080->80/tcp, 0.0.0.0:18081->81/udp, [::]:18081->81/udp, 0.0.0.0:18443->443/tcp, [::]:18443->443/tcp"
        );
        assert_eq!(ports, expected);
        let all = command::run(site.client(ours).args(["container", "port", &name])).ok();
        let expected = [
            format!("53/udp -> 0.0.0.0:{random}"),
            format!("53/udp -> [::]:{random}"),
            "80/tcp -> 127.0.0.1:18080".into(),
            "81/udp -> 0.0.0.0:18081".into(),
            "81/udp -> [::]:18081".into(),
            "443/tcp -> 0.0.0.0:18443".into(),
            "443/tcp -> [::]:18443".into(),
            "19000/tcp -> 0.0.0.0:19000".into(),
            "19000/tcp -> [::]:19000".into(),
            "19001/tcp -> 0.0.0.0:19001".into(),
            "19001/tcp -> [::]:19001".into(),
            "19002/tcp -> 0.0.0.0:19002".into(),
            "19002/tcp -> [::]:19002".into(),
        ];
        assert_eq!(all.lines().collect::<Vec<_>>(), expected);
        assert_eq!(command::run(site.client(ours).args(["port", &name, "80"])).ok(), "127.0.0.1:18080");
        let none = command::run(site.client(ours).args(["port", &name, "7000"])).assert_code(1);
        assert_eq!(none.stderr.trim(), format!("Error: No public port '7000' published for {name}"));
    }
    // All that is exposed, by whichever spelling.
    for (number, ours) in [(1, true), (2, false)] {
        let name = site.engine.name(&format!("all{number}"));
        command::run(site.client(ours).args([
            "run",
            "-d",
            "--name",
            &name,
            "-P",
            "--expose",
            "80",
            "--expose",
            "81-82/udp",
            &site.image,
            "sleep",
            "1000",
        ]))
        .ok();
        let lines = site.docker(&["port", &name]);
        let mut keys: Vec<&str> = lines.lines().filter_map(|line| line.split(" -> ").next()).collect();
        // Once for each family.
        keys.dedup();
        assert_eq!(keys, ["80/tcp", "81/udp", "82/udp"]);
    }
}

#[test]
fn a_port_that_is_taken_says_by_whom() {
    let site = Site::of(Engine::ours());
    let first = site.stays("first", &["-p", "18090:80"]);
    let name = site.engine.name("second");
    let refused = |port: &str| {
        let mut client = site.client(true);
        let said = command::run(client.args(["run", "-d", "--name", &name, "-p", port, &site.image, "true"]))
            .assert_code(125)
            .stderr;
        site.docker(&["rm", "-f", &name]);
        said
    };
    let said = refused("18090:81");
    assert!(said.contains("Bind for 0.0.0.0:18090 failed: port is already allocated"), "{said}");
    let log = site.engine.log();
    assert!(said.contains(&first) || log.contains(&first), "{said}");
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = refused(&format!("{port}:80"));
    assert!(
        said.contains(&format!("failed to bind host port for 0.0.0.0:{port}"))
            && said.contains("address already in use"),
        "{said}"
    );
    // The same port of another address, another transport, and once more when it is free.
    site.stays("udp", &["-p", "18090:80/udp"]);
    site.docker(&["rm", "-f", &first]);
    site.stays("again", &["-p", "18090:80"]);
}

#[test]
fn the_host_and_its_containers_reach_a_published_port_by_each_address() {
    [true, false].into_iter().for_each(reached_by_each_address);
}

fn reached_by_each_address(filtered: bool) {
    let site = Site::of(Engine::ours());
    site.filter_bridges(filtered);
    let _lan = Lan::new();
    let server = site.serves("server", &["-p", "18091:80"]);
    let network = site.network("a", &[]);
    let beside = site.stays("beside", &[]);
    let elsewhere = site.stays("elsewhere", &["--network", &network]);
    for address in ["127.0.0.1", "127.0.0.2", "192.0.2.1"] {
        assert_eq!(fetched((ip(address), 18091), "/index.html"), "here", "{address}");
    }
    // Also itself, by the host's address.
    for container in [&beside, &elsewhere, &server] {
        assert_eq!(site.fetched_in(container, "192.0.2.1:18091/index.html"), "here", "{container}");
    }
}

#[test]
fn a_wide_range_is_published_whole() {
    let site = Site::of(Engine::ours());
    let name = site.runs(
        "c",
        &["-p", "20000-29999:20000-29999"],
        "mkdir /tmp/w; echo far > /tmp/w/index.html; exec busybox httpd -f -p 27777 -h /tmp/w",
    );
    assert_eq!(fetched((ip("127.0.0.1"), 27777), "/index.html"), "far");
    let line = site.docker(&["ps", "--filter", &format!("name={name}"), "--format", "{{.Ports}}"]);
    assert_eq!(line, "0.0.0.0:20000-29999->20000-29999/tcp");
    // Clients hear of each port, as from dockerd.
    let told = |template: &str| site.inspect(&name, template);
    assert_eq!(told("{{len .HostConfig.PortBindings}} {{len .Config.ExposedPorts}}"), "10000 10000");
    assert_eq!(
        told("{{json (index .HostConfig.PortBindings \"23456/tcp\")}}"),
        r#"[{"HostIp":"","HostPort":"23456"}]"#
    );
    assert_eq!(told("{{len .NetworkSettings.Ports}}"), "10000");
    let listed = |port: &str| site.docker(&["ps", "-q", "--filter", &format!("expose={port}")]);
    assert!(!listed("23456").is_empty() && listed("30000").is_empty());
    // One of them is taken for others, whether they want it alone or among many.
    for wanted in ["23456:80", "29990-30005:29990-30005"] {
        let other = site.engine.name("other");
        let said = site.refused(&["run", "--name", &other, "-p", wanted, &site.image, "true"]);
        let first = wanted.split([':', '-']).next().unwrap();
        assert!(
            said.contains(&format!("Bind for 0.0.0.0:{first} failed: port is already allocated")),
            "{said}"
        );
        site.docker(&["rm", "-f", &other]);
    }
    // Our own client says it in one entry, and nobody sees a difference.
    let again = site.engine.name("again");
    let words = ["create", "--name", &again, "-p", "20000-29999:20000-29999", &site.image];
    command::run(site.engine.ketch_command().args(words)).ok();
    for template in ["{{json .HostConfig.PortBindings}}", "{{json .Config.ExposedPorts}}"] {
        assert_eq!(site.inspect(&again, template), told(template), "{template}");
    }
    site.docker(&["rm", &again]);
    site.stays("beside", &["-p", "30000-30005:30000-30005", "-p", "20000-20002:20000-20002/udp"]);
}

// covers: value network-option bridge com.ketch.input
#[test]
fn where_the_network_says_so_the_hosts_own_rules_for_input_decide_about_published_ports() {
    let site = Site::of(Engine::planned(|plan, scratch: &testkit::Scratch| {
        plan.config(
            scratch,
            &serde_json::json!({"default-network-opts": {"bridge": {"com.ketch.input": "true"}}}),
        )
    }));
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let passed_on = site.network("passed_on", &["-o", "com.ketch.input=false", "--ipv6"]);
    let taken_in = site.network("taken_in", &["--ipv6"]);
    site.serves("c", &["-p", "18310:80"]);
    site.serves("a", &["--network", &passed_on, "-p", "18311:80"]);
    let server = site.serves("b", &["--network", &taken_in, "-p", "18312:80"]);
    site.stays("local", &["--network", &taken_in, "-p", "127.0.0.1:18313:80"]);
    let reaches = |host, port| outside.at(|| super::fetch((host, port), "/index.html")).is_ok();
    for port in [18310, 18311, 18312] {
        assert_eq!(fetched((ip("127.0.0.1"), port), "/index.html"), "here", "{port}");
        for host in [Lan::HOST, Lan::HOST_6] {
            assert_eq!(outside.at(|| fetched((host, port), "/index.html")), "here", "{host} {port}");
        }
    }
    assert!(!reaches(Lan::HOST, 18313));
    // An administrator's policy of dropping: what isn't passed on but taken in obeys.
    testkit::drop_what_comes_in("filter", "INPUT");
    let reached = |host| [18310, 18311, 18312].map(|port| reaches(host, port));
    assert_eq!(reached(Lan::HOST), [false, true, false]);
    // Of IPv6 nothing is dropped, but what the default network's container answers, by IPv4.
    assert_eq!(reached(Lan::HOST_6), [false, true, true]);
    let words = ["system", "ports", "--format", "{{.Port}}|{{.Rule}}|{{.Hindered}}"];
    let lines = command::run(site.engine.ketch_command().args(words)).ok();
    let line =
        |port: &str| lines.lines().find(|line| line.starts_with(port)).unwrap_or_else(|| panic!("{lines}"));
    for port in ["0.0.0.0:18310/tcp", "0.0.0.0:18312/tcp"] {
        assert!(line(port).contains("|a socket of the container's shim, behind"), "{lines}");
        assert!(line(port).contains("ip filter INPUT drops"), "{lines}");
    }
    assert!(line("0.0.0.0:18311/tcp").contains("chain published"), "{lines}");
    assert!(!line("0.0.0.0:18311/tcp").contains("INPUT"), "{lines}");
    testkit::flush_firewall();
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18312), "/index.html")), "here");
    // What needs more sockets than a shim has, or other ones, is refused by name.
    for (port, said) in
        [("18400-18500:18400-18500", "publishing more than"), ("18315:80/sctp", "publishing SCTP in")]
    {
        let name = site.engine.name("refused");
        let words = ["run", "--name", &name, "--network", &taken_in, "-p", port, &site.image, "true"];
        let refused = site.refused(&words);
        assert!(refused.contains(said) && refused.contains("com.ketch.input"), "{refused}");
        site.docker(&["rm", "-f", &name]);
    }
    site.docker(&["restart", "-t", "0", &server]);
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18312), "/index.html")), "here");
}

// covers: cli docker network create --ipv6
#[test]
fn ports_are_published_by_ipv6_too() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let network = site.network("six", &["--ipv6", "--subnet", "fd00:226::/64", "--subnet", "10.226.9.0/24"]);
    let server = site.serves("c", &["--network", &network, "--ip6", "fd00:226::9", "-p", "18092:80"]);
    let beside = site.stays("beside", &["--network", &network]);
    let elsewhere = site.stays("elsewhere", &["--network", &site.network("other", &["--ipv6"])]);
    assert_eq!(site.fetched_in(&beside, "[fd00:226::9]/index.html"), "here");
    assert_eq!(outside.at(|| fetched((Lan::HOST_6, 18092), "/cgi-bin/who")), "2001:db8::2");
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18092), "/index.html")), "here");
    assert_eq!(fetched((Lan::HOST_6, 18092), "/index.html"), "here");
    assert!(outside.at(|| super::fetch((ip("fd00:226::9"), 80), "/")).is_err());
    assert_ne!(site.fetch_in(&elsewhere, "[fd00:226::9]/index.html").0, 0);
    let lines = site.docker(&["port", &server]);
    assert_eq!(lines.lines().collect::<Vec<_>>(), ["80/tcp -> 0.0.0.0:18092", "80/tcp -> [::]:18092"]);
}

#[test]
fn an_ipv6_client_reaches_a_port_of_a_container_without_ipv6() {
    let mut site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let server = site.serves("c", &["-p", "18093:80", "-p", "18094-18095:94-95"]);
    let six = site.network("six", &["--ipv6"]);
    site.serves("both", &["--network", &six, "-p", "18096:80"]);
    site.serves("alone", &["-p", "[::1]:18097:80"]);
    let local = || {
        for port in [18093, 18096, 18097] {
            assert_eq!(fetched((ip("::1"), port), "/index.html"), "here", "{port}");
        }
    };
    local();
    assert_eq!(outside.at(|| fetched((Lan::HOST_6, 18093), "/index.html")), "here");
    assert!(outside.at(|| super::fetch((Lan::HOST_6, 18097), "/")).is_err());
    assert!(super::fetch((ip("127.0.0.1"), 18097), "/").is_err());
    let lines = site.docker(&["port", &server, "80"]);
    assert_eq!(lines.lines().collect::<Vec<_>>(), ["0.0.0.0:18093", "[::]:18093"]);
    let name = site.engine.name("second");
    let said = site.refused(&["run", "-d", "--name", &name, "-p", "[::1]:18093:80", &site.image, "true"]);
    assert!(said.contains("port is already allocated"), "{said}");
    // No engine is needed for it, and one that comes anew leaves it as it is.
    site.engine.crash_and_restart();
    local();
    site.docker(&["restart", "-t", "0", &server]);
    local();
    site.docker(&["rm", "-f", &server]);
    assert!(super::fetch((ip("::1"), 18093), "/").is_err());
}

// covers: daemon flag --userland-proxy
// covers: daemon config-key userland-proxy
#[test]
fn without_a_proxy_there_are_the_kernels_own_ways_alone() {
    let site = Site::of(Engine::planned(|plan, scratch: &testkit::Scratch| {
        plan.config(scratch, &serde_json::json!({"userland-proxy": false}))
    }));
    let server = site.serves("c", &["-p", "18100:80"]);
    assert_eq!(fetched((ip("127.0.0.1"), 18100), "/index.html"), "here");
    assert!(super::fetch((ip("::1"), 18100), "/").is_err());
    assert_eq!(site.docker(&["port", &server]), "80/tcp -> 0.0.0.0:18100");
    let name = site.engine.name("alone");
    let said = site.refused(&["run", "--name", &name, "-p", "[::1]:18101:80", &site.image, "true"]);
    assert!(said.contains("publishing at ::1 without"), "{said}");
}

#[test]
fn much_goes_both_ways_between_an_ipv6_client_and_a_container() {
    use std::io::{Read as _, Write as _};
    let site = Site::of(Engine::ours());
    site.runs("echo", &["-p", "18098:7"], "exec busybox nc -ll -p 7 -e cat");
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| (number % 251) as u8).collect();
    let client = testkit::eventually(testkit::DEADLINE, || {
        let mut client = std::net::TcpStream::connect((ip("::1"), 18098))?;
        client.write_all(b"x")?;
        client.read_exact(&mut [0])?;
        Ok::<_, std::io::Error>(client)
    });
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            // The end is passed on, too.
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        (&client).read_to_end(&mut received).unwrap();
    });
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

#[test]
fn datagrams_of_ipv6_clients_find_their_way_back() {
    let site = Site::of(Engine::ours());
    let server = site.stays("c", &["-p", "18099:5353/udp"]);
    let inside = testkit::Neighbour::of_process(site.inspect(&server, "{{.State.Pid}}").parse().unwrap());
    let socket = inside.at(|| std::net::UdpSocket::bind("0.0.0.0:5353").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    let clients: Vec<_> = (0..300_u16)
        .map(|number| {
            let client = std::net::UdpSocket::bind("[::1]:0").unwrap();
            client.set_read_timeout(Some(testkit::DEADLINE)).unwrap();
            client.connect((ip("::1"), 18099)).unwrap();
            client.send(&number.to_be_bytes()).unwrap();
            let mut buffer = [0; 4];
            assert_eq!(client.recv(&mut buffer).unwrap(), 2);
            assert_eq!(buffer[..2], number.to_be_bytes());
            client
        })
        .collect();
    // The first have given their places to others, and get one again.
    clients[0].send(b"again").unwrap();
    assert_eq!(clients[0].recv(&mut [0; 8]).unwrap(), 5);
}
