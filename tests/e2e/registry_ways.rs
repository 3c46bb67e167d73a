//! The ways to a registry and what happens on them: mirrors, networks without TLS, certificates, proxies; interruptions
//! of the line, of the engine and of the person who waits.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::command;
use testkit::daemon::{Daemon, Plan};
use testkit::http::{self, Request};
use testkit::own_network::ADDRESS;
use testkit::registry::{Door, PASSWORD, USER, Wire};
use testkit::web::{Answer, Asked};
use testkit::{DEADLINE, Engine, Registry, Scratch, Web, eventually, images};

use crate::hostile_images::kept;
use crate::registry_faults::{Parts, call, spoiled};

/// An engine of ours in a mount namespace where `/etc/docker/certs.d` is this folder's content.
struct Apart {
    scratch: Scratch,
    plan: Plan,
    daemon: Daemon,
}

impl Apart {
    fn start(change: impl FnOnce(Plan, &Scratch) -> Plan) -> Self {
        let scratch = Scratch::create();
        let plan = change(Plan::below(&scratch), &scratch);
        let engine = plan.command();
        // The folder itself need not be there: only what mounts over its parent does.
        let script = "mkdir -p \"$FILES\" && mount -t tmpfs none /etc/docker 2>/dev/null || { mkdir -p /etc/docker && mount -t tmpfs none /etc/docker; } && \
                      cp -a \"$FILES\" /etc/docker/certs.d && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(engine.get_program()).args(engine.get_args()).env("FILES", scratch.join("certs.d"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut daemon = Daemon::spawn(&mut command);
        daemon.wait_ready();
        Self { scratch, plan, daemon }
    }

    fn ketch<const N: usize>(&self, arguments: [&str; N]) -> command::Output {
        let mut command = Command::new(command::ketch_binary());
        command.env("DOCKER_HOST", format!("unix://{}", self.plan.socket.display()));
        command.env("HOME", self.scratch.join("home")).args(arguments);
        command::run(&mut command)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.daemon.signal(rustix::process::Signal::TERM);
        self.daemon.wait();
        self.scratch.remove();
    }
}

// covers: registry client-behaviour pull/push mirrors
#[test]
fn mirrors_stand_in_for_any_registry_with_a_path_and_a_login_of_their_own() {
    let mirror = Registry::with(Door::Login, Wire::Plain);
    mirror.receive("project/team/app:1", &images::busybox("x:1").unwrap());
    // What the client knows is for the registry that it names, and for nobody else.
    let named = Web::serve(|_| Answer::new(503, ""));
    let login = json!({"username": USER, "password": PASSWORD}).to_string();
    let engine = Apart::start(|plan, scratch| {
        let path = scratch.write(&format!("certs.d/{}/login.json", mirror.address()), login);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        plan.arg(format!("--registry-mirror={}=http://{}/project", named.address(), mirror.address()))
    });
    let auths = json!({"auths": {named.address(): {"auth": "bWU6aHVudGVyMg=="}}}).to_string();
    engine.scratch.write("home/.docker/config.json", auths);
    let name = format!("{}/team/app:1", named.address());
    let output = engine.ketch(["pull", &name]);
    assert_eq!(output.code, 0, "{}\n{}", output.stderr, engine.daemon.log());
    assert!(engine.ketch(["images"]).ok().contains(&format!("{}/team/app", named.address())));
    assert_eq!(named.asked().len(), 0, "the mirror had it");
    // A mirror that is of no help leads to the registry itself.
    let missing = engine.ketch(["pull", &format!("{}/team/other:1", named.address())]);
    assert_ne!(missing.code, 0);
    assert!(!named.asked().is_empty());
    // Nothing is pushed to a mirror.
    assert_ne!(engine.ketch(["push", &name]).code, 0);
    assert!(!engine.daemon.log().contains(PASSWORD));
    let info = engine.ketch(["info", "--format", "{{json .RegistryConfig.IndexConfigs}}"]).ok();
    assert!(info.contains("/project/"), "{info}");
    engine.ketch(["rmi", &name]).ok();
}

#[test]
fn a_mirrors_login_that_others_can_read_is_not_used() {
    let mirror = Registry::with(Door::Login, Wire::Plain);
    mirror.receive("a:1", &images::busybox("x:1").unwrap());
    let engine = Apart::start(|plan, scratch| {
        let login = json!({"username": USER, "password": PASSWORD}).to_string();
        scratch.write(&format!("certs.d/{}/login.json", mirror.address()), login);
        plan.arg(format!("--registry-mirror=127.0.0.1:1=http://{}", mirror.address()))
    });
    assert_ne!(engine.ketch(["pull", "127.0.0.1:1/a:1"]).code, 0);
    assert!(engine.daemon.log().contains("chmod 600"), "{}", engine.daemon.log());
}

#[test]
fn certificates_of_a_registrys_own_are_believed_and_no_others() {
    testkit::own_network::enter();
    let address = ADDRESS;
    let registry = Registry::at(address, Door::Open, Wire::Tls);
    registry.receive("a:1", &images::busybox("x:1").unwrap());
    let name = registry.name("a:1");
    let suspicious = Engine::ours().ketch(["pull", &name]);
    assert!(suspicious.code != 0 && suspicious.stderr.contains("certificate"), "{}", suspicious.stderr);
    let engine = Apart::start(|plan, scratch| {
        let certificate = std::fs::read(registry.certificate()).unwrap();
        scratch.write(&format!("certs.d/{}/ca.crt", registry.address()), certificate);
        plan
    });
    engine.ketch(["pull", &name]).ok();
    engine.ketch(["rmi", &name]).ok();
}

// covers: registry client-behaviour pull/push insecure registries
#[test]
fn s080_s081_without_tls_goes_only_who_was_declared_so() {
    testkit::own_network::enter();
    let address = ADDRESS;
    // What another than a loopback address gets through TLS or not at all.
    let listener = TcpListener::bind((address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 1];
            let plain = stream.read(&mut first).is_ok() && first[0] == b'G';
            count.fetch_add(usize::from(plain), Ordering::SeqCst);
            let body = "HTTP/1.1 404 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
            let _ = stream.write_all(body.as_bytes());
        }
    });
    let secure = Engine::ours();
    assert_ne!(secure.ketch(["pull", &format!("{at}/a:1")]).code, 0);
    assert_eq!(seen.load(Ordering::SeqCst), 0, "spoke without TLS to who was not declared insecure");
    let network = format!("{}/32", at.ip());
    let insecure = Engine::planned(|plan, _| plan.arg(format!("--insecure-registry={network}")));
    assert_ne!(insecure.ketch(["pull", &format!("{at}/a:1")]).code, 0);
    assert!(seen.load(Ordering::SeqCst) > 0, "a network that was declared insecure may go without TLS");
}

#[test]
fn registries_are_reached_through_the_proxy_that_the_engine_was_told() {
    testkit::own_network::enter();
    let address = ADDRESS;
    // Who asks by way of a proxy names the whole address.
    let registry = spoiled(|asked, parts| {
        let whole = asked.path.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
        let path = whole.map_or(asked.path.clone(), |(_, path)| format!("/{path}"));
        Some(parts.answer(&Asked { path, ..asked.clone() }))
    });
    let behind = registry.address();
    // A proxy is asked for the whole address, or to connect: it leads everybody to the registry.
    let listener = testkit::own_network::listen();
    let proxy = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let behind = TcpStream::connect(&behind).expect("the registry listens");
            std::thread::spawn(move || lead(stream, behind));
        }
    });
    let engine = Engine::planned(|plan, _| {
        plan.arg(format!("--insecure-registry={address}:5000"))
            .env("HTTP_PROXY", format!("http://{proxy}"))
            .env("HTTPS_PROXY", format!("http://{proxy}"))
            .env("NO_PROXY", "127.0.0.1")
    });
    let name = format!("{address}:5000/a:1");
    engine.ketch(["pull", &name]).ok();
    assert!(asked.load(Ordering::SeqCst) > 0);
    engine.ketch(["rmi", &name]).ok();
    // Whom the variable leaves out is asked directly.
    let before = asked.load(Ordering::SeqCst);
    engine.ketch(["pull", &format!("{}/a:1", registry.address())]).ok();
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

/// Copies both ways; a `CONNECT` is for TLS, which the registry has not.
fn lead(mut near: TcpStream, far: TcpStream) {
    let mut head = [0; 7];
    if near.peek(&mut head).is_ok() && head == *b"CONNECT" {
        let _ = near.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let (Ok(mut from), Ok(mut to)) = (near.try_clone(), far.try_clone()) else { return };
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut far = far;
    let _ = std::io::copy(&mut far, &mut near);
    let _ = near.shutdown(std::net::Shutdown::Both);
}

/// A registry that stops in the middle of a layer, unless it is asked for the rest.
fn halting() -> Web {
    spoiled(|asked: &Asked, parts: &Parts| {
        if !parts.is_layer(&asked.path) {
            return None;
        }
        let from = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        Some(match from.and_then(|from| from.parse::<usize>().ok()) {
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", parts.layer.len() - 1, parts.layer.len());
                Answer::new(206, parts.layer[from..].to_vec()).header("Content-Range", &range)
            }
            None => Answer::Begun(700, parts.layer.clone()),
        })
    })
}

/// Waits until the beginning of the layer is on the disk.
fn wait_for_part(engine: &Engine) {
    let partial = engine.data_root().join("blobs/partial");
    eventually(DEADLINE, || {
        let files: Vec<_> = std::fs::read_dir(&partial).into_iter().flatten().flatten().collect();
        let begun = files.iter().any(|file| file.metadata().is_ok_and(|meta| meta.len() == 700));
        if begun { Ok(()) } else { Err(format!("{files:?}")) }
    });
}

fn ranges(web: &Web) -> Vec<String> {
    let asked = web.asked();
    asked.iter().filter_map(|asked| asked.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_download_goes_on_where_a_killed_engine_left_it() {
    let mut engine = Engine::ours();
    let web = halting();
    let name = format!("{}/a:1", web.address());
    let mut pull = engine.ketch_command();
    let pull = pull.args(["pull", &name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut pull = pull.unwrap();
    wait_for_part(&engine);
    engine.crash_and_restart();
    assert!(!pull.wait().unwrap().success());
    engine.ketch(["pull", &name]).ok();
    assert_eq!(ranges(&web), ["bytes=700-"]);
}

#[test]
fn control_c_ends_a_pull_and_leaves_only_what_can_be_gone_on_with() {
    let engine = Engine::ours();
    let before = kept(&engine);
    let web = halting();
    let name = format!("{}/a:1", web.address());
    let mut pull = engine.ketch_command();
    let pull = pull.args(["pull", &name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut pull = pull.unwrap();
    wait_for_part(&engine);
    let pid = rustix::process::Pid::from_child(&pull);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!pull.wait().unwrap().success());
    let parts = eventually(DEADLINE, || {
        let left: Vec<String> = kept(&engine).difference(&before).cloned().collect();
        let parts = left.iter().filter(|path| path.contains("/partial/")).count();
        if parts == left.len() { Ok(parts) } else { Err(left) }
    });
    assert_eq!(parts, 1);
    assert_eq!(call(&engine, "GET", "/images/json?all=1").json(), json!([]));
    engine.ketch(["pull", &name]).ok();
    assert_eq!(ranges(&web), ["bytes=700-"]);
}

#[test]
fn a_layer_that_two_pulls_want_is_fetched_once() {
    let engine = Engine::ours();
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let web = spoiled(move |asked, parts| {
        if parts.is_layer(&asked.path) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        None
    });
    let names: Vec<String> =
        ["a:1", "b:1", "c:1"].iter().map(|name| format!("{}/{name}", web.address())).collect();
    let pulls: Vec<_> = names
        .iter()
        .map(|name| {
            let mut pull = engine.ketch_command();
            pull.args(["pull", name]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for pull in pulls {
        let output = pull.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn a_full_disk_is_told_and_the_store_is_as_before() {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch);
    let engine = plan.command();
    let script = "mkdir -p \"$ROOT\" && mount -t tmpfs -o size=12m none \"$ROOT\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.arg(engine.get_program()).args(engine.get_args()).env("ROOT", &plan.root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut daemon = Daemon::spawn(&mut command);
    daemon.wait_ready();
    let ask = |request: &Request| http::call(&plan.socket, request).unwrap();
    let used = || {
        let path = format!("/proc/{}/root{}", daemon.pid(), plan.root.display());
        let text = command::run(Command::new("du").args(["-sk", "--exclude=ketch.db*"]).arg(path)).ok();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let before = used();
    let large = vec![7; 32 << 20];
    let layer = images::archive_of(&[("large", &large)]);
    let archive = images::archive("large:1", &layer, &json!({})).unwrap();
    let registry = Registry::start();
    registry.receive("large:1", &archive);
    let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(archive);
    let import = Request::new("POST", "/images/create?fromSrc=-&repo=x").body(layer);
    let pull = Request::new("POST", &format!("/images/create?fromImage={}/large&tag=1", registry.address()));
    for (what, request) in [("load", load), ("import", import), ("pull", pull)] {
        let text = ask(&request).text().to_lowercase();
        assert!(text.contains("no space left"), "{what}: {text}");
        assert_eq!(ask(&Request::new("GET", "/images/json?all=1")).json(), json!([]), "{what}");
        eventually(DEADLINE, || match used() {
            // A pull's parts may stay, to be gone on with.
            now if now <= before + 64 || what == "pull" => Ok(()),
            now => Err(format!("{what}: {before} kB before, {now} kB now")),
        });
    }
    // Small ones still find their place.
    let small = images::archive("small:1", &images::archive_of(&[("a", b"b")]), &json!({})).unwrap();
    let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(small);
    let loaded = ask(&load);
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    assert_eq!(loaded.status(), 200, "{}", loaded.text());
    scratch.remove();
}

#[test]
fn skopeo_copies_from_and_to_the_engine() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let name = engine.busybox();
    let skopeo = |from: &str, to: &str| {
        let mut command = command::client("skopeo");
        command.env("HOME", engine.scratch().join("home")).env("TMPDIR", engine.scratch().path());
        command.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            "--src-tls-verify=false",
        ]);
        let host = format!("unix://{}", engine.socket().display());
        let side = |place: &str, flag: &str| {
            place.starts_with("docker-daemon:").then(|| format!("--{flag}-daemon-host={host}"))
        };
        command.args(side(from, "src")).args(side(to, "dest"));
        command::run(command.args([from, to])).ok();
    };
    let other = format!("{}:1", engine.name("copied"));
    skopeo(&format!("docker-daemon:{name}"), &format!("docker://{}", registry.name("a:1")));
    skopeo(&format!("docker://{}", registry.name("a:1")), &format!("docker-daemon:{other}"));
    let id =
        |name: &str| call(&engine, "GET", &format!("/images/{name}/json")).expect(200).json()["Id"].clone();
    assert_eq!(id(&name), id(&other));
    engine.docker(["run", "--rm", "--network", "none", &other, "true"]).ok();
    call(&engine, "DELETE", &format!("/images/{other}")).expect(200);
    call(&engine, "DELETE", &format!("/images/{name}")).expect(200);
}
