//! Checks and generators. `cargo xtask` lists the verbs; CI calls the same ones.

mod apt;
mod check;
mod clients;
mod corpus;
mod coverage;
mod deb;
mod examples;
mod fields;
mod page;
mod process;
mod record;
mod release;
mod roots;
mod sbom;
mod soak;
mod suite;
mod vm;

use std::process::ExitCode;

const VERBS: &[(&str, &str)] = &[
    ("test", "install what the tests need, build, and run every check and test"),
    ("check", "crate arrows, paths in ARCHITECTURE.md, unsafe, licences, file lengths"),
    (
        "coverage",
        "write docs/compatibility.md from the built binary; --check fails when it is not so; --missing <area>",
    ),
    (
        "clients",
        "fetch the real docker, compose, buildx, skopeo, docker-py, dockerode and testcontainers into the cache",
    ),
    ("record", "ask real dockerds and write tests/recordings: --host unix://… --containerd-host unix://…"),
    ("replies", "ask a real dockerd and the docker CLI and write tests/replayed: --host unix://…"),
    ("soak", "run the fault loops' full numbers and write docs/reliability.md"),
    (
        "vm",
        "the runtime on cgroup v2 under systemd, in a virtual machine (qemu, no acceleration needed); --all: an older kernel, too",
    ),
    ("examples", "use the applications in examples/, with images made of Debian's packages"),
    ("size", "build the release binary: static, at most 25 MB"),
    ("deb", "make a Debian package of the release binary"),
    (
        "release",
        "the binary, its package, a list of what it is made of, and checksums; --twice: the same bytes in another folder",
    ),
    ("roots", "the main job in fresh systems of Debian 11, 12 and 13"),
    ("demo", "run the main job"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = arguments.split_first().map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
    match run(verb, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("cause: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, rest: &[String]) -> anyhow::Result<()> {
    match verb {
        "test" => suite::test(),
        "check" => check::run(),
        "coverage" => coverage::run(rest),
        "clients" => clients::run(),
        "record" => record::run(rest),
        "replies" => record::replies(rest),
        "soak" => soak::run(),
        "vm" => vm::run(rest),
        "examples" => examples::run(rest),
        "size" => suite::size(),
        "deb" => deb::run(),
        "release" => release::run(rest),
        "roots" => roots::run(rest),
        "demo" => suite::demo(),
        _ => {
            for (verb, what) in VERBS {
                println!("{verb:10} {what}");
            }
            anyhow::ensure!(verb.is_empty(), "no such verb: {verb}");
            Ok(())
        }
    }
}
