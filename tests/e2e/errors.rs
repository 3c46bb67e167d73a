//! Refused requests: dockerd's status, content type and exact words.

use std::collections::{BTreeMap, BTreeSet};

use testkit::Engine;
use testkit::cases::{Case, ERRORS};
use testkit::command::run;
use testkit::recording::{Recordings, versions};

/// Makes all the calls in all the versions and lists every answer that isn't dockerd's, with the first version that
/// shows it.
pub(crate) fn differences(engine: &Engine, cases: &[Case], document: &str) -> Vec<String> {
    let recordings = Recordings::committed();
    let allowed = recordings.allowed().expect("allowed.tsv");
    let mut list = BTreeMap::new();
    let mut needless: BTreeSet<_> = allowed
        .iter()
        .filter(|(row, _)| cases.iter().any(|case| *row == format!("case {}", case.name)))
        .cloned()
        .collect();
    for version in versions() {
        let recorded = recordings.document(&version, document).ok().flatten().expect("recorded");
        for case in cases {
            let found = Case::outcome(&engine.request_unchecked(&case.request(&version)));
            for (part, expected) in recorded[case.name].as_object().expect("recorded") {
                let row = (format!("case {}", case.name), part.clone());
                let excused = allowed.contains(&row);
                if *expected != found[part] {
                    needless.remove(&row);
                }
                if *expected != found[part] && !excused {
                    let line =
                        format!("{}: {part}\n  dockerd: {expected}\n  found:   {}", case.name, found[part]);
                    list.entry(line).or_insert_with(|| version.clone());
                }
            }
        }
    }
    let mut list: Vec<_> = list.into_iter().map(|(line, version)| format!("{version} {line}")).collect();
    if !engine.is_peer() {
        list.extend(
            needless.iter().map(|(row, part)| format!("allowed.tsv excuses what is alike: {row} {part}")),
        );
    }
    list
}

// covers: field ErrorResponse message
#[test]
fn errors_are_dockerds_word_for_word() {
    let engine = Engine::isolated();
    let list = differences(&engine, ERRORS, "errors");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}

/// Commands that the kernel refuses something: a file that isn't there or is no file, a port where nobody listens, a folder that
/// nobody can make.
const REFUSED: &[&str] = &[
    "--host tcp://127.0.0.1:1 ps",
    "--host unix:///nosuch.sock ps",
    "attach nosuch",
    "build --file nosuch FOLDER",
    "build --iidfile FILE/x FOLDER",
    "build --secret id=a,src=nosuch FOLDER",
    "build --ssh default=nosuch FOLDER",
    "build --output type=local,dest=FILE/x FOLDER",
    "buildx bake --file nosuch",
    "compose --env-file nosuch --file FILE up",
    "compose --file FOLDER up",
    "compose --file nosuch up",
    "context export default FILE/x",
    "context import imported nosuch",
    "cp C:/bin FILE/x",
    "cp nosuch C:/",
    "create --cidfile FILE/x IMAGE",
    "daemon --config-file nosuch --validate",
    "daemon --data-root FILE/x --exec-root FILE/y --host unix://FILE/z --pidfile FILE/p",
    "exec --env-file nosuch C true",
    "exec C /tmp",
    "exec C nosuch",
    "export --output FILE/x C",
    "import FOLDER",
    "import nosuch",
    "load --input FOLDER",
    "load --input nosuch",
    "login --username a --password b 127.0.0.1:1",
    "manifest inspect 127.0.0.1:1/nosuch",
    "pull 127.0.0.1:1/nosuch",
    "push 127.0.0.1:1/nosuch",
    "registry serve --addr 1.1.1.1:5000 --root FOLDER/registry",
    "registry serve --addr 127.0.0.1:0 --root FILE/x",
    "run --device /dev/nosuch IMAGE true",
    "run --env-file FOLDER IMAGE true",
    "run --env-file nosuch IMAGE true",
    "run --label-file nosuch IMAGE true",
    "run --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:1 IMAGE true",
    "run --mount type=bind,src=/nosuch,dst=/x IMAGE true",
    "run --network none --entrypoint /tmp IMAGE",
    "run --network none --entrypoint nosuch IMAGE",
    "run --network none --volume FILE/x:/x IMAGE true",
    "run --network none --volume FILE:/tmp IMAGE true",
    "run --network none --volume FOLDER:/bin/busybox IMAGE true",
    "run --publish 1.1.1.1:80:80 IMAGE true",
    "run --security-opt seccomp=nosuch IMAGE true",
    "run --sysctl net.nosuch=1 IMAGE true",
    "runtime run --bundle nosuch x",
    "save --output FILE/x IMAGE",
    "save --output nosuch/x IMAGE",
    "volume create --opt type=ext4 --opt device=/nosuch kept-mount",
    "run --network none --volume kept-mount:/x IMAGE true",
    "volume import kept FOLDER",
    "volume import kept nosuch",
];

/// The kernel's sentences are told as other programs tell them: small, and without the number that the standard library appends.
#[test]
fn what_the_kernel_refuses_is_told_without_numbers() {
    let engine = Engine::isolated();
    let (image, container) = (engine.busybox(), engine.name("c"));
    engine
        .ketch(["run", "--detach", "--network", "none", "--name", &container, &image, "sleep", "1000"])
        .ok();
    engine.ketch(["tag", &image, "127.0.0.1:1/nosuch"]).ok();
    let file = engine.scratch().write("folder/Dockerfile", format!("FROM {image}\n")).display().to_string();
    let folder = engine.scratch().join("folder").display().to_string();
    let mut wrong = Vec::new();
    for line in REFUSED {
        let word = |word: &str| {
            let word = word.replace("FOLDER", &folder).replace("FILE", &file).replace("IMAGE", &image);
            if word == "C" || word.starts_with("C:") { word.replacen('C', &container, 1) } else { word }
        };
        let mut command = engine.ketch_command();
        let told = run(command.current_dir(engine.scratch().path()).args(line.split(' ').map(word)));
        let both = format!("{}{}", told.stdout, told.stderr);
        let is_given = line.starts_with("volume create") || line.starts_with("create") && told.code == 0;
        if told.code == 0 && !is_given || both.contains("os error") || both.trim().is_empty() && !is_given {
            wrong.push(format!("{line}: {}: {both}", told.code));
        }
    }
    engine.ketch(["rmi", "127.0.0.1:1/nosuch"]).ok();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_bound_on_a_folder_and_a_folder_on_a_file_are_said_to_be_that() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    let file = engine.scratch().write("folder/file", "a").display().to_string();
    let folder = engine.scratch().join("folder").display().to_string();
    for (bind, step, why) in [
        (
            format!("{file}:/tmp"),
            "cannot mount /tmp in container ",
            "a file is to be mounted where a folder is",
        ),
        (
            format!("{folder}:/bin/busybox"),
            "cannot open /bin/busybox in container ",
            "a folder is to be mounted where a file is",
        ),
    ] {
        let told = engine
            .ketch(["run", "--rm", "--network", "none", "--volume", &bind, &image, "true"])
            .assert_code(125);
        assert!(told.stderr.contains(step) && told.stderr.contains(why), "{}", told.stderr);
    }
}
