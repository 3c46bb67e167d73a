//! Containers with users of their own: `--userns private` and `keep-id`.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, Scratch};

/// Starts a container that goes on, on the default network.
fn start(engine: &Engine, name: &str, mode: &str, more: &[&str], script: &str) -> String {
    let (tag, name) = (engine.busybox(), engine.name(name));
    let script = format!("{script}; echo ready; exec sleep 1000");
    let own = ["run", "-d", "--name", &name, "--userns", mode];
    let rest = [tag.as_str(), "sh", "-c", &script];
    testkit::command::run(engine.ketch_command().args([&own[..], more, &rest[..]].concat())).ok();
    testkit::eventually(testkit::DEADLINE, || match engine.ketch(["logs", &name]).ok() {
        text if text.contains("ready") => Ok(()),
        text => Err(text),
    });
    name
}

fn pid(engine: &Engine, name: &str) -> u64 {
    let request = Request::new("GET", &format!("/containers/{name}/json"));
    engine.request_unchecked(&request).expect(200).json()["State"]["Pid"].as_u64().unwrap()
}

/// (inside, on the host, how many) of its users.
fn map(engine: &Engine, name: &str) -> Vec<[u32; 3]> {
    let table = fs::read_to_string(format!("/proc/{}/uid_map", pid(engine, name))).unwrap();
    let line = |line: &str| -> [u32; 3] {
        let numbers: Vec<u32> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    };
    table.lines().map(line).collect()
}

fn inside(engine: &Engine, name: &str, script: &str) -> String {
    engine.ketch(["exec", name, "sh", "-c", script]).ok()
}

// covers: cli docker run --userns
// covers: cli docker container run --userns
// covers: cli docker create --userns
// covers: cli docker container create --userns
#[test]
fn root_of_a_private_container_is_nobody_on_the_host() {
    let engine = Engine::ours();
    let [one, other] = ["private", "auto"].map(|mode| start(&engine, mode, mode, &[], "id -u"));
    let (first, second) = (map(&engine, &one), map(&engine, &other));
    assert_eq!((first[0][0], first[0][2], first.len()), (0, 65536, 1));
    assert!(first[0][1] >= 1 << 30 && first[0][1].abs_diff(second[0][1]) >= 65536, "{first:?} {second:?}");
    let owner = fs::metadata(format!("/proc/{}", pid(&engine, &one))).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid(&engine, &one))).unwrap();
    assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}\t{0}", first[0][1])), "{status}");
    assert_ne!(owner.uid(), 65534);
    // It owns what it sees, and can do with it what root does.
    assert_eq!(
        inside(&engine, &one, "stat -c %u:%g / /bin /etc/hosts /etc/resolv.conf /dev/null | sort -u"),
        "0:0\n65534:65534"
    );
    let script = "echo 1 >/new && chown 7:8 /new && stat -c %u:%g /new && echo a >>/etc/hosts && \
                  echo out >/dev/stdout && chmod 700 /bin && hostname";
    assert!(inside(&engine, &one, script).starts_with("7:8\nout\n"));
    // On the disk the owners are those of the container: a commit, and the next run with other users, see them.
    let upper = engine.data_root().join("containers");
    let id =
        engine.get(&format!("/containers/{one}/json")).expect(200).json()["Id"].as_str().unwrap().to_owned();
    let kept = fs::metadata(upper.join(id).join("upper/new")).unwrap();
    assert_eq!((kept.uid(), kept.gid()), (7, 8));
    let inspected = engine.get(&format!("/containers/{one}/json")).expect(200).json();
    assert_eq!(inspected["HostConfig"]["UsernsMode"], "private");
}

#[test]
fn its_root_may_do_with_its_own_network_what_root_may() {
    let engine = Engine::ours();
    let name = start(&engine, "a", "private", &["--cap-add", "NET_ADMIN"], "true");
    let script =
        "ip link set lo mtu 1000 && ip addr show lo | grep -c 'mtu 1000' && ls /sys/class/net | tr '\\n' ' '";
    assert_eq!(inside(&engine, &name, script), "1\neth0 lo");
    // Ports are published, names resolve, and a link can come later.
    let net = engine.name("net");
    engine.ketch(["network", "create", &net]).ok();
    let server = start(
        &engine,
        "server",
        "private",
        &["--network", &net, "--sysctl", "net.ipv4.ip_unprivileged_port_start=0"],
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; while true; do echo hello | nc -l -p 80; done & true",
    );
    engine.ketch(["network", "connect", &net, &name]).ok();
    let asked = format!("for i in 1 2 3 4 5 6 7 8 9; do nc {server} 80 </dev/null && break; done");
    assert_eq!(inside(&engine, &name, &asked), "hello");
    assert!(engine.ketch(["logs", &server]).ok().starts_with('0'));
}

#[test]
fn volumes_are_its_own_and_binds_the_hosts() {
    let (engine, folder) = (Engine::ours(), Scratch::create());
    let volume = engine.name("data");
    let (plain, mapped) = (folder.path().join("plain"), folder.path().join("mapped"));
    for path in [&plain, &mapped] {
        fs::create_dir(path).unwrap();
        chown(path, Some(4321), Some(4321)).unwrap();
    }
    fs::write(plain.join("f"), "host's").unwrap();
    let binds = [format!("{}:/plain", plain.display()), format!("{}:/mapped:idmap", mapped.display())];
    let volumes = format!("{volume}:/data");
    let more = ["-v", &volumes, "-v", &binds[0], "-v", &binds[1], "--tmpfs", "/scratch"];
    let name = start(
        &engine,
        "a",
        "private",
        &more,
        "echo 1 >/data/f; chown 5 /data/f; echo 1 >/mapped/f; echo 1 >/scratch/f",
    );
    assert_eq!(
        inside(&engine, &name, "stat -c %u /data /data/f /mapped /mapped/f /plain /scratch/f | tr '\\n' ' '"),
        "0 5 0 0 65534 0"
    );
    assert!(engine.ketch(["exec", &name, "touch", "/plain/new"]).code != 0);
    assert_eq!(fs::metadata(mapped.join("f")).unwrap().uid(), 4321);
    // Another container with other users, and one with the host's, find the volume's owners as they are.
    for mode in ["private", "host"] {
        let tag = engine.busybox();
        let seen = engine
            .ketch(["run", "--rm", "--userns", mode, "-v", &volumes, &tag, "stat", "-c", "%u", "/data/f"]);
        assert_eq!(seen.ok(), "5", "{mode}");
    }
}

#[test]
fn who_is_kept_is_the_same_inside_and_outside() {
    let (engine, folder) = (Engine::ours(), Scratch::create());
    chown(folder.path(), Some(4321), Some(4322)).unwrap();
    let bind = format!("{}:/work", folder.path().display());
    let mode = "keep-id:uid=1000,gid=100,host-uid=4321,host-gid=4322";
    let create = |name: &str, mode: &str, user: &str| {
        let (tag, name) = (engine.busybox(), engine.name(name));
        let script = "id -u; id -g; echo 1 >/work/$(id -u); stat -c %u:%g /work /bin | tr '\\n' ' '";
        let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "User": user,
            "HostConfig": {"UsernsMode": mode, "Binds": [bind], "NetworkMode": "none"}});
        engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
        engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
        engine.ketch(["logs", &name]).ok()
    };
    assert_eq!(create("image", mode, ""), "1000\n100\n1000:100 0:0");
    let made = fs::metadata(folder.path().join("1000")).unwrap();
    assert_eq!((made.uid(), made.gid()), (4321, 4322));
    // A user that is asked for is that one; and the API may leave out who it is on the host.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(create("asked", "keep-id:uid=4321,gid=4322", "7"), "7\n0\n4321:4322 0:0");
}

#[test]
fn files_go_in_and_out_with_the_owners_that_the_container_knows() {
    let (engine, folder) = (Engine::ours(), Scratch::create());
    let name = start(&engine, "a", "private", &["-v", "/vol"], "mkdir /d; echo 1 >/d/f; chown 7:8 /d/f");
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("f"), "1").unwrap();
    chown(out.join("f"), Some(7), Some(8)).unwrap();
    let out = out.display().to_string();
    // Whose a file is in the archive that leaves the container.
    let owner = |path: &str| {
        let request = Request::new("GET", &format!("/containers/{name}/archive?path={path}"));
        let bytes = engine.request_unchecked(&request).expect(200).body;
        let mut archive = tar::Archive::new(&bytes[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        (entry.header().uid().unwrap(), entry.header().gid().unwrap())
    };
    assert_eq!((owner("/d/f"), owner("/d")), ((7, 8), (0, 0)));
    for target in ["/in", "/vol/in"] {
        engine.ketch(["cp", "-a", &out, &format!("{name}:{target}")]).ok();
        assert_eq!(owner(&format!("{target}/f")), (7, 8));
        assert_eq!(
            inside(&engine, &name, &format!("stat -c %u:%g {target} {target}/f | tr '\\n' ' '")),
            "0:0 7:8"
        );
    }
    engine.ketch(["stop", "-t", "0", &name]).ok();
    assert_eq!(owner("/in/f"), (7, 8));
    engine.ketch(["cp", "-a", &out, &format!("{name}:/later")]).ok();
    engine.ketch(["start", &name]).ok();
    assert_eq!(inside(&engine, &name, "stat -c %u:%g /later/f"), "7:8");
    let image = engine.name("image");
    engine.ketch(["commit", &name, &image]).ok();
    let seen = engine.ketch(["run", "--rm", "--network", "none", &image, "stat", "-c", "%u:%g", "/in/f"]);
    assert_eq!(seen.ok(), "7:8");
    assert!(engine.ketch(["diff", &name]).ok().contains("A /later/f"));
}

#[test]
fn limits_devices_terminals_and_restarts_work_as_for_everybody() {
    let mut engine = Engine::ours();
    let more = [
        "--ulimit",
        "nofile=1234:2345",
        "--memory",
        "64m",
        "--device",
        "/dev/zero:/dev/mine",
        "--init",
        "-t",
    ];
    let name = start(&engine, "a", "private", &more, "ulimit -n; ulimit -Hn");
    let out = engine.ketch(["logs", &name]).ok();
    assert!(out.starts_with("1234\r\n2345\r\nready"), "{out:?}");
    assert_eq!(
        inside(&engine, &name, "head -c 3 /dev/mine | wc -c; tty; cat /proc/1/comm"),
        "3\nnot a tty\ndocker-init"
    );
    let before = map(&engine, &name);
    engine.ketch(["restart", "-t", "0", &name]).ok();
    assert_eq!(map(&engine, &name), before);
    engine.crash_and_restart();
    assert_eq!(inside(&engine, &name, "id -u"), "0");
    // What one had is another's once it is gone.
    engine.ketch(["rm", "-f", &name]).ok();
    let next = start(&engine, "next", "private", &[], "true");
    assert_eq!(map(&engine, &next), before);
}

#[test]
fn what_reaches_beyond_its_own_is_refused() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let refused = |host: Value| {
        let mut host = host;
        host["UsernsMode"] = host.get("UsernsMode").cloned().unwrap_or_else(|| json!("private"));
        let reply =
            engine.post("/containers/create", &json!({"Image": tag, "Cmd": ["true"], "HostConfig": host}));
        assert!([400, 501].contains(&reply.status()), "{}", reply.text());
        reply.json()["message"].as_str().unwrap().to_owned()
    };
    for (host, words) in [
        (json!({"Privileged": true}), "privileged mode is incompatible with user namespaces"),
        (
            json!({"NetworkMode": "host"}),
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (json!({"PidMode": "host"}), "cannot share the host PID namespace when user namespaces are enabled"),
        (json!({"IpcMode": "host"}), "cannot share the host IPC namespace"),
        (json!({"UsernsMode": "keep-id"}), "doesn't know who its client is"),
        (json!({"UsernsMode": "keep-id:uid=0,gid=0"}), "say private"),
        (json!({"UsernsMode": "foo"}), "invalid user namespace mode: foo"),
    ] {
        let said = refused(host);
        assert!(said.contains(words), "{said}");
    }
    let cli = engine.ketch(["run", "--userns", "foo", &tag]);
    assert!(cli.stderr.contains("--userns: invalid USER mode"), "{}", cli.stderr);
}

// covers: daemon flag --userns-remap
// covers: daemon config-key userns-remap
#[test]
fn every_container_can_have_users_of_its_own() {
    let file = json!({"userns-remap": "default"});
    for engine in [
        Engine::planned(|plan, _| plan.arg("--userns-remap=default")),
        Engine::planned(|plan, scratch| plan.config(scratch, &file)),
    ] {
        let tag = engine.busybox();
        let users = |mode: &[&str]| {
            let args =
                [&["run", "--rm", "--network", "none"], mode, &[&tag, "cat", "/proc/self/uid_map"]].concat();
            let table = testkit::command::run(engine.ketch_command().args(args)).ok();
            table.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(users(&[])[2], "65536");
        assert_eq!(users(&["--userns", "host"]), ["0", "0", "4294967295"]);
        let info = engine.request_unchecked(&Request::new("GET", "/info")).json();
        assert!(info["SecurityOptions"].as_array().unwrap().contains(&json!("name=userns")));
    }
    let scratch = Scratch::create();
    let plan = testkit::daemon::Plan::below(&scratch).arg("--userns-remap=alice").arg("--validate");
    let refused = testkit::command::run(&mut plan.command()).assert_code(1);
    assert!(refused.stderr.contains("userns-remap: alice: only \"default\" exists"), "{}", refused.stderr);
    scratch.remove();
}
