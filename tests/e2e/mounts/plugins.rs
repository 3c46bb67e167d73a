//! Docker's volume plugins: what is asked of them, and what becomes of those that hang or lie.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::Engine;

use super::run;

/// What a plugin says to a call; nothing, if it says nothing at all and keeps the connection.
type Says = dyn Fn(&str, &Value) -> Option<Vec<u8>> + Send + Sync;

/// One that keeps its volumes in a folder, until `instead` says something else.
struct Plugin {
    socket: PathBuf,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        // The last one's folder goes, too.
        let _ = self.socket.parent().map(std::fs::remove_dir);
    }
}

fn http(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn decent(folder: &Path, call: &str, what: &Value) -> Value {
    let name = what["Name"].as_str().unwrap_or_default();
    let path = folder.join(name);
    match call {
        "/Plugin.Activate" => json!({"Implements": ["VolumeDriver"]}),
        "/VolumeDriver.Create" => {
            std::fs::create_dir_all(&path).expect("the test's own");
            json!({"Err": ""})
        }
        "/VolumeDriver.Remove" => {
            std::fs::remove_dir_all(&path).expect("the test's own");
            json!({})
        }
        "/VolumeDriver.Mount" => json!({"Mountpoint": path}),
        "/VolumeDriver.Get" => {
            json!({"Volume": {"Name": name, "Mountpoint": path, "Status": {"hello": "world"}}})
        }
        "/VolumeDriver.Capabilities" => json!({"Capabilities": {"Scope": "global"}}),
        _ => json!({}),
    }
}

impl Plugin {
    fn start(socket: &Path, folder: PathBuf, instead: Box<Says>) -> Self {
        let listener = UnixListener::bind(socket).expect("the test's own");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = calls.clone();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (call, what) = read(&mut stream);
                noted.lock().expect("the test's own").push(format!("{call} {what}"));
                match instead(&call, &what) {
                    Some(bytes) if bytes.is_empty() => {
                        let _ = stream.write_all(&http(&decent(&folder, &call, &what)));
                    }
                    Some(bytes) => drop(stream.write_all(&bytes)),
                    None => kept.push(stream),
                }
            }
        });
        Self { socket: socket.to_owned(), calls }
    }

    fn asked(&self, call: &str) -> Vec<String> {
        let calls = self.calls.lock().expect("the test's own");
        calls.iter().filter(|known| known.starts_with(&format!("/{call} "))).cloned().collect()
    }
}

fn read(stream: &mut std::os::unix::net::UnixStream) -> (String, Value) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).unwrap_or(0);
        text.extend(&buffer[..length]);
        let all = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let wanted =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        if body.len() >= wanted.unwrap_or(0) || length == 0 {
            let call = head.split(' ').nth(1).unwrap_or_default().to_owned();
            return (call, serde_json::from_str(body).unwrap_or_default());
        }
    }
}

/// An engine that waits a second for its plugins.
fn engine() -> Engine {
    Engine::planned(|plan, _| plan.arg("--volume-plugin-timeout").arg("1s"))
}

fn plugin(
    engine: &Engine,
    name: &str,
    instead: impl Fn(&str, &Value) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Plugin {
    let socket = engine.socket().with_file_name("plugins").join(format!("{name}.sock"));
    let folder = engine.scratch().join(name);
    std::fs::create_dir_all(socket.parent().expect("a folder")).expect("the test's own");
    std::fs::create_dir_all(&folder).expect("the test's own");
    Plugin::start(&socket, folder, Box::new(instead))
}

// covers: cli docker run --volume-driver
// covers: cli docker create --volume-driver
// covers: cli docker container run --volume-driver
// covers: cli docker container create --volume-driver
// covers: field Volume Status
// covers: field Volume Status.*
#[test]
fn a_plugin_keeps_volumes_from_their_making_to_their_end() {
    let mut engine = engine();
    let (image, name) = (engine.busybox(), engine.name("v"));
    let plugin = plugin(&engine, "keeper", |_, _| Some(Vec::new()));
    for ours in [true, false] {
        run(&engine, ours, &["volume", "create", "--driver", "keeper", "--opt", "size=9", &name]).ok();
        assert_eq!(
            plugin.asked("VolumeDriver.Create").last().unwrap(),
            &format!("/VolumeDriver.Create {}", json!({"Name": name, "Opts": {"size": "9"}}))
        );
        let shown = run(
            &engine,
            ours,
            &["volume", "inspect", "-f", "{{.Driver}} {{.Scope}} {{.Status.hello}}", &name],
        )
        .ok();
        assert_eq!(shown, "keeper global world");
        let bind = format!("{name}:/d");
        let words =
            ["run", "--rm", "--network", "none", "-v", &bind, &image, "sh", "-c", "echo text > /d/file"];
        run(&engine, ours, &words).ok();
        assert_eq!(
            std::fs::read_to_string(engine.scratch().join("keeper").join(&name).join("file")).unwrap(),
            "text\n"
        );
        let mount = format!("type=volume,src={name},dst=/d,volume-driver=keeper,volume-subpath=file");
        let words = ["run", "--rm", "--network", "none", "--mount", &mount, &image, "cat", "/d"];
        assert_eq!(run(&engine, ours, &words).ok(), "text");
        let conflict = run(&engine, ours, &["volume", "create", "--driver", "other", &name]);
        assert!(conflict.stderr.contains("volume name must be unique"), "{}", conflict.stderr);
        run(&engine, ours, &["volume", "rm", &name]).ok();
        assert!(!engine.scratch().join("keeper").join(&name).exists());
        for verb in
            [&["run", "--rm"][..], &["create"], &["container", "run", "--rm"], &["container", "create"]]
        {
            let (volume, container) = (engine.name("made"), engine.name("c"));
            let bind = format!("{volume}:/d");
            let words = [
                "--name",
                &container,
                "--network",
                "none",
                "--volume-driver",
                "keeper",
                "-v",
                &bind,
                &image,
                "true",
            ];
            run(&engine, ours, &[verb, &words].concat()).ok();
            assert!(plugin.asked("VolumeDriver.Create").last().unwrap().contains(&volume));
            if verb.contains(&"create") {
                run(&engine, ours, &["rm", &container]).ok();
            }
            run(&engine, ours, &["volume", "rm", &volume]).ok();
        }
    }
    // Every mount is given back, with the container's id; those of a killed engine as well.
    let (kept, holder) = (engine.name("kept"), engine.name("holder"));
    let bind = format!("{kept}:/d");
    run(
        &engine,
        true,
        &[
            "run",
            "-d",
            "--name",
            &holder,
            "--network",
            "none",
            "--volume-driver",
            "keeper",
            "-v",
            &bind,
            &image,
            "sleep",
            "1000",
        ],
    )
    .ok();
    let id = run(&engine, true, &["inspect", "-f", "{{.Id}}", &holder]).ok();
    let source = run(
        &engine,
        true,
        &["inspect", "-f", "{{(index .Mounts 0).Source}} {{(index .Mounts 0).Driver}}", &holder],
    )
    .ok();
    assert_eq!(source, format!("{} keeper", engine.scratch().join("keeper").join(&kept).display()));
    engine.crash_and_restart();
    run(&engine, true, &["rm", "-f", &holder]).ok();
    assert!(plugin.asked("VolumeDriver.Unmount").last().unwrap().contains(&id));
    let count = |call| plugin.asked(call).len();
    assert_eq!(count("VolumeDriver.Mount"), count("VolumeDriver.Unmount"));
    run(&engine, true, &["volume", "rm", &kept]).ok();
}

#[test]
fn a_plugin_that_hangs_or_lies_is_told_and_holds_nobody_up() {
    let engine = engine();
    let image = engine.busybox();
    let lying = |answer: &'static str| {
        move |call: &str, _: &Value| {
            Some(if call == "/VolumeDriver.Mount" { answer.as_bytes().to_vec() } else { Vec::new() })
        }
    };
    let _hung = plugin(&engine, "hung", |call, _| (call == "/Plugin.Activate").then(Vec::new));
    let _dumb = plugin(&engine, "dumb", |_, _| None);
    let _other = plugin(&engine, "other", |_, _| Some(http(&json!({"Implements": ["NetworkDriver"]}))));
    let _words = plugin(&engine, "words", |call, _| {
        Some(if call == "/VolumeDriver.Create" { http(&json!({"Err": "no room here"})) } else { Vec::new() })
    });
    let _nonsense = plugin(&engine, "nonsense", |_, _| Some(b"what?".to_vec()));
    let _long = plugin(&engine, "long", |_, _| Some(vec![b'x'; 3 << 20]));
    let create = |driver: &str| run(&engine, true, &["volume", "create", "--driver", driver, "v1"]);
    for (driver, expected) in [
        ("hung", "VolumeDriver.Create: cannot talk to plugin \"hung\""),
        ("dumb", "error looking up volume plugin dumb: Plugin.Activate: cannot talk to plugin \"dumb\""),
        ("other", "is no volume driver"),
        ("words", "create v1: VolumeDriver.Create: no room here"),
        ("nonsense", "it isn't HTTP"),
        ("long", "it says more than an answer can be"),
        ("nosuch", "error looking up volume plugin nosuch: plugin \"nosuch\" not found"),
        ("../../etc/x", "plugin \"../../etc/x\" not found"),
    ] {
        let refused = create(driver);
        assert_eq!(refused.code, 1, "{driver}");
        assert!(refused.stderr.contains(expected), "{driver}: {}", refused.stderr);
    }
    assert_eq!(run(&engine, true, &["volume", "ls", "-q"]).ok(), "", "nothing of it is remembered");
    for (driver, answer, expected) in [
        ("root", "HTTP/1.1 200 OK\r\n\r\n{\"Mountpoint\":\"/\"}", "a volume can't be mounted at \"/\""),
        (
            "relative",
            "HTTP/1.1 200 OK\r\n\r\n{\"Mountpoint\":\"etc\"}",
            "a volume can't be mounted at \"etc\"",
        ),
        ("nowhere", "HTTP/1.1 200 OK\r\n\r\n{\"Mountpoint\":\"/no/such\"}", "/no/such"),
        ("file", "HTTP/1.1 200 OK\r\n\r\n{\"Mountpoint\":\"/etc/passwd\"}", "is no directory"),
        ("empty", "HTTP/1.1 200 OK\r\n\r\n{}", "a volume can't be mounted at \"\""),
        ("short", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "it ended after 2 of 99 bytes"),
    ] {
        let _plugin = plugin(&engine, driver, lying(answer));
        let (volume, container) = (engine.name(driver), engine.name("c"));
        let bind = format!("{volume}:/d");
        let words = [
            "run",
            "--name",
            &container,
            "--network",
            "none",
            "--volume-driver",
            driver,
            "-v",
            &bind,
            &image,
            "true",
        ];
        let refused = run(&engine, true, &words);
        assert_ne!(refused.code, 0, "{driver}");
        assert!(refused.stderr.contains(expected), "{driver}: {}", refused.stderr);
        run(&engine, true, &["rm", &container]).ok();
        run(&engine, true, &["volume", "rm", &volume]).ok();
    }
}

#[test]
fn what_a_plugin_does_not_remove_stays_known_unless_it_is_forced() {
    let engine = engine();
    let name = engine.name("v");
    let _plugin = plugin(&engine, "stubborn", |call, _| {
        Some(if call == "/VolumeDriver.Remove" { http(&json!({"Err": "it is mine"})) } else { Vec::new() })
    });
    run(&engine, true, &["volume", "create", "-d", "stubborn", &name]).ok();
    let refused = run(&engine, true, &["volume", "rm", &name]);
    assert!(refused.stderr.contains("VolumeDriver.Remove: it is mine"), "{}", refused.stderr);
    assert_eq!(run(&engine, true, &["volume", "ls", "-q"]).ok(), name);
    run(&engine, true, &["volume", "prune", "-af"]).ok();
    assert_eq!(run(&engine, true, &["volume", "ls", "-q"]).ok(), name, "nobody prunes what a plugin keeps");
    run(&engine, true, &["volume", "rm", "-f", &name]).ok();
    assert_eq!(run(&engine, true, &["volume", "ls", "-q"]).ok(), "");
}
