//! Volumes: data that outlives containers.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, command};

/// A volume of this test, gone with it.
struct Named<'a> {
    engine: &'a Engine,
    name: String,
}

impl<'a> Named<'a> {
    fn new(engine: &'a Engine, name: &str) -> Self {
        Self { engine, name: engine.name(name) }
    }

    fn at(&self, place: &str) -> String {
        format!("{}:{place}", self.name)
    }
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        let path = format!("/volumes/{}?force=1", self.name);
        drop(self.engine.request_unchecked(&Request::new("DELETE", &path)));
    }
}

fn sh(engine: &Engine, mount: &str, script: &str) -> String {
    let tag = engine.busybox();
    engine.docker(["run", "--rm", "--network", "none", "-v", mount, &tag, "sh", "-c", script]).ok()
}

// covers: cli docker volume
// covers: cli docker volume create
// covers: cli docker volume create --driver
// covers: cli docker volume create --label
// covers: cli docker volume create --name
// covers: cli docker volume inspect
// covers: cli docker volume inspect --format
// covers: cli docker volume ls
// covers: cli docker volume ls --filter
// covers: cli docker volume ls --format
// covers: cli docker volume ls --quiet
// covers: cli docker volume list
// covers: cli docker volume list --filter
// covers: cli docker volume list --format
// covers: cli docker volume list --quiet
// covers: cli docker volume rm
// covers: cli docker volume rm --force
// covers: cli docker volume remove
// covers: cli docker volume remove --force
// covers: value filter docker volume ls name
// covers: value filter docker volume ls label
// covers: value filter docker volume ls driver
// covers: value filter docker volume ls dangling
// covers: value format-field docker volume ls .Name
// covers: value format-field docker volume ls .Driver
// covers: value format-field docker volume ls .Scope
// covers: value format-field docker volume ls .Mountpoint
// covers: value format-field docker volume ls .Labels
// covers: value format-field docker volume ls .Label
#[test]
fn volumes_are_made_listed_and_removed_by_both_clients() {
    let engine = Engine::isolated();
    for client in ["docker", "ketch"] {
        let run = |arguments: &[&str]| {
            let mut command =
                if client == "docker" { engine.docker_command() } else { engine.ketch_command() };
            testkit::command::run(command.args(arguments))
        };
        let volume = Named::new(&engine, &format!("one-{client}"));
        let name = volume.name.as_str();
        let made = run(&["volume", "create", "--driver", "local", "--label", "a=b", "--name", name]);
        assert_eq!(made.ok(), name);
        assert_eq!(run(&["volume", "create", name]).ok(), name, "what is there stays");
        let filter = format!("name={name}");
        for list in ["ls", "list"] {
            assert_eq!(run(&["volume", list, "--quiet", "--filter", &filter]).ok(), name);
        }
        let format = "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Label \"a\"}} {{.Mountpoint}}";
        let shown =
            run(&["volume", "ls", "--filter", &filter, "--filter", "label=a=b", "--format", format]).ok();
        let inspected = run(&["volume", "inspect", "--format", "{{.Mountpoint}}", name]).ok();
        assert_eq!(shown, format!("{name} local local a=b b {inspected}"));
        let none = run(&["volume", "ls", "-q", "--filter", &filter, "--filter", "dangling=false"]).ok();
        assert_eq!(none, "", "no container is made for it");
        assert_eq!(run(&["volume", "ls", "-q", "--filter", &filter, "--filter", "driver=other"]).ok(), "");
        let table = run(&["volume", "ls", "--filter", &filter]).ok();
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words, ["DRIVER", "VOLUME", "NAME", "local", name]);
        let removal = if client == "docker" { "rm" } else { "remove" };
        assert_eq!(run(&["volume", removal, name]).ok(), name);
        let again = run(&["volume", "rm", name]);
        assert_eq!(
            (again.code, again.stderr.trim()),
            (1, &*format!("Error response from daemon: get {name}: no such volume"))
        );
        assert_eq!(run(&["volume", "rm", "--force", name]).ok(), name);
    }
}

// covers: api POST /volumes/create
// covers: api GET /volumes/{name}
// covers: api DELETE /volumes/{name}
// covers: api DELETE /volumes/{name} ?force
// covers: api PUT /volumes/{name}
// covers: api PUT /volumes/{name} ?version
// covers: api GET /volumes
// covers: api GET /volumes ?filters
// covers: cli docker volume create --opt
// covers: value volume-opt local driver type
// covers: value volume-opt local driver device
// covers: value volume-opt local driver o
// covers: value volume-opt local driver size
#[test]
fn what_cannot_be_is_refused_in_dockers_words() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "v");
    let name = &volume.name;
    let create = |body: Value, status: u16| {
        engine.request_unchecked(&Request::new("POST", "/volumes/create").json(&body)).expect(status)
    };
    let wrong = |word: &str| {
        format!(
            "create {word}: \"{word}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )
    };
    for word in ["a b", "../x", ".hidden", "a/b"] {
        assert_eq!(create(json!({ "Name": word }), 400).message(), wrong(word));
    }
    let short = create(json!({ "Name": "a" }), 400).message();
    assert_eq!(
        short,
        "create a: volume name is too short, names should be at least two alphanumeric characters"
    );
    for (options, why) in [
        (json!({"foo": "bar"}), "invalid option: \"foo\""),
        (json!({"type": "tmpfs"}), "missing required option: \"device\""),
        (json!({"device": "tmpfs"}), "missing required option: \"type\""),
        (json!({"o": "size=10m"}), "missing required option: \"device\""),
        (json!({"size": "abc"}), "invalid size: 'abc'"),
        (json!({"size": "10m"}), "quota size requested but no quota support"),
    ] {
        let message = create(json!({ "Name": name, "DriverOpts": options }), 400).message();
        // Ours says what to do, too.
        let said = message.split(" (/").next().unwrap_or_default();
        assert_eq!(said, format!("create {name}: {why}"));
    }
    if !engine.is_peer() {
        let message = create(json!({ "Name": name, "Driver": "nosuch" }), 404).message();
        assert_eq!(
            message,
            format!("create {name}: error looking up volume plugin nosuch: plugin \"nosuch\" not found")
        );
    }
    let made = create(json!({ "Name": name, "Labels": {"x": "y"} }), 201).json();
    let get = |path: String| engine.request_unchecked(&Request::new("GET", &path));
    assert_eq!(get(format!("/volumes/{name}")).expect(200).json(), made);
    let listed = get(format!("/volumes?filters={{%22name%22:[%22{name}%22]}}")).expect(200).json();
    assert_eq!(listed["Volumes"], json!([made]));
    for (filters, message) in [
        ("{%22zz%22:[%22x%22]}", "invalid filter 'zz'"),
        ("{%22dangling%22:[%22maybe%22]}", "invalid filter 'dangling=[maybe]'"),
    ] {
        let refused = engine.request_unchecked(&Request::new("GET", &format!("/volumes?filters={filters}")));
        assert_eq!(refused.expect(400).message(), message);
    }
    let update = Request::new("PUT", &format!("/volumes/{name}?version=1")).json(&json!({}));
    assert_eq!(
        engine.request_unchecked(&update).expect(503).message(),
        "volume update only valid for cluster volumes, but swarm is unavailable"
    );
    assert_eq!(get("/volumes/no-such".to_owned()).expect(404).message(), "get no-such: no such volume");
    for path in [format!("/volumes/{name}"), format!("/volumes/{name}?force=1")] {
        engine.request_unchecked(&Request::new("DELETE", &path)).expect(204);
    }
}

#[test]
fn data_outlives_containers_and_is_not_removed_while_somebody_needs_it() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "data");
    sh(&engine, &volume.at("/data"), "echo kept > /data/file");
    let user = engine.name("user");
    let tag = engine.busybox();
    let mount = volume.at("/elsewhere");
    engine
        .docker(["run", "-d", "--name", &user, "--network", "none", "-v", &mount, &tag, "sleep", "1000"])
        .ok();
    assert_eq!(engine.docker(["exec", &user, "cat", "/elsewhere/file"]).ok(), "kept");
    let id = engine.docker(["inspect", "-f", "{{.Id}}", &user]).ok();
    let refused = engine.ketch(["volume", "rm", "--force", &volume.name]);
    assert_eq!(refused.code, 1);
    let wanted = format!("remove {}: volume is in use - [{id}]", volume.name);
    assert!(refused.stderr.contains(&wanted), "{}", refused.stderr);
    let mounts = engine.docker(["inspect", "-f", "{{json .Mounts}}", &user]).ok();
    let mut mounts: Value = serde_json::from_str(&mounts).unwrap();
    mounts[0]["Source"].take();
    let expected = json!([{
        "Type": "volume", "Name": volume.name, "Source": null, "Destination": "/elsewhere", "Driver": "local", "Mode": "z",
        "RW": true, "Propagation": "",
    }]);
    assert_eq!(mounts, expected);
    engine.docker(["rm", "--force", "--volumes", &user]).ok();
    // Only what nobody named goes with its container.
    assert_eq!(
        sh(&engine, &volume.at("/data:ro"), "cat /data/file; touch /data/x 2>&1 | grep -c Read-only"),
        "kept\n1"
    );
}

#[test]
fn a_killed_engine_loses_no_volume() {
    let mut engine = Engine::ours();
    let name = engine.name("v");
    let user = engine.name("user");
    let tag = engine.busybox();
    let mount = format!("{name}:/data");
    engine
        .ketch([
            "run",
            "-d",
            "--name",
            &user,
            "--network",
            "none",
            "-v",
            &mount,
            &tag,
            "sh",
            "-c",
            "echo x > /data/f; sleep 1000",
        ])
        .ok();
    engine.crash_and_restart();
    assert_eq!(engine.ketch(["exec", &user, "cat", "/data/f"]).ok(), "x");
    assert_eq!(engine.ketch(["volume", "ls", "-q"]).ok(), name);
    assert_eq!(engine.ketch(["volume", "rm", &name]).code, 1);
    engine.ketch(["rm", "-f", &user]).ok();
    assert_eq!(engine.ketch(["volume", "rm", &name]).ok(), name);
    assert!(!engine.data_root().join("volumes").join(&name).exists());
}

// covers: value option-key --mount volume-nocopy
#[test]
fn a_new_volume_is_filled_from_the_image_and_one_with_content_is_not() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "filled");
    let content = |place: &str| sh(&engine, place, "ls /bin | wc -l");
    let whole = sh(&engine, "/tmp", "ls /bin | wc -l");
    assert_eq!(content(&volume.at("/bin")), whole);
    sh(&engine, &volume.at("/v"), "rm -rf /v/*; echo mine > /v/only");
    assert_eq!(sh(&engine, &volume.at("/usr"), "ls /usr"), "only");
    let bare = Named::new(&engine, "bare");
    let tag = engine.busybox();
    let mount = format!("type=volume,source={},target=/etc,volume-nocopy", bare.name);
    let listed =
        engine.docker(["run", "--rm", "--network", "none", "--mount", &mount, &tag, "ls", "/etc"]).ok();
    // What every container has there is mounted over it.
    assert!(!listed.contains("passwd") && !listed.contains("group"), "{listed}");
}

// covers: value option-key --mount volume-opt
// covers: value option-key --mount volume-label
// covers: value option-key --mount volume-driver
#[test]
fn a_volume_can_be_something_that_is_mounted_while_it_is_used() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "memory");
    let tag = engine.busybox();
    let mount = format!(
        "type=volume,source={},target=/m,volume-driver=local,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\
         \"volume-opt=o=size=1m,nosuid\"",
        volume.name
    );
    for client in ["docker", "ketch"] {
        let mut command = if client == "docker" { engine.docker_command() } else { engine.ketch_command() };
        command.args(["run", "--rm", "--network", "none", "--mount", &mount, &tag]);
        command.args(["sh", "-c", "grep ' /m ' /proc/mounts; echo x > /m/f; ls /m"]);
        let shown = testkit::command::run(&mut command).ok();
        assert!(shown.contains("tmpfs") && shown.contains("size=1024k") && shown.ends_with("\nf"), "{shown}");
    }
    // Whoever came last took it along.
    let inspected =
        engine.docker(["volume", "inspect", "-f", "{{json .Options}} {{json .Labels}}", &volume.name]);
    assert_eq!(inspected.ok(), r#"{"device":"tmpfs","o":"size=1m,nosuid","type":"tmpfs"} {"a":"b"}"#);
    let missing = Named::new(&engine, "missing");
    let options = ["--opt", "type=none", "--opt", "o=bind", "--opt", "device=/no/such/folder"];
    testkit::command::run(
        engine.docker_command().args(["volume", "create"]).args(options).arg(&missing.name),
    )
    .ok();
    let place = missing.at("/x");
    let refused = engine.docker(["run", "--rm", "--network", "none", "-v", &place, &tag, "true"]);
    assert!(matches!(refused.code, 125 | 127), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("failed to mount local volume: mount /no/such/folder:")
            && refused.stderr.to_lowercase().contains("no such file or directory"),
        "{}",
        refused.stderr
    );
}

/// Memory has a size; what a folder can't be held to is refused, and so is what this kernel can't mount.
#[test]
fn a_size_is_kept_or_refused_and_so_is_a_file_system() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let create = |options: &[&str]| {
        let options = options.iter().flat_map(|option| ["--opt", option]);
        testkit::command::run(engine.ketch_command().args(["volume", "create"]).args(options).arg("sized"))
    };
    create(&["type=tmpfs", "device=tmpfs", "size=1m", "o=mode=700"]).ok();
    let script = "dd if=/dev/zero of=/v/x bs=1M count=2 2>&1 | grep -c 'No space'; stat -c %a /v";
    assert_eq!(sh(&engine, "sized:/v", script), "1\n700");
    engine.ketch(["volume", "rm", "sized"]).ok();
    let refused = create(&["size=10m"]);
    let said = ["quota size requested but no quota support (/", "without quotas of projects"];
    assert!(refused.code == 1 && said.iter().all(|said| refused.stderr.contains(said)), "{}", refused.stderr);
    let supported = std::fs::read_to_string("/proc/filesystems").unwrap();
    for (kind, device, module) in
        [("nfs", ":/data", "modprobe nfs"), ("cifs", "//host/share", "modprobe cifs")]
    {
        if supported.lines().any(|line| line.ends_with(&format!("\t{kind}"))) {
            continue;
        }
        create(&[&format!("type={kind}"), &format!("device={device}"), "o=addr=127.0.0.1"]).ok();
        let refused = engine.ketch(["run", "--rm", "--network", "none", "-v", "sized:/v", &tag, "true"]);
        let said = format!("this kernel has no file system of type {kind}: load its module ({module})");
        assert!(refused.code != 0 && refused.stderr.contains(&said), "{}", refused.stderr);
        engine.ketch(["volume", "rm", "sized"]).ok();
    }
}

/// A size that a container's root isn't held to is never taken for one. What holds it is shown on other machines' file
/// systems (`tests/vm/quotas.sh`).
#[test]
fn a_roots_size_is_refused_and_not_ignored() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let refused = engine.ketch(["create", "--storage-opt", "size=10m", &tag, "true"]);
    assert!(refused.stderr.contains("without quotas of projects"), "{}", refused.stderr);
    let refused = engine.ketch(["volume", "create", "--opt", "size=10m", "sized"]);
    assert!(refused.stderr.contains("quota size requested but no quota support"), "{}", refused.stderr);
    assert!(refused.stderr.contains("without quotas of projects"), "{}", refused.stderr);
    engine.docker(["volume", "create", "--opt", "size=0", "unsized"]).ok();
    let wrong = engine.docker(["volume", "create", "--opt", "size=abc", "wrong"]);
    assert!(wrong.stderr.contains("create wrong: invalid size: 'abc'"), "{}", wrong.stderr);
    let mounted =
        ["run", "--rm", "--network", "none", "--mount", "type=volume,src=new,dst=/v,volume-opt=size=1m"];
    let refused = command::run(engine.docker_command().args(mounted).args([&tag, "true"]));
    assert!(
        refused.stderr.contains("create new: quota size requested but no quota support"),
        "{}",
        refused.stderr
    );
    assert_eq!(engine.docker(["volume", "ls", "-q"]).stdout, "unsized\n");
    for (option, said) in [
        ("size=10m", "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"),
        ("foo=1", "Unknown option foo"),
    ] {
        let refused = engine.docker(["create", "--storage-opt", option, &tag, "true"]);
        assert!(refused.code == 1 && refused.stderr.contains(said), "{}", refused.stderr);
    }
}

/// docker's sentence first, then the text with a mark under what it is about.
#[test]
fn a_wrong_mount_is_shown_with_its_place() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    for (flag, text, sentence, under) in [
        ("-v", "/a:/b:ro,zz", "invalid mode: ro,zz", "         ^^"),
        ("-v", "/tmp:x", "mount path must be absolute", "     ^"),
        ("-v", "a b:/x", "includes invalid characters for a local volume name", "^^^"),
        ("-v", "/tmp:/", "destination can't be '/'", "     ^"),
        ("-v", "aa:/b:ro:d", "invalid volume specification: 'aa:/b:ro:d'", "         ^"),
        (
            "--mount",
            "type=bind,src=/a,dst=/b,ro=x",
            "invalid value for ro: x",
            "                        ^^^^",
        ),
        ("--mount", "type=bind,src=/a", "target is required", "                ^"),
        ("--mount", "dst=/a,foo=1", "unexpected key 'foo' in 'foo=1'", "       ^^^^^"),
        ("--tmpfs", "/run:size=64m,foo", "invalid tmpfs option", "              ^^^"),
        ("--tmpfs", "run", "mount path must be absolute", "^^^"),
    ] {
        let refused = engine.ketch(["run", "--rm", "--network", "none", flag, text, &tag, "true"]);
        assert_eq!(refused.code, 125, "{text}: {}", refused.stderr);
        assert!(refused.stderr.lines().next().unwrap_or_default().contains(sentence), "{}", refused.stderr);
        let place = format!("\n  {text}\n  {under}\n");
        assert!(refused.stderr.contains(&place), "{}", refused.stderr);
    }
}

// covers: value option-key --mount volume-subpath
#[test]
fn a_part_of_a_volume_is_never_more_than_that() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "parts");
    let tag = engine.busybox();
    sh(
        &engine,
        &volume.at("/v"),
        "mkdir -p /v/a/b; echo in > /v/a/b/file; ln -s /etc /v/out; ln -s .. /v/a/up",
    );
    let run = |subpath: &str| {
        let mount = format!("type=volume,source={},target=/x,volume-subpath={subpath}", volume.name);
        engine.docker(["run", "--rm", "--network", "none", "--mount", &mount, &tag, "cat", "/x/file"])
    };
    assert_eq!(run("a/b").ok(), "in");
    for wrong in ["../x", "/etc"] {
        let refused = run(wrong);
        assert_eq!(refused.code, 125);
        assert!(
            refused.stderr.contains("subpath must be a relative path within the volume"),
            "{}",
            refused.stderr
        );
    }
    for outside in ["out", "no/such"] {
        let refused = run(outside);
        // docker's client makes 127 of any word on a missing file.
        assert!(matches!(refused.code, 125 | 127), "{outside}: {}", refused.stdout);
        assert!(refused.stderr.contains("path"), "{}", refused.stderr);
    }
}

// covers: cli docker volume prune
// covers: cli docker system prune --volumes
// covers: cli docker volume prune --all
// covers: cli docker volume prune --filter
// covers: cli docker volume prune --force
// covers: api POST /volumes/prune
// covers: api POST /volumes/prune ?filters
// covers: value filter docker volume prune label
#[test]
fn pruning_takes_what_nobody_named_and_more_when_it_is_told() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    for name in ["named", "other"] {
        engine.ketch(["volume", "create", "--label", &format!("is={name}"), name]).ok();
    }
    engine.ketch(["volume", "create"]).ok();
    engine.ketch(["run", "--name", &engine.name("c"), "--network", "none", "-v", "/x", &tag, "true"]).ok();
    let list = || engine.ketch(["volume", "ls", "-q"]).ok();
    assert_eq!(list().lines().count(), 4);
    let pruned = engine.ketch(["volume", "prune", "--force"]).ok();
    assert!(
        pruned.starts_with("Deleted Volumes:\n") && pruned.ends_with("Total reclaimed space: 0B"),
        "{pruned}"
    );
    assert_eq!(list().lines().count(), 3, "a container is made for one of those that nobody named");
    engine.docker(["volume", "prune", "--force", "--all", "--filter", "label=is=named"]).ok();
    assert!(!list().contains("named") && list().contains("other"));
    engine.ketch(["volume", "prune", "--force", "--all"]).ok();
    assert_eq!(list().lines().count(), 1);
    let refused = engine.ketch(["system", "prune", "--force", "--volumes", "--filter", "until=1h"]);
    assert_eq!(refused.stderr.trim(), "ERROR: The \"until\" filter is not supported with \"--volumes\"");
    engine.ketch(["system", "prune", "--force"]).ok();
    assert_eq!(list().lines().count(), 1, "volumes go only when they are meant");
    let pruned = engine.ketch(["system", "prune", "--force", "--volumes"]).ok();
    assert!(pruned.contains("Deleted Volumes:\n"), "{pruned}");
    assert_eq!(list(), "");
}

// covers: value event-type events volume
// covers: value event-action events mount
// covers: value event-action events unmount
#[test]
fn events_tell_of_volumes() {
    let engine = Engine::isolated();
    let volume = Named::new(&engine, "told");
    let mut stream = engine.stream(&Request::new(
        "GET",
        &format!("/events?filters={{%22type%22:[%22volume%22],%22volume%22:[%22{}%22]}}", volume.name),
    ));
    sh(&engine, &volume.at("/data"), "true");
    engine.docker(["volume", "rm", &volume.name]).ok();
    for action in ["create", "mount", "unmount", "destroy"] {
        let line = stream.next_line().unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["Action"], &event["Actor"]["ID"]), (&json!(action), &json!(volume.name)));
        assert_eq!(event["Actor"]["Attributes"]["driver"], "local");
    }
}

#[test]
fn the_room_that_volumes_take_is_counted() {
    let engine = Engine::ours();
    sh(&engine, "big:/d", "dd if=/dev/zero of=/d/x bs=1M count=3 2>/dev/null");
    let usage =
        engine.request_unchecked(&Request::new("GET", "/v1.51/system/df?type=volume")).expect(200).json();
    assert_eq!(usage["Volumes"][0]["UsageData"]["RefCount"], 0);
    assert!(usage["Volumes"][0]["UsageData"]["Size"].as_u64() >= Some(3 << 20), "{usage}");
    let shown = engine.ketch(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]).ok();
    assert!(shown.contains("Local Volumes 1 0"), "{shown}");
}

#[test]
fn many_volumes_are_pruned_together_whatever_is_in_them() {
    let engine = Engine::ours();
    let names: Vec<_> = (0..300).map(|number| engine.name(&format!("many-{number}"))).collect();
    for name in &names {
        let body = json!({ "Name": name, "Labels": {"many": ""} });
        assert_eq!(engine.request(&Request::new("POST", "/volumes/create").json(&body)).status(), 201);
    }
    let place = engine.ketch(["volume", "inspect", "--format", "{{.Mountpoint}}", &names[7]]).ok();
    std::fs::write(format!("{place}/file"), vec![7; 8192]).expect("a file in a volume");
    let pruned = engine.ketch(["volume", "prune", "--all", "--force", "--filter", "label=many"]).ok();
    for name in &names {
        assert!(pruned.lines().any(|line| line == name), "{pruned}");
    }
    assert!(pruned.ends_with("Total reclaimed space: 8.192kB"), "{pruned}");
    let root = std::path::Path::new(&place).ancestors().nth(2).expect("the folder of all volumes");
    assert_eq!(std::fs::read_dir(root).expect("that folder").count(), 0, "nothing is left");
}
