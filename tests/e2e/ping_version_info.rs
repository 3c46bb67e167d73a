//! `_ping`, `version` and `info`: what every client asks first, in every version.

use testkit::Engine;
use testkit::http::Request;
use testkit::recording::versions;

// covers: api GET /_ping
// covers: api HEAD /_ping
#[test]
fn ping_answers_with_and_without_a_version() {
    let engine = Engine::isolated();
    let plain = engine.request_unchecked(&Request::new("GET", "/_ping")).expect(200);
    assert_eq!(plain.text(), "OK");
    for path in versions().iter().map(|version| format!("/v{version}/_ping")) {
        let reply = engine.get(&path).expect(200);
        assert_eq!(reply.text(), "OK");
        assert_eq!(reply.header("cache-control"), Some("no-cache, no-store, must-revalidate"));
        assert_eq!(reply.header("pragma"), Some("no-cache"));
        assert_eq!(reply.header("ostype"), Some("linux"));
        assert_eq!(reply.header("swarm"), Some("inactive"));
        assert_eq!(reply.header("builder-version"), Some("2"));
        assert_eq!(reply.header("docker-experimental"), Some("false"));
        let head = engine.request(&Request::new("HEAD", &path)).expect(200);
        // dockerd says 0; leaving it out says as much.
        assert!(matches!(head.header("content-length"), None | Some("0")), "{head:?}");
        assert_eq!(head.header("api-version"), reply.header("api-version"));
    }
}

// covers: api GET /version
#[test]
fn version_has_the_recorded_shape_in_every_version() {
    let engine = Engine::isolated();
    for version in versions() {
        let reply = engine.get(&format!("/v{version}/version")).expect(200).json();
        assert_eq!(reply["Os"], "linux");
        assert!(reply["Components"].as_array().is_some_and(|list| list[0]["Name"] == "Engine"), "{reply}");
    }
    let reply = engine.request_unchecked(&Request::new("GET", "/version")).expect(200);
    assert_eq!(reply.json()["ApiVersion"].as_str(), reply.header("api-version"));
}

// covers: api GET /info
#[test]
fn info_has_the_recorded_shape_in_every_version() {
    let engine = Engine::isolated();
    for version in versions() {
        let info = engine.get(&format!("/v{version}/info")).expect(200).json();
        assert_eq!(info["OSType"], "linux");
        assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    }
}

// refuses: field SystemInfo ProductLicense because there is no licence to sell; dockerd's builds leave it out too
// refuses: field SystemInfo NRI because no containerd is there whose NRI plugins could be told of
// refuses: field NRIInfo Info because no containerd is there whose NRI plugins could be told of
// refuses: field NRIInfo Info[] because no containerd is there whose NRI plugins could be told of
// refuses: field NRIInfo Info[][] because no containerd is there whose NRI plugins could be told of
// refuses: field PluginsInfo Authorization[] because authorization plugins are refused by name
#[test]
fn info_claims_nothing_that_is_not_there() {
    let engine = Engine::ours();
    for version in ["1.24", "1.40", "1.51", "1.53"] {
        let info =
            engine.request_unchecked(&Request::new("GET", &format!("/v{version}/info"))).expect(200).json();
        let keys = info.as_object().expect("an object");
        assert!(!keys.contains_key("ProductLicense") && !keys.contains_key("NRI"), "{info}");
        assert!(info["Plugins"]["Authorization"].is_null(), "{info}");
    }
}

#[test]
fn info_tells_the_machines_facts() {
    let engine = Engine::isolated();
    let info = engine.get("/info").expect(200).json();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(info["NCPU"], cpus);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(info["KernelVersion"], kernel.trim());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = memory.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap();
    assert_eq!(info["MemTotal"], total * 1024);
}
