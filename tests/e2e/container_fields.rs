//! Fields, events and settings of containers that nothing else looks at, each with what makes it appear.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Scratch, command, eventually};

use crate::life::{actions, both, created, inspected, now, post, runs};

fn figures(engine: &Engine, version: &str, name: &str) -> Value {
    let path = format!("{version}/containers/{name}/stats?stream=0&one-shot=1");
    engine.request_unchecked(&Request::new("GET", &path)).expect(200).json()
}

// covers: field ContainerStatsResponse networks
// covers: field ContainerStatsResponse networks.*
// covers: field ContainerNetworkStats rx_bytes
// covers: field ContainerNetworkStats rx_packets
// covers: field ContainerNetworkStats rx_errors
// covers: field ContainerNetworkStats rx_dropped
// covers: field ContainerNetworkStats tx_bytes
// covers: field ContainerNetworkStats tx_packets
// covers: field ContainerNetworkStats tx_errors
// covers: field ContainerNetworkStats tx_dropped
// refuses: field ContainerNetworkStats endpoint_id because it is for Windows alone
// refuses: field ContainerNetworkStats instance_id because it is for Windows alone
#[test]
fn traffic_is_counted_for_each_link() {
    let engine = Engine::isolated();
    let (tag, name) = (engine.busybox(), engine.name("talker"));
    let script = "ping -c 3 $(ip route | awk '/default/ {print $3}'); echo done; sleep 1000";
    engine.ketch(["run", "-d", "--name", &name, &tag, "sh", "-c", script]).ok();
    eventually(DEADLINE, || match engine.ketch(["logs", &name]).ok() {
        text if text.contains("done") => Ok(()),
        text => Err(text),
    });
    let links = figures(&engine, "", &name)["networks"].clone();
    let number = |key: &str| links["eth0"][key].as_u64().unwrap_or_else(|| panic!("{key}: {links}"));
    // Three echo requests of 98 bytes, and their answers.
    assert!(number("tx_bytes") >= 294 && number("rx_bytes") >= 294, "{links}");
    assert!(number("tx_packets") >= 3 && number("rx_packets") >= 3, "{links}");
    for key in ["rx_errors", "rx_dropped", "tx_errors", "tx_dropped"] {
        assert_eq!(number(key), 0, "{key}");
    }
    assert_eq!(links.as_object().map(serde_json::Map::len), Some(1), "the loopback is not told: {links}");
    let shown = engine.ketch(["stats", "--no-stream", "--format", "{{.NetIO}}", &name]).ok();
    assert!(!shown.starts_with("0B /"), "{shown}");
    // One without a network has no such list.
    let alone = runs(&engine, "alone", "sleep 1000", &json!({}));
    assert_eq!(figures(&engine, "", &alone).get("networks"), None);
}

// covers: field ContainerStatsResponse os_type
#[test]
fn newer_clients_are_told_the_system() {
    let engine = Engine::ours();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    assert_eq!(figures(&engine, "/v1.52", &name)["os_type"], "linux");
    assert_eq!(figures(&engine, "/v1.51", &name).get("os_type"), None);
}

/// The disk that a folder is on; none if it is on no single one.
fn disk_of(folder: &Path) -> Option<String> {
    let device = fs::metadata(folder).ok()?.dev();
    let numbers = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let node = fs::canonicalize(format!("/sys/dev/block/{numbers}")).ok()?;
    let disk = if node.join("partition").exists() { node.parent()? } else { &node };
    Some(format!("/dev/{}", disk.file_name()?.to_str()?))
}

// covers: field ContainerBlkioStats io_service_bytes_recursive[]
// covers: field ContainerBlkioStats io_serviced_recursive[]
// covers: field ContainerBlkioStatEntry major
// covers: field ContainerBlkioStatEntry minor
// covers: field ContainerBlkioStatEntry op
// covers: field ContainerBlkioStatEntry value
// covers: field ContainerPidsStats limit
// covers: field ContainerMemoryStats stats.*
// covers: field ContainerMemoryStats failcnt
// refuses: field ContainerBlkioStats io_queue_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerBlkioStats io_service_time_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerBlkioStats io_wait_time_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerBlkioStats io_merged_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerBlkioStats io_time_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerBlkioStats sectors_recursive[] because no kernel since 5.0 counts it
// refuses: field ContainerMemoryStats commitbytes because it is for Windows alone
// refuses: field ContainerMemoryStats commitpeakbytes because it is for Windows alone
// refuses: field ContainerMemoryStats privateworkingset because it is for Windows alone
// refuses: field ContainerStorageStats read_count_normalized because it is for Windows alone
// refuses: field ContainerStorageStats read_size_bytes because it is for Windows alone
// refuses: field ContainerStorageStats write_count_normalized because it is for Windows alone
// refuses: field ContainerStorageStats write_size_bytes because it is for Windows alone
#[test]
fn disks_processes_and_memory_are_counted() {
    let engine = Engine::isolated();
    // More than its memory, straight to the disk and through the cache.
    let script = "dd if=/dev/zero of=/big bs=1M count=40; sync; dd if=/dev/zero of=/big bs=1M count=4 oflag=direct; \
                  touch /done; sleep 1000";
    let mut host = json!({"Memory": 16 << 20, "PidsLimit": 30});
    // Since 6.10 a kernel with cgroup v1 counts what goes to a disk from the first limit on that anybody sets for it.
    if let Some(disk) = disk_of(engine.scratch().path()) {
        host["BlkioDeviceWriteBps"] = json!([{"Path": disk, "Rate": 1_u64 << 40}]);
    }
    let name = runs(&engine, "writer", script, &host);
    eventually(DEADLINE, || match engine.ketch(["exec", &name, "test", "-e", "/done"]).code {
        0 => Ok(()),
        code => Err(code),
    });
    let all = figures(&engine, "", &name);
    assert_eq!(all["pids_stats"]["limit"], 30);
    let memory = &all["memory_stats"];
    assert!(memory["stats"]["pgfault"].as_u64() > Some(0), "{memory}");
    // The cache of a file larger than the limit hits it: v1 counts how often.
    if memory.get("max_usage").is_some() {
        assert!(memory["failcnt"].as_u64() > Some(0), "{memory}");
    }
    for list in ["io_service_bytes_recursive", "io_serviced_recursive"] {
        let entries = all["blkio_stats"][list].as_array().cloned().unwrap_or_default();
        let wrote = |entry: &&Value| entry["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case("write"));
        let written = entries.iter().find(wrote).unwrap_or_else(|| panic!("{list}: {}", all["blkio_stats"]));
        assert!(written["value"].as_u64() >= Some(4), "{written}");
        assert!(written["major"].as_u64().is_some() && written["minor"].as_u64().is_some(), "{written}");
    }
}

// covers: value event-action events attach
// covers: value event-action events resize
// covers: value event-action events kill
// covers: value event-action events oom
// covers: value event-action events commit
// covers: value event-action events archive-path
// covers: value event-action events extract-to-dir
// covers: value event-action events export
// refuses: value event-action events remove because a container's end is `destroy`, in dockerd too
// refuses: value event-action events copy because it belonged to a route that API 1.24 removed
// refuses: value event-action events health_status: running because dockerd has the word and never says it
#[test]
fn what_is_done_to_a_container_is_told() {
    let engine = Engine::isolated();
    let since = now();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    let get = |path: &str| {
        engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/{path}"))).expect(200)
    };
    let tar = get("archive?path=/bin/sh").body;
    let put = Request::new("PUT", &format!("/containers/{name}/archive?path=/tmp"));
    let made = engine.ketch(["exec", &name, "mkdir", "-p", "/tmp"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    engine.request_unchecked(&put.header("Content-Type", "application/x-tar").body(tar)).expect(200);
    get("export");
    let image = engine.name("image");
    engine.ketch(["commit", &name, &image]).ok();
    engine
        .request_unchecked(&Request::new("POST", &format!("/containers/{name}/resize?h=10&w=10")))
        .expect(200);
    let mut attached = engine.ketch_command();
    let mut attached = attached.args(["attach", "--no-stdin", &name]).spawn().expect("a client");
    eventually(DEADLINE, || match actions(&engine, &since, &name) {
        list if list.contains(&"attach".to_owned()) => Ok(()),
        list => Err(list),
    });
    post(&engine, &format!("/containers/{name}/kill")).expect(204);
    attached.wait().expect("its end");
    let told = actions(&engine, &since, &name);
    for action in ["archive-path", "extract-to-dir", "export", "commit", "resize", "attach", "kill"] {
        assert_eq!(told.iter().filter(|one| *one == action).count(), 1, "{action}: {told:?}");
    }
    // Sixteen megabytes for one who wants more.
    let since = now();
    let hungry = runs(
        &engine,
        "hungry",
        "x=x; while true; do x=$x$x; done",
        &json!({"Memory": 16 << 20, "MemorySwap": 16 << 20}),
    );
    post(&engine, &format!("/containers/{hungry}/wait")).expect(200);
    assert!(actions(&engine, &since, &hungry).contains(&"oom".to_owned()));
}

/// What a client that has a terminal says and how it ends, when somebody presses control-k and q.
fn leave(line: &str) -> (i32, String) {
    const SCRIPT: &str = "import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', sys.argv[1]])
os.write(fd, b'hello\\n')
seen = b''
while b'hello\\r\\nhello' not in seen:
    seen += os.read(fd, 1000)
os.write(fd, b'\\x0bq')
while True:
    try:
        piece = os.read(fd, 1000)
    except OSError:
        break
    if not piece:
        break
    seen += piece
print(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";
    let left = command::run(Command::new("python3").args(["-c", SCRIPT, line]));
    (left.code, format!("{}{}", left.stdout, left.stderr))
}

// covers: value client-config config.json detachKeys
#[test]
fn a_container_is_left_by_the_keys_of_the_configuration() {
    let engine = Engine::isolated();
    engine.scratch().write("home/.docker/config.json", json!({"detachKeys": "ctrl-k,q"}).to_string());
    for (number, client) in both(&engine).into_iter().enumerate() {
        let (tag, name) = (engine.busybox(), engine.name(&format!("c{number}")));
        engine.ketch(["run", "-dit", "--name", &name, "--network", "none", &tag, "cat"]).ok();
        let mut line = format!("{client:?}").replace('"', "'");
        let (code, said) = leave(&format!("{line} run -it --name {name}r --network none {tag} cat"));
        assert!(code == 0 && !said.contains("escape"), "{said}");
        line.push_str(&format!(" attach {name}"));
        let (code, said) = leave(&line);
        assert!(code == 1 && said.contains("read escape sequence"), "{said}");
        assert!(inspected(&engine, &name)["State"]["Running"] == true);
    }
}

// covers: value security-opt --security-opt no-new-privileges
// covers: value security-opt --security-opt writable-cgroups
// covers: value security-opt --security-opt disable
// covers: value security-opt --security-opt label
// covers: value security-opt --security-opt apparmor
// covers: value security-opt --security-opt seccomp
// covers: value security-opt --security-opt systempaths=unconfined
#[test]
fn every_security_option_does_what_it_says_or_is_refused() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    // An old word that clients no longer say.
    let host = json!({"NetworkMode": "none", "SecurityOpt": ["disable"]});
    let old = Request::new("POST", "/containers/create")
        .json(&json!({"Image": tag, "HostConfig": host, "Cmd": ["true"]}));
    engine.request_unchecked(&old).expect(201);
    for mut client in both(&engine) {
        let program = client.get_program().to_owned();
        let run = |option: &str, script: &str| {
            let mut fresh = if program == engine.ketch_command().get_program() {
                engine.ketch_command()
            } else {
                engine.docker_command()
            };
            fresh.args([
                "run",
                "--rm",
                "--network",
                "none",
                "--security-opt",
                option,
                &tag,
                "sh",
                "-c",
                script,
            ]);
            command::run(&mut fresh)
        };
        let status = |key: &str| format!("grep {key} /proc/self/status | cut -f2");
        assert_eq!(run("no-new-privileges", &status("NoNewPrivs")).ok(), "1");
        assert_eq!(run("no-new-privileges=false", &status("NoNewPrivs")).ok(), "0");
        assert_eq!(run("seccomp=unconfined", &status("Seccomp:")).ok(), "0");
        assert_eq!(run("seccomp=builtin", &status("Seccomp:")).ok(), "2");
        let open = "grep -c ' /proc/sys ' /proc/mounts";
        assert_eq!(run("systempaths=unconfined", open).stdout.trim(), "0");
        for harmless in ["label=disable", "label:disable", "apparmor=unconfined", "writable-cgroups=false"] {
            run(harmless, "true").ok();
        }
        for refused in ["label=level:s0", "apparmor=docker-default", "writable-cgroups=true"] {
            let said = run(refused, "true");
            assert!(said.code == 125 && said.stderr.contains(refused), "{refused}: {}", said.stderr);
        }
        client.arg("version");
    }
}

// covers: value client-config config.json psFormat
// covers: value client-config config.json statsFormat
#[test]
fn tables_look_as_the_configuration_wants() {
    let engine = Engine::isolated();
    let config = json!({"psFormat": "{{.Names}} is {{.State}}", "statsFormat": "{{.Name}} has {{.PIDs}}"});
    engine.scratch().write("home/.docker/config.json", config.to_string());
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    for which in 0..2 {
        let run = |arguments: &[&str]| command::run(both(&engine)[which].args(arguments)).ok();
        assert_eq!(run(&["ps", "--filter", &format!("name={name}")]), format!("{name} is running"));
        assert_eq!(run(&["ps", "--filter", &format!("name={name}"), "--format", "{{.Names}}"]), name);
        assert_eq!(run(&["stats", "--no-stream", &name]), format!("{name} has 1"));
    }
}

// covers: value client-config config.json proxies
// covers: value client-config config.json proxies.* httpProxy
// covers: value client-config config.json proxies.* httpsProxy
// covers: value client-config config.json proxies.* noProxy
// covers: value client-config config.json proxies.* ftpProxy
// covers: value client-config config.json proxies.* allProxy
#[test]
fn containers_and_builds_learn_of_the_users_proxies() {
    let engine = Engine::isolated().with_plugins();
    let all = json!({"httpProxy": "http://a", "httpsProxy": "http://b", "noProxy": "c", "ftpProxy": "d", "allProxy": "e"});
    let folder = engine.scratch().write("context/Dockerfile", "FROM scratch\n");
    let tag = engine.busybox();
    let file =
        format!("FROM {tag}\nRUN env | grep -i proxy | sort > /seen; test \"$HTTP_PROXY\" = http://a\n");
    engine.scratch().write("context/Dockerfile", file);
    let folder = folder.parent().expect("its folder").display().to_string();
    let wanted = ["ALL_PROXY=e", "FTP_PROXY=d", "HTTPS_PROXY=http://b", "HTTP_PROXY=http://a", "NO_PROXY=c"];
    let lower = wanted.map(|line| {
        let (name, value) = line.split_once('=').expect("a variable");
        format!("{}={value}", name.to_lowercase())
    });
    // For this engine by its address, and for all that have none of their own.
    let own = format!("unix://{}", engine.socket().display());
    for key in [own.as_str(), "default"] {
        let others = json!({"httpProxy": "http://other"});
        let config = json!({"proxies": {"tcp://other": others, key: all}});
        engine.scratch().write("home/.docker/config.json", config.to_string());
        for which in 0..2 {
            let run = |arguments: &[&str]| command::run(both(&engine)[which].args(arguments)).ok();
            let seen = run(&["run", "--rm", "--network", "none", "-e", "no_proxy=mine", &tag, "env"]);
            for line in wanted {
                assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
            }
            for line in lower.iter().filter(|line| !line.starts_with("no_proxy")) {
                assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
            }
            assert!(seen.lines().any(|line| line == "no_proxy=mine"), "{seen}");
            let file = json!({"name": "proxied", "services": {"one": {"image": tag, "command": ["env"], "network_mode": "none"}}});
            let file = engine.scratch().write("compose.yaml", file.to_string()).display().to_string();
            let seen = run(&["compose", "-f", &file, "up", "--no-log-prefix"]);
            assert!(seen.lines().any(|line| line == "https_proxy=http://b"), "{seen}");
            run(&["compose", "-f", &file, "down"]);
            let image = engine.name(&format!("built{which}"));
            run(&["build", "--network", "none", "-t", &image, &folder]);
            // It belongs to the build and not to the image.
            let kept = run(&["run", "--rm", "--network", "none", "--entrypoint", "cat", &image, "/seen"]);
            assert!(kept.contains("http_proxy=http://a"), "{kept}");
            let about = engine
                .request_unchecked(&Request::new("GET", &format!("/images/{image}/json")))
                .expect(200)
                .json();
            assert!(!about["Config"]["Env"].to_string().contains("http://a"), "{about}");
        }
    }
}

// covers: field Mount Type.(all of)
// covers: field Mount BindOptions.NonRecursive
// covers: field Mount BindOptions.CreateMountpoint
// covers: field Mount BindOptions.ReadOnlyForceRecursive
// covers: field Mount VolumeOptions.Labels
// covers: field Mount VolumeOptions.Labels.*
// covers: field Mount VolumeOptions.DriverConfig
// covers: field Mount VolumeOptions.DriverConfig.Name
// covers: field Mount VolumeOptions.DriverConfig.Options
// covers: field Mount VolumeOptions.DriverConfig.Options.*
// covers: field Mount VolumeOptions.Subpath
// covers: field Mount ImageOptions
// covers: field Mount ImageOptions.Subpath
// covers: field Mount TmpfsOptions.Options
// covers: field Mount TmpfsOptions.Options[]
// covers: field Mount TmpfsOptions.Options[][]
// covers: field MountPoint Type.(all of)
// covers: field HostConfig (all of)
// covers: field HostConfig VolumesFrom[]
// covers: field HostConfig Links[]
// covers: field Resources Init
#[test]
fn every_kind_of_mount_is_made_as_it_was_asked_for_and_told() {
    let engine = Engine::ours();
    let folder = Scratch::create();
    let tag = engine.busybox();
    let (made, volume) = (folder.join("made/later"), engine.name("v"));
    let donor = created(&engine, "donor", "true", &json!({"Binds": ["/donated"]}));
    let friend = engine.name("friend");
    engine.ketch(["run", "-d", "--name", &friend, &tag, "sleep", "1000"]).ok();
    engine
        .ketch(["run", "--rm", "--network", "none", "-v", &format!("{volume}:/v"), &tag, "mkdir", "/v/sub"])
        .ok();
    let mounts = json!([
        {"Type": "bind", "Source": made, "Target": "/bind", "BindOptions": {"CreateMountpoint": true, "NonRecursive": true}},
        {"Type": "bind", "Source": folder.path(), "Target": "/deep", "ReadOnly": true,
         "BindOptions": {"ReadOnlyForceRecursive": true, "Propagation": "rprivate"}},
        {"Type": "volume", "Source": engine.name("new"), "Target": "/new", "VolumeOptions": {
            "Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}}}},
        {"Type": "volume", "Source": volume, "Target": "/sub", "VolumeOptions": {"Subpath": "sub"}},
        {"Type": "image", "Source": tag, "Target": "/image", "ImageOptions": {"Subpath": "bin"}},
        {"Type": "tmpfs", "Target": "/tmpfs", "TmpfsOptions": {"SizeBytes": 1 << 20, "Options": [["noexec"], ["uid", "7"]]}},
    ]);
    let script = "stat -c %u /tmpfs; grep -c ' /deep .*ro,' /proc/mounts; df -k /new | awk 'NR==2 {print $2}'; \
                  ls /image/busybox /sub; ls -d /donated; getent hosts pal >/dev/null || grep -c pal /etc/hosts";
    let body = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {
        "Mounts": mounts, "VolumesFrom": [format!("{donor}:ro")], "Links": [format!("{friend}:pal")], "Init": true}});
    let name = engine.name("all");
    let create = Request::new("POST", &format!("/containers/create?name={name}")).json(&body);
    engine.request_unchecked(&create).expect(201);
    post(&engine, &format!("/containers/{name}/start")).expect(204);
    post(&engine, &format!("/containers/{name}/wait")).expect(200);
    let said = engine.ketch(["logs", &name]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["7", "1", "1024"], "{said}");
    assert!(said.contains("/image/busybox") && said.contains("/donated"), "{said}");
    assert!(made.is_dir());
    let about = inspected(&engine, &name);
    let host = &about["HostConfig"];
    assert_eq!(host["Mounts"].as_array().map(Vec::len), Some(6));
    assert_eq!(host["Mounts"][2]["VolumeOptions"]["DriverConfig"]["Options"]["o"], "size=1m");
    assert_eq!(host["Mounts"][5]["TmpfsOptions"]["Options"], json!([["noexec"], ["uid", "7"]]));
    assert_eq!((&host["Init"], &host["VolumesFrom"]), (&json!(true), &json!([format!("{donor}:ro")])));
    assert_eq!(host["Links"], json!([format!("/{friend}:/{name}/pal")]));
    let kinds: std::collections::BTreeSet<_> =
        about["Mounts"].as_array().into_iter().flatten().filter_map(|mount| mount["Type"].as_str()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["bind", "image", "tmpfs", "volume"]);
    let labels = engine
        .request_unchecked(&Request::new("GET", &format!("/volumes/{}", engine.name("new"))))
        .expect(200)
        .json();
    assert_eq!(labels["Labels"], json!({"a": "b"}));
}

// covers: value filter docker container ls publish
// covers: value format-field docker container ls .HealthStatus
// covers: value format-method formatter.ContainerContext .HealthStatus
// covers: value format-method formatter.ContainerContext .Platform
// refuses: value format-method container.diffContext .Path because docker's command has no flag for a template
// refuses: value format-method container.diffContext .Type because docker's command has no flag for a template
// covers: value state-value StateRestarting restarting
// covers: field ContainerSummary SizeRw
// covers: field ContainerSummary Health
// covers: field ContainerSummary Health.Status
// covers: field ContainerSummary Health.FailingStreak
// refuses: value state-value StateRemoving removing because a removal is one step, which no listing sees half done
// refuses: value state-value StateDead dead because what a removal leaves is removed with the next start of the engine, and isn't a container
#[test]
fn listings_tell_health_sizes_ports_and_changes() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let name = engine.name("sick");
    engine
        .ketch([
            "run",
            "-d",
            "--name",
            &name,
            "-p",
            "127.0.0.1::80",
            "--health-cmd",
            "exit 1",
            "--health-interval",
            "50ms",
            "--health-retries",
            "1",
            &tag,
            "sh",
            "-c",
            "echo 12345 >/file; sleep 1000",
        ])
        .ok();
    let listed = |query: &str| {
        engine
            .request_unchecked(&Request::new("GET", &format!("/v1.52/containers/json?{query}")))
            .expect(200)
            .json()
    };
    eventually(DEADLINE, || match listed("size=1")[0].clone() {
        one if one["Health"]["Status"] == "unhealthy" && one["SizeRw"].as_u64() > Some(0) => Ok(()),
        one => Err(one),
    });
    assert!(listed("")[0]["Health"]["FailingStreak"].as_u64() >= Some(1));
    let port = engine.ketch(["port", &name, "80"]).ok();
    let publish = format!("publish={}", port.rsplit(':').next().unwrap_or_default());
    let ps = |template: &str, filter: &str| {
        engine.ketch(["ps", "-a", "--filter", filter, "--format", template]).ok()
    };
    assert_eq!(ps("{{.HealthStatus}} {{.Names}}", &publish), format!("unhealthy {name}"));
    assert_eq!(ps("{{.Names}}", "publish=80"), "");
    assert_eq!(ps("{{.Names}}", "publish=1024-65535/tcp"), name);
    assert_eq!(ps("{{.Names}}", "network=bridge"), name);
    let wrong = engine.ketch(["ps", "--filter", "publish=99999"]);
    assert!(wrong.stderr.contains("error while looking up for publish 99999"), "{}", wrong.stderr);
    // The engine doesn't say it, as dockerd with its own store doesn't.
    assert_eq!(ps("{{json .Platform}}", &publish), "null");
    let again = engine.name("again");
    engine
        .ketch(["run", "-d", "--name", &again, "--network", "none", "--restart", "always", &tag, "false"])
        .ok();
    eventually(DEADLINE, || match ps("{{.State}}", &format!("name={again}")) {
        state if state == "restarting" => Ok(()),
        state => Err(state),
    });
}

// refuses: cli docker run --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker run --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker run --memory-swappiness because cgroup v2 has none
// refuses: cli docker run --oom-kill-disable because cgroup v2 has none, and on v1 it hangs processes instead
// covers: cli docker run --disable-content-trust
// refuses: cli docker create --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker create --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker create --memory-swappiness because cgroup v2 has none
// refuses: cli docker create --oom-kill-disable because cgroup v2 has none, and on v1 it hangs processes instead
// covers: cli docker create --disable-content-trust
// refuses: cli docker container run --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container run --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container run --memory-swappiness because cgroup v2 has none
// refuses: cli docker container run --oom-kill-disable because cgroup v2 has none, and on v1 it hangs processes instead
// covers: cli docker container run --disable-content-trust
// refuses: cli docker container create --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container create --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container create --memory-swappiness because cgroup v2 has none
// refuses: cli docker container create --oom-kill-disable because cgroup v2 has none, and on v1 it hangs processes instead
// covers: cli docker container create --disable-content-trust
// refuses: cli docker update --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker update --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container update --cpu-rt-period because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: cli docker container update --cpu-rt-runtime because no cgroup of v2 has it, and of v1 only where the kernel was built for it
// refuses: api POST /containers/{id}/start ?checkpoint because checkpoints need CRIU, which Ketch does not use
// refuses: api POST /containers/{id}/start ?checkpoint-dir because checkpoints need CRIU, which Ketch does not use
// refuses: value mode-value Isolation process because it is for Windows alone
// refuses: value mode-value Isolation hyperv because it is for Windows alone
// refuses: field ContainerConfig ArgsEscaped because it is for Windows alone
// refuses: field ContainerWaitResponse Error because a removal that fails leaves the container, and whoever waits for it waits on
// refuses: field ContainerWaitExitError Message because a removal that fails leaves the container, and whoever waits for it waits on
// refuses: field ContainerUpdateResponse Warnings[] because what can't be changed is an error
// refuses: field ContainerInspectResponse ImageManifestDescriptor because dockerd's own store has none either: it is containerd's
// refuses: field ContainerSummary ImageManifestDescriptor because dockerd's own store has none either: it is containerd's
// refuses: field ContainerInspectResponse Storage because it names containerd's snapshotter, and there is no containerd
// refuses: field Storage RootFS because it names containerd's snapshotter, and there is no containerd
// refuses: field RootFSStorage Snapshot because it names containerd's snapshotter, and there is no containerd
// refuses: field RootFSStorageSnapshot Name because it names containerd's snapshotter, and there is no containerd
#[test]
fn what_this_engine_cannot_do_is_refused_by_name() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let refused = [
        ("--cpu-rt-period=1000", ["CpuRealtimePeriod", "real-time"]),
        ("--cpu-rt-runtime=1000", ["CpuRealtimeRuntime", "real-time"]),
        ("--memory-swappiness=5", ["MemorySwappiness", "swappiness"]),
        ("--oom-kill-disable", ["OomKillDisable", "oom"]),
        ("--isolation=hyperv", ["isolation", "hyperv"]),
        ("--isolation=process", ["isolation", "process"]),
    ];
    let verbs: [&[&str]; 4] = [&["run"], &["create"], &["container", "run"], &["container", "create"]];
    for verb in verbs {
        for (flag, words) in refused {
            let arguments = [verb, &["--network", "none", flag, &tag, "true"]].concat();
            let said = command::run(engine.ketch_command().args(arguments));
            assert!(
                said.code != 0 && words.iter().any(|word| said.stderr.contains(word)),
                "{flag}: {}",
                said.stderr
            );
        }
        let arguments = [verb, &["--network", "none", "--disable-content-trust", &tag, "true"]].concat();
        command::run(engine.ketch_command().args(arguments)).ok();
        let arguments =
            [verb, &["--network", "none", "--disable-content-trust=false", &tag, "true"]].concat();
        let said = command::run(engine.ketch_command().args(arguments));
        assert!(said.code != 0 && said.stderr.contains("Content Trust"), "{}", said.stderr);
    }
    let name = created(&engine, "c", "true", &json!({}));
    for verb in [&["update"][..], &["container", "update"]] {
        for flag in ["--cpu-rt-period=1000", "--cpu-rt-runtime=1000"] {
            let said = command::run(engine.ketch_command().args([verb, &[flag, &name]].concat()));
            assert!(said.code != 0 && said.stderr.contains("CpuRealtime"), "{}", said.stderr);
        }
    }
    for key in ["checkpoint", "checkpoint-dir"] {
        let start = Request::new("POST", &format!("/containers/{name}/start?{key}=x"));
        let reply = engine.request_unchecked(&start);
        assert!(reply.status() == 501 && reply.message().contains("CRIU"), "{}", reply.text());
    }
    let about = inspected(&engine, &name);
    for absent in ["ImageManifestDescriptor", "Storage"] {
        assert_eq!(about.get(absent), None);
    }
}

// covers: cli docker system prune
// covers: value filter docker system prune until
// covers: value filter docker system prune label
#[test]
fn a_prune_of_everything_keeps_what_the_filters_spare() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let left = || {
        let listed =
            engine.request_unchecked(&Request::new("GET", "/containers/json?all=1")).expect(200).json();
        listed.as_array().map_or(0, Vec::len)
    };
    for label in ["keep=1", "go=1"] {
        engine.ketch(["create", "--label", label, "--network", "none", &tag, "true"]).ok();
    }
    engine.ketch(["system", "prune", "--force", "--filter", "until=1h"]).ok();
    assert_eq!(left(), 2);
    engine.ketch(["system", "prune", "--force", "--filter", "label=go"]).ok();
    assert_eq!(left(), 1);
    engine.ketch(["system", "prune", "--force", "--filter", "label!=keep"]).ok();
    assert_eq!(left(), 1);
    engine.ketch(["system", "prune", "--force"]).ok();
    assert_eq!(left(), 0);
}
