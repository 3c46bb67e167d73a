//! Order, conditions, single commands, output.

use testkit::Engine;

use super::Project;

#[test]
fn services_wait_for_what_they_depend_on() {
    let engine = Engine::isolated();
    let file = "
services:
  job:
    image: IMAGE
    command: sh -c 'echo done > /data/job'
    volumes: [\"data:/data\"]
  db:
    image: IMAGE
    command: sh -c 'cat /data/job > /data/db; sleep 1000'
    init: true
    volumes: [\"data:/data\"]
    depends_on: {job: {condition: service_completed_successfully}}
    healthcheck: {test: \"test -e /data/db\", interval: 100ms, retries: 50}
  web:
    image: IMAGE
    command: sh -c 'cat /data/db > /data/web; sleep 1000'
    init: true
    volumes: [\"data:/data\"]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: \"test -e /data/web\", interval: 100ms, retries: 50}
volumes: {data: {}}
";
    let project = Project::new(&engine, "order", file);
    project.compose(["up", "--detach", "--wait"]).ok();
    assert_eq!(project.sh("web", "cat /data/web"), "done");
}

#[test]
fn a_dependency_that_fails_is_told_with_what_it_said() {
    let engine = Engine::isolated();
    let file = "
services:
  db:
    image: IMAGE
    command: sleep 1000
    init: true
    healthcheck: {test: \"echo no such table; false\", interval: 100ms, retries: 1}
  job: {image: IMAGE, command: sh -c 'exit 3'}
  web:
    image: IMAGE
    command: sleep 1000
    depends_on: {db: {condition: service_healthy}}
  late:
    image: IMAGE
    command: sleep 1000
    depends_on: {job: {condition: service_completed_successfully}}
  lucky:
    image: IMAGE
    command: sleep 1000
    init: true
    depends_on: {job: {condition: service_completed_successfully, required: false}}
";
    let project = Project::new(&engine, "unready", file);
    let failed = project.compose(["up", "-d", "web"]).assert_code(1).stderr;
    assert!(failed.contains("is unhealthy") && failed.contains("no such table"), "{failed}");
    let failed = project.compose(["up", "-d", "late"]).assert_code(1).stderr;
    assert!(failed.contains("didn't complete successfully") && failed.contains("exited (3)"), "{failed}");
    project.compose(["up", "-d", "lucky"]).ok();
    assert_eq!(project.inspect("lucky")["State"]["Running"], true, "it doesn't need the job");
}

// covers: value compose-label containers, networks, volumes, images com.docker.compose.slug
#[test]
fn single_commands_run_in_a_container_of_their_own() {
    let engine = Engine::isolated();
    let file = "
services:
  web:
    image: IMAGE
    command: sleep 1000
    environment: {A: file}
    ports: [\"80\"]
    depends_on: [db]
  db: {image: IMAGE, command: sleep 1000, init: true}
";
    let project = Project::new(&engine, "single", file);
    let arguments = [
        "run",
        "--rm",
        "-T",
        "-e",
        "B=flag",
        "--workdir",
        "/tmp",
        "web",
        "sh",
        "-c",
        "echo $A $B; pwd; exit 7",
    ];
    let ran = project.compose(arguments).assert_code(7);
    assert_eq!(ran.stdout, "file flag\n/tmp\n");
    assert_eq!(
        project.compose(["ps", "--services"]).ok(),
        "db",
        "what it depends on runs, it itself is gone"
    );
    assert_eq!(project.compose(["ps", "--all", "--format", "{{.Service}}"]).ok(), "db");
    let name = project.compose(["run", "-d", "-T", "--name", &engine.name("own"), "web", "sleep", "1000"]);
    name.assert_code(0);
    let own = engine.name("own");
    let container = super::inspect(&engine, &own);
    assert_eq!(container["Config"]["Labels"]["com.docker.compose.oneoff"], "True");
    assert_eq!(container["Config"]["Labels"]["com.docker.compose.slug"].as_str().map(str::len), Some(64));
    assert_eq!(container["HostConfig"]["PortBindings"], serde_json::json!({}), "ports are the service's own");
    engine.docker(["rm", "--force", &own]).ok();
}

#[test]
fn output_has_names_and_the_exit_code_is_the_chosen_services() {
    let engine = Engine::isolated();
    let file = "
services:
  one: {image: IMAGE, command: sh -c 'echo from one; sleep 1000', init: true}
  tests: {image: IMAGE, command: sh -c 'echo from tests; exit 5', depends_on: [one]}
";
    let project = Project::new(&engine, "output", file);
    let up = project.compose(["up", "--exit-code-from", "tests"]).assert_code(5);
    assert!(up.stdout.contains("tests-1  | from tests\n"), "{}", up.stdout);
    assert!(up.stdout.contains("tests-1 exited with code 5"), "{}", up.stdout);
    assert_eq!(project.inspect("one")["State"]["Running"], false, "the others were stopped");
    let logs = project.compose(["logs", "one"]).ok();
    assert_eq!(logs, "one-1  | from one");
    assert_eq!(project.compose(["logs", "--no-log-prefix", "tests"]).ok(), "from tests");
}

#[test]
fn the_simple_verbs_reach_every_container() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true, ports: [\"127.0.0.1::80\"]}}\n";
    let project = Project::new(&engine, "verbs", file);
    project.compose(["create"]).ok();
    assert_eq!(project.inspect("a")["State"]["Status"], "created");
    project.compose(["start"]).ok();
    let state = |wanted: &str| assert_eq!(project.inspect("a")["State"]["Status"], wanted);
    state("running");
    project.compose(["pause"]).ok();
    state("paused");
    project.compose(["unpause"]).ok();
    state("running");
    project.compose(["restart", "--timeout", "0"]).ok();
    state("running");
    assert!(project.compose(["port", "a", "80"]).ok().starts_with("127.0.0.1:"));
    assert!(project.compose(["top", "a"]).ok().contains("sleep 1000"));
    let file = engine.scratch().join("copied");
    std::fs::write(&file, "copied").unwrap();
    project.compose(["cp", file.to_str().unwrap(), "a:/there"]).ok();
    assert_eq!(project.sh("a", "cat /there"), "copied");
    project.compose(["kill"]).ok();
    state("exited");
    project.compose(["rm", "--force"]).ok();
    assert_eq!(project.compose(["ps", "--all", "--quiet"]).ok(), "");
}

// covers: compose key services.*.post_start
// covers: compose key services.*.post_start[]
// covers: compose key services.*.post_start[].command
// covers: compose key services.*.post_start[].command[]
// covers: compose key services.*.post_start[].environment
// covers: compose key services.*.post_start[].environment.*
// covers: compose key services.*.post_start[].user
// covers: compose key services.*.post_start[].working_dir
// covers: compose key services.*.pre_stop
// covers: compose key services.*.pre_stop[]
// covers: compose key services.*.post_start[].environment[]
// covers: compose key services.*.post_start[].privileged
// covers: compose key services.*.pre_stop[].environment
// covers: compose key services.*.pre_stop[].environment.*
// covers: compose key services.*.pre_stop[].environment[]
// covers: compose key services.*.pre_stop[].privileged
// covers: compose key services.*.pre_stop[].user
// covers: compose key services.*.pre_stop[].working_dir
// covers: compose key services.*.pre_stop[].command
// covers: compose key services.*.pre_stop[].command[]
#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    volumes: [\"./out:/out\"]
    post_start:
      - {command: [sh, -c, \"echo $$D $$(grep -c CapEff:.*a80425fb /proc/self/status) > /out/privileged\"], environment: [D=d], privileged: true}
      - {command: [sh, -c, \"echo $$GREETING $$PWD $$(id -u) > /out/started; chmod 777 /out\"], environment: {GREETING: hello}, working_dir: /tmp, user: \"0\"}
    pre_stop:
      - {command: [sh, -c, \"echo bye $$A $$B $$PWD $$(id -u) > /out/stopped\"], environment: {A: a, B: b}, working_dir: /tmp, user: \"0\"}
      - {command: [sh, -c, \"echo $$C $$(grep -c CapEff:.*a80425fb /proc/self/status) >> /out/stopped\"], environment: [C=c], privileged: true}
";
    let project = Project::new(&engine, "hooks", file);
    std::fs::create_dir_all(project.folder.join("out")).unwrap();
    project.compose(["up", "-d"]).ok();
    let said =
        |name: &str| std::fs::read_to_string(project.folder.join("out").join(name)).unwrap_or_default();
    assert_eq!((said("started").as_str(), said("stopped").as_str()), ("hello /tmp 0\n", ""));
    project.compose(["stop", "--timeout", "0"]).ok();
    assert_eq!(said("privileged"), "d 0\n");
    assert_eq!(said("stopped"), "bye a b /tmp 0\nc 0\n");
}

/// What isn't built is said so, before anything is started.
// refuses: compose key models because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.* because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.*.context_size because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.*.model because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.*.name because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.*.runtime_flags because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key models.*.runtime_flags[] because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.models because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.models.* because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.models.*.endpoint_var because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.models.*.model_var because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.models[] because Docker Model Runner is no part of an engine; run the model as a service
// refuses: compose key services.*.credential_spec because it is for Windows containers
// refuses: compose key services.*.credential_spec.config because it is for Windows containers
// refuses: compose key services.*.credential_spec.file because it is for Windows containers
// refuses: compose key services.*.credential_spec.registry because it is for Windows containers
// refuses: compose syntax services.*.credential_spec because it is for Windows containers
// refuses: compose key services.*.cpu_count because it is for Windows containers; use cpus
// refuses: compose key services.*.cpu_percent because it is for Windows containers; use cpus
// refuses: compose key configs.*.template_driver because it is a plugin of a swarm's, and there is none here
// refuses: compose key secrets.*.driver because it is a plugin of a swarm's, and there is none here
// refuses: compose key secrets.*.driver_opts because it is a plugin of a swarm's, and there is none here
// refuses: compose key secrets.*.driver_opts.* because it is a plugin of a swarm's, and there is none here
// refuses: compose key secrets.*.template_driver because it is a plugin of a swarm's, and there is none here
#[test]
fn what_is_not_built_is_refused_by_name() {
    let engine = Engine::isolated();
    for key in ["credential_spec: {file: x}", "cpu_count: 2", "cpu_percent: 5"] {
        let file = format!("services:\n  a:\n    image: IMAGE\n    {key}\n");
        let project = Project::new(&engine, "refused", &file);
        let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
        let name = key.split(':').next().unwrap();
        assert!(refused.contains(&format!("service \"a\": {name}")), "{refused}");
        assert_eq!(project.compose(["ps", "--all", "--quiet"]).ok(), "");
    }
    for (file, words) in [
        (
            "services: {a: {image: IMAGE, models: [m]}}\nmodels: {m: {model: x}}\n",
            "models is refused: Docker Model Runner",
        ),
        (
            "services: {a: {image: IMAGE, secrets: [s]}}\nsecrets: {s: {file: ./compose.yaml, driver: x}}\n",
            "secrets.s: driver is a plugin",
        ),
        (
            "services: {a: {image: IMAGE, configs: [c]}}\nconfigs: {c: {file: ./compose.yaml, template_driver: x}}\n",
            "configs.c: template_driver is a plugin",
        ),
    ] {
        let project = Project::new(&engine, "refused", file);
        let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
        assert!(refused.contains(words), "{refused}");
    }
    let project = Project::new(&engine, "refused", "services: {a: {image: IMAGE}}\n");
    for (arguments, words) in [
        // By either name of the command.
        (&["publish", "--app", "x"][..], "--app: images are not copied here"),
        (&["alpha", "publish", "--app", "x"], "--app: images are not copied here"),
        (&["build", "--memory", "1g"], "--memory: BuildKit, which builds, has no limit of a build's memory"),
    ] {
        let refused = testkit::command::run(project.command().args(arguments)).stderr;
        assert!(refused.contains(words), "{refused}");
    }
    for (arguments, words) in [
        (["bridge", "convert"], "`compose kube` writes the project"),
        (["alpha", "viz"], "it is an experiment"),
        (["alpha", "generate"], "it is an experiment"),
    ] {
        let project = Project::new(&engine, "refused", "services: {a: {image: IMAGE}}\n");
        let refused = project.compose(arguments).assert_code(1).stderr;
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_service_that_restarts_is_followed_again() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE
    command: sh -c 'echo x >> /data/runs; echo run $$(wc -l < /data/runs); test $$(wc -l < /data/runs) -ge 3'
    restart: on-failure
    volumes: [\"data:/data\"]
volumes: {data: {}}
";
    let project = Project::new(&engine, "restarts", file);
    let shown = project.compose(["up"]).ok();
    let mut lines: Vec<_> = shown.lines().filter(|line| line.contains("a-1")).collect();
    lines.retain(|line| !line.starts_with("Attaching"));
    lines.sort_unstable();
    let wanted = [
        "a-1  | run 1",
        "a-1  | run 2",
        "a-1  | run 3",
        "a-1 exited with code 0",
        "a-1 exited with code 1 (restarting)",
        "a-1 exited with code 1 (restarting)",
    ];
    assert_eq!(lines, wanted);
}

// covers: compose key services.*.depends_on.*.restart
#[test]
fn what_restarts_with_a_service_does_so_when_that_is_made_anew() {
    let engine = Engine::isolated();
    let file = "
services:
  db: {image: IMAGE, command: \"sleep ${SPAN:-1000}\", init: true}
  api: {image: IMAGE, command: sleep 1000, init: true, depends_on: {db: {condition: service_started, restart: true}}}
  an-edge: {image: IMAGE, command: sleep 1000, init: true, depends_on: {api: {condition: service_started, restart: true}}}
  other: {image: IMAGE, command: sleep 1000, init: true, depends_on: [db]}
";
    let project = Project::new(&engine, "follows", file);
    project.compose(["up", "-d"]).ok();
    let lives = || {
        ["db", "api", "an-edge", "other"].map(|service| {
            let one = project.inspect(service);
            (one["Id"].clone(), one["State"]["StartedAt"].clone())
        })
    };
    let before = lives();
    project.write(".env", "SPAN=1001\n");
    let plan = project.compose(["plan"]).ok();
    for line in
        ["api-1: restart: db is made anew", "an-edge-1: restart: api is made anew", "other-1: nothing to do"]
    {
        assert!(plan.contains(line), "{plan}");
    }
    project.compose(["up", "-d"]).ok();
    let after = lives();
    let same = |at: usize| (before[at].0 == after[at].0, before[at].1 == after[at].1);
    assert_eq!(
        [same(0), same(1), same(2), same(3)],
        [(false, false), (true, false), (true, false), (true, true)]
    );
    assert!(project.compose(["plan"]).ok().lines().all(|line| line.ends_with("nothing to do")));
    // Restarted by hand, they follow as well, each after what it depends on.
    project.compose(["restart", "--timeout", "0", "db"]).ok();
    let last = lives().map(|(_, started)| started.as_str().expect("a time").to_owned());
    assert!(last[0] < last[1] && last[1] < last[2], "{last:?}");
    assert_eq!(last[3], after[3].1.as_str().unwrap_or_default());
}

#[test]
fn an_image_that_others_use_stays_and_the_rest_goes() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true}, b: {image: IMAGE}}\n";
    let project = Project::new(&engine, "used", file);
    let user = engine.name("user");
    engine.docker(["run", "-d", "--init", "--name", &user, &project.image, "sleep", "1000"]).ok();
    project.compose(["up", "-d", "a"]).ok();
    let told = project.compose(["down", "--rmi", "all", "--timeout", "0"]).assert_code(0).stderr;
    assert_eq!(told.matches("Resource is still in use").count(), 1, "{told}");
    assert!(told.contains("Network") && told.contains("Removed"), "{told}");
    engine.docker(["rm", "-f", &user]).ok();
}

#[test]
fn what_no_log_is_kept_of_is_shown_as_it_comes() {
    let engine = Engine::isolated();
    let file = "
services:
  a: {image: IMAGE, command: sh -c 'echo heard; exit 3', logging: {driver: none}}
  b: {image: IMAGE, command: echo kept}
";
    let project = Project::new(&engine, "unlogged", file);
    for _ in 0..2 {
        let shown = project.compose(["up"]).assert_code(0).stdout;
        for line in ["a-1  | heard", "a-1 exited with code 3", "b-1  | kept"] {
            assert_eq!(shown.matches(line).count(), 1, "{shown}");
        }
    }
    let told = project.compose(["logs"]).assert_code(0);
    assert!(told.stderr.contains("keeps no log: its logging driver is none"), "{told:?}");
    assert_eq!(told.stdout.trim_end(), "b-1  | kept\nb-1  | kept");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let engine = Engine::isolated();
    let file = "
services:
  a: {image: IMAGE, command: sleep 1000, init: true, volumes: [\"data:/data\"]}
  b: {build: {context: ., dockerfile_inline: FROM IMAGE}, command: sleep 1000, init: true, depends_on: [a]}
volumes: {data: {}}
";
    let project = Project::new(&engine, "dry", file);
    let said = project.compose(["--dry-run", "up", "-d"]).assert_code(0).stdout;
    assert!(said.contains(&format!("a: {}: create", project.container("a"))), "{said}");
    assert_eq!(project.compose(["ps", "--all", "--quiet"]).ok(), "");
    project.compose(["up", "-d", "--quiet-build"]).ok();
    let ids = (project.id("a"), project.id("b"));
    let container = project.container("b");
    for (line, words) in [
        (&["stop", "--dry-run"][..], &["Stopping", "Stopped"][..]),
        (&["--dry-run", "kill"], &["Killed"]),
        (&["--dry-run", "restart", "b"], &["Restarting", "Started"]),
        (&["--dry-run", "pause"], &["Paused"]),
        (&["--dry-run", "rm", "--stop", "--force"], &["Removed"]),
        (&["--dry-run", "down", "--volumes"], &["Stopped", "Removed"]),
    ] {
        let mut command = project.command();
        let said = testkit::command::run(command.args(line)).assert_code(0).stderr;
        for word in words {
            let wanted = format!(" DRY-RUN MODE -  Container {container}  {word}");
            assert!(said.contains(&wanted), "{line:?}: {said}");
        }
    }
    let said = project.compose(["--dry-run", "down", "--volumes"]).assert_code(0).stderr;
    assert!(said.contains(&format!("Volume {}_data  Removed", project.name)), "{said}");
    let said = project.compose(["--dry-run", "build"]).assert_code(0).stderr;
    assert!(said.contains(" DRY-RUN MODE -  Image") && said.contains("Built"), "{said}");
    let said = project.compose(["--dry-run", "pull", "a"]).assert_code(0).stderr;
    assert!(said.contains("Pulled"), "{said}");
    for line in [["--dry-run", "exec", "a", "true"], ["--dry-run", "run", "a", "true"]] {
        let refused = project.compose(line).assert_code(1).stderr;
        assert!(refused.contains("has no dry run"), "{refused}");
    }
    assert_eq!((project.id("a"), project.id("b")), ids);
    assert_eq!(project.inspect("b")["State"]["Status"], "running");
}
