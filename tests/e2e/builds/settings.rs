//! `builder` of the engine's settings: what builds keep, what they may be allowed, what is remembered of them.

use serde_json::{Value, json};
use testkit::command::{Output, run};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

use super::Context;

fn engine(builder: &Value) -> Engine {
    let keys = json!({ "builder": builder });
    Engine::planned(|plan, scratch| plan.config(scratch, &keys)).with_plugins()
}

fn buildx(engine: &Engine, words: &[&str]) -> Output {
    let mut command = engine.docker_command();
    run(command.arg("buildx").args(words))
}

fn kept(engine: &Engine) -> u64 {
    let said = engine
        .request_unchecked(&Request::new("GET", "/v1.51/system/df?type=build-cache"))
        .expect(200)
        .json();
    said["BuildCache"].as_array().into_iter().flatten().filter_map(|entry| entry["Size"].as_u64()).sum()
}

/// Five steps of two megabytes each.
fn steps(engine: &Engine) -> Context {
    let lines: String = (0..5).map(|step| format!("RUN head -c 2000000 /dev/urandom > /{step}\n")).collect();
    Context::new(engine, "c", &format!("FROM BASE\n{lines}"))
}

// covers: daemon config-key builder
// covers: daemon config-key builder.GC
// covers: daemon config-key builder.GC.Enabled
// covers: daemon config-key builder.GC.Policy
// covers: daemon config-key builder.GC.Policy[].All
// covers: daemon config-key builder.GC.Policy[].Filter
// covers: daemon config-key builder.GC.Policy[].ReservedSpace
// covers: daemon config-key builder.GC.Policy[].MaxUsedSpace
// covers: daemon config-key builder.GC.Policy[].MinFreeSpace
// covers: daemon config-key builder.GC.DefaultReservedSpace
// covers: daemon config-key builder.GC.DefaultMaxUsedSpace
// covers: daemon config-key builder.GC.DefaultMinFreeSpace
#[test]
fn what_builds_keep_is_what_the_rules_let_stay() {
    let most = 5 << 20;
    for (gc, bounded) in [
        (json!({"enabled": true, "defaultKeepStorage": "5MB"}), true),
        (json!({"enabled": "true", "defaultMaxUsedSpace": "5MB", "defaultReservedSpace": "1MB"}), true),
        (json!({"policy": [{"all": true, "maxUsedSpace": "5MB", "filter": ["type=regular"]}]}), true),
        (json!({"policy": [{"all": true, "keepStorage": "1MB", "filter": ["unused-for=48h"]}]}), false),
        (json!({"policy": [{"minFreeSpace": "1MB"}]}), false),
        (json!({"policy": [{"minFreeSpace": "1000TB", "reservedSpace": "5MB"}]}), true),
        (json!({"defaultMinFreeSpace": "1MB"}), false),
        (json!({"enabled": false, "defaultKeepStorage": "1MB"}), false),
    ] {
        let engine = engine(&json!({ "gc": gc }));
        engine.busybox();
        let context = steps(&engine);
        buildx(&engine, &["build", "--output=type=cacheonly", &context.path().display().to_string()]).ok();
        if bounded {
            eventually(DEADLINE, || (kept(&engine) <= most).then_some(()).ok_or("too much stays"));
            // Not everything.
            assert!(kept(&engine) > 0, "{gc}");
        } else {
            assert!(kept(&engine) > 9_000_000, "{gc}");
        }
    }
}

#[test]
fn the_rules_are_told() {
    let rule = json!({"all": true, "reservedSpace": "1GB", "maxUsedSpace": "2GB", "minFreeSpace": "3GB",
                      "filter": ["type=exec.cachemount", "unused-for=48h"]});
    let engine = engine(&json!({"gc": {"policy": [rule]}}));
    let mut ours = engine.ketch_command();
    for said in [buildx(&engine, &["inspect"]).ok(), run(ours.args(["buildx", "inspect"])).ok()] {
        let rules = &said[said.find("GC Policy rule#0").unwrap_or_else(|| panic!("{said}"))..];
        for told in ["All:", "true", "type==exec.cachemount", "48h0m0s", "1GiB", "2GiB", "3GiB"] {
            assert!(rules.contains(told), "{told}: {said}");
        }
    }
}

// covers: daemon config-key builder.Entitlements
// covers: daemon config-key builder.Entitlements.network-host
// covers: daemon config-key builder.Entitlements.security-insecure
#[test]
fn what_the_engine_does_not_allow_no_client_can() {
    let engine = engine(&json!({"entitlements": {"network-host": false, "device": false}}));
    engine.busybox();
    let context = Context::new(&engine, "c", "FROM BASE\nRUN true\n");
    let place = context.path().display().to_string();
    for name in ["network.host", "security.insecure"] {
        let allow = format!("--allow={name}");
        let why = format!("granting entitlement {name} is not allowed by build daemon configuration");
        let refused = buildx(&engine, &["build", &allow, &place]).assert_code(1);
        assert!(refused.stderr.contains(&why), "{}", refused.stderr);
    }
    // Nor by the door at which nobody is asked.
    let text = format!("FROM {}:1\nRUN --network=host true\n", engine.name("busybox"));
    let tar = testkit::images::archive_of(&[("Dockerfile", text.as_bytes())]);
    let request = Request::new("POST", "/build").header("Content-Type", "application/x-tar").body(tar);
    let said = engine.request_unchecked(&request).expect(200).text();
    assert!(said.contains("network.host is not allowed"), "{said}");
    buildx(&engine, &["build", &place]).ok();
}

// covers: daemon config-key builder.History
// covers: daemon config-key builder.History.MaxAge
// covers: daemon config-key builder.History.MaxEntries
#[test]
fn so_many_builds_are_remembered() {
    let engine = engine(&json!({"history": {"maxEntries": 2, "maxAge": 0}}));
    engine.busybox();
    let context = Context::new(&engine, "c", "FROM BASE\n");
    for _ in 0..4 {
        buildx(&engine, &["build", &context.path().display().to_string()]).ok();
        // A record's age is counted in seconds.
        let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let begun = second();
        eventually(DEADLINE, || (second() > begun).then_some(()).ok_or("the clock stands still"));
    }
    let listed = || buildx(&engine, &["history", "ls", "--format={{.Ref}}"]).ok().lines().count();
    eventually(DEADLINE, || (listed() == 2).then_some(()).ok_or("others are remembered"));
}
