//! Builds by people who mean no good: what is tried on other builders, tried here.

use std::fs;

use testkit::command::{self, Output};
use testkit::{Engine, images};

use super::{Context, classic, run};

const CANARY: &str = "the host's own";

fn asking(engine: &Engine, context: &Context, more: &[&str]) -> std::process::Command {
    let mut command = engine.ketch_command();
    command
        .current_dir(engine.scratch().join(""))
        .args(["build", "--progress=plain", "--no-cache"])
        .args(more)
        .arg(context.path());
    command
}

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    command::run(&mut asking(engine, context, more))
}

/// A file and a folder of the host's that no build may see or change.
fn canaries(engine: &Engine) -> (String, String) {
    let folder = engine.scratch().join("canaries");
    fs::create_dir_all(&folder).expect("a folder of the test's");
    fs::write(folder.join("file"), CANARY).expect("a file of the test's");
    fs::write(folder.join("empty"), "").expect("a file of the test's");
    (folder.display().to_string(), folder.join("file").display().to_string())
}

fn untouched(engine: &Engine) {
    let folder = engine.scratch().join("canaries");
    assert_eq!(fs::read_to_string(folder.join("file")).expect("it is still there"), CANARY);
    assert_eq!(fs::read_dir(&folder).expect("it is still there").count(), 2);
}

/// S086, S091: what a step leaves in the place of a mount's parent isn't followed when the mount's stub is removed.
#[test]
fn stubs_of_mounts_are_removed_in_the_image_alone() {
    let engine = Engine::ours();
    engine.busybox();
    let (folder, _) = canaries(&engine);
    let text = format!(
        "FROM BASE\nRUN --mount=type=tmpfs,target=/p/q/empty true; mv /p /was; ln -s {folder} /p || true\n\
         RUN --mount=type=bind,source=Dockerfile,target=/l/empty ls /l; rm -rf /l 2>/dev/null; ln -sfn {folder} /l || true\n\
         RUN --mount=type=secret,id=none,target=/s/empty ln -sfn {folder} /s || true\n"
    );
    let context = Context::new(&engine, "stubs", &text);
    let _ = build(&engine, &context, &[]);
    untouched(&engine);
}

/// S084, S085, S096, S098: a mount's source is within what it is mounted from, whatever lies on the way.
#[test]
fn sources_of_mounts_stay_within_their_trees() {
    let engine = Engine::ours();
    engine.busybox();
    let (folder, file) = canaries(&engine);
    let up = "../".repeat(12);
    for (name, mount) in [
        ("link", "type=bind,from=evil,source=/link,target=/m".to_owned()),
        ("deep", "type=bind,from=evil,source=/a/b/link,target=/m".to_owned()),
        ("below", "type=bind,from=evil,source=/link/file,target=/m".to_owned()),
        ("writable", "type=bind,from=evil,source=/link,target=/m,rw".to_owned()),
        ("up", format!("type=bind,from=evil,source={up}{folder},target=/m")),
        ("context", "type=bind,source=outside,target=/m".to_owned()),
        ("context-up", format!("type=bind,source={up}{folder},target=/m,rw")),
        ("cache", format!("type=cache,id={up}{folder},target=/m")),
        ("cache-source", format!("type=cache,from=evil,source={up}{folder},target=/m")),
        ("cache-link", "type=cache,from=evil,source=/link,target=/m".to_owned()),
    ] {
        let text = format!(
            "FROM BASE AS evil\nRUN ln -s {folder} /link && mkdir -p /a/b && ln -s {folder} /a/b/link\nFROM BASE\n\
             RUN --mount={mount} (cat /m /m/file 2>/dev/null || true) > /seen; echo changed > /m/file || true\n"
        );
        let context = Context::new(&engine, &format!("mount-{name}"), &text);
        context.link("outside", &folder);
        let tag = engine.name(&format!("mount-{name}"));
        if build(&engine, &context, &["-t", &tag]).code == 0 {
            assert!(!run(&engine, &tag, "cat /seen").contains(CANARY), "{name}");
        }
        untouched(&engine);
    }
    let _ = file;
}

/// S085, S099: a part of a cache that another step turns into a link all the time, and back, is never what the link means.
#[test]
fn a_part_that_is_swapped_for_a_link_leads_nowhere() {
    let engine = Engine::ours();
    engine.busybox();
    let (folder, _) = canaries(&engine);
    let swapping = format!(
        "FROM BASE\nRUN --mount=type=cache,id=race,target=/c rm -rf /c/*; while [ ! -e /c/stop ]; do \
         mkdir /c/sub; touch /c/began; rmdir /c/sub; ln -s {folder} /c/sub; rm /c/sub; done 2>/dev/null; true\n"
    );
    let swapping = Context::new(&engine, "swapping", &swapping);
    let mount = "--mount=type=cache,id=race";
    let steps = |name: &str, command: &str| {
        Context::new(&engine, name, &format!("FROM BASE\nRUN {mount},target=/c {command}\n"))
    };
    let looking = format!(
        "FROM BASE\nRUN {mount},source=sub,target=/m (cat /m/file 2>/dev/null || true) > /seen; echo changed > /m/file || true\n"
    );
    let looking = Context::new(&engine, "looking", &looking);
    let (began, stop) = (steps("began", "test -e /c/began"), steps("stop", "touch /c/stop"));
    let mut swapper = asking(&engine, &swapping, &["--quiet"]).spawn().expect("a second build");
    testkit::eventually(testkit::DEADLINE, || match build(&engine, &began, &[]).code {
        0 => Ok(()),
        _ => Err("nothing is swapped yet"),
    });
    let tag = engine.name("looked");
    let mut looked = 0;
    for _ in 0..testkit::Faults::of(500).count {
        if build(&engine, &looking, &["-t", &tag]).code == 0 {
            looked += 1;
            assert!(!run(&engine, &tag, "cat /seen").contains(CANARY));
        }
        untouched(&engine);
    }
    build(&engine, &stop, &[]).ok();
    assert!(swapper.wait().expect("the swapping ends").success());
    println!("{looked} looks found a directory");
}

/// S097: only what is documented is an option of a mount.
#[test]
fn options_of_mounts_are_a_closed_list() {
    let engine = Engine::ours();
    engine.busybox();
    for option in [
        "bind-propagation=shared",
        "relabel=shared",
        "Z",
        "U",
        "volume-opt=x",
        "consistency=x",
        "propagation=rshared",
        "idmap",
    ] {
        let context = Context::new(
            &engine,
            "options",
            &format!("FROM BASE\nRUN --mount=type=bind,target=/m,{option} true\n"),
        );
        let refused = build(&engine, &context, &[]).assert_code(1);
        assert!(refused.stderr.contains(option.split('=').next().unwrap()), "{option}: {}", refused.stderr);
    }
}

/// S087: nobody gets more than was allowed on both sides.
#[test]
fn what_is_not_allowed_is_not_done_by_any_way() {
    let engine = Engine::ours();
    let base = engine.busybox();
    for flag in ["--security=insecure", "--network=host"] {
        let text = format!("FROM BASE\nRUN {flag} true\n");
        let context = Context::new(&engine, "entitled", &text);
        assert!(build(&engine, &context, &[]).assert_code(1).stderr.contains("not allowed"));
        // The classic route has no way to allow what is insecure; whoever may ask there may use the host's network anyway.
        let tar = images::archive_of(&[("Dockerfile", text.replace("BASE", &base).as_bytes())]);
        let request =
            testkit::http::Request::new("POST", "/build").header("Content-Type", "application/x-tar");
        let said = engine.request_unchecked(&request.body(tar)).expect(200).text();
        assert_eq!(said.contains("\"error\""), flag == "--security=insecure", "{said}");
    }
}

/// S095: an image that says it was made by the same steps is not what they make.
#[test]
fn an_image_with_a_prepared_history_poisons_nothing() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let context = Context::new(&engine, "honest", "FROM BASE\nRUN echo honest > /made\nCMD [\"x\"]\n");
    let (honest, evil) = (engine.name("honest"), engine.name("evil"));
    classic(&engine, &context, &honest, &[]).ok();
    let said = super::image(&engine, &honest);
    // The same history on other layers, by an import that says the same.
    let forged = Context::new(&engine, "forged", "FROM BASE\nRUN echo forged > /made\nCMD [\"x\"]\n");
    classic(&engine, &forged, &evil, &[]).ok();
    engine.docker(["rmi", "-f", &honest]).ok();
    engine.docker(["builder", "prune", "-af"]).ok();
    engine.docker(["tag", &evil, &honest]).ok();
    let again = engine.name("again");
    classic(&engine, &context, &again, &["--cache-from", &honest]).ok();
    assert_eq!(run(&engine, &again, "cat /made"), "honest");
    let _ = (said, base);
}

/// S100: what a step writes to a mount of the context is gone with it.
#[test]
fn what_is_written_to_the_context_s_mount_goes_nowhere() {
    let engine = Engine::ours();
    engine.busybox();
    let text = "FROM BASE AS one\nRUN --mount=type=bind,target=/c,rw echo planted > /c/planted && echo changed > /c/f\n\
                FROM BASE\nRUN --mount=type=bind,target=/c ls /c > /seen && cat /c/f >> /seen\nCOPY . /all/\n";
    let context = Context::new(&engine, "planted", text);
    context.file("f", "mine");
    let tag = engine.name("planted");
    build(&engine, &context, &["-t", &tag]).ok();
    assert_eq!(run(&engine, &tag, "cat /seen; ls /all"), "Dockerfile\nf\nmineDockerfile\nf");
    assert_eq!(fs::read_to_string(context.path().join("f")).unwrap(), "mine");
    assert!(!context.path().join("planted").exists());
}

/// S102: a Dockerfile or an ignore file that is a link to the outside is not read, and nobody is told what is in it.
#[test]
fn files_that_lead_outside_are_not_read() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let (folder, file) = canaries(&engine);
    let context = Context::new(&engine, "linked", "FROM BASE\nCOPY . /all/\n");
    fs::remove_file(context.path().join("Dockerfile")).unwrap();
    context.link("Dockerfile", &file);
    let refused = build(&engine, &context, &[]).assert_code(1);
    assert!(!(refused.stdout + &refused.stderr).contains(CANARY));
    fs::remove_file(context.path().join("Dockerfile")).unwrap();
    context
        .file("Dockerfile", &format!("FROM {base}\nCOPY . /all/\n"))
        .link(".dockerignore", &file)
        .link("up", &folder);
    let tag = engine.name("linked");
    let said = build(&engine, &context, &["-t", &tag]);
    assert!(!(said.stdout + &said.stderr).contains(CANARY));
    if said.code == 0 {
        assert_eq!(run(&engine, &tag, "cat /all/up/file /all/.dockerignore 2>/dev/null; true"), "");
    }
    // The same by an archive, which the engine unpacks.
    for (name, to) in [("Dockerfile", file.as_str()), ("d", "/")] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, to).unwrap();
        let text = format!("FROM {base}\nCOPY d/{} /x\n", file.trim_start_matches('/'));
        if name != "Dockerfile" {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "Dockerfile", text.as_bytes()).unwrap();
        }
        let request =
            testkit::http::Request::new("POST", "/build").header("Content-Type", "application/x-tar");
        let said = engine.request_unchecked(&request.body(tar.into_inner().unwrap())).text();
        assert!(said.contains("error") && !said.contains(CANARY), "{said}");
    }
}

/// S103: the engine's own environment is no step's.
#[test]
fn the_engine_s_environment_is_not_the_steps() {
    let engine = Engine::planned(|plan, _| plan.env("CANARY_OF_THE_ENGINE", "1"));
    engine.busybox();
    let context = Context::new(&engine, "environment", "FROM BASE\nRUN env > /env\n");
    let tag = engine.name("environment");
    build(&engine, &context, &["-t", &tag]).ok();
    assert!(!run(&engine, &tag, "cat /env; env").contains("CANARY"));
}

/// S002: a working directory that is a descriptor of somebody's.
#[test]
fn a_working_directory_is_within_the_root() {
    let engine = Engine::ours();
    engine.busybox();
    let (_, file) = canaries(&engine);
    for number in 3..12 {
        let text = format!(
            "FROM BASE\nWORKDIR /proc/self/fd/{number}\nRUN cat ../../../../../../..{file} > /seen || true\n"
        );
        let context = Context::new(&engine, "cwd", &text);
        let tag = engine.name("cwd");
        if build(&engine, &context, &["-t", &tag]).code == 0 {
            assert!(!run(&engine, &tag, "cat /seen").contains(CANARY), "{number}");
        }
    }
}

/// S094: a password in an address, a secret and a token are in nothing that is kept or given to others.
#[test]
fn what_is_secret_is_in_nothing_that_is_kept() {
    let engine = Engine::ours();
    let registry = testkit::Registry::start();
    engine.busybox();
    let secret = format!("canary-{}", std::process::id());
    let web = testkit::Web::serve(|_| testkit::web::Answer::new(200, "content"));
    let text = format!(
        "FROM BASE\nRUN --mount=type=secret,id=s test -s /run/secrets/s\nADD http://user:{secret}@{}/f /f\n",
        web.address()
    );
    let context = Context::new(&engine, "secrets", &text);
    fs::write(engine.scratch().join("s"), &secret).unwrap();
    let path = engine.scratch().join("s").display().to_string();
    let name = registry.name("secrets:1");
    let said = build(
        &engine,
        &context,
        &["-t", &name, "--push", "--provenance=mode=min", "--secret", &format!("id=s,src={path}")],
    );
    assert!(said.code == 0 || !said.stderr.is_empty());
    assert!(!engine.log().contains(&secret));
    if said.code == 0 {
        let index: serde_json::Value = serde_json::from_str(&registry.manifest("secrets:1")).unwrap();
        let digest = index["manifests"][1]["digest"].as_str().unwrap().to_owned();
        for layer in registry.layers(&format!("secrets@{digest}")) {
            assert!(!fs::read_to_string(layer).unwrap().contains(&secret));
        }
    }
}

/// A context of very many files takes memory by their number, and so little of it that a million does no harm.
/// `KETCH_MANY_FILES=1000000` asks for all of them.
#[test]
fn a_context_of_very_many_files() {
    let many: usize = std::env::var("KETCH_MANY_FILES").map_or(20_000, |text| text.parse().unwrap());
    let engine = Engine::ours().with_plugins();
    let context = Context::new(&engine, "many", "FROM scratch\nCOPY d0/f7 /\n");
    for number in 0..many {
        let folder = context.path().join(format!("d{}", number / 1000));
        if number % 1000 == 0 {
            std::fs::create_dir(&folder).unwrap();
        }
        std::fs::write(folder.join(format!("f{number}")), number.to_string()).unwrap();
    }
    context.dockerfile(&engine, "FROM scratch\nCOPY . /\n");
    let peak = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid().unwrap())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    };
    for (mut command, change) in [
        (engine.ketch_command(), None),
        (engine.docker_command(), Some("changed")),
        (engine.ketch_command(), None),
    ] {
        if let Some(content) = change {
            context.file("d0/f7", content);
        }
        command.args(["buildx", "build", "--output=type=cacheonly"]).arg(context.path());
        testkit::command::run(&mut command).ok();
        // Three kilobytes for each, with what comes and what was there, and what any engine has.
        let (peak, bound) = (peak(), (60 << 10) + 3 * many as u64);
        assert!(peak < bound, "{peak} kB of {bound} kB");
    }
}
