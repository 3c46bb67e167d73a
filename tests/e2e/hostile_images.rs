//! Layers and archives by people who mean harm: each is refused or stays where it belongs, and the store is as before.
//!
//! `s061` and the like name the class of hole, as in docs/security.md.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tar::EntryType;
use testkit::command;
use testkit::http::{self, Reply, Request};
use testkit::{Engine, images};

use crate::registry_faults::call;

fn load(engine: &Engine, archive: Vec<u8>) -> Reply {
    let request = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    engine.request_unchecked(&request.body(archive))
}

fn import(engine: &Engine, tar: Vec<u8>) -> Reply {
    engine.request_unchecked(&Request::new("POST", "/images/create?fromSrc=-&repo=imported&tag=1").body(tar))
}

/// Everything that the engine keeps of images, by name.
pub(crate) fn kept(engine: &Engine) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["blobs", "layers"] {
        let mut waiting = vec![engine.data_root().join(folder)];
        while let Some(path) = waiting.pop() {
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                names.insert(entry.path().display().to_string());
                waiting.extend(entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path()));
            }
        }
    }
    names
}

/// A tar whose names and targets are written as they are, whatever they are.
fn tar_of(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, name, target) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content: &[u8] = if *kind == EntryType::Regular { b"written" } else { b"" };
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).expect("the test made it so");
    }
    tar.into_inner().expect("the test made it so")
}

#[test]
fn s061_s062_s071_s072_s073_s075_links_of_a_layer_lead_nowhere_else() {
    use EntryType::{Directory, Link, Regular, Symlink};
    let engine = Engine::ours();
    let canary = engine.scratch().write("canary/file", "canary");
    let folder = canary.parent().unwrap().to_owned();
    let look = || {
        let of = |path: &std::path::Path| {
            let meta = std::fs::symlink_metadata(path).unwrap();
            (meta.mode(), meta.uid(), meta.ino(), meta.mtime())
        };
        let names = std::fs::read_dir(&folder).unwrap().count();
        (of(&canary), of(&folder), names, std::fs::read_to_string(&canary).unwrap())
    };
    let before = look();
    let (file, dir) = (canary.display().to_string(), folder.display().to_string());
    let up = format!("../../../../../../../../../..{dir}");
    let through =
        |target: &str| tar_of(&[(Symlink, "a", target), (Regular, "a/new", ""), (Regular, "a/file", "")]);
    let corpus = [
        through(&dir),
        through(&up),
        through("/proc/self/root"),
        tar_of(&[(Symlink, "a", &file), (Regular, "a", "")]),
        tar_of(&[(Symlink, "a", &file), (Link, "b", "a"), (Regular, "b", "")]),
        tar_of(&[(Link, "b", &file), (Regular, "b", "")]),
        tar_of(&[(Link, "b", &format!("..{file}"))]),
        tar_of(&[(Symlink, "a", "b"), (Symlink, "b", &dir), (Regular, "a/file", "")]),
        tar_of(&[(Regular, &file, "")]),
        tar_of(&[(Regular, &format!("x/../../../../../..{file}"), "")]),
        // Modes that are set at the end must not go to what the folder was replaced by.
        tar_of(&[(Directory, "a", ""), (Symlink, "a", &dir), (Directory, "a", "")]),
        tar_of(&[
            (Directory, "a", ""),
            (Regular, "a/file", ""),
            (Symlink, "a", &dir),
            (Regular, "a/file", ""),
        ]),
        tar_of(&[(Symlink, "a", &dir), (Regular, "a/.wh.file", ""), (Regular, "a/.wh..wh..opq", "")]),
        tar_of(&[(EntryType::Char, "dev", ""), (Regular, "dev/file", "")]),
    ];
    for (number, layer) in corpus.into_iter().enumerate() {
        let archive = images::archive("hostile:1", &layer, &json!({})).unwrap();
        for reply in [load(&engine, archive), import(&engine, layer)] {
            assert!(reply.status() < 500, "{number}: {} {}", reply.status(), reply.text());
            assert_eq!(look(), before, "{number} changed the host");
        }
        for name in ["hostile:1", "imported:1"] {
            call(&engine, "DELETE", &format!("/images/{name}?force=1"));
        }
    }
    assert_eq!(call(&engine, "GET", "/images/json?all=1").json(), json!([]));
}

#[test]
fn s021_s063_nothing_is_executed_to_unpack() {
    let mut planted = std::path::PathBuf::new();
    let engine = Engine::planned(|plan, scratch| {
        let marker = scratch.join("marker");
        for name in ["xz", "unxz", "gzip", "gunzip", "unpigz", "pigz", "zstd", "unzstd", "bzip2", "tar"] {
            let script = format!("#!/bin/sh\ntouch {}\n", marker.display());
            let path = scratch.write(&format!("bin/{name}"), script);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            planted = path.parent().unwrap().to_owned();
        }
        plan.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", scratch.join("bin").display()))
    });
    let archive = images::busybox("packed:1").unwrap();
    let path = engine.scratch().write("packed.tar", &archive);
    for (program, works) in [("gzip", true), ("zstd", true), ("xz", false), ("bzip2", false)] {
        let packed = match program {
            // Its first bytes are enough, and no test needs the program.
            "xz" => [&b"\xfd7zXZ\0"[..], &archive].concat(),
            "bzip2" => [&b"BZh9"[..], &archive].concat(),
            _ => {
                let mut packer = Command::new(program);
                let packed = packer.arg("-c").arg(&path).stdout(Stdio::piped()).output().unwrap();
                packed.stdout
            }
        };
        let reply = load(&engine, packed);
        assert_eq!(reply.status() == 200, works, "{program}: {}", reply.text());
    }
    assert!(planted.join("xz").exists() && !engine.scratch().join("marker").exists(), "a program was run");
}

#[test]
fn s064_names_in_an_archive_are_no_paths_and_ids_are_computed() {
    let engine = Engine::ours();
    let before = kept(&engine);
    let layer = images::archive_of(&[("a", b"b")]);
    let rootfs = json!({"type": "layers", "diff_ids": [images::digest(&layer)]});
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).to_string();
    let long = "x".repeat(1 << 20);
    for (what, manifest) in [
        (
            "a config outside",
            json!([{"Config": "../../etc/passwd", "RepoTags": ["a:1"], "Layers": ["layer.tar"]}]),
        ),
        (
            "a layer outside",
            json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["../../../../etc/passwd"]}]),
        ),
        ("an absolute layer", json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["/etc/passwd"]}])),
        (
            "a name that climbs",
            json!([{"Config": "c.json", "RepoTags": ["../../x:1"], "Layers": ["layer.tar"]}]),
        ),
        (
            "a name of a megabyte",
            json!([{"Config": "c.json", "RepoTags": [format!("{long}:1")], "Layers": ["layer.tar"]}]),
        ),
        (
            "a layer of a megabyte's name",
            json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": [long]}]),
        ),
        (
            "more layers than ids",
            json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["layer.tar", "layer.tar"]}]),
        ),
        ("fewer layers than ids", json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": []}])),
        ("a number for a name", json!([{"Config": 7, "RepoTags": ["a:1"], "Layers": ["layer.tar"]}])),
        ("an object for a list", json!({"Config": "c.json"})),
    ] {
        let manifest = manifest.to_string();
        let archive = images::archive_of(&[
            ("c.json", config.as_bytes()),
            ("layer.tar", &layer),
            ("manifest.json", manifest.as_bytes()),
        ]);
        let reply = load(&engine, archive);
        assert!((400..500).contains(&reply.status()), "{what}: {} {}", reply.status(), reply.text());
        assert_eq!(kept(&engine), before, "{what} left something");
    }
    // An id that the file's name claims is not the image's.
    let claimed = format!("{}.json", "0".repeat(64));
    let manifest = json!([{"Config": claimed, "RepoTags": ["a:1"], "Layers": ["layer.tar"]}]).to_string();
    let archive = images::archive_of(&[
        (&claimed, config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ]);
    let reply = load(&engine, archive);
    if reply.status() == 200 {
        let id = call(&engine, "GET", "/images/a:1/json").json()["Id"].clone();
        assert_eq!(id, images::digest(config.as_bytes()));
    }
}

#[test]
fn s068_bombs_end_at_the_limit_and_take_no_memory() {
    let engine =
        Engine::planned(|plan, scratch| plan.config(scratch, &json!({"storage-opts": ["layer-size=16m"]})));
    let before = kept(&engine);
    let made = |script: &str| {
        let made = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).output().unwrap();
        assert!(made.status.success() && !made.stdout.is_empty(), "{script}");
        made.stdout
    };
    let folder = engine.scratch().write("bomb/zeros", "").parent().unwrap().display().to_string();
    let tar = format!("cd {folder} && truncate -s 256M zeros && tar -c zeros");
    let bombs = [
        ("gzip", made(&format!("{tar} | gzip -1"))),
        ("zstd", made(&format!("{tar} | zstd -c"))),
        ("a window of two gigabytes", made(&format!("{tar} | zstd -c --ultra --long=31"))),
        ("gzip in gzip", made(&format!("{tar} | gzip -1 | gzip -1"))),
    ];
    for (what, bomb) in bombs {
        let reply = import(&engine, bomb);
        assert!((400..500).contains(&reply.status()), "{what}: {} {}", reply.status(), reply.text());
        assert_eq!(kept(&engine), before, "{what} left something");
    }
    // Members without end are no bomb, only an empty tar.
    let members = made("printf '' | gzip -n").repeat(100_000);
    import(&engine, members).expect(200);
    call(&engine, "DELETE", "/images/imported:1").expect(200);
    assert_eq!(kept(&engine), before);
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(peak < 200_000, "{peak} kB");
}

#[test]
fn s083_images_come_and_go_at_once() {
    let engine = Engine::ours();
    let before = kept(&engine);
    // All share a layer, and each has one of its own config.
    let layer = images::archive_of(&[("shared", b"x")]);
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let (socket, layer) = (engine.socket(), &layer);
            scope.spawn(move || {
                let ask = |request: Request| http::call(socket, &request).expect("the engine answers");
                let call = |method: &str, path: &str| ask(Request::new(method, path));
                for round in 0..8 {
                    let name = format!("worker{worker}:{round}");
                    let archive = images::archive(&name, layer, &json!({})).unwrap();
                    ask(Request::new("POST", "/images/load").body(archive)).expect(200);
                    call("POST", "/images/prune").expect(200);
                    call("GET", &format!("/images/{name}/json")).expect(200);
                    call("DELETE", &format!("/images/{name}")).expect(200);
                }
            });
        }
    });
    assert_eq!(call(&engine, "GET", "/images/json?all=1").json(), json!([]));
    assert_eq!(kept(&engine), before);
}

#[test]
fn s108_s109_what_an_image_says_of_itself_configures_nothing() {
    let engine = Engine::ours();
    let layer = images::archive_of(&[("a", b"b")]);
    let mut hostile = json!({
        "Privileged": true, "CapAdd": ["ALL"], "SecurityOpt": ["seccomp=unconfined"], "Binds": ["/:/host"],
        "NetworkMode": "host", "PidMode": "host", "Devices": [{"PathOnHost": "/dev/sda"}], "UsernsMode": "host",
        "RestartPolicy": {"Name": "always"}, "LogConfig": {"Type": "syslog"},
        "HostConfig": {"Privileged": true, "Binds": ["/:/host"]},
    });
    hostile["Cmd"] = json!(["none"]);
    hostile["Labels"] = json!({
        "ketch.privileged": "true", "com.docker.compose.project": "x", "io.containerd.runc.v2.group": "x",
        "nerdctl/log-uri": "binary:///bin/sh?-c=touch", "log": "file:///etc/passwd",
    });
    let create = |name: &str, config: &Value| {
        load(&engine, images::archive(&format!("{name}:1"), &layer, config).unwrap()).expect(200);
        let body = json!({"Image": format!("{name}:1"), "HostConfig": {"NetworkMode": "none"}});
        let request = Request::new("POST", &format!("/containers/create?name={name}")).json(&body);
        engine.request_unchecked(&request).expect(201);
        call(&engine, "GET", &format!("/containers/{name}/json")).expect(200).json()
    };
    let (plain, hostile) = (create("plain", &json!({"Cmd": ["none"]})), create("hostile", &hostile));
    assert_eq!(plain["HostConfig"], hostile["HostConfig"]);
    assert_eq!(plain["Mounts"], hostile["Mounts"]);
    for name in ["plain", "hostile"] {
        call(&engine, "DELETE", &format!("/containers/{name}")).expect(204);
    }
}

#[test]
fn s120_nobody_else_looks_into_the_data() {
    let engine = Engine::ours();
    engine.busybox();
    for folder in ["data", "run"] {
        let path = engine.scratch().join(folder);
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o066, 0, "{folder} has mode {mode:o}");
    }
    // The scratch folder is the tests' own and closed; a data root usually lies where others may go.
    std::fs::set_permissions(engine.scratch().path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut find = Command::new("setpriv");
    find.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "find"]);
    find.arg(engine.data_root()).args(["-mindepth", "1"]);
    let found = command::run(&mut find);
    assert_eq!(found.stdout, "", "{}", found.stderr);
}

#[test]
fn s150_control_characters_of_an_image_reach_no_terminal() {
    let engine = Engine::ours();
    let nasty = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{202e}evil\u{9b}31m";
    let layer = images::archive_of(&[("a", b"b")]);
    let config = json!({
        "Cmd": [nasty], "Env": [format!("A={nasty}")], "Labels": {nasty: nasty}, "User": nasty,
        "Entrypoint": [nasty], "WorkingDir": format!("/{nasty}"),
    });
    let diff_id = images::digest(&layer);
    let document = json!({
        "architecture": "amd64", "os": "linux", "author": nasty, "created": "2020-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": nasty, "comment": nasty}],
    });
    let document = document.to_string();
    let manifest =
        json!([{"Config": "c.json", "RepoTags": ["nasty:1"], "Layers": ["layer.tar"]}]).to_string();
    let archive = images::archive_of(&[
        ("c.json", document.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ]);
    load(&engine, archive).expect(200);
    let clean = |what: &str, text: &str| {
        let bad = text.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(bad, None, "{what}: {text:?}");
    };
    clean("images", &engine.ketch(["images", "--no-trunc", "--digests"]).ok());
    clean("tree", &engine.ketch(["images", "--tree"]).ok());
    clean("history", &engine.ketch(["history", "--no-trunc", "nasty:1"]).ok());
    clean("inspect", &engine.ketch(["inspect", "nasty:1"]).ok());
    clean("no such image", &engine.ketch(["inspect", "--type", "image", nasty]).stderr);
    let failed = engine.ketch(["run", "--rm", "--network", "none", "nasty:1"]);
    assert_ne!(failed.code, 0);
    clean("run", &failed.stderr);
    let created = engine.ketch(["create", "--network", "none", "--name", "made", "nasty:1"]).ok();
    clean("create", &created);
    clean("ps", &engine.ketch(["ps", "--all", "--no-trunc"]).ok());
    engine.ketch(["rm", "made"]).ok();
}
