//! Builds that end before their time.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, Faults, eventually, images};

use super::{Context, classic, run};

/// Whether some process has this word among its arguments.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|arguments| arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

// covers: api POST /build/cancel
// covers: api POST /build/cancel ?id
// covers: api POST /build ?buildid
#[test]
fn a_cancelled_build_ends_its_step_and_leaves_nothing() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    // Nothing else on this machine sleeps for so long.
    let seconds = format!("7{}", std::process::id());
    let text = format!("FROM {base}\nRUN sleep {seconds}\n");
    let tar = images::archive_of(&[("Dockerfile", text.as_bytes())]);
    std::thread::scope(|scope| {
        let request = Request::new("POST", "/build?buildid=mine").header("Content-Type", "application/x-tar");
        let (socket, request) = (engine.socket(), request.body(tar));
        let building = scope.spawn(move || http::call(socket, &request).unwrap().text());
        eventually(DEADLINE, || runs(&seconds).then_some(()).ok_or("the step doesn't run"));
        engine.request_unchecked(&Request::new("POST", "/build/cancel?id=mine")).expect(200);
        assert!(building.join().unwrap().contains("context canceled"));
    });
    eventually(DEADLINE, || (!runs(&seconds)).then_some(()).ok_or("the step goes on"));
    let folders = engine.data_root().join("containers");
    eventually(DEADLINE, || is_empty(&folders).then_some(()).ok_or("its folder stays"));
}

#[test]
fn after_a_killed_engine_the_next_one_ends_the_step_and_builds() {
    let mut engine = Engine::isolated();
    engine.busybox();
    let seconds = format!("8{}", std::process::id());
    let text = |last: &str| format!("FROM BASE\nCOPY a /a\nRUN echo first > /first\nRUN {last}\n");
    let context = Context::new(&engine, "killed", &text(&format!("sleep {seconds}")));
    context.file("a", "a");
    let tag = engine.name("killed");
    let mut command = engine.docker_command();
    command.env("DOCKER_BUILDKIT", "0").args(["build", "-t", &tag]).arg(context.path());
    let mut building =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually(DEADLINE, || runs(&seconds).then_some(()).ok_or("the step doesn't run"));
    engine.crash_and_restart();
    building.wait().unwrap();
    assert!(!runs(&seconds));
    assert!(is_empty(&engine.data_root().join("containers")));
    context.dockerfile(&engine, &text("cat /first /a > /last"));
    let said = classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(said.matches("Using cache").count(), 2, "{said}");
    assert_eq!(run(&engine, &tag, "cat /last"), "first\na");
}

#[test]
fn builds_at_once_share_a_step() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let text = format!("FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /mark\n");
    let tar = images::archive_of(&[("Dockerfile", text.as_bytes())]);
    let names: Vec<String> = (0..6).map(|number| engine.name(&format!("at-once-{number}"))).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let request = Request::new("POST", &format!("/build?t={name}"));
            let request = request.header("Content-Type", "application/x-tar").body(tar.clone());
            let socket = engine.socket();
            scope.spawn(move || http::call(socket, &request).unwrap().expect(200));
        }
    });
    let marks: std::collections::BTreeSet<String> =
        names.iter().map(|name| run(&engine, name, "cat /mark")).collect();
    assert_eq!(marks.len(), 1);
}

/// kill -9 at any moment of a build: the next one works, is right, and nothing is left.
#[test]
fn an_engine_that_is_killed_in_mid_build_again_and_again() {
    let mut engine = Engine::isolated();
    let base = engine.busybox();
    let mut faults = Faults::of(50);
    let text = format!(
        "FROM {base} AS one\nCOPY a /a\nRUN for i in $(seq 200); do echo $i > /f$i; done; cat /a > /one\n\
         FROM {base} AS two\nRUN echo two > /two\nFROM {base}\nCOPY --from=one /one /one\nCOPY --from=two /two /two\nRUN cat /one /two > /all\n"
    );
    for round in 0..faults.count {
        let content = format!("round {round}");
        let tar = images::archive_of(&[("Dockerfile", text.as_bytes()), ("a", content.as_bytes())]);
        let request =
            Request::new("POST", "/build").header("Content-Type", "application/x-tar").body(tar.clone());
        let socket = engine.socket().to_owned();
        let building = std::thread::spawn(move || drop(http::call(&socket, &request)));
        faults.moment(std::time::Duration::from_millis(600));
        engine.crash_and_restart();
        building.join().expect("the client ends");
        assert!(is_empty(&engine.data_root().join("containers")), "round {round}");
        let tag = engine.name("after");
        let request = Request::new("POST", &format!("/build?t={tag}"));
        let said = engine
            .request_unchecked(&request.header("Content-Type", "application/x-tar").body(tar))
            .expect(200);
        assert!(said.text().contains("Successfully tagged"), "round {round}: {}", said.text());
        assert_eq!(run(&engine, &tag, "cat /all"), format!("{content}two"), "round {round}");
    }
    engine.docker(["image", "prune", "-af"]).ok();
    engine.request_unchecked(&Request::new("POST", "/build/prune?all=1")).expect(200);
    let layers = fs::read_dir(engine.data_root().join("layers")).expect("the layers");
    let left = layers.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().len() == 64)).count();
    assert_eq!(left, 0);
}

/// An engine whose disk has 80 MB.
fn small() -> Engine {
    Engine::planned(|plan, _| {
        let root = plan.root.display().to_string();
        let prepare = format!("mkdir -p {root} && mount -t tmpfs -o size=80m none {root} && exec \"$@\"");
        plan.under(&["unshare", "--mount", "--propagation", "private", "sh", "-c", &prepare, "sh"])
    })
}

/// A directory that the disk has no room for takes none when that is known.
#[test]
fn a_context_larger_than_the_disk_leaves_nothing() {
    let engine = small().with_plugins();
    let context = Context::new(&engine, "c", "FROM scratch\nCOPY small /\n");
    context.file("small", "fits");
    for number in 0..4 {
        let part = fs::File::create(context.path().join(format!("part{number}"))).unwrap();
        part.set_len(30 << 20).unwrap();
    }
    // Where the engine has it mounted, nobody else has.
    let disk = Path::new("/proc").join(engine.pid().unwrap().to_string()).join("root");
    let disk = disk.join(engine.data_root().strip_prefix("/").unwrap());
    let used = || {
        let disk = rustix::fs::statvfs(&disk).unwrap();
        (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    };
    let before = used();
    context.dockerfile(&engine, "FROM scratch\nCOPY . /\n");
    for mut command in [engine.docker_command(), engine.ketch_command()] {
        command.args(["buildx", "build", "--progress=plain"]);
        let failed = testkit::command::run(command.arg(context.path())).assert_code(1);
        assert!(failed.stderr.contains("no space left on device"), "{}", failed.stderr);
        let few = || used() < before + (2 << 20);
        eventually(DEADLINE, || few().then_some(()).ok_or("the pieces stay"));
    }
    context.dockerfile(&engine, "FROM scratch\nCOPY small /\n");
    let mut command = engine.ketch_command();
    testkit::command::run(command.args(["build", "--progress=plain"]).arg(context.path())).ok();
}

/// Ends who works beside a test, however that ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody goes on writing in a context: whatever a build makes of that, the next one has what is there.
#[test]
fn files_that_change_while_they_are_read_break_nothing() {
    let engine = Engine::isolated().with_plugins();
    let context = Context::new(&engine, "moving", "FROM scratch\nCOPY files /\n");
    fs::create_dir(context.path().join("files")).unwrap();
    let names: Vec<_> = (0..40).map(|number| format!("files/f{number}")).collect();
    let build = |mut command: std::process::Command, more: &[&str]| {
        command.args(["buildx", "build", "--progress=plain"]).args(more);
        testkit::command::run(command.arg(context.path()))
    };
    let rewrite = |round: usize, name: &str| {
        let path = context.path().join(name);
        // Longer and shorter. What goes, buildx sends as if it were empty; it waits for ever where a folder takes its place.
        let size = if round.is_multiple_of(2) { 300_000 } else { 5 };
        fs::write(path, vec![b'x'; size]).is_ok()
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ending = Ending(&ended);
        scope.spawn(|| {
            let rounds = 0..;
            rounds.take_while(|_| !ended.load(Ordering::Relaxed)).for_each(|round| {
                names.iter().enumerate().for_each(|(at, name)| _ = rewrite(round + at, name));
            });
        });
        for _ in 0..6 {
            for command in [engine.docker_command(), engine.ketch_command()] {
                build(command, &[]).ok();
            }
        }
    });
    for name in &names {
        fs::write(context.path().join(name), format!("last {name}")).unwrap();
    }
    for (number, command) in [engine.docker_command(), engine.ketch_command()].into_iter().enumerate() {
        let result = context.path().with_extension(format!("out{number}"));
        build(command, &[&format!("--output={}", result.display())]).ok();
        for name in &names {
            let file = result.join(name.trim_start_matches("files/"));
            assert_eq!(fs::read_to_string(file).unwrap(), format!("last {name}"));
        }
    }
}

/// A disk that is full fails what fills it, and nothing after it.
#[test]
fn what_fills_the_disk_fails_alone() {
    let engine = small();
    let base = engine.busybox();
    let context =
        Context::new(&engine, "c", &format!("FROM {base}\nRUN head -c 500000000 /dev/zero > /filled\n"));
    let build = || {
        let mut command = engine.ketch_command();
        command.args(["build", "--progress=plain", "-t", "small:1"]);
        testkit::command::run(command.arg(context.path()))
    };
    for _ in 0..3 {
        let failed = build().assert_code(1);
        let told = ["No space left on device", "no space left on device", "I/O error"]
            .iter()
            .any(|why| failed.stderr.contains(why));
        assert!(told, "{}", failed.stderr);
    }
    context.dockerfile(&engine, "FROM BASE\nRUN head -c 20000000 /dev/urandom > /fits; echo done > /done\n");
    build().ok();
    assert_eq!(run(&engine, "small:1", "cat /done"), "done");
}
