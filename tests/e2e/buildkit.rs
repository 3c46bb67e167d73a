//! Builds over BuildKit's protocol: the real clients, unmodified, and ours, say and make the same.

use std::io::Write as _;
use std::process::{Command, Stdio};

use testkit::command::{Output, run};
use testkit::registry::{Door, PASSWORD, USER, Wire};
use testkit::{DEADLINE, Engine, Registry, eventually};

type Client = fn(&Engine) -> Command;

const CLIENTS: [(&str, Client); 2] = [("ours", Engine::ketch_command), ("evil", Engine::docker_command)];

fn engine() -> Engine {
    Engine::isolated().with_plugins()
}

/// A folder with these files, in which a client builds.
fn context(engine: &Engine, name: &str, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        engine.scratch().write(&format!("{name}/{path}"), text);
    }
    engine.scratch().join(name).display().to_string()
}

#[track_caller]
fn build(engine: &Engine, client: Client, arguments: &[&str]) -> Output {
    run(client(engine).args(["build", "--progress", "plain"]).args(arguments))
}

/// What a command in an image says.
#[track_caller]
fn said(engine: &Engine, image: &str, command: &str) -> String {
    run(engine.ketch_command().args(["run", "--rm", "--network", "none", image, "sh", "-c", command])).ok()
}

/// The lines of progress, with times, sizes and ids taken out, in an order of their own: steps run side by side.
fn steps(output: &Output) -> Vec<String> {
    let step = |line: &str| {
        let rest = line.strip_prefix('#')?.split_once(' ')?.1;
        let is_head = rest.starts_with('[') || rest.starts_with("exporting to");
        is_head.then(|| rest.to_owned())
    };
    let mut steps: Vec<String> = output.stderr.lines().filter_map(step).collect();
    steps.sort();
    steps.dedup();
    steps
}

// covers: buildkit transport connection dial /grpc
// covers: buildkit transport connection dial /session
// covers: buildkit transport connection build id metadata
// covers: buildkit rpc moby.buildkit.v1.Control Solve
// covers: buildkit rpc moby.buildkit.v1.Control Status
// covers: buildkit rpc moby.buildkit.v1.Control ListWorkers
// covers: buildkit rpc moby.filesync.v1.FileSync DiffCopy
// covers: api POST /grpc
// covers: api POST /session
// covers: cli docker build
// covers: cli docker build --build-arg
// covers: cli docker build --file
// covers: cli docker build --label
// covers: cli docker build --progress
// covers: cli docker build --tag
// covers: cli docker build --target
#[test]
fn both_clients_build_a_dockerfile() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base} AS base\nARG WORD=none\nRUN echo $WORD > /word\nFROM base AS more\nCOPY . /w/\nRUN cat /w/sub/file\n\
         FROM more AS unwanted\nRUN exit 1\n"
    );
    let files =
        [("other.df", text.as_str()), ("sub/file", "content\n"), ("big", "x"), (".dockerignore", "big\n")];
    let folder = context(&engine, "c", &files);
    let mut told = Vec::new();
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        let word = format!("WORD={name}");
        let file = format!("{folder}/other.df");
        let arguments =
            ["-t", &tag, "-f", &file, "--build-arg", &word, "--label", "l=1", "--target", "more", &folder];
        let output = build(&engine, client, &arguments);
        let shown = output.stderr.clone();
        told.push(steps(&output).iter().map(|step| step.replace(name, "NAME")).collect::<Vec<_>>());
        output.ok();
        assert!(shown.contains(&format!("naming to docker.io/library/{tag}")), "{shown}");
        assert_eq!(
            said(&engine, &tag, "cat /word /w/sub/file; ls /w"),
            format!("{name}\ncontent\nother.df\nsub")
        );
        let label = run(engine.docker_command().args(["inspect", "-f", "{{.Config.Labels.l}}", &tag])).ok();
        assert_eq!(label, "1");
    }
    assert_eq!(told[0], told[1]);
}

#[test]
fn what_did_not_change_is_not_done_again() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY file /\nRUN cat /proc/sys/kernel/random/uuid > /when\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text), ("file", "one")]);
    let mut ids = Vec::new();
    for (name, client) in [CLIENTS[0], CLIENTS[1], CLIENTS[0]] {
        let tag = format!("{}:1", engine.name(name));
        let output = build(&engine, client, &["-t", &tag, &folder]);
        let shown = output.stderr.clone();
        output.ok();
        assert!(ids.is_empty() || shown.contains(" CACHED"), "{shown}");
        ids.push(said(&engine, &tag, "cat /when"));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // A change is one, and --no-cache asks for another.
    engine.scratch().write("c/file", "two");
    let tag = format!("{}:2", engine.name("changed"));
    build(&engine, CLIENTS[0].1, &["-t", &tag, &folder]).ok();
    let changed = said(&engine, &tag, "cat /when");
    assert_ne!(changed, ids[0]);
    build(&engine, CLIENTS[0].1, &["--no-cache", "-t", &tag, &folder]).ok();
    assert_ne!(said(&engine, &tag, "cat /when"), changed);
}

// covers: buildkit transport connection typed errors
#[test]
fn a_step_that_fails_is_shown_with_its_log_and_its_line() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!("FROM {base}\nRUN echo before; exit 3\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    for (name, client) in CLIENTS {
        let output = build(&engine, client, &[&folder]).assert_code(1);
        let told = output.stderr.replace(&base, "BASE");
        let end = "\
------
Dockerfile:2
--------------------
   1 |     FROM BASE
   2 | >>> RUN echo before; exit 3
   3 |     
--------------------
ERROR: failed to build: failed to solve: process \"/bin/sh -c echo before; exit 3\" did not complete successfully: exit code: 3
";
        assert!(told.ends_with(end), "{name}: {told}");
        assert!(told.contains("------\n > [2/2] RUN echo before; exit 3:\n"), "{name}: {told}");
        let broken = format!("FROM {base}\nRUNX\n");
        engine.scratch().write("c/broken", broken);
        let output = build(&engine, client, &["-f", &format!("{folder}/broken"), &folder]).assert_code(1);
        let end = "ERROR: failed to build: failed to solve: dockerfile parse error on line 2: unknown instruction: RUNX (did you mean RUN?)\n";
        assert!(output.stderr.ends_with(end), "{name}: {}", output.stderr);
    }
}

// covers: cli docker build --quiet
// covers: cli docker build --iidfile
// covers: cli docker build --metadata-file
// covers: value client-env docker buildx BUILDX_METADATA_PROVENANCE
#[test]
fn ids_are_printed_and_written() {
    let engine = engine();
    let base = engine.busybox();
    let folder = context(&engine, "c", &[("Dockerfile", &format!("FROM {base}\nRUN true\n"))]);
    for (_, client) in CLIENTS {
        let (id_file, metadata) = (engine.scratch().join("id"), engine.scratch().join("metadata.json"));
        let output = run(client(&engine)
            .args(["build", "-q", "--iidfile"])
            .arg(&id_file)
            .arg("--metadata-file")
            .arg(&metadata)
            .arg(&folder));
        assert_eq!(output.stderr, "");
        let id = output.ok();
        assert!(id.starts_with("sha256:"), "{id}");
        assert_eq!(std::fs::read_to_string(&id_file).unwrap(), id);
        let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(&metadata).unwrap()).unwrap();
        assert_eq!(metadata["containerimage.config.digest"], id);
        assert!(
            metadata["buildx.build.ref"].as_str().is_some_and(|name| name.starts_with("default/default/"))
        );
        let silent = run(client(&engine).args(["build", "--progress", "quiet"]).arg(&folder));
        assert_eq!(silent.stderr, "");
        assert_eq!(silent.ok(), id);
    }
    // How it was made: in short, in full, or not at all.
    for (asked, keys) in [("", 4), ("min", 4), ("max", 6), ("disabled", 0), ("false", 0)] {
        let path = engine.scratch().join("metadata.json");
        let [ours, theirs] = CLIENTS.map(|(_, client)| {
            let mut client = client(&engine);
            client.env("BUILDX_METADATA_PROVENANCE", asked).args(["build", "--metadata-file"]).arg(&path);
            run(client.arg(&folder)).assert_code(0);
            let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            metadata
        });
        let names = |told: &serde_json::Value| told.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{asked}");
        let said = |told: &serde_json::Value| told["buildx.build.provenance"].as_object().cloned();
        assert_eq!(said(&ours).map_or(0, |said| said.len()), keys, "{asked}: {ours}");
        if keys == 4 {
            assert_eq!(said(&ours), said(&theirs));
        }
    }
}

// covers: buildkit rpc moby.upload.v1.Upload Pull
// covers: buildkit session-metadata upload urlpath
// covers: buildkit session-metadata upload urlhost
#[test]
fn a_dockerfile_and_a_context_come_from_the_input() {
    let engine = engine();
    let base = engine.busybox();
    let fed = |client: Client, arguments: &[&str], input: &[u8]| {
        let mut command = client(&engine);
        command.args(["build", "--progress", "plain"]).args(arguments);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let text = format!("FROM {base}\nCOPY * /w/\n");
    let plain = format!("FROM {base}\nRUN echo yes > /w\n");
    let archive = testkit::images::archive_of(&[("Dockerfile", text.as_bytes()), ("file", b"packed")]);
    let folder = context(&engine, "c", &[("file", "lying")]);
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        fed(client, &["-t", &tag, "-"], plain.as_bytes());
        assert_eq!(said(&engine, &tag, "cat /w"), "yes");
        fed(client, &["-t", &tag, "-"], &archive);
        assert_eq!(said(&engine, &tag, "cat /w/file"), "packed");
        fed(client, &["-t", &tag, "-f", "-", &folder], text.as_bytes());
        assert_eq!(said(&engine, &tag, "cat /w/file"), "lying");
    }
}

// covers: buildkit rpc moby.buildkit.secrets.v1.Secrets GetSecret
// covers: cli docker build --secret
// covers: cli docker build --build-context
#[test]
fn secrets_and_other_directories_are_lent() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base}\nRUN --mount=type=secret,id=file,required=true cat /run/secrets/file | md5sum > /sum\n\
         RUN --mount=type=secret,id=word,env=WORD echo ${{#WORD}} > /length\nCOPY --from=more given /\n"
    );
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    let more = context(&engine, "more", &[("given", "there\n")]);
    let secret = engine.scratch().write("secret", "hunter2");
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        let (file, context) = (format!("id=file,src={}", secret.display()), format!("more={more}"));
        let mut command = client(&engine);
        command.env("KEY", "abcde").args(["build", "--no-cache", "--secret", &file]);
        command.args(["--secret", "id=word,env=KEY", "--build-context", &context, "-t", &tag, &folder]);
        let output = run(&mut command);
        assert!(!output.stderr.contains("hunter2") && !output.stderr.contains("abcde"), "{}", output.stderr);
        output.ok();
        let said =
            said(&engine, &tag, "cat /sum /length /given; find /run/secrets -type f 2>/dev/null; true");
        assert_eq!(said, "2ab96390c7dbe3439de74d0c9b0b1767  -\n5\nthere");
        // Without it the step fails, and says which one is missing.
        let output =
            build(&engine, client, &["--no-cache", "--build-context", &context, &folder]).assert_code(1);
        assert!(output.stderr.contains("file") && output.stderr.contains("not found"), "{}", output.stderr);
    }
}

// covers: buildkit rpc moby.sshforward.v1.SSH ForwardAgent
// covers: cli docker build --ssh
#[test]
fn an_agent_is_lent() {
    let engine = engine();
    let base = engine.busybox();
    // A step that asks the agent: the busybox has no ssh, but it has sockets.
    let text = format!("FROM {base}\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo yes > /had\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    let socket = engine.scratch().join("agent");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        let mut command = client(&engine);
        command.env("SSH_AUTH_SOCK", &socket).args([
            "build",
            "--no-cache",
            "--ssh",
            "default",
            "-t",
            &tag,
            &folder,
        ]);
        run(&mut command).ok();
        assert_eq!(said(&engine, &tag, "cat /had"), "yes");
    }
}

// covers: cli docker build --output
// covers: buildkit rpc moby.filesync.v1.FileSend DiffCopy
// covers: buildkit session-metadata filesync buildkit-attachable-exporter-id
#[test]
fn results_come_to_the_client() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base} AS made\nRUN mkdir /out && cd /out && echo text > a && chmod 640 a && ln a b && ln -s a c\n\
         FROM scratch\nCOPY --from=made /out /\n"
    );
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    for (name, client) in CLIENTS {
        let (out, archive) =
            (engine.scratch().join(&format!("{name}-out")), engine.scratch().join(&format!("{name}.tar")));
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("kept"), "").unwrap();
        build(&engine, client, &["--output", &out.display().to_string(), &folder]).ok();
        let file = std::fs::metadata(out.join("a")).unwrap();
        assert_eq!((file.permissions().mode() & 0o777, file.len()), (0o640, 5));
        // One file stays one.
        assert_eq!(file.ino(), std::fs::metadata(out.join("b")).unwrap().ino());
        assert_eq!(std::fs::read_link(out.join("c")).unwrap(), std::path::Path::new("a"));
        assert!(out.join("kept").exists());
        build(&engine, client, &["--output", &format!("type=tar,dest={}", archive.display()), &folder]).ok();
        let mut tar = tar::Archive::new(std::fs::File::open(&archive).unwrap());
        let mut names: Vec<String> = tar
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
        let printed = client(&engine).args(["build", "-o", "-", &folder]).output().unwrap();
        assert!(printed.status.success());
        assert_eq!(tar::Archive::new(&printed.stdout[..]).entries().unwrap().count(), 3);
    }
}

// covers: buildkit rpc moby.buildkit.v1.Control DiskUsage
// covers: buildkit rpc moby.buildkit.v1.Control Prune
// covers: buildkit rpc moby.buildkit.v1.Control Info
// covers: cli docker buildx du
// covers: cli docker buildx du --format
// covers: cli docker buildx du --verbose
// covers: cli docker buildx inspect
// covers: cli docker buildx ls
// covers: cli docker buildx ls --format
// covers: cli docker buildx prune
// covers: cli docker buildx prune --all
// covers: cli docker buildx prune --filter
// covers: cli docker buildx prune --force
// covers: cli docker builder prune
// covers: cli docker builder prune --all
// covers: cli docker builder prune --force
#[test]
fn the_cache_is_listed_and_emptied_alike() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY file /\nRUN --mount=type=cache,target=/cache echo x > /cache/x\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text), ("file", "content")]);
    let said = |client: Client, arguments: &[&str]| run(client(&engine).args(arguments)).ok();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    build(&engine, CLIENTS[0].1, &[&folder]).ok();
    for arguments in [
        &["buildx", "du", "--format", "{{.ID}} {{.Size}} {{.Type}} {{.Mutable}} {{.Description}}"][..],
        &["buildx", "ls", "--format", "{{.Name}}"],
    ] {
        let [ours, theirs] = CLIENTS.map(|(_, client)| said(client, arguments));
        assert_eq!(sorted(&ours), sorted(&theirs), "{arguments:?}");
        assert!(!ours.is_empty());
    }
    // How long ago something was may change between two questions.
    let ageless = |text: &str| -> Vec<String> {
        let line = |line: &str| match line.strip_suffix(" ago") {
            Some(line) if line.starts_with("Last used:") => String::new(),
            Some(line) => line.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            None => line.trim_end().to_owned(),
        };
        sorted(&text.lines().map(line).collect::<Vec<_>>().join("\n"))
    };
    let [ours, theirs] = CLIENTS.map(|(_, client)| said(client, &["buildx", "inspect"]));
    let nodes = |text: &str| text.split_once("Nodes:").map(|(_, nodes)| nodes.to_owned());
    assert_eq!(nodes(&ours), nodes(&theirs));
    // buildx says when it used a builder itself, ours when anybody did.
    assert!(ours.contains("\nLast Activity: 2"), "{ours}");
    for arguments in [
        &["buildx", "du"][..],
        &["buildx", "du", "--verbose"],
        &["buildx", "du", "--filter", "type=exec.cachemount"],
        &["buildx", "du", "--filter", "id=none"],
        &["buildx", "du", "--format", "table {{.ID}}\t{{.Size}}"],
    ] {
        let [ours, theirs] = CLIENTS.map(|(_, client)| said(client, arguments));
        assert_eq!(ageless(&ours), ageless(&theirs), "{arguments:?}");
    }
    let verbose = said(CLIENTS[0].1, &["buildx", "du", "--verbose"]);
    assert!(verbose.contains("Type:         exec.cachemount"), "{verbose}");
    let total = |text: &str| text.lines().last().map(|line| line.replace('\t', " ")).unwrap_or_default();
    // Only what fits goes.
    let pruned = said(CLIENTS[0].1, &["buildx", "prune", "--force", "--filter", "type=exec.cachemount"]);
    assert_eq!(pruned.lines().count(), 3, "{pruned}");
    assert!(!said(CLIENTS[1].1, &["buildx", "du", "--verbose"]).contains("exec.cachemount"));
    said(CLIENTS[0].1, &["builder", "prune", "--all", "--force"]);
    let left = said(CLIENTS[1].1, &["buildx", "du", "--format", "{{.ID}}"]);
    assert_eq!(left, "");
    build(&engine, CLIENTS[0].1, &[&folder]).ok();
    assert_ne!(total(&said(CLIENTS[1].1, &["builder", "prune", "--all", "--force"])), "Total: 0B");
    assert_eq!(total(&said(CLIENTS[0].1, &["builder", "prune", "--force"])), "Total: 0B");
}

// covers: buildkit rpc moby.filesync.v1.Auth Credentials
// covers: cli docker build --push
// covers: cli docker build --pull
#[test]
fn a_registry_is_told_who_the_clients_user_is() {
    let engine = engine();
    let base = engine.busybox();
    let registry = Registry::with(Door::Login, Wire::Plain);
    let stored = registry.name("team/base:1");
    run(engine.ketch_command().args(["login", registry.address(), "-u", USER, "-p", PASSWORD])).ok();
    run(engine.ketch_command().args(["tag", &base, &stored])).ok();
    run(engine.ketch_command().args(["push", "-q", &stored])).ok();
    run(engine.ketch_command().args(["rmi", &stored])).ok();
    let folder =
        context(&engine, "c", &[("Dockerfile", &format!("FROM {stored}\nRUN echo built > /word\n"))]);
    for (name, client) in CLIENTS {
        let tag = registry.name(&format!("team/{name}:1"));
        build(&engine, client, &["--pull", "--push", "-t", &tag, &folder]).ok();
        assert!(registry.digest(&format!("team/{name}:1")).starts_with("sha256:"));
        run(engine.ketch_command().args(["rmi", &tag])).ok();
        assert_eq!(said(&engine, &tag, "cat /word"), "built");
    }
    // Who isn't logged in gets nothing, whatever others were given before.
    run(engine.ketch_command().args(["logout", registry.address()])).ok();
    for (name, client) in CLIENTS {
        let output = build(&engine, client, &["--pull", "--no-cache", &folder]).assert_code(1);
        let denied = ["denied", "authoriz"].iter().any(|word| output.stderr.contains(word));
        assert!(denied, "{name}: {}", output.stderr);
    }
    run(engine.ketch_command().args(["rmi", &stored]));
}

#[test]
fn thousands_of_small_files_are_sent() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY . /w\nRUN find /w -type f | wc -l > /count; cat /w/5/5 > /one\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    for number in 0..4000 {
        engine.scratch().write(&format!("c/{}/{}", number / 100, number % 100), number.to_string());
    }
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        build(&engine, client, &["-t", &tag, &folder]).ok();
        engine.scratch().write("c/5/5", name);
        build(&engine, client, &["-t", &tag, &folder]).ok();
        assert_eq!(said(&engine, &tag, "cat /count /one"), format!("4001\n{name}"));
    }
}

/// Clients that leave in the middle, of whatever.
#[test]
fn clients_that_vanish_leave_nothing() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY . /w\nRUN sleep 1234567\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    for number in 0..40 {
        engine.scratch().write(&format!("c/large-{number}"), vec![number; 1 << 20]);
    }
    let pid = engine.pid().unwrap();
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let steps = || {
        let list = run(Command::new("ps").args(["-eo", "args"])).ok();
        list.lines().filter(|line| line.trim() == "sleep 1234567").count()
    };
    let vanish = |round: usize| {
        let (_, client) = CLIENTS[round % 2];
        let mut command = client(&engine);
        command.args(["build", "--no-cache", &folder]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        if round.is_multiple_of(5) {
            eventually(DEADLINE, || (steps() > 0).then_some(()).ok_or("no step runs"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        eventually(DEADLINE, || if steps() == 0 { Ok(()) } else { Err("a step runs on") });
    };
    // The first bring what stays: mounts of layers, the database's files.
    (0..2).for_each(vanish);
    let before = descriptors();
    (0..20).for_each(vanish);
    eventually(DEADLINE, || match descriptors() {
        now if now <= before + 4 => Ok(()),
        now => Err(format!("{now} descriptors, {before} before")),
    });
    let small = context(&engine, "small", &[("Dockerfile", &format!("FROM {base}\nRUN true\n"))]);
    build(&engine, CLIENTS[1].1, &[&small]).ok();
}

/// What a step shouts is clipped, not kept: as BuildKit has it, two megabytes of a step.
#[test]
fn a_step_that_logs_without_end_takes_no_memory() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base}\nRUN yes 'a line of a program that says a great deal' | head -n 2000000\nRUN echo after\n"
    );
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    for (_, client) in CLIENTS {
        let output = build(&engine, client, &["--no-cache", &folder]);
        let told = output.stderr.clone();
        output.ok();
        assert!(told.contains("[output clipped, log limit 2MiB reached]"), "{}", &told[told.len() - 2000..]);
        assert!(told.len() < 8 << 20, "{} bytes", told.len());
        assert!(told.contains("after"));
    }
    if let Some(pid) = engine.pid() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        // A hundred megabytes of text went through.
        assert!(peak < 90 << 10, "{peak} kB");
    }
}

// covers: cli docker build --check
// covers: cli docker build --call
#[test]
fn questions_are_answered_alike() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!("FROM {base} AS first\nFROM first as second\nMAINTAINER nobody\n");
    let folder = context(&engine, "c", &[("Dockerfile", &text)]);
    let clean = context(&engine, "clean", &[("Dockerfile", &format!("FROM {base}\nRUN true\n"))]);
    for arguments in [
        &["--check", &clean][..],
        &["--check", &folder],
        &["--call", "targets", &folder],
        &["--call", "outline", &folder],
    ] {
        let [ours, theirs] = CLIENTS.map(|(_, client)| build(&engine, client, arguments));
        assert_eq!((ours.code, ours.stdout), (theirs.code, theirs.stdout), "{arguments:?}");
    }
    // The definition beside them is each session's own.
    let warnings = |client: Client| -> serde_json::Value {
        let output = build(&engine, client, &["--call", "check,format=json", &folder]).assert_code(1);
        serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()["warnings"].clone()
    };
    assert_eq!(warnings(CLIENTS[0].1), warnings(CLIENTS[1].1));
}

// covers: buildkit transport connection compose builds
#[test]
fn compose_builds() {
    let engine = engine();
    let base = engine.busybox();
    let file = format!(
        "services:\n  a:\n    build: ./a\n    image: {0}:1\n  b:\n    build:\n      context: ./b\n      args: {{X: seven}}\n    image: {0}:2\n",
        engine.name("composed")
    );
    let a = format!("FROM {base}\nRUN echo a > /which\n");
    let b = format!("FROM {base}\nARG X\nRUN echo $X > /which\n");
    let folder =
        context(&engine, "c", &[("compose.yaml", &file), ("a/Dockerfile", &a), ("b/Dockerfile", &b)]);
    run(engine.docker_command().current_dir(&folder).args(["compose", "--progress", "plain", "build"])).ok();
    for (tag, expected) in [("1", "a"), ("2", "seven")] {
        let image = format!("{}:{tag}", engine.name("composed"));
        assert_eq!(said(&engine, &image, "cat /which"), expected);
    }
}

#[test]
fn bake_builds_a_matrix() {
    let engine = engine();
    let base = engine.busybox();
    let file = format!(
        "group \"default\" {{ targets = [\"m\"] }}\ntarget \"m\" {{\n  name = \"m-${{v}}\"\n  matrix = {{ v = [\"1\", \"2\"] }}\n  \
         args = {{ X = v }}\n  tags = [\"{}:${{v}}\"]\n}}\n",
        engine.name("baked")
    );
    let text = format!("FROM {base}\nARG X\nRUN echo $X > /which\n");
    let folder = context(&engine, "c", &[("docker-bake.hcl", &file), ("Dockerfile", &text)]);
    run(engine.docker_command().current_dir(&folder).args(["buildx", "bake", "--progress", "plain"])).ok();
    for tag in ["1", "2"] {
        let image = format!("{}:{tag}", engine.name("baked"));
        assert_eq!(said(&engine, &image, "cat /which"), tag);
    }
}
