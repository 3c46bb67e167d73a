//! Commands about images, by both command lines: the same words, the same codes, the same images afterwards.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use testkit::command::{Output, run};
use testkit::registry::{Door, PASSWORD, USER, Wire};
use testkit::{Engine, Registry, Terminal, images};

type Client = fn(&Engine) -> Command;

const CLIENTS: [Client; 2] = [Engine::ketch_command, Engine::docker_command];

/// What both say to the same; it has to be the same, but for the name of the program.
#[track_caller]
fn alike(engine: &Engine, arguments: &[&str]) -> Output {
    let [ours, theirs] = CLIENTS.map(|client| run(client(engine).args(arguments)));
    assert_same(&ours, &theirs);
    ours
}

#[track_caller]
fn assert_same(ours: &Output, theirs: &Output) {
    let told = |output: &Output| {
        (output.code, output.stdout.replace("ketch", "docker"), output.stderr.replace("ketch", "docker"))
    };
    assert_eq!(told(ours), told(theirs), "{}", ours.line);
}

/// A name for each client, so that both can do what can be done but once.
fn names(engine: &Engine) -> [String; 2] {
    ["ours", "evil"].map(|name| format!("{}:1", engine.name(name)))
}

/// Both do what can be done but once, with a name of their own for `NAME`; the words have to be the same.
#[track_caller]
fn each(engine: &Engine, arguments: &[&str]) -> [Output; 2] {
    let [ours, theirs] = names(engine)
        .into_iter()
        .zip(CLIENTS)
        .map(|(name, client)| {
            let arguments = arguments.iter().map(|argument| argument.replace("NAME", &name));
            run(client(engine).args(arguments))
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| unreachable!());
    let renamed = Output {
        stdout: theirs.stdout.replace("-evil:1", "-ours:1"),
        stderr: theirs.stderr.replace("-evil:1", "-ours:1"),
        ..theirs.clone()
    };
    assert_same(&ours, &renamed);
    [ours, theirs]
}

// covers: cli docker image
// covers: cli docker image inspect
// covers: cli docker image inspect --format
// covers: cli docker image inspect --platform
#[test]
fn images_are_inspected_alike() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let text = alike(&engine, &["image", "inspect", &box_]).ok();
    assert!(text.contains("\"RepoTags\""), "{text}");
    for flags in [
        &["--format", "{{.Id}} {{json .Config.Cmd}} {{.Os}}/{{.Architecture}}"][..],
        &["--format", "json"],
        &["--platform", "linux/amd64"],
    ] {
        alike(&engine, &[&["image", "inspect"][..], flags, &[&box_]].concat()).ok();
    }
    for wrong in [
        &["nosuch"][..],
        &[&box_, "nosuch"],
        &["--platform", "linux//", &box_],
        &["--platform", "linux/s390x", &box_],
    ] {
        let told = alike(&engine, &[&["image", "inspect"][..], wrong].concat()).assert_code(1);
        assert!(!told.stderr.is_empty());
    }
    for help in CLIENTS.map(|client| run(client(&engine).args(["image", "--help"])).ok()) {
        assert!(help.contains("Manage images") && help.contains("  prune "), "{help}");
    }
}

// covers: cli docker tag
// covers: cli docker image tag
// covers: cli docker rmi
// covers: cli docker rmi --platform
// covers: cli docker image rm --platform
// covers: cli docker image remove --platform
// covers: cli docker image rmi --platform
// covers: cli docker rmi --force
// covers: cli docker rmi --no-prune
// covers: cli docker image rm
// covers: cli docker image rm --force
// covers: cli docker image rm --no-prune
// covers: cli docker image remove
// covers: cli docker image remove --force
// covers: cli docker image remove --no-prune
// covers: cli docker image rmi
// covers: cli docker image rmi --force
// covers: cli docker image rmi --no-prune
#[test]
fn names_are_given_and_taken_alike() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let id = engine.docker(["inspect", "--format", "{{.Id}}", &box_]).ok();
    let hex = id.trim_start_matches("sha256:");
    for source in [box_.as_str(), &id, hex, &hex[..12]] {
        each(&engine, &["tag", source, "NAME"]);
        let [ours, _] = each(&engine, &["rmi", "NAME"]);
        assert!(ours.ok().starts_with("Untagged: "));
    }
    each(&engine, &["image", "tag", &box_, "NAME"]);
    for verb in ["rm", "remove", "rmi"] {
        each(&engine, &["image", verb, "--no-prune", "NAME"]);
        each(&engine, &["image", verb, "--force", "NAME"]);
        each(&engine, &["tag", &box_, "NAME"]);
    }
    each(&engine, &["rmi", "--force", "--no-prune", "NAME"]);
    for verb in [&["rmi"][..], &["image", "rm"], &["image", "remove"], &["image", "rmi"]] {
        for platform in ["linux/s390x", "linux/amd64"] {
            each(&engine, &["tag", &box_, "NAME"]);
            each(&engine, &[verb, &["--platform", platform, "NAME"]].concat());
        }
    }
    for name in names(&engine) {
        run(engine.docker_command().args(["rmi", "--force", &name])).ok();
    }
    let digest = format!("x@sha256:{}", "a".repeat(64));
    for wrong in [
        &["tag", "nosuch", "x"][..],
        &["tag", &box_, "UPPER"],
        &["tag", "a:::b", "x"],
        &["tag", &box_, &digest],
        &["tag", &box_, "x:-"],
        &["rmi", "nosuch", "neither"],
        &["rmi", "--platform", "linux//", &box_],
    ] {
        assert!(!alike(&engine, wrong).assert_code(1).stderr.is_empty());
    }
    assert_eq!(alike(&engine, &["rmi", "--force", "nosuch"]).code, 0);
}

// covers: cli docker history
// covers: cli docker history --format
// covers: cli docker history --human
// covers: cli docker history --no-trunc
// covers: cli docker history --quiet
// covers: cli docker history --platform
// covers: cli docker image history
// covers: cli docker image history --format
// covers: cli docker image history --human
// covers: cli docker image history --no-trunc
// covers: cli docker image history --quiet
// covers: cli docker image history --platform
#[test]
fn a_history_is_told_alike() {
    let engine = Engine::isolated();
    let name = engine.busybox();
    for flags in [
        &[][..],
        &["--quiet"],
        &["--quiet", "--no-trunc"],
        &["--human=false"],
        &["-H=false", "--quiet"],
        &["--no-trunc", "--human=false", "--format", "table"],
        &["--format", "json"],
        &["--format", "{{.ID}} {{.CreatedBy}} {{.Size}} {{.CreatedAt}}"],
        &["--format", "table {{.CreatedBy}}\t{{.Comment}}"],
        &["--platform", "linux/amd64"],
        &["--platform", "linux"],
    ] {
        for verb in [&["history"][..], &["image", "history"]] {
            let text = alike(&engine, &[verb, flags, &[&name]].concat()).ok();
            assert!(!text.is_empty(), "{flags:?}");
        }
    }
    for wrong in [&["nosuch"][..], &["--platform", "a/b/c/d", &name], &["--platform", "linux/s390x", &name]] {
        alike(&engine, &[&["history"][..], wrong].concat()).assert_code(1);
    }
}

// covers: cli docker images
// covers: cli docker images --all
// covers: cli docker images --digests
// covers: cli docker images --filter
// covers: cli docker images --format
// covers: cli docker images --no-trunc
// covers: cli docker images --quiet
// covers: cli docker image ls
// covers: cli docker image ls --all
// covers: cli docker image ls --digests
// covers: cli docker image ls --filter
// covers: cli docker image ls --format
// covers: cli docker image ls --no-trunc
// covers: cli docker image ls --quiet
// covers: cli docker image list
// covers: cli docker image list --all
// covers: cli docker image list --digests
// covers: cli docker image list --filter
// covers: cli docker image list --format
// covers: cli docker image list --no-trunc
// covers: cli docker image list --quiet
// covers: value client-config config.json imagesFormat
#[test]
fn images_are_listed_alike() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let box_ = engine.busybox();
    let far = registry.name(&box_);
    registry.receive(&box_, &images::busybox(&far).unwrap_or_else(|error| panic!("{error:#}")));
    engine.docker(["pull", "--quiet", &far]).ok();
    let filter = format!("reference={}*", far.trim_end_matches('1'));
    for verb in [&["images"][..], &["image", "ls"], &["image", "list"]] {
        for flags in [
            &[][..],
            &["--all", "--no-trunc"],
            &["--digests"],
            &["--quiet"],
            &["--quiet", "--no-trunc"],
            &["--format", "json"],
            &["--format", "{{.ID}} {{.Repository}} {{.Digest}} {{.CreatedAt}}"],
            &["--format", "table {{.Tag}}\t{{.Size}}"],
        ] {
            let text = alike(&engine, &[verb, &["--filter", &filter], flags].concat()).ok();
            assert!(!text.is_empty(), "{verb:?} {flags:?}");
            alike(&engine, &[verb, flags, &[&box_]].concat());
        }
    }
    // A repository that an image is known in by its digest only has rows of its own.
    let digest = engine.docker(["inspect", "--format", "{{index .RepoDigests 0}}", &far]).ok();
    engine.docker(["rmi", &far]).ok();
    engine.docker(["pull", "--quiet", &digest]).ok();
    let other = format!("{}:1", engine.name("other"));
    engine.docker(["tag", &digest, &other]).ok();
    for flags in
        [&[][..], &["--digests"], &["--format", "json"], &["--format", "{{.Repository}} {{.Digest}}"]]
    {
        let listed = |client: Client| {
            let text = run(client(&engine).arg("images").args(flags)).ok();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let [ours, theirs] = CLIENTS.map(listed);
        assert_eq!(ours, theirs, "{flags:?}");
        let repository = digest.split('@').next().unwrap_or_default();
        assert!(ours.iter().any(|line| line.contains(repository)), "{ours:?}");
    }
    engine.docker(["rmi", &digest, &other]).ok();
    engine.docker(["pull", "--quiet", &far]).ok();
    // Of an image with several names only those are listed that were asked for.
    let second = format!("{}:2", engine.name("second"));
    engine.docker(["tag", &box_, &second]).ok();
    let text = alike(&engine, &["images", "--format", "{{.Repository}}:{{.Tag}}", &second]).ok();
    assert_eq!(text, second);
    engine.docker(["rmi", &second]).ok();
    engine.scratch().write("home/.docker/config.json", r#"{"imagesFormat":"<{{.Repository}}>"}"#);
    let text = alike(&engine, &["images", &far]).ok();
    assert!(text.starts_with('<'), "{text}");
    alike(&engine, &["images", "--quiet", &far]).ok();
    for wrong in [&["--filter", "nosuch=1"][..], &["--filter", "x"], &["--format", "{{.Nope"]] {
        let [ours, theirs] = CLIENTS.map(|client| run(client(&engine).arg("images").args(wrong)));
        assert_eq!(ours.code, theirs.code, "{}\n{}", ours.stderr, theirs.stderr);
    }
    engine.docker(["rmi", &far]).ok();
}

// covers: value client-config config.json auths
// covers: cli docker push
// covers: cli docker push --all-tags
// covers: cli docker push --quiet
// covers: cli docker push --disable-content-trust
// covers: cli docker image push
// covers: cli docker image push --all-tags
// covers: cli docker image push --quiet
// covers: cli docker image push --disable-content-trust
#[test]
fn images_are_pushed_alike() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let registry = Registry::with(Door::Login, Wire::Plain);
    let login = ["login", registry.address(), "-u", USER, "-p", PASSWORD];
    let [ours, theirs] = ["ours", "evil"].map(|name| registry.name(&engine.name(name)));
    let both = |arguments: &[&str]| {
        let [ours, theirs] = [(&ours, CLIENTS[0]), (&theirs, CLIENTS[1])].map(|(name, client)| {
            let arguments = arguments.iter().map(|argument| argument.replace("NAME", name));
            run(client(&engine).args(arguments))
        });
        // Layers go at the same time: whose end comes first is chance, and a state that passed quickly was maybe not seen.
        let steady = |output: &Output| {
            let text = output.stdout.replace(&theirs_name(&engine), &ours_name(&engine));
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.retain(|line| !line.ends_with(": Waiting") && !line.ends_with(": Preparing"));
            // Mounted from the other repository, which docker tells.
            lines.iter_mut().for_each(|line| {
                if line.contains(": Mounted from ") || line.ends_with(": Layer already exists") {
                    *line = line.replace(&line[12..], ": Pushed");
                }
            });
            (output.code, lines, output.stderr.replace(&theirs_name(&engine), &ours_name(&engine)))
        };
        assert_eq!(steady(&ours), steady(&theirs), "{}", ours.line);
        ours
    };
    for name in [&ours, &theirs] {
        engine.docker(["tag", &box_, &format!("{name}:1")]).ok();
        engine.docker(["tag", &box_, &format!("{name}:latest")]).ok();
    }
    assert!(!both(&["push", "NAME:1"]).assert_code(1).stderr.is_empty());
    engine.ketch(login).ok();
    let text = both(&["push", "NAME:1"]).ok();
    assert!(
        text.contains("The push refers to repository [") && text.contains("1: digest: sha256:"),
        "{text}"
    );
    assert_eq!(
        registry.manifest(&format!("{}:1", engine.name("ours"))),
        registry.manifest(&format!("{}:1", engine.name("evil")))
    );
    let text = both(&["image", "push", "NAME"]).ok();
    assert!(text.starts_with("Using default tag: latest\n"), "{text}");
    assert_eq!(both(&["push", "--quiet", "NAME:1"]).ok(), format!("{ours}:1"));
    both(&["image", "push", "--quiet", "--disable-content-trust", "NAME"]).ok();
    let text = both(&["push", "--all-tags", "NAME"]).ok();
    assert!(text.contains("1: digest: ") && text.contains("latest: digest: "), "{text}");
    for wrong in [
        &["push", "--all-tags", "NAME:1"][..],
        &["push", "NAME:nosuch"],
        &["push", "UPPER"],
        &["push", "-a", "NAME-nosuch"],
    ] {
        assert!(!both(wrong).assert_code(1).stderr.is_empty());
    }
    for name in [&ours, &theirs] {
        engine.docker(["rmi", &format!("{name}:1"), &format!("{name}:latest")]).ok();
    }
}

fn ours_name(engine: &Engine) -> String {
    engine.name("ours")
}

fn theirs_name(engine: &Engine) -> String {
    engine.name("evil")
}

/// A client that is given bytes.
fn given(mut command: Command, arguments: &[&str], bytes: &[u8]) -> Output {
    let line = format!("{command:?} {arguments:?}");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    if let Some(mut input) = child.stdin.take() {
        // Who doesn't want all of it says why.
        let _ = input.write_all(bytes);
    }
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{line}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Output { line, stdout: text(&output.stdout), stderr: text(&output.stderr), code }
}

// covers: cli docker save
// covers: cli docker save --output
// covers: cli docker save --platform
// covers: cli docker image save
// covers: cli docker image save --output
// covers: cli docker image save --platform
// covers: cli docker load
// covers: cli docker load --input
// covers: cli docker load --quiet
// covers: cli docker load --platform
// covers: cli docker image load
// covers: cli docker image load --input
// covers: cli docker image load --quiet
// covers: cli docker image load --platform
#[test]
fn images_are_saved_and_loaded_alike() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let path = |name: &str| engine.scratch().join(name).display().to_string();
    let archives = [path("ours.tar"), path("theirs.tar")];
    for (archive, client) in archives.iter().zip(CLIENTS) {
        let output = run(client(&engine).args(["save", "--output", archive, &box_]));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
        run(client(&engine).args(["image", "save", "-o", archive, "--platform", "linux/amd64", &box_])).ok();
    }
    let bytes = archives.each_ref().map(|path| std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}")));
    assert!(bytes[0].len() > 1_000_000 && bytes[0] == bytes[1]);
    let mode =
        std::fs::metadata(&archives[0]).map(|found| found.permissions()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let streamed = run(engine.ketch_command().args(["image", "save", &box_]));
    assert_eq!(streamed.stdout, String::from_utf8_lossy(&bytes[0]));
    let folder = path("");
    let nowhere = path("no/where.tar");
    for wrong in [
        &["save", "nosuch"][..],
        &["save", &box_, "nosuch"],
        &["save", "--output", &folder, &box_],
        &["save", "--output", "/dev/null", &box_],
        &["save", "--output", &nowhere, &box_],
        &["save", "--platform", "linux//", &box_],
        &["load", "--input", &nowhere],
        &["load", "--platform", "linux//", "--input", &archives[0]],
    ] {
        assert!(!alike(&engine, wrong).assert_code(1).stderr.is_empty());
    }
    for arguments in [
        &["load", "--input", &archives[1]][..],
        &["image", "load", "--quiet", "--input", &archives[0]],
        &["load", "--platform", "linux/amd64", "--input", &archives[0]],
    ] {
        let [ours, theirs] = CLIENTS.map(|client| {
            engine.docker(["rmi", "--force", &box_]).ok();
            run(client(&engine).args(arguments))
        });
        assert_same(&ours, &theirs);
        assert_eq!(ours.ok(), format!("Loaded image: {box_}"));
    }
    for arguments in [&["load"][..], &["image", "load", "-q"]] {
        let [ours, theirs] = CLIENTS.map(|client| given(client(&engine), arguments, &bytes[0]));
        assert_same(&ours, &theirs);
        assert_eq!(ours.ok(), format!("Loaded image: {box_}"));
        let [ours, theirs] = CLIENTS.map(|client| given(client(&engine), arguments, b"no archive"));
        assert_eq!((ours.code, theirs.code), (1, 1), "{}\n{}", ours.stderr, theirs.stderr);
    }
}

#[test]
fn an_archive_is_nothing_for_a_terminal() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    for client in CLIENTS {
        let mut command = client(&engine);
        let mut terminal = Terminal::start(command.env("TERM", "xterm").args(["save", &box_]), 24, 80);
        assert_eq!(terminal.wait(), Some(1));
        assert!(
            terminal.shown().contains("cowardly refusing to save to a terminal."),
            "{}",
            terminal.shown()
        );
        let mut command = client(&engine);
        let mut terminal = Terminal::start(command.env("TERM", "xterm").arg("load"), 24, 80);
        assert_eq!(terminal.wait(), Some(1));
        assert!(
            terminal.shown().contains("requested load from stdin, but stdin is empty"),
            "{}",
            terminal.shown()
        );
    }
}

// covers: cli docker import
// covers: cli docker import --change
// covers: cli docker import --message
// covers: cli docker import --platform
// covers: cli docker image import
// covers: cli docker image import --change
// covers: cli docker image import --message
// covers: cli docker image import --platform
#[test]
fn a_file_system_becomes_an_image() {
    let engine = Engine::isolated();
    let mut layer = images::Layer::default();
    let busybox = std::fs::read("/bin/busybox").unwrap_or_else(|error| panic!("{error}"));
    let built =
        layer.file("bin/busybox", &busybox).and_then(|()| layer.file("name", engine.name("").as_bytes()));
    built.unwrap_or_else(|error| panic!("{error}"));
    let bytes = layer.finish().unwrap_or_else(|error| panic!("{error:#}"));
    let file = engine.scratch().write("root.tar", &bytes).display().to_string();
    let changes = [
        "--change",
        "CMD [\"/bin/busybox\", \"echo\", \"imported\"]",
        "-c",
        "ENV A=b",
        "--message",
        "by hand",
    ];
    for verb in [&["import"][..], &["image", "import"]] {
        for (name, client) in names(&engine).iter().zip(CLIENTS) {
            let flags = ["--platform", "linux/amd64"];
            let printed = run(client(&engine).args(verb).args(changes).args(flags).args([&file, name])).ok();
            let output = run(client(&engine).args(["run", "--rm", "--network", "none", name]));
            assert_eq!(output.ok(), "imported");
            let format = "{{.Id}} {{json .Config.Env}} {{.Comment}}";
            let inspected = engine.docker(["inspect", "--format", format, name]).ok();
            assert_eq!(inspected, format!("{printed} [\"A=b\"] by hand"));
            engine.docker(["rmi", name]).ok();
            let printed = given(client(&engine), &[verb, &["-", name]].concat(), &bytes).ok();
            assert_eq!(engine.docker(["inspect", "--format", "{{.Id}}", name]).ok(), printed);
            engine.docker(["rmi", name]).ok();
        }
    }
    let address = serve(bytes);
    for (name, client) in names(&engine).iter().zip(CLIENTS) {
        let output = run(client(&engine).args(["import", &format!("http://{address}/root.tar"), name]));
        assert!(output.clone().ok().contains("sha256:"), "{output:?}");
        engine.docker(["rmi", name]).ok();
    }
    for wrong in [
        &["import", "/nonexistent"][..],
        &["import", &file, "UPPER"],
        &["import", "--platform", "nonsense", &file],
        &["import", "--change", "RUN x", &file],
        &["import", "--change", "NOSUCH x", &file],
    ] {
        assert!(!alike(&engine, wrong).assert_code(1).stderr.is_empty());
    }
}

/// The address of a server that has one file, until the test's process ends.
fn serve(bytes: Vec<u8>) -> String {
    let listener = testkit::own_network::listen();
    let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
            head.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bytes.len());
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
    });
    address.to_string()
}

/// Never on a peer, which is shared: there somebody else's images would go.
#[test]
fn unused_images_go_and_used_ones_stay() {
    let engine = Engine::ours();
    for client in CLIENTS {
        let box_ = engine.busybox();
        engine.docker(["create", "--name", "user", "--network", "none", &box_]).ok();
        engine.docker(["tag", &box_, "other:1"]).ok();
        run(client(&engine).args(["image", "prune", "--force"])).ok();
        assert_eq!(engine.docker(["images", "--quiet", "other"]).ok().lines().count(), 1);
        run(client(&engine).args(["image", "prune", "--all", "--force"])).ok();
        assert_eq!(engine.docker(["images", "--quiet", &box_]).ok().lines().count(), 1);
        engine.docker(["rm", "--force", "user"]).ok();
        let text = run(client(&engine).args(["image", "prune", "--all", "--force"])).ok();
        assert!(
            text.contains(&format!("untagged: {box_}\n")) && text.contains("Total reclaimed space: "),
            "{text}"
        );
        assert_eq!(engine.docker(["images", "--all", "--quiet"]).ok(), "");
        let tree = run(client(&engine).args(["images", "--tree"])).ok();
        assert!(tree.contains("CONTENT SIZE"), "{tree}");
    }
}
