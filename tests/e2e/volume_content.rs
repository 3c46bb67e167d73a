//! What is in volumes: exported, imported, copied, cloned, renamed. Only Ketch has this.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::command::run;
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Faults, eventually};

/// A small tree with everything that is easily lost: owners, modes, links, a hole, an attribute.
const TREE: &str = "mkdir -p /v/d/e; echo one > /v/d/file; ln /v/d/file /v/hard; ln -s /etc /v/out; chmod 4711 /v/d/file; \
                    chown 12:13 /v/d; truncate -s 64M /v/sparse; mkfifo /v/pipe; chmod 750 /v; chown 7:8 /v";

fn sh(engine: &Engine, mount: &str, script: &str) -> String {
    let tag = engine.busybox();
    engine.ketch(["run", "--rm", "--network", "none", "-v", mount, &tag, "sh", "-c", script]).ok()
}

fn data(engine: &Engine, volume: &str) -> PathBuf {
    engine.data_root().join("volumes").join(volume).join("_data")
}

/// What must be the same in a copy.
fn facts(folder: &Path) -> Vec<String> {
    let mut facts = Vec::new();
    for path in ["", "d", "d/e", "d/file", "hard", "out", "sparse", "pipe"] {
        let meta = fs::symlink_metadata(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let links = if meta.is_file() { meta.nlink() } else { 0 };
        let size = if meta.is_dir() { 0 } else { meta.len() };
        let (mode, uid, gid, seconds) = (meta.mode(), meta.uid(), meta.gid(), meta.mtime());
        facts.push(format!("{path}: {mode:o} {uid}:{gid} {size} {links} {seconds}"));
    }
    facts
}

/// Neither volumes nor the beginnings of some, but for these.
fn assert_only(engine: &Engine, names: &[&str]) {
    let folder = engine.data_root().join("volumes");
    let found = || -> Vec<String> {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut found: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        found.sort();
        found
    };
    eventually(DEADLINE, || if found() == names { Ok(()) } else { Err(format!("{:?}", found())) });
    let listed = engine.ketch(["volume", "ls", "-q"]).ok();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
}

/// On file systems that can share blocks, in a mount namespace of the engine's.
#[test]
fn a_twin_shares_its_blocks_where_the_file_system_can() {
    for kind in ["xfs", "btrfs"] {
        twins_share_blocks(kind);
    }
}

/// An engine whose data root is a file system of its own, so many megabytes large.
fn on_disk(megabytes: u64, make: &[&str]) -> Engine {
    const MOUNT: &str = "mkdir -p \"$ROOT\" && mount -o loop \"$DISK\" \"$ROOT\" && exec \"$@\"";
    Engine::planned(|plan, scratch: &testkit::Scratch| {
        let disk = scratch.join("disk");
        fs::File::create(&disk).and_then(|file| file.set_len(megabytes << 20)).expect("room for a disk");
        run(Command::new(make[0]).args(&make[1..]).arg("-q").arg(&disk)).ok();
        let root = plan.root.clone();
        plan.under(&["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"])
            .env("ROOT", root)
            .env("DISK", disk)
    })
}

/// What doesn't fit is no volume's content: it is filled anew when there is room.
#[test]
fn a_disk_that_fills_while_a_volume_is_filled_leaves_nothing_half_filled() {
    // Nothing is kept back for root.
    let engine = on_disk(96, &["mkfs.ext4", "-m", "0"]);
    let tag = engine.busybox();
    let run = |volume: &str, script: &str| {
        let words =
            ["run", "--rm", "--network", "none", "-v", volume, &tag, "/bin/busybox", "sh", "-c", script];
        engine.ketch(words)
    };
    let fill = "dd if=/dev/zero of=/v/spare bs=64k count=12; dd if=/dev/zero of=/v/x bs=64k; rm /v/spare";
    run("ballast:/v", fill).ok();
    for _ in 0..2 {
        let refused = run("new:/bin", "true");
        let said = refused.stderr.to_lowercase();
        assert!(refused.code != 0 && said.contains("no space left"), "{}", refused.stderr);
    }
    run("ballast:/v", "rm /v/x").ok();
    run("new:/bin", "true").ok();
    assert_eq!(run("new:/w", "cmp /w/busybox /bin/busybox && echo same").ok(), "same");
}

fn twins_share_blocks(kind: &str) {
    let engine = on_disk(512, &[&format!("mkfs.{kind}")]);
    let free = || -> u64 {
        let words = sh(&engine, "one:/v", "sync; df -k /v | tail -n 1");
        words
            .split_whitespace()
            .nth(3)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{words}"))
    };
    sh(
        &engine,
        "one:/v",
        "dd if=/dev/urandom of=/v/big bs=1M count=96 2>/dev/null; truncate -s 200M /v/sparse",
    );
    let before = free();
    engine.ketch(["volume", "clone", "one", "two"]).ok();
    engine.ketch(["volume", "snapshot", "one", "three"]).ok();
    let taken = before.saturating_sub(free());
    assert!(taken < 16 << 10, "{kind}: two twins of 96 MB took {taken} kB");
    let same = |other: &str| {
        let tag = engine.busybox();
        let mount = format!("{other}:/w");
        let words = [
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            "one:/v",
            "-v",
            &mount,
            &tag,
            "busybox",
            "cmp",
            "/v/big",
            "/w/big",
        ];
        engine.ketch(words).code == 0
    };
    assert!(same("two") && same("three"));
    // Who writes to one doesn't write to the other.
    sh(&engine, "two:/v", "echo changed >> /v/big");
    assert!(!same("two") && same("three"));
}

#[test]
fn a_volume_goes_through_an_archive_and_is_what_it_was() {
    let engine = Engine::ours();
    sh(&engine, "one:/v", TREE);
    let archive = engine.scratch().join("one.tar");
    let file = archive.to_str().unwrap();
    assert_eq!(engine.ketch(["volume", "export", "-o", file, "one"]).ok(), "");
    assert_eq!(engine.ketch(["volume", "import", "--label", "from=one", "two", file]).ok(), "two");
    assert_eq!(facts(&data(&engine, "two")), facts(&data(&engine, "one")));
    let packed = run(Command::new("gzip").arg("-k").arg(&archive));
    packed.ok();
    let mut import = engine.ketch_command();
    import.args(["volume", "import", "three"]).stdin(fs::File::open(format!("{file}.gz")).unwrap());
    assert!(import.output().unwrap().status.success(), "from the input, compressed");
    assert_eq!(facts(&data(&engine, "three")), facts(&data(&engine, "one")));
    let labels = engine.ketch(["volume", "inspect", "-f", "{{json .Labels}}", "two"]).ok();
    assert_eq!(labels, r#"{"from":"one"}"#);
    // What is there is never written over, and half an archive is no volume.
    let taken = engine.ketch(["volume", "import", "two", file]);
    assert_eq!(taken.code, 1);
    assert!(taken.stderr.contains("create two: a volume of that name exists already"), "{}", taken.stderr);
    let half = engine.scratch().join("half.tar");
    let whole = fs::read(&archive).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let broken = engine.ketch(["volume", "import", "half", half.to_str().unwrap()]);
    assert_eq!(broken.code, 1, "{}", broken.stdout);
    for (name, word) in [("a/b", "includes invalid characters"), ("x", "volume name is too short")] {
        let refused = engine.ketch(["volume", "import", name, file]);
        assert!(refused.code == 1 && refused.stderr.contains(word), "{}", refused.stderr);
    }
    let missing = engine.ketch(["volume", "export", "-o", file, "nosuch"]);
    assert!(missing.stderr.contains("get nosuch: no such volume"), "{}", missing.stderr);
    assert_only(&engine, &["one", "three", "two"]);
}

#[test]
fn parts_of_volumes_are_copied_and_nothing_else() {
    let engine = Engine::ours();
    sh(&engine, "one:/v", TREE);
    engine.ketch(["volume", "create", "two"]).ok();
    let host = engine.scratch().join("host");
    fs::create_dir_all(host.join("dir")).unwrap();
    fs::write(host.join("dir/new"), "new\n").unwrap();
    let at = |path: &str| host.join(path).display().to_string();
    let cp = |from: &str, to: &str| engine.ketch(["volume", "cp", from, to]);
    cp(&at("dir"), "two:/").ok();
    assert_eq!(fs::read_to_string(data(&engine, "two").join("dir/new")).unwrap(), "new\n");
    cp(&at("dir/."), "two:/other").ok();
    assert_eq!(fs::read_to_string(data(&engine, "two").join("other/new")).unwrap(), "new\n");
    cp("one:/d/file", &at("got")).ok();
    assert_eq!(fs::read_to_string(host.join("got")).unwrap(), "one\n");
    cp("one:/d", "two:/dir").ok();
    let copied = data(&engine, "two").join("dir/d");
    assert_eq!(fs::read_to_string(copied.join("file")).unwrap(), "one\n");
    assert_eq!(fs::metadata(&copied).unwrap().uid(), 12);
    cp("one:/d/file", "two:/renamed").ok();
    assert_eq!(fs::read_to_string(data(&engine, "two").join("renamed")).unwrap(), "one\n");
    let output = cp("one:/d/file", "-");
    assert!(output.stdout.contains("one\n"));
    // A link that leads out of a volume leads nowhere.
    for (from, to) in [("one:/out/passwd", at("x")), ("one:/../../../../etc/passwd", at("x"))] {
        let refused = cp(from, &to);
        let word = format!("Could not find the file {} in volume one", from.split_once(':').unwrap().1);
        assert!(refused.code == 1 && refused.stderr.contains(&word), "{}", refused.stderr);
    }
    let refused = cp(&at("dir/new"), "one:/out/");
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(!Path::new("/etc/new").exists());
    let between = cp("one:/nosuch", "two:/");
    assert!(between.stderr.contains("Could not find the file /nosuch in volume one"), "{}", between.stderr);
    let neither = cp(&at("dir"), &at("x"));
    assert_eq!(neither.stderr.trim(), "must specify at least one volume source");
}

#[test]
fn a_volume_gets_another_name_unless_it_is_used() {
    let mut engine = Engine::ours();
    sh(&engine, "one:/v", "echo kept > /v/file");
    engine.ketch(["volume", "create", "taken"]).ok();
    assert_eq!(engine.ketch(["volume", "rename", "one", "two"]).ok(), "");
    assert_eq!(sh(&engine, "two:/v", "cat /v/file"), "kept");
    let rename = |from: &str, to: &str| engine.ketch(["volume", "rename", from, to]).stderr;
    assert!(rename("one", "three").contains("get one: no such volume"));
    assert!(rename("two", "taken").contains("a volume of that name exists already"));
    assert!(rename("two", "../x").contains("includes invalid characters"));
    let tag = engine.busybox();
    let user = engine.name("user");
    engine.ketch(["create", "--name", &user, "-v", "two:/v", &tag, "true"]).ok();
    let id = engine.ketch(["inspect", "-f", "{{.Id}}", &user]).ok();
    let refused = rename("two", "three");
    assert!(refused.contains(&format!("rename two: volume is in use - [{id}]")), "{refused}");
    engine.ketch(["rm", &user]).ok();
    engine.ketch(["volume", "rename", "two", "three"]).ok();
    // An engine that died half way finishes what it began.
    engine.daemon().kill();
    let volumes = engine.data_root().join("volumes");
    fs::rename(volumes.join("three"), volumes.join("two")).unwrap();
    mark_renamed(&engine, "three", "two");
    engine.crash_and_restart();
    assert_eq!(sh(&engine, "three:/v", "cat /v/file"), "kept");
    assert_only(&engine, &["taken", "three"]);
}

/// As the record is between its own renaming and its folder's.
fn mark_renamed(engine: &Engine, name: &str, from: &str) {
    let program = "import sqlite3, sys, json\n\
                   db = sqlite3.connect(sys.argv[1])\n\
                   body, = db.execute(\"SELECT body FROM record WHERE kind = 'volume' AND key = ?\", (sys.argv[2],)).fetchone()\n\
                   body = json.loads(body)\n\
                   body['renamed_from'] = sys.argv[3]\n\
                   db.execute(\"UPDATE record SET body = ? WHERE kind = 'volume' AND key = ?\", (json.dumps(body), sys.argv[2]))\n\
                   db.commit()";
    let database = engine.data_root().join("ketch.db");
    run(Command::new("python3").arg("-c").arg(program).arg(database).args([name, from])).ok();
}

#[test]
fn a_twin_is_taken_while_nothing_moves() {
    let engine = Engine::ours();
    sh(&engine, "one:/v", TREE);
    let tag = engine.busybox();
    let user = engine.name("user");
    let counts = "while :; do n=$((n+1)); echo $n > /v/a; echo $n > /v/b; done";
    engine
        .ketch(["run", "-d", "--name", &user, "--network", "none", "-v", "one:/v", &tag, "sh", "-c", counts])
        .ok();
    let filters = "filters={%22event%22:[%22pause%22,%22unpause%22]}";
    let mut events = engine.stream(&Request::new("GET", &format!("/events?{filters}")));
    assert_eq!(engine.ketch(["volume", "clone", "--label", "a=b", "one", "two"]).ok(), "two");
    for action in ["pause", "unpause"] {
        let event: Value = serde_json::from_str(&events.next_line().unwrap().unwrap()).unwrap();
        assert_eq!((&event["Action"], &event["Actor"]["Attributes"]["name"]), (&json!(action), &json!(user)));
    }
    let state = engine.ketch(["inspect", "-f", "{{.State.Status}}", &user]).ok();
    assert_eq!(state, "running");
    let read = |volume: &str, name: &str| fs::read_to_string(data(&engine, volume).join(name)).unwrap();
    let number = |name: &str| read("two", name).trim().parse::<i64>().unwrap_or(-1);
    // The shell had at most truncated one of them.
    assert!((0..=1).contains(&(number("a") - number("b"))) || number("a") == -1 || number("b") == -1);
    let (before, link) = (read("one", "a"), fs::read_link(data(&engine, "two").join("out")).unwrap());
    assert_eq!(link, Path::new("/etc"));
    eventually(DEADLINE, || if read("one", "a") == before { Err("it stands".to_owned()) } else { Ok(()) });
    let name = engine.ketch(["volume", "snapshot", "--pause=false", "one"]).ok();
    assert!(name.starts_with("one-20"), "{name}");
    let of = engine.ketch(["volume", "inspect", "-f", "{{index .Labels \"ketch.snapshot.of\"}}", &name]).ok();
    assert_eq!(of, "one");
    engine.ketch(["rm", "-f", &user]).ok();
    let taken = engine.ketch(["volume", "clone", "one", "two"]);
    assert!(taken.stderr.contains("a volume of that name exists already"), "{}", taken.stderr);
    // What is mounted while it is used is mounted to be read, and not longer.
    let options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "size=1m", "memory"];
    run(engine.ketch_command().args(["volume", "create"]).args(options)).ok();
    assert_eq!(engine.ketch(["volume", "clone", "memory", "folder"]).ok(), "folder");
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains("volumes/memory"));
}

/// Whatever is going on when the engine is killed: afterwards there is the whole of a volume, or nothing.
#[test]
fn a_killed_engine_leaves_whole_volumes_or_none() {
    let mut engine = Engine::ours();
    let mut faults = Faults::of(60);
    sh(&engine, "one:/v", &format!("{TREE}; for n in $(seq 800); do echo $n > /v/d/e/$n; done"));
    let archive = engine.scratch().join("one.tar");
    engine.ketch(["volume", "export", "-o", archive.to_str().unwrap(), "one"]).ok();
    let whole = facts(&data(&engine, "one"));
    let archive = archive.to_str().unwrap().to_owned();
    for round in 0..faults.count {
        let mut command = engine.ketch_command();
        match round % 3 {
            0 => command.args(["volume", "import", "new", &archive]),
            1 => command.args(["volume", "clone", "one", "new"]),
            _ => command.args(["volume", "rename", "one", "new"]),
        };
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        faults.moment(Duration::from_millis(250));
        engine.crash_and_restart();
        let ended = child.wait().unwrap();
        let listed = engine.ketch(["volume", "ls", "-q"]).ok();
        let names: Vec<&str> = listed.lines().collect();
        assert!(!ended.success() || names.contains(&"new"), "round {round}: told of a volume that is gone");
        assert_only(&engine, &names);
        for name in &names {
            assert_eq!(facts(&data(&engine, name)), whole, "round {round}: {name}");
            let count = fs::read_dir(data(&engine, name).join("d/e")).unwrap().count();
            assert_eq!(count, 800, "round {round}: {name}");
        }
        if names.contains(&"new") && names.contains(&"one") {
            engine.ketch(["volume", "rm", "new"]).ok();
        } else if names.contains(&"new") {
            engine.ketch(["volume", "rename", "new", "one"]).ok();
        }
    }
}

/// A container that stands still for a clone goes on when the engine that stopped it has gone.
#[test]
fn a_container_is_not_left_frozen() {
    let mut engine = Engine::ours();
    let tag = engine.busybox();
    let user = engine.name("user");
    sh(&engine, "one:/v", "for n in $(seq 3000); do echo $n > /v/$n; done");
    engine
        .ketch(["run", "-d", "--name", &user, "--network", "none", "-v", "one:/v", &tag, "sleep", "1000"])
        .ok();
    let mut events = engine.stream(&Request::new("GET", "/events?filters={%22event%22:[%22pause%22]}"));
    let mut clone = engine.ketch_command();
    clone.args(["volume", "clone", "one", "two"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut clone = clone.stdin(Stdio::null()).spawn().unwrap();
    events.next_line().unwrap().unwrap();
    engine.crash_and_restart();
    clone.wait().unwrap();
    assert_eq!(engine.ketch(["exec", &user, "echo", "moves"]).ok(), "moves");
    assert_eq!(engine.ketch(["inspect", "-f", "{{.State.Status}}", &user]).ok(), "running");
    engine.ketch(["rm", "-f", &user]).ok();
}

#[test]
fn who_leaves_in_mid_import_leaves_nothing() {
    let engine = Engine::ours();
    let mut client = engine.ketch_command();
    client.args(["volume", "import", "new"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut client = client.spawn().unwrap();
    let mut header = [0_u8; 512];
    header[..4].copy_from_slice(b"file");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00010000000");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let input = client.stdin.as_mut().unwrap();
    input.write_all(&header).unwrap();
    input.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let volumes = engine.data_root().join("volumes");
    eventually(DEADLINE, || {
        let begun = fs::read_dir(&volumes).into_iter().flatten().flatten();
        let begun = begun.filter(|entry| entry.path().join("_data/file").exists()).count();
        if begun == 1 { Ok(()) } else { Err(format!("{begun} begun")) }
    });
    assert_eq!(engine.ketch(["volume", "ls", "-q"]).ok(), "", "it is none before it is whole");
    client.kill().unwrap();
    client.wait().unwrap();
    assert_only(&engine, &[]);
}

#[test]
fn the_routes_are_there_for_others() {
    let engine = Engine::ours();
    sh(&engine, "one:/v", "echo text > /v/file");
    let ask = |request: Request| engine.request_unchecked(&request);
    let json = |path: &str, body: Value| ask(Request::new("POST", path).json(&body));
    let tar = ask(Request::new("GET", "/volumes/one/export")).expect(200);
    assert_eq!(tar.header("content-type"), Some("application/x-tar"));
    let made = ask(Request::new("POST", "/volumes/import?name=two&labels={%22a%22:%22b%22}")
        .header("Content-Type", "application/x-tar")
        .body(tar.body))
    .expect(201)
    .json();
    assert_eq!((&made["Name"], &made["Labels"]), (&json!("two"), &json!({"a": "b"})));
    let stat = ask(Request::new("HEAD", "/volumes/two/archive?path=/file")).expect(200);
    assert!(stat.header("x-docker-container-path-stat").is_some());
    ask(Request::new("GET", "/volumes/two/archive?path=/nosuch")).expect(404);
    ask(Request::new("GET", "/volumes/nosuch/export")).expect(404);
    json("/volumes/two/clone", json!({"Name": "two"})).expect(409);
    json("/volumes/two/clone", json!({"Name": "three", "Nosuch": 1})).expect(400);
    let told = json("/volumes/two/clone", json!({"Name": "three"})).expect(200).text();
    assert!(told.trim_end().ends_with(r#"{"status":"three"}"#), "{told}");
    ask(Request::new("POST", "/volumes/three/rename?name=four")).expect(204);
    json("/volumes/four/copy", json!({"From": "one", "FromPath": "/file", "Path": "/", "Name": "other"}))
        .expect(200);
    assert_eq!(sh(&engine, "four:/v", "cat /v/other /v/file"), "text\ntext");
}
