//! Every parameter of `POST /build`, and of `POST /build/prune`.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::{Engine, Registry, images};

use super::{image, run};

fn post(engine: &Engine, query: &str, files: &[(&str, &[u8])]) -> Reply {
    let request =
        Request::new("POST", &format!("/build?{query}")).header("Content-Type", "application/x-tar");
    engine.request_unchecked(&request.body(images::archive_of(files)))
}

fn said(reply: &Reply) -> Vec<Value> {
    reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn escaped(value: &Value) -> String {
    value.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

// covers: api POST /build ?memory
// covers: api POST /build ?memswap
// covers: api POST /build ?cpushares
// covers: api POST /build ?cpusetcpus
// covers: api POST /build ?cpuperiod
// covers: api POST /build ?cpuquota
// covers: api POST /build ?cpusetmems
// covers: api POST /build ?shmsize
// covers: api POST /build ?cgroupparent
// covers: api POST /build ?ulimits
#[test]
fn what_steps_may_take() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    // What a step's cgroup is told is seen where the kernel shows it to the step, or by what it can't do.
    let text = format!(
        "FROM {base}\nRUN cat /proc/self/cgroup > /cgroup; grep ' /dev/shm ' /proc/mounts > /shm; ulimit -n > /files; \
         grep Cpus_allowed_list /proc/self/status > /cpus; grep Mems_allowed_list /proc/self/status > /mems; \
         for f in memory/memory.limit_in_bytes memory.max memory/memory.memsw.limit_in_bytes cpu/cpu.shares cpu.weight \
         cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max; do test -e /sys/fs/cgroup/$f && echo $f $(cat /sys/fs/cgroup/$f); done > /limits; true\n"
    );
    let name = engine.name("limited");
    let ulimits = escaped(&json!([{ "Name": "nofile", "Soft": 77, "Hard": 88 }]));
    let group = testkit::ParentCgroup::create("parameters");
    let parent = group.path();
    let query = format!(
        "t={name}&memory=67108864&memswap=134217728&cpushares=512&cpusetcpus=0&cpusetmems=0&cpuperiod=50000&cpuquota=40000\
         &shmsize=4194304&cgroupparent={parent}&ulimits={ulimits}"
    );
    let reply = post(&engine, &query, &[("Dockerfile", text.as_bytes())]).expect(200);
    assert!(reply.text().contains("Successfully"), "{}", reply.text());
    let seen = |path: &str| run(&engine, &name, &format!("cat {path}"));
    assert!(seen("/shm").contains("size=4096k"), "{}", seen("/shm"));
    assert_eq!(seen("/files"), "77");
    assert!(seen("/cgroup").contains(&format!("{parent}/")), "{}", seen("/cgroup"));
    assert!(seen("/cpus").ends_with("\t0") && seen("/mems").ends_with("\t0"), "{}", seen("/cpus"));
    let limits = seen("/limits");
    for expected in [
        ["memory/memory.limit_in_bytes 67108864", "memory.max 67108864"],
        ["cpu/cpu.shares 512", "cpu.weight "],
        ["cpu/cpu.cfs_quota_us 40000", "cpu.max 40000 50000"],
        ["cpu/cpu.cfs_period_us 50000", "cpu.max 40000 50000"],
    ] {
        assert!(expected.iter().any(|line| limits.contains(line)), "{expected:?} in {limits}");
    }
    for (query, words) in [("memory=x", "memory"), ("ulimits=x", "ulimit"), ("cpuquota=x", "cpuquota")] {
        let refused = post(&engine, query, &[("Dockerfile", text.as_bytes())]).expect(400);
        assert!(refused.message().contains(words), "{}", refused.message());
    }
}

// covers: api POST /build ?platform
// covers: api POST /build ?rm
// covers: api POST /build ?forcerm
// covers: api POST /build ?pull
// covers: api POST /build ?cachefrom
#[test]
fn where_it_comes_from_and_what_it_is_for() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let base = engine.busybox();
    let name = engine.name("parameters");
    let files: [(&str, &[u8]); 2] = [("Dockerfile", b"FROM scratch\nCOPY f /f\n"), ("f", b"f")];
    post(&engine, &format!("t={name}&platform=linux/arm64"), &files).expect(200);
    assert_eq!(image(&engine, &name)["Architecture"], "arm64");
    let refused = post(&engine, "platform=what/ever/it/is", &files);
    assert!(refused.text().contains("platform"), "{}", refused.text());

    // No container is left, whatever was asked for and however it ended.
    for (end, query) in [("true", "rm=1&forcerm=1"), ("false", "rm=1&forcerm=1"), ("false", "rm=1")] {
        let text = format!("FROM {base}\nRUN {end}\n");
        post(&engine, query, &[("Dockerfile", text.as_bytes())]).expect(200);
        let left =
            engine.request_unchecked(&Request::new("GET", "/containers/json?all=1")).expect(200).json();
        assert_eq!(left, json!([]), "{query}");
    }

    // What a name means now.
    let moving = registry.name("moving:1");
    let give = |content: &str| {
        let text = format!("FROM scratch\nENV V={content}\n");
        post(&engine, &format!("t={moving}"), &[("Dockerfile", text.as_bytes())]).expect(200);
        engine.docker(["push", &moving]).ok();
    };
    give("new");
    let saved =
        engine.request_unchecked(&Request::new("GET", &format!("/images/{moving}/get"))).expect(200).body;
    give("old");
    // The registry goes back to the new one, of which the engine doesn't hear by itself.
    registry.receive("moving:1", &saved);
    let text = format!("FROM {moving}\n");
    let value = |query: &str| {
        post(&engine, &format!("t={name}&{query}"), &[("Dockerfile", text.as_bytes())]).expect(200);
        image(&engine, &name)["Config"]["Env"].to_string()
    };
    assert!(value("").contains("V=old"));
    assert!(value("pull=1").contains("V=new"));

    // An image that carries its cache.
    let marked = format!("FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /mark\n");
    let context = super::Context::new(&engine, "carrying", &marked);
    let carrying = engine.name("carrying");
    let mut build = engine.ketch_command();
    testkit::command::run(
        build.args(["build", "-q", "-t", &carrying, "--cache-to=type=inline"]).arg(context.path()),
    )
    .ok();
    engine.request_unchecked(&Request::new("POST", "/build/prune?all=1")).expect(200);
    let from = escaped(&json!([carrying]));
    post(&engine, &format!("t={name}&cachefrom={from}"), &[("Dockerfile", marked.as_bytes())]).expect(200);
    assert_eq!(run(&engine, &name, "cat /mark"), run(&engine, &carrying, "cat /mark"));
}

// covers: api POST /build ?outputs
// covers: api POST /build ?isolation
// covers: api POST /build ?securityopt
// covers: api POST /build ?session
#[test]
fn what_is_not_done_here_is_refused_by_name() {
    let engine = Engine::ours();
    for query in ["outputs=[1]", "isolation=hyperv", "securityopt=[1]", "session=x"] {
        let refused = post(&engine, query, &[]).expect(501);
        assert!(refused.message().contains(query), "{query}: {}", refused.message());
    }
}

// covers: field BuildInfo id
// covers: field BuildInfo stream
// covers: field BuildInfo errorDetail
// covers: field BuildInfo aux
// covers: field ErrorDetail code
// covers: field ImageID ID
#[test]
fn what_is_said_meanwhile() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let text = format!("FROM {base}\nRUN echo told\n");
    let name = engine.name("told");
    let all = said(&post(&engine, &format!("t={name}"), &[("Dockerfile", text.as_bytes())]).expect(200));
    assert!(all.iter().any(|said| said["stream"] == "told\n"), "{all:?}");
    let id = image(&engine, &name)["Id"].clone();
    assert!(all.iter().any(|said| said["aux"]["ID"] == id), "{all:?}");
    let text = format!("FROM {base}\nRUN exit 3\n");
    let all = said(&post(&engine, "", &[("Dockerfile", text.as_bytes())]).expect(200));
    assert_eq!(all.last().map(|last| &last["errorDetail"]["code"]), Some(&json!(3)));
}

// covers: field BuildInfo status
// covers: field BuildInfo progressDetail
#[test]
fn what_is_fetched_is_told() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let registry = Registry::start();
    let name = registry.name("fetched:1");
    engine.docker(["tag", &base, &name]).ok();
    engine.docker(["push", &name]).ok();
    engine.docker(["rmi", "--force", &name, &base]).ok();
    let text = format!("FROM {name}\nENV A=1\n");
    let all = said(&post(&engine, "", &[("Dockerfile", text.as_bytes())]).expect(200));
    let fetched: Vec<_> = all.iter().filter(|said| said["status"].is_string()).collect();
    assert!(
        fetched.iter().all(|said| said["progressDetail"].is_object() && said["id"].is_string()),
        "{all:?}"
    );
    assert!(fetched.iter().any(|said| said["status"] == "Download complete"), "{all:?}");
}

// covers: api POST /build/prune ?reserved-space
// covers: api POST /build/prune ?max-used-space
// covers: api POST /build/prune ?min-free-space
// covers: api POST /build/prune ?filters
// covers: cli docker builder
// covers: cli docker builder prune --filter
// covers: cli docker builder prune --keep-storage
// covers: field BuildCache ID
// covers: field BuildCache Type
// covers: field BuildCache Description
// covers: field BuildCache InUse
// covers: field BuildCache Shared
// covers: field BuildCache Size
// covers: field BuildCache CreatedAt
// covers: field BuildCache LastUsedAt
// covers: field BuildCache UsageCount
// covers: value event-type events builder
#[test]
fn what_is_pruned() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let fill = || {
        let text = format!(
            "FROM {base}\nRUN head -c 3000000 /dev/urandom > /one\nRUN head -c 5000000 /dev/urandom > /two\n"
        );
        post(&engine, "nocache=1", &[("Dockerfile", text.as_bytes())]).expect(200);
        engine.docker(["image", "prune", "-f"]).ok();
    };
    let listed = || -> Vec<Value> {
        let usage = engine
            .request_unchecked(&Request::new("GET", "/v1.51/system/df?type=build-cache"))
            .expect(200)
            .json();
        usage["BuildCache"].as_array().cloned().unwrap_or_default()
    };
    let bytes = || listed().iter().map(|entry| entry["Size"].as_u64().unwrap_or(0)).sum::<u64>();
    let prune = |query: &str| {
        let request = Request::new("POST", &format!("/v1.51/build/prune?{query}"));
        engine.request_unchecked(&request).expect(200).json()
    };
    fill();
    let entries = listed();
    let two =
        entries.iter().find(|entry| entry["Description"].as_str().is_some_and(|text| text.contains("/two")));
    let two = two.expect("the step is listed");
    assert_eq!(
        (&two["Type"], &two["InUse"], &two["Shared"]),
        (&json!("regular"), &json!(false), &json!(false))
    );
    assert!(two["Size"].as_u64() > Some(4_999_999) && two["UsageCount"].is_u64(), "{two}");
    assert!(two["CreatedAt"].is_string() && two["LastUsedAt"].is_string() && two["ID"].is_string());
    // So much stays, whatever else is said.
    assert!(prune("all=1&reserved-space=100000000&max-used-space=1000")["CachesDeleted"].is_null());
    // No more than this stays.
    prune("all=1&max-used-space=6000000");
    assert!((1..=6_000_000).contains(&bytes()), "{}", bytes());
    // The disk has a byte; it doesn't have all that there could ever be.
    assert!(prune("all=1&min-free-space=1")["CachesDeleted"].is_null());
    prune(&format!("all=1&min-free-space={}", i64::MAX));
    assert_eq!(bytes(), 0);
    fill();
    let filter = escaped(&json!({ "id": [two["ID"]] }));
    assert!(prune(&format!("all=1&filters={filter}"))["CachesDeleted"].is_null());
    let filter = escaped(&json!({ "type": ["exec.cachemount"] }));
    assert!(prune(&format!("all=1&filters={filter}"))["CachesDeleted"].is_null());
    let filter = escaped(&json!({ "until": ["24h"] }));
    assert!(prune(&format!("all=1&filters={filter}"))["CachesDeleted"].is_null());
    // By the command line.
    engine.ketch(["builder", "prune", "-af", "--filter", "until=24h"]).ok();
    engine.ketch(["builder", "prune", "-af", "--keep-storage", "100m"]).ok();
    assert!(bytes() > 0);
    engine.ketch(["builder", "prune", "-af", "--keep-storage", "6m"]).ok();
    assert!((1..=6_000_000).contains(&bytes()));
    assert!(engine.ketch(["builder", "--help"]).ok().contains("prune"));
}
