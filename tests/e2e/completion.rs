//! What a shell is told of an unfinished command line: as docker tells it, and through the scripts.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::process::Command;

use testkit::command::{self, run};
use testkit::{Engine, Scratch};

/// What may come next, without descriptions, sorted, and the directive.
fn told(mut command: Command, line: &str) -> (Vec<String>, String) {
    // A space at the end begins another word.
    let words = line.split(' ');
    let text = run(command.arg("__complete").args(words)).ok();
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    let directive = lines.pop().unwrap_or_default();
    lines.sort_unstable();
    (lines, directive)
}

fn ours(engine: &Engine, line: &str) -> Vec<String> {
    told(engine.ketch_command(), line).0
}

// covers: cli docker completion
#[test]
fn names_are_offered_as_docker_offers_them() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let [runs, ended] = ["runs", "ended"].map(|name| engine.name(name));
    engine.docker(["run", "-d", "--name", &runs, "--network", "none", &box_, "sleep", "1000"]).ok();
    engine.docker(["run", "--name", &ended, "--network", "none", &box_, "true"]).ok();
    let volume = engine.name("volume");
    engine.docker(["volume", "create", &volume]).ok();
    let begun = runs.trim_end_matches("runs");
    let own = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| name.contains(begun)).collect()
    };
    for verb in [
        "start",
        "stop",
        "exec",
        "attach",
        "kill",
        "logs",
        "top",
        "pause",
        "unpause",
        "rename",
        "port",
        "stats",
        "wait",
        "container stop",
        "container logs",
    ] {
        let line = format!("{verb} ");
        let theirs = own(told(engine.docker_command(), &line).0);
        assert_eq!(own(ours(&engine, &line)), theirs, "{verb}");
    }
    assert_eq!(own(ours(&engine, "exec ")), std::slice::from_ref(&runs));
    assert_eq!(own(ours(&engine, "start ")), std::slice::from_ref(&ended));
    // What was written already isn't offered again.
    assert!(own(ours(&engine, &format!("rm {runs} "))).iter().all(|name| *name != runs));
    assert_eq!(own(ours(&engine, "cp ")), [format!("{ended}:"), format!("{runs}:")]);
    for line in ["rmi ", "history ", "save ", "tag ", "image inspect ", "run --rm ", "push "] {
        assert!(ours(&engine, line).contains(&box_), "{line}");
    }
    for line in ["volume rm ", "volume inspect "] {
        assert!(ours(&engine, line).contains(&volume), "{line}");
    }
    assert!(ours(&engine, "run -v ").contains(&format!("{volume}:")));
    for line in ["run --network ", "network inspect ", "network connect "] {
        assert!(ours(&engine, line).contains(&"bridge".to_owned()), "{line}");
    }
    assert_eq!(ours(&engine, "volume create "), Vec::<String>::new());
    let (files, directive) = told(engine.ketch_command(), &format!("exec {runs} "));
    assert_eq!((files.len(), directive.as_str()), (0, ":0"));
    engine.docker(["rm", "-f", &runs, &ended]).ok();
    engine.docker(["volume", "rm", &volume]).ok();
}

#[test]
fn flags_and_commands_are_offered_as_docker_offers_them() {
    let engine = Engine::ours();
    for line in [
        "vol",
        "volume ",
        "network ",
        "image ",
        "context ",
        "logs --",
        "ps -",
        "exec --e",
        "run --rest",
        "run --rm --na",
        "rmi --",
    ] {
        let (mut mine, directive) = told(engine.ketch_command(), line);
        let (theirs, expected) = told(engine.docker_command(), line);
        mine.retain(|word| word != "--help");
        // Of a swarm's volumes, and refused here.
        mine.extend((line == "volume ").then(|| "update".to_owned()));
        let lacking: Vec<_> =
            theirs.iter().filter(|word| !mine.contains(word) && *word != "--help").collect();
        assert!(lacking.is_empty(), "{line}: {lacking:?}");
        assert_eq!(directive, expected, "{line}");
    }
    for line in [
        "run --restart ",
        "run --restart=",
        "run --pull=n",
        "run --cap-add SYS_A",
        "run --log-driver ",
        "run -d --network ho",
    ] {
        let (mine, directive) = told(engine.ketch_command(), line);
        assert!(!mine.is_empty() && directive == ":4", "{line}: {mine:?} {directive}");
    }
    assert_eq!(ours(&engine, "run --restart=un"), ["--restart=unless-stopped"]);
    assert_eq!(ours(&engine, "nosuch "), Vec::<String>::new());
    assert_eq!(ours(&engine, "run --nosuch=x"), Vec::<String>::new());
    // What belongs to the container's own command line is not ours to complete.
    assert_eq!(told(engine.ketch_command(), "run --rm x --rest").0, Vec::<String>::new());
}

#[test]
fn services_come_from_the_compose_file_and_no_engine_is_started() {
    let scratch = Scratch::create();
    let file = "services: {web: {image: a}, db: {image: b, profiles: [extra]}}";
    let path = scratch.write("compose.yaml", file).display().to_string();
    let ask = |words: &[&str]| {
        let mut command = Command::new(command::ketch_binary());
        command.env_clear().env("HOME", scratch.join("home")).env("KETCH_RUN_DIR", scratch.join("run"));
        command.env("KETCH_DATA_ROOT", scratch.join("data")).arg("__completeNoDesc").args(words);
        run(&mut command).ok().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask(&["compose", "-f", &path, "logs", ""]), ["web", ":4"]);
    assert_eq!(ask(&["compose", "-f", &path, "--profile", ""]), ["extra", ":4"]);
    assert_eq!(ask(&["compose", "-f", &path, "--profile", "extra", "up", "d"]), ["db", ":4"]);
    assert_eq!(ask(&["stop", ""]), [":4"]);
    assert!(!scratch.join("run").exists(), "an engine was started for a key that somebody pressed");
    scratch.remove();
}

#[test]
fn the_scripts_complete_in_their_shells() {
    let engine = Engine::ours();
    let scratch = Scratch::create();
    let bin = command::ketch_binary().parent().unwrap().display().to_string();
    let path = format!("{bin}:/usr/bin:/bin");
    let bash = scratch.write("c.bash", engine.ketch(["completion", "bash"]).ok());
    let script = format!(
        "source {}; COMP_WORDS=(ketch run --restart un); COMP_CWORD=3; __ketch_complete 2>/dev/null; echo \"${{COMPREPLY[@]}}\"; \
         COMP_WORDS=(ketch vol); COMP_CWORD=1; __ketch_complete 2>/dev/null; echo \"${{COMPREPLY[@]}}\"",
        bash.display()
    );
    let told = run(Command::new("bash").env("PATH", &path).args(["-c", &script])).ok();
    assert_eq!(told, "unless-stopped\nvolume");
    let fish = scratch.write("c.fish", engine.ketch(["completion", "fish"]).ok());
    let script =
        format!("source {}; complete -C 'ketch run --restart un'; complete -C 'ketch vol'", fish.display());
    let told = run(Command::new("fish").env("PATH", &path).args(["-c", &script])).ok();
    assert_eq!(told, "unless-stopped\nvolume\tManage volumes");
    // zsh completes for somebody at a terminal only: here it says whether it understands the script.
    let zsh = scratch.write("_ketch", engine.ketch(["completion", "zsh"]).ok());
    run(Command::new("zsh").arg("-n").arg(&zsh)).ok();
    assert!(engine.ketch(["completion", "powershell"]).assert_code(1).stderr.contains("bash, zsh and fish"));
    scratch.remove();
}

// covers: value client-env docker DOCKER_COMPLETION_SHOW_CONTAINER_IDS
// covers: value client-env docker DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION
// refuses: value client-env docker DOCKER_COMPLETION_SHOW_NODE_IDS because there is no swarm whose nodes could be named
// refuses: value client-env docker DOCKER_COMPLETION_SHOW_SERVICE_IDS because there is no swarm whose services could be named
#[test]
fn the_environment_says_what_is_offered() {
    let engine = Engine::isolated();
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let id = engine.docker(["create", "--name", &name, "--network", "none", &tag, "true"]).ok();
    for mut client in [engine.ketch_command(), engine.docker_command()] {
        client.env("DOCKER_COMPLETION_SHOW_CONTAINER_IDS", "yes");
        let (words, _) = told(client, "rm ");
        assert!(words.contains(&id) && words.contains(&name), "{words:?}");
    }
    assert!(!ours(&engine, "rm ").contains(&id));
    let described = run(engine.ketch_command().args(["__complete", "ru"])).ok();
    assert!(described.contains('\t'), "{described}");
    let mut bare = engine.ketch_command();
    let bare =
        run(bare.env("DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION", "true").args(["__complete", "ru"])).ok();
    assert!(bare.starts_with("run\n") && !bare.contains('\t'), "{bare}");
}
