//! `ketch install` into a folder that stands for a machine, and away from it again.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use testkit::Scratch;
use testkit::command::{self, Output};

fn ketch(arguments: &[&str]) -> Output {
    command::run(Command::new(command::ketch_binary()).args(arguments))
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false => {
                    found.insert(entry.path().strip_prefix(folder).unwrap().display().to_string());
                }
            }
        }
    }
    found
}

#[test]
fn a_machine_has_the_program_its_units_completions_and_man_pages_and_loses_them_again() {
    let scratch = Scratch::create();
    scratch.write("m/etc/group", "root:x:0:\ndocker:x:999:\n");
    let machine = scratch.join("m");
    let root = machine.display().to_string();
    ketch(&["install", "--root", &root, "--docker"]).ok();
    let there = files(&machine);
    for file in [
        "usr/local/bin/ketch",
        "usr/local/bin/docker",
        "usr/local/bin/docker-compose",
        "etc/systemd/system/ketch.socket",
        "etc/systemd/system/ketch.service",
        "usr/local/share/bash-completion/completions/ketch",
        "usr/local/share/bash-completion/completions/docker",
        "usr/local/share/zsh/site-functions/_ketch",
        "usr/local/share/fish/vendor_completions.d/ketch.fish",
        "usr/local/share/man/man1/ketch.1",
        "usr/local/share/man/man1/ketch-container-run.1",
        "usr/local/share/man/man1/ketch-compose-up.1",
    ] {
        assert!(there.contains(file), "{file} is missing: {there:?}");
    }
    let program = machine.join("usr/local/bin/ketch");
    assert_eq!(std::fs::read(&program).unwrap(), std::fs::read(command::ketch_binary()).unwrap());
    assert_eq!(
        std::fs::read_link(machine.join("usr/local/bin/docker")).unwrap(),
        Path::new("/usr/local/bin/ketch")
    );
    let socket = std::fs::read_to_string(machine.join("etc/systemd/system/ketch.socket")).unwrap();
    assert!(
        socket.contains("ListenStream=/run/docker.sock\n") && socket.contains("SocketGroup=docker\n"),
        "{socket}"
    );
    // Over what is there: an upgrade.
    command::run(Command::new(&program).args(["install", "--root", &root, "--docker"])).ok();
    assert_eq!(files(&machine), there);
    let told = command::run(Command::new(&program).args(["uninstall", "--root", &root])).ok();
    assert!(told.contains("files removed"), "{told}");
    assert_eq!(files(&machine), BTreeSet::from(["etc/group".to_owned()]));
    scratch.remove();
}

#[test]
fn somebody_elses_docker_stays() {
    let scratch = Scratch::create();
    scratch.write("m/usr/local/bin/docker", "#!/bin/sh\n");
    let machine = scratch.join("m");
    let root = machine.display().to_string();
    let told = ketch(&["install", "--root", &root, "--docker"]).assert_code(1);
    assert!(told.stderr.contains("usr/local/bin/docker is there and isn't ours"), "{}", told.stderr);
    assert_eq!(files(&machine).len(), 1, "something was installed all the same");
    ketch(&["install", "--root", &root]).ok();
    ketch(&["uninstall", "--root", &root]).ok();
    assert_eq!(files(&machine), BTreeSet::from(["usr/local/bin/docker".to_owned()]));
    assert!(ketch(&["install", "--prefix", "usr"]).assert_code(1).stderr.contains("absolute"));
    scratch.remove();
}

#[test]
fn man_pages_are_of_roff_s_requests_and_units_of_settings() {
    let scratch = Scratch::create();
    let machine = scratch.join("m");
    let root = machine.display().to_string();
    ketch(&["install", "--root", &root, "--prefix", "/usr"]).ok();
    let page = std::fs::read_to_string(machine.join("usr/share/man/man1/ketch-run.1")).unwrap();
    assert!(page.starts_with(".TH \"KETCH\\-RUN\" 1\n.SH NAME\n"), "{page}");
    assert!(page.contains(".B \\-\\-name string\nAssign a name to the container\n"), "{page}");
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        let word = line.split_whitespace().next().unwrap();
        assert!([".TH", ".SH", ".B", ".BR", ".TP", ".br", ".nf", ".fi"].contains(&word), "{line}");
    }
    let units = machine.join("usr/lib/systemd/system");
    let service = std::fs::read_to_string(units.join("ketch.service")).unwrap();
    assert!(service.contains("ExecStart=/usr/bin/ketch daemon -H fd://\n"), "{service}");
    // systemd itself reads and starts them in the virtual machine: tests/vm/install.sh.
    for unit in ["ketch.service", "ketch.socket"] {
        let text = std::fs::read_to_string(units.join(unit)).unwrap();
        let is_known = |line: &str| line.is_empty() || line.starts_with(['#', '[']) || line.contains('=');
        assert!(text.lines().all(is_known), "{text}");
    }
    scratch.remove();
}
