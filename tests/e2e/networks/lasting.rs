//! What crashes and many lives leave of networks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use testkit::{Engine, Lan, command};

use super::{Site, fetch, fetched, ip};

#[test]
fn a_published_port_and_its_connections_outlive_kills_of_the_engine() {
    let mut site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let network = site.network("a", &[]);
    site.serves("server", &["--network", &network, "-p", "18110:80"]);
    let echo =
        site.runs("echo", &["--network", &network, "-p", "18111:7"], "exec busybox nc -ll -p 7 -e cat");
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18110), "/index.html")), "here");
    let mut open = outside.at(|| {
        testkit::eventually(testkit::DEADLINE, || {
            let mut stream = TcpStream::connect((Lan::HOST, 18111))?;
            stream.set_read_timeout(Some(testkit::DEADLINE))?;
            says(&mut stream)?;
            Ok::<_, std::io::Error>(stream)
        })
    });
    let (done, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            outside.at(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(fetch((Lan::HOST, 18110), "/index.html").expect("a request failed"), "here");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        for _ in 0..5 {
            site.engine.crash_and_restart();
            says(&mut open).expect("the connection stays");
        }
        done.store(true, Ordering::Relaxed);
        client.join().unwrap();
    });
    assert!(asked.load(Ordering::Relaxed) > 0);
    // The next engine knows what is taken, opens more and closes it.
    let name = site.engine.name("second");
    let said = site.refused(&["run", "-d", "--name", &name, "-p", "18110:80", &site.image, "true"]);
    assert!(said.contains("port is already allocated"), "{said}");
    site.docker(&["rm", "-f", &name]);
    let third = site.serves("third", &["--network", &network, "-p", "18112:80"]);
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18112), "/index.html")), "here");
    let addresses = [site.address(&third, &network), site.address(&echo, &network)];
    assert_ne!(addresses[0], addresses[1]);
    site.docker(&["rm", "-f", &third]);
    assert!(outside.at(|| fetch((Lan::HOST, 18112), "/")).is_err());
}

#[test]
fn s132_s133_rules_that_somebody_flushed_come_back() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let (first, second) = (site.network("a", &[]), site.network("b", &[]));
    let server = site.serves("server", &["--network", &first, "-p", "18170:80"]);
    let gone = site.serves("gone", &["--network", &first, "-p", "18171:80"]);
    site.serves("private", &["--network", &first, "-p", "127.0.0.1:18172:80"]);
    let stranger = site.stays("stranger", &["--network", &second]);
    let own = ip(&site.address(&server, &first));
    for _ in 0..3 {
        testkit::flush_firewall();
        assert_eq!(outside.at(|| fetched((Lan::HOST, 18170), "/index.html")), "here");
        // What stands behind the rule that came back stands again, too.
        assert!(outside.at(|| fetch((own, 80), "/")).is_err());
        assert!(outside.at(|| fetch((Lan::HOST, 18172), "/")).is_err());
        assert_ne!(site.fetch_in(&stranger, &format!("{own}/index.html")).0, 0);
        assert_eq!(fetched((ip("127.0.0.1"), 18172), "/index.html"), "here");
    }
    // What was given back meanwhile doesn't come back with them.
    site.docker(&["rm", "-f", &gone]);
    testkit::flush_firewall();
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18170), "/index.html")), "here");
    assert!(outside.at(|| fetch((Lan::HOST, 18171), "/")).is_err());
    let other = site.serves("other", &["--network", &second, "-p", "18171:80"]);
    assert_eq!(outside.at(|| fetched((Lan::HOST, 18171), "/index.html")), "here");
    site.docker(&["rm", "-f", &other]);
}

fn says(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

#[test]
fn addresses_and_ports_come_back_from_many_lives() {
    let site = Site::of(Engine::ours());
    // Five addresses are more than enough for two hundred lives, one after the other.
    let network = site.network("a", &["--subnet", "10.226.20.0/29"]);
    let name = site.engine.name("c");
    site.docker(&["create", "--name", &name, "--network", &network, "-p", "18120:80", &site.image, "true"]);
    for _ in 0..200 {
        site.engine.post(&format!("/containers/{name}/start"), &serde_json::Value::Null).expect(204);
        site.engine.post(&format!("/containers/{name}/wait"), &serde_json::Value::Null).expect(200);
    }
    assert_eq!(site.address(&name, &network), "");
    // Those that never start keep nothing either.
    for _ in 0..20 {
        let output = command::run(site.client(false).args([
            "run",
            "--rm",
            "--network",
            &network,
            "-p",
            "18121:80",
            &site.image,
            "/nosuch",
        ]));
        assert_eq!(output.code, 127, "{}", output.stderr);
    }
    for number in 0..5 {
        site.stays(&format!("s{number}"), &["--network", &network]);
    }
    let members = site.docker(&["network", "inspect", "-f", "{{len .Containers}}", &network]);
    assert_eq!(members, "5");
}

#[test]
fn a_restarted_container_has_its_networks_again() {
    let mut site = Site::of(Engine::ours());
    let (first, second) = (site.network("a", &[]), site.network("b", &["--subnet", "10.226.21.0/24"]));
    let server = site.serves("c", &["--restart", "always", "--network", &first, "-p", "18122:80"]);
    site.docker(&["network", "connect", "--ip", "10.226.21.7", &second, &server]);
    assert_eq!(fetched((ip("127.0.0.1"), 18122), "/index.html"), "here");
    let pid = site.inspect(&server, "{{.State.Pid}}");
    site.exec(&server, "kill -9 -1");
    let again = |site: &Site, before: &str| {
        testkit::eventually(testkit::DEADLINE, || match site.inspect(&server, "{{.State.Pid}}") {
            pid if pid != before && pid != "0" => Ok(pid),
            pid => Err(pid),
        })
    };
    site.docker(&["restart", "-t", "0", &server]);
    let pid = again(&site, &pid);
    assert_eq!(fetched((ip("127.0.0.1"), 18122), "/index.html"), "here");
    assert_eq!(site.address(&server, &second), "10.226.21.7");
    site.engine.crash_and_restart();
    site.docker(&["restart", "-t", "0", &server]);
    again(&site, &pid);
    assert_eq!(fetched((ip("127.0.0.1"), 18122), "/index.html"), "here");
    assert_eq!(fetched((ip("10.226.21.7"), 80), "/index.html"), "here");
}
