//! Runs `true` in a container a number of times and says how long each part took, and what a waiting shim weighs:
//! `cargo run --release -p shim --example stopwatch -- target/<triple>/release/ketch-shim 50 [SECCOMP.json]`. With an
//! OCI seccomp profile every container gets its filter, compiled once.

#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use shim::protocol::{FromShim, ToShim, receive, send};
use shim::{Launch, Launcher, LogConfig, LogFile, LogFormat, Stdin};

fn main() {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap();
    let rounds: usize = args.next().map_or(50, |n| n.parse().unwrap());
    let seccomp = args.next().map(|path| compile(Path::new(&path)));
    let launcher = Launcher::of(Path::new(&program)).unwrap();
    let mut times: [Vec<f64>; 6] = Default::default();
    for round in 0..rounds {
        for (all, time) in times.iter_mut().zip(run(&launcher, round, seccomp.as_ref())) {
            all.push(time);
        }
    }
    for (name, mut all) in ["root", "launch", "created", "started", "exited", "all"].into_iter().zip(times) {
        all.sort_by(f64::total_cmp);
        println!("{name:8} median {:6.2} ms, fastest {:6.2} ms", all[rounds / 2], all[0]);
    }
    weigh(&launcher);
    pour(&launcher);
}

fn mount(folder: &Path) -> OwnedFd {
    let store =
        layers::LayerStore::open(folder, layers::Choice::default(), layers::Limits::default()).unwrap();
    let layer = store.list().unwrap();
    store.mount_root(&layer, &folder.join("upper"), &folder.join("work")).unwrap()
}

fn prepare(folder: &Path, id: &str, args: &[&str]) -> Launch {
    for name in ["run", "upper", "work"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_file("bin/busybox", &mut File::open("/bin/busybox").unwrap()).unwrap();
    let store =
        layers::LayerStore::open(folder, layers::Choice::default(), layers::Limits::default()).unwrap();
    store.apply(&tar.into_inner().unwrap()[..], None).unwrap();
    let spec = include_str!("stopwatch.json").replace("ARGS", &serde_json::to_string(args).unwrap());
    Launch {
        id: id.to_owned(),
        run_dir: folder.join("run"),
        container_dir: folder.to_owned(),
        spec: serde_json::from_str(&spec).unwrap(),
        seccomp: None,
        stdin: Stdin::Closed,
        log: LogConfig { file: Some(LogFile::bounded(folder.join("log"), LogFormat::Local)), forward: None },
        runtime: None,
        kept: 0,
        relays: Vec::new(),
        closed: false,
        fleeting: false,
    }
}

fn compile(path: &Path) -> runtime::Filter {
    let profile = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let clock = Instant::now();
    let filter = runtime::compile_seccomp(&profile).unwrap();
    println!("compiled in {:.2} ms", clock.elapsed().as_secs_f64() * 1000.0);
    filter
}

fn run(launcher: &Launcher, round: usize, seccomp: Option<&runtime::Filter>) -> [f64; 6] {
    let folder = tempfile::tempdir().unwrap();
    let mut launch = prepare(folder.path(), &format!("ketch-stopwatch-{round}"), &["/bin/busybox", "true"]);
    launch.seccomp = seccomp.cloned();
    let clock = Instant::now();
    let mut marks = vec![0.0];
    let mark = |marks: &mut Vec<f64>| marks.push(clock.elapsed().as_secs_f64() * 1000.0);
    let root = mount(folder.path());
    mark(&mut marks);
    let shim = launcher.launch(&launch, root.as_fd(), &[]).unwrap();
    mark(&mut marks);
    let created = receive(&shim.control).unwrap();
    assert!(matches!(created, FromShim::Created { .. }), "{created:?}");
    mark(&mut marks);
    send(&shim.control, &ToShim::Start).unwrap();
    assert_eq!(receive::<FromShim>(&shim.control).unwrap(), FromShim::Started);
    mark(&mut marks);
    assert!(matches!(receive(&shim.control).unwrap(), FromShim::Exited(_)));
    mark(&mut marks);
    send(&shim.control, &ToShim::Release).unwrap();
    sys::wait_for(&shim.pidfd).unwrap();
    let part = |at: usize| marks[at] - marks[at - 1];
    [part(1), part(2), part(3), part(4), part(5), marks[5]]
}

fn weigh(launcher: &Launcher) {
    let folder = tempfile::tempdir().unwrap();
    let launch = prepare(folder.path(), "ketch-stopwatch-w", &["/bin/busybox", "sleep", "100"]);
    let shim = launcher.launch(&launch, mount(folder.path()).as_fd(), &[]).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    send(&shim.control, &ToShim::Start).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    println!("{}", fs::read_to_string(PathBuf::from(format!("/proc/{}/smaps_rollup", shim.pid))).unwrap());
    send(&shim.control, &ToShim::Signal { signal: 9 }).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    send(&shim.control, &ToShim::Release).unwrap();
    sys::wait_for(&shim.pidfd).unwrap();
}

/// How fast lines get from a container into its log.
fn pour(launcher: &Launcher) {
    let folder = tempfile::tempdir().unwrap();
    let script = "/bin/busybox yes 'a line of an ordinary length, as programs write them all day long' | /bin/busybox head -c 200000000";
    let launch = prepare(folder.path(), "ketch-stopwatch-p", &["/bin/busybox", "sh", "-c", script]);
    let shim = launcher.launch(&launch, mount(folder.path()).as_fd(), &[]).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    let clock = Instant::now();
    send(&shim.control, &ToShim::Start).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    receive::<FromShim>(&shim.control).unwrap();
    println!("200 MB of lines into the log: {:.2} s", clock.elapsed().as_secs_f64());
    send(&shim.control, &ToShim::Release).unwrap();
    sys::wait_for(&shim.pidfd).unwrap();
}
