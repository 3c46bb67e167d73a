//! Ways of saying it that are rarer: inline Dockerfiles, images by age, names of the first docker-compose, resources that nobody uses.

use testkit::{Engine, command};

use super::Project;

// covers: compose key services.*.build.dockerfile_inline
#[test]
fn a_dockerfile_can_stand_in_the_file() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    build:
      context: .
      dockerfile_inline: |
        FROM IMAGE
        COPY compose.yaml /here
        RUN echo \"$${A:-b}\" > /said
    command: sleep 1000
    init: true
";
    let project = Project::new(&engine, "inline", file);
    project.compose(["up", "-d", "--build", "--quiet-build"]).ok();
    assert_eq!(project.sh("a", "cat /said; head -n 2 /here | tail -n 1"), "b\nservices:");
}

// covers: compose key services.*.pull_policy
// covers: compose key services.*.pull_refresh_after
// covers: compose syntax services.*.pull_policy
#[test]
fn an_image_that_is_too_old_is_fetched_again() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, pull_policy: every_1h, command: sleep 1000, init: true}}\n";
    let project = Project::new(&engine, "age", file);
    project.compose(["up", "-d"]).ok();
    // It has just been named: that is new enough, and there is no registry to ask.
    for (policy, code) in [("daily", 0), ("weekly", 0), ("every_1w2d", 0), ("never", 0), ("every_0s", 1)] {
        project.write("compose.yaml", &file.replace("every_1h", policy));
        let updated = project.compose(["up", "-d"]);
        let updated = if policy == "every_0s" && updated.code == 0 {
            // Not a second old yet.
            std::iter::repeat_with(|| project.compose(["up", "-d"])).find(|up| up.code == 1).unwrap()
        } else {
            updated
        };
        updated.assert_code(code);
    }
    project.write("compose.yaml", &file.replace("every_1h", "refresh, pull_refresh_after: 1h"));
    project.compose(["up", "-d"]).ok();
    project.write("compose.yaml", &file.replace("every_1h", "refresh"));
    let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("needs pull_refresh_after"), "{refused}");
    project.write("compose.yaml", &file.replace("every_1h", "hourly"));
    let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("pull_policy"), "{refused}");
}

// covers: value compose-label containers, networks, volumes, images com.docker.compose.project.environment_file
#[test]
fn names_and_labels_are_docker_compose_s() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n";
    let project = Project::new(&engine, "named", file);
    project.write("x.env", "A=b\n");
    for client in ["ours", "docker's"] {
        let up = ["--compatibility", "--env-file", "x.env", "up", "-d"];
        match client {
            "ours" => project.compose(up).ok(),
            _ => project.real(up).ok(),
        };
        let name = format!("{}_a_1", project.name);
        let found = super::inspect(&engine, &name);
        let file = project.folder.join("x.env").display().to_string();
        assert_eq!(
            found["Config"]["Labels"]["com.docker.compose.project.environment_file"], file,
            "{client}"
        );
        project.compose(["down", "--timeout", "0"]).ok();
    }
}

#[test]
fn resources_that_nobody_uses_are_made_when_that_is_asked_for() {
    let engine = Engine::isolated();
    let file = "
services: {a: {image: IMAGE, command: sleep 1000, init: true}}
networks: {spare: {}}
volumes: {spare: {}}
";
    let project = Project::new(&engine, "spare", file);
    let volume = format!("{}_spare", project.name);
    project.compose(["up", "-d"]).ok();
    assert_eq!(engine.ketch(["volume", "inspect", &volume]).code, 1);
    assert_eq!(project.compose(["config", "--volumes"]).ok(), "");
    let all = ["--all-resources", "config", "--volumes"];
    assert_eq!(project.compose(all).ok(), project.real(all).ok());
    project.compose(["--all-resources", "up", "-d"]).ok();
    engine.ketch(["volume", "inspect", &volume]).ok();
    engine.ketch(["network", "inspect", &volume]).ok();
}

#[test]
fn what_is_refused_is_refused_before_anything_is_fetched() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: no.such.registry.invalid/x, cpu_count: 2}}\n";
    let project = Project::new(&engine, "early", file);
    let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("cpu_count") && !refused.contains("Pulling"), "{refused}");
}

/// Neither the shell nor the file wins unnoticed, and what scripts read stays as it is.
#[test]
fn a_variable_that_two_places_set_is_told_once_and_explained() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: \"x:${TAG}\", environment: [\"A=${TAG}\", OTHER]}}\n";
    let project = Project::new(&engine, "twice", file);
    project.write(".env", "TAG=file\nOTHER=file\nUNUSED=file\nSAME=shell\n");
    let run = |words: &[&str]| {
        let variables = [("TAG", "shell"), ("UNUSED", "shell"), ("SAME", "shell")];
        command::run(project.command().envs(variables).args(words)).assert_code(0)
    };
    let said = run(&["config", "--images"]);
    assert_eq!(said.stdout, "x:shell\n");
    let env = project.folder.join(".env");
    let warning = format!(
        "WARN[0000] The \"TAG\" variable is set in the environment and to another value in {}: the environment counts. \"config --explain services.a.image\" shows where it comes from.\n",
        env.display()
    );
    assert_eq!(said.stderr, warning);
    let explained = run(&["config", "--explain", "services.a.image"]).stdout;
    let who = format!("TAG is \"shell\": the environment; {} says otherwise", env.display());
    assert!(explained.contains(&who), "{explained}");
}

#[test]
fn a_value_is_explained_with_its_line_and_its_variables() {
    let engine = Engine::isolated();
    let file = "
services:
  a.b:
    image: ${NAME:-IMAGE}
    environment: {HOST: \"${HOST}\", PORT: 80}
    ports: [\"80\"]
";
    let project = Project::new(&engine, "explained", file);
    project.write("compose.override.yaml", "services:\n  a.b:\n    environment: {PORT: 81}\n");
    project.write(".env", "HOST=db\n");
    let said = project.compose(["config", "--explain", "services.a.b.environment"]).ok();
    let folder = project.folder.display();
    let wanted = format!(
        "services.a.b.environment.HOST = db\n  from {folder}/compose.yaml:5:25\n       environment: {{HOST: \"${{HOST}}\", PORT: 80}}\n       HOST is \"db\": {folder}/.env\n\
         services.a.b.environment.PORT = 81\n  from {folder}/compose.override.yaml:3:25\n       environment: {{PORT: 81}}"
    );
    assert_eq!(said, wanted);
    let said = project.compose(["config", "--explain", "services.a.b.image"]).ok();
    assert!(said.contains("NAME is") && said.contains("its default in that line"), "{said}");
    let said = project.compose(["config", "--explain", "services.a.b.ports.0.protocol"]).ok();
    assert!(said.contains("services.a.b.ports.0.protocol = tcp"), "{said}");
    let refused = project.compose(["config", "--explain", "services.c"]).assert_code(1).stderr;
    assert!(refused.contains("the project has no services.c"), "{refused}");
}

#[test]
fn devices_come_by_name_and_by_capability() {
    let spec = serde_json::json!({
        "cdiVersion": "0.6.0", "kind": "ketch.test/gpu",
        "devices": [
            {"name": "0", "containerEdits": {"env": ["GPU=zero"]}},
            {"name": "all", "containerEdits": {"env": ["GPU=zero"]}},
        ],
    });
    let engine = crate::device_requests::engine(&spec);
    let file = "services:\n  named: {image: IMAGE, command: [sh, -c, 'echo got $$GPU; sleep 1000'], devices: ['ketch.test/gpu=0'], network_mode: none}\n  \
                asked: {image: IMAGE, command: [sh, -c, 'echo got $$GPU; sleep 1000'], gpus: all, network_mode: none}\n";
    let project = Project::new(&engine, "devices", file);
    // Made alike by both clients.
    for up in [Project::compose::<2>, Project::real::<2>] {
        up(&project, ["up", "--detach"]).ok();
        for service in ["named", "asked"] {
            testkit::eventually(testkit::DEADLINE, || {
                let told = project.compose(["logs", "--no-log-prefix", service]).ok();
                told.contains("got zero").then_some(()).ok_or(told)
            });
        }
    }
    let again = project.compose(["up", "--detach"]);
    assert!(!again.stderr.contains("Recreate"), "{}", again.stderr);
    project.compose(["down", "--timeout", "0"]).ok();
}

/// What a service's user writes belongs to the folder's owner, in the long form and in the short one.
#[test]
fn with_idmap_a_services_user_and_the_owner_of_its_folder_are_one() {
    use std::os::unix::fs::MetadataExt as _;

    let engine = Engine::ours();
    let file = "
services:
  long:
    image: IMAGE
    user: \"1000:1001\"
    network_mode: none
    command: sh -c 'touch /x/by-long && stat -c %u:%g /x /x/by-long'
    volumes:
      - {type: bind, source: ./owned, target: /x, x-idmap: true}
  short:
    image: IMAGE
    user: \"1000:1001\"
    network_mode: none
    command: sh -c 'touch /x/by-short /v/f && stat -c %u:%g /x /x/by-short /v/f'
    volumes:
      - ./owned:/x:idmap
      - {type: volume, source: data, target: /v, x-idmap: true}
volumes: {data: {}}
";
    let project = Project::new(&engine, "idmap", file);
    let owned = project.folder.join("owned");
    std::fs::create_dir_all(&owned).unwrap();
    std::os::unix::fs::chown(&owned, Some(1234), Some(1235)).unwrap();
    for (service, lines) in [("long", 2), ("short", 3)] {
        let said = project.compose(["run", "--rm", service]).ok();
        assert_eq!(said.lines().collect::<Vec<_>>(), vec!["1000:1001"; lines], "{service}");
        let made = std::fs::metadata(owned.join(format!("by-{service}"))).unwrap();
        assert_eq!((made.uid(), made.gid()), (1234, 1235), "{service}");
    }
    // docker's own client takes the file as well.
    project.real(["config", "--quiet"]).ok();
    project.write("compose.yaml", &file.replace("x-idmap: true", "x-idmap: maybe"));
    let refused = project.compose(["run", "--rm", "long"]);
    assert!(refused.code != 0 && refused.stderr.contains("x-idmap"), "{}", refused.stderr);
}

#[test]
fn with_a_limit_one_thing_is_done_after_the_other() {
    let engine = Engine::isolated();
    let file = "services:\n".to_owned()
        + &["a", "b", "c", "d"]
            .map(|name| format!("  {name}: {{image: IMAGE, command: sleep 1000, init: true}}\n"))
            .concat();
    let project = Project::new(&engine, "limited", &file);
    let alternates = |told: &str| {
        let lines: Vec<_> = told.lines().filter(|line| line.contains("Container")).collect();
        let pairs = lines
            .chunks(2)
            .map(|pair| (pair[0].split_whitespace().nth(1), pair[1].split_whitespace().nth(1)));
        assert_eq!(lines.len(), 16, "{told}");
        pairs.into_iter().for_each(|(begun, done)| assert_eq!(begun, done, "{told}"));
    };
    alternates(&project.compose(["--parallel", "1", "up", "-d"]).assert_code(0).stderr);
    project.compose(["down", "--timeout", "0"]).ok();
    let mut command = project.command();
    let up = testkit::command::run(command.env("COMPOSE_PARALLEL_LIMIT", "1").args(["up", "-d"]));
    alternates(&up.assert_code(0).stderr);
    let mut command = project.command();
    let wrong = testkit::command::run(command.env("COMPOSE_PARALLEL_LIMIT", "many").args(["ps"]));
    assert!(wrong.assert_code(1).stderr.contains("COMPOSE_PARALLEL_LIMIT must be an integer"));
}

#[test]
fn progress_is_lines_documents_or_a_board_that_changes_in_its_place() {
    let engine = Engine::isolated();
    let file = "services:\n  a: {image: IMAGE, command: sleep 1000, init: true}\n  b: {image: IMAGE, command: sleep 1000, init: true, depends_on: [a]}\n";
    let project = Project::new(&engine, "progress", file);
    let documents = |told: &str| -> Vec<String> { told.lines().map(str::to_owned).collect() };
    let ours = documents(&project.compose(["--progress", "json", "up", "-d"]).assert_code(0).stderr);
    project.compose(["down", "--timeout", "0"]).ok();
    let theirs = documents(&project.real(["--progress", "json", "up", "-d"]).assert_code(0).stderr);
    assert_eq!(ours, theirs);
    project.compose(["down", "--timeout", "0"]).ok();

    let mut command = project.command();
    let file = project.folder.join("compose.yaml");
    command.arg("--file").arg(file).args(["up", "-d"]);
    let mut terminal = testkit::Terminal::start(&command, 24, 80);
    assert_eq!(terminal.wait(), Some(0), "{}", terminal.shown());
    let shown = terminal.shown();
    assert!(shown.contains("[+] Running 3/3"), "{shown:?}");
    let last = shown.rsplit("[+] Running").next().unwrap();
    for name in [format!("{}-a-1", project.name), format!("{}-b-1", project.name)] {
        let line = last.lines().find(|line| line.contains(&name)).unwrap();
        assert!(line.contains("Started") && line.contains('✔'), "{shown:?}");
    }
    // In its place: up over what was there, and nothing is wiped before it is written.
    assert!(
        shown.contains("\u{1b}[4A\r[+] Running")
            && !shown.contains("\u{1b}[2J")
            && !shown.contains("\u{1b}[J"),
        "{shown:?}"
    );
    let quiet =
        project.compose(["--progress", "quiet", "up", "-d", "--force-recreate"]).assert_code(0).stderr;
    assert_eq!(quiet, "");
}

#[test]
fn a_plan_says_what_up_would_do() {
    let engine = Engine::isolated();
    let file =
        "services: {a: {image: IMAGE, command: sleep 1000, init: true, environment: {A: \"${A:-1}\"}}}\n";
    let project = Project::new(&engine, "plan", file);
    let name = project.container("a");
    let network = format!("network {}_default", project.name);
    assert_eq!(project.compose(["plan"]).ok(), format!("{network}: create\na: {name}: create"));
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.compose(["plan"]).ok(), format!("a: {name}: nothing to do"));
    project.write(".env", "A=2\n");
    assert_eq!(project.compose(["plan"]).ok(), format!("a: {name}: recreate: environment.A changed"));
    assert_eq!(project.compose(["plan"]).ok(), project.compose(["up", "--dry-run"]).ok());
    let scaled = project.compose(["plan", "--scale", "a=2", "--no-recreate"]).ok();
    assert!(scaled.contains("a-2: create") && scaled.contains("a-1: nothing to do"), "{scaled}");
}

#[test]
fn images_are_pinned_to_what_their_registry_has() {
    let engine = Engine::isolated();
    let registry = testkit::Registry::start();
    let image = registry.name("app:1");
    let project = Project::new(&engine, "pinned", &format!("services:\n  a:\n    image: {image}\n"));
    engine.docker(["tag", &project.image, &image]).ok();
    engine.docker(["push", &image]).ok();
    let digest = registry.digest("app:1");
    for arguments in [["config", "--lock-image-digests"], ["config", "--resolve-image-digests"]] {
        let ours = project.compose(arguments).ok();
        assert!(ours.contains(&format!("image: {image}@{digest}")), "{ours}");
        assert_eq!(ours, project.real(arguments).ok());
    }
    engine.docker(["rmi", &image]).ok();
}

// covers: compose key services.*.pre_start
// covers: compose key services.*.pre_start[]
// covers: compose key services.*.pre_start[].command
// covers: compose key services.*.pre_start[].command[]
// covers: compose key services.*.pre_start[].environment
// covers: compose key services.*.pre_start[].environment.*
// covers: compose key services.*.pre_start[].environment[]
// covers: compose key services.*.pre_start[].image
// covers: compose key services.*.pre_start[].per_replica
// covers: compose key services.*.pre_start[].privileged
// covers: compose key services.*.pre_start[].user
// covers: compose key services.*.pre_start[].working_dir
#[test]
fn steps_before_the_start_run_to_their_end_in_order() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE
    command: sh -c 'cat /data/log > /data/seen; sleep 1000'
    init: true
    environment: {WHO: service, WHERE: here}
    volumes: [\"data:/data\"]
    scale: 2
    pre_start:
      - {command: [sh, -c, 'echo once $$WHO $$WHERE $$PWD >> /data/log'], environment: {WHO: step}, working_dir: /tmp}
      - {command: 'sh -c \"id -u >> /data/log\"', per_replica: true, environment: [X=1], privileged: true}
      - {image: IMAGE, command: [sh, -c, 'id -u > /tmp/x && echo other $$(cat /tmp/x) >> /data/log; exit ${CODE:-0}'], user: \"0\"}
volumes: {data: {}}
";
    let project = Project::new(&engine, "before", file);
    project.write(".env", "CODE=3\n");
    let failed = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(failed.contains("service \"a\": pre_start 3 exited (3)"), "{failed}");
    assert_eq!(project.compose(["ps", "-q"]).ok(), "", "the service didn't start");
    project.compose(["down", "--timeout", "0", "--volumes"]).ok();
    let left = project.compose(["ps", "--all", "--quiet"]).ok();
    assert_eq!(left, "");
    project.write(".env", "CODE=0\n");
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.sh("a", "cat /data/log"), "once step here /tmp\n0\n0\nother 0");
    // Nothing is started, so nothing runs before it.
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.sh("a", "wc -l < /data/log"), "4");
}

// covers: compose key services.*.use_api_socket
#[test]
fn a_service_is_given_the_engines_socket() {
    let engine = Engine::ours();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true, use_api_socket: true, network_mode: none}}\n";
    let project = Project::new(&engine, "socket", file);
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.sh("a", "test -S /var/run/docker.sock && echo yes"), "yes");
    assert_eq!(
        project.compose(["run", "--rm", "a", "sh", "-c", "test -S /var/run/docker.sock && echo yes"]).ok(),
        "yes"
    );
    let again = project.compose(["up", "-d"]).assert_code(0).stderr;
    assert!(!again.contains("Recreate"), "{again}");
}

// covers: compose key services.*.deploy.mode
// refuses: compose key services.*.deploy.labels because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.labels.* because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.labels[] because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.constraints because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.constraints[] because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.max_replicas_per_node because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.preferences because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.preferences[] because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.placement.preferences[].spread because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.resources.reservations.generic_resources because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.resources.reservations.generic_resources[] because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.kind because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.value because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.delay because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.failure_action because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.max_failure_ratio because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.monitor because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.order because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.rollback_config.parallelism because it is for a cluster: that is told, and it does nothing
// refuses: compose key services.*.deploy.endpoint_mode because it is for a cluster: that is told, and it does nothing
#[test]
fn what_is_a_clusters_is_told_to_do_nothing() {
    let engine = Engine::isolated();
    let file = "
version: \"3.8\"
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    deploy:
      mode: global
      endpoint_mode: vip
      labels: {a: b}
      placement: {constraints: [node.role == manager], max_replicas_per_node: 1}
      rollback_config: {parallelism: 1}
      restart_policy: {condition: any, delay: 5s, window: 10s}
      resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: x, value: 1}}]}}
";
    let project = Project::new(&engine, "cluster", file);
    let told = project.compose(["up", "-d"]).assert_code(0).stderr;
    let words = "service \"a\": deploy.mode, deploy.endpoint_mode, deploy.labels, deploy.placement, deploy.rollback_config, deploy.restart_policy.delay, deploy.restart_policy.window, deploy.generic_resources is for a cluster and does nothing here";
    assert!(told.contains(words), "{told}");
    assert!(told.contains("`version` is obsolete"), "{told}");
}

// covers: value compose-label containers, networks, volumes, images com.docker.compose.replace
// refuses: value compose-label containers, networks, volumes, images com.docker.compose.image-volume-digest because releases of docker compose after 2.40 write it
// refuses: value compose-label containers, networks, volumes, images com.docker.compose.hook because releases of docker compose after 2.40 write it
// refuses: value compose-label containers, networks, volumes, images com.docker.compose.engine because releases of docker compose after 2.40 write it
// refuses: value compose-label containers, networks, volumes, images com.docker.compose.image.builder because it tells of docker's classic builder alone, and builds here are BuildKit's
#[test]
fn a_container_knows_whose_place_it_took() {
    let engine = Engine::isolated();
    let project =
        Project::new(&engine, "replaced", "services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n");
    let label =
        |project: &Project| project.inspect("a")["Config"]["Labels"]["com.docker.compose.replace"].clone();
    project.compose(["up", "-d"]).ok();
    assert!(label(&project).is_null());
    project.compose(["up", "-d", "--force-recreate"]).ok();
    let ours = label(&project);
    project.real(["up", "-d", "--force-recreate"]).ok();
    assert_eq!(ours, label(&project));
    assert!(ours.is_string());
}

// covers: compose key services.*.build.additional_contexts[]
// covers: compose key services.*.build.cache_from
// covers: compose key services.*.build.cache_from[]
// covers: compose key services.*.build.cache_to
// covers: compose key services.*.build.cache_to[]
// covers: compose key services.*.build.extra_hosts.*
// covers: compose key services.*.build.extra_hosts.*[]
// covers: compose key services.*.build.labels.*
// covers: compose key services.*.build.platforms
// covers: compose key services.*.build.platforms[]
// covers: compose key services.*.build.ulimits.*.hard
// covers: compose key services.*.build.ulimits.*.soft
#[test]
fn builds_are_given_what_the_file_says() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE-built
    command: sleep 1000
    init: true
    build:
      context: .
      dockerfile_inline: |
        FROM IMAGE
        RUN cat /etc/hosts > /told; ulimit -n >> /told; ulimit -Hn >> /told
        COPY --from=extra /file /file
      additional_contexts: [extra=./extra]
      extra_hosts: {one.test: 10.0.0.1, two.test: [10.0.0.2, 10.0.0.3]}
      labels: {a.b: c, n: 1}
      cache_to: [\"type=local,dest=./cache\"]
      cache_from: [\"type=local,src=./cache\"]
      platforms: [linux/amd64]
      ulimits: {nofile: {soft: 1234, hard: 2345}}
";
    let project = Project::new(&engine, "given", file);
    project.write("extra/file", "from the other context\n");
    let first: String =
        file.lines().filter(|line| !line.contains("cache_from")).map(|line| format!("{line}\n")).collect();
    project.write("compose.yaml", &first);
    project.compose(["build", "--quiet"]).ok();
    assert!(project.folder.join("cache/index.json").exists(), "the cache was written");
    project.write("compose.yaml", file);
    let again = project.compose(["build"]).assert_code(0);
    assert!((again.stdout + &again.stderr).contains("importing cache manifest"), "the cache was read");
    project.compose(["up", "-d"]).ok();
    let told = project.sh("a", "cat /told /file");
    for line in [
        "10.0.0.1\tone.test",
        "10.0.0.2\ttwo.test",
        "10.0.0.3\ttwo.test",
        "1234",
        "2345",
        "from the other context",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }
    let labels = &project.inspect("a")["Config"]["Labels"];
    assert_eq!((labels["a.b"].as_str(), labels["n"].as_str()), (Some("c"), Some("1")));
}

// refuses: compose key services.*.build.isolation because it is for Windows containers; there is default
// refuses: compose key services.*.build.secrets[].uid because the RUN that mounts a secret says whose it is
// refuses: compose key services.*.build.secrets[].gid because the RUN that mounts a secret says whose it is
#[test]
fn what_a_build_can_not_have_is_refused_by_name() {
    let engine = Engine::isolated();
    for (keys, words) in [
        ("isolation: hyperv", "build.isolation hyperv is for Windows"),
        (
            "dockerfile: /absent, secrets: [{source: s, uid: \"1\"}]",
            "secrets `uid`, `gid` and `mode` are not supported",
        ),
        (
            "dockerfile: /absent, secrets: [{source: s, gid: \"1\"}]",
            "secrets `uid`, `gid` and `mode` are not supported",
        ),
    ] {
        let file = format!(
            "services: {{a: {{build: {{context: ., {keys}}}}}}}\nsecrets: {{s: {{file: ./compose.yaml}}}}\n"
        );
        let project = Project::new(&engine, "refused", &file);
        let refused = project.compose(["build"]).assert_code(1).stderr;
        assert!(refused.contains(words), "{refused}");
    }
}

// covers: compose key services.*.build.entitlements
// covers: compose key services.*.build.entitlements[]
// covers: compose key services.*.build.no_cache_filter
// covers: compose key services.*.build.no_cache_filter[]
// covers: compose key services.*.build.privileged
// covers: compose key services.*.build.ssh.*
#[test]
fn a_build_is_allowed_what_the_file_allows() {
    let engine = crate::builds::trusting();
    let file = "
services:
  a:
    image: IMAGE-allowed
    command: sleep 1000
    init: true
    build:
      context: .
      dockerfile_inline: |
        FROM IMAGE AS base
        RUN cat /proc/sys/kernel/random/uuid > /turn
        FROM base
        RUN --security=insecure grep CapEff /proc/self/status > /caps
        RUN --mount=type=ssh,id=other,required test -S $$SSH_AUTH_SOCK && echo yes > /agent
      no_cache_filter: [base]
      ssh: {other: SOCKET}
      ALLOWED
";
    let project = Project::new(&engine, "allowed", "");
    let socket = engine.scratch().join("agent.sock");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let file = file.replace("SOCKET", &socket.display().to_string());
    project.write("compose.yaml", &file.replace("ALLOWED", "pull: false"));
    let refused = project.compose(["build"]).assert_code(1);
    assert!((refused.stdout + &refused.stderr).contains("security.insecure"));
    let mut turns = Vec::new();
    for allowed in ["entitlements: [security.insecure]", "privileged: true"] {
        project.write("compose.yaml", &file.replace("ALLOWED", allowed));
        project.compose(["build", "--quiet"]).ok();
        project.compose(["up", "-d"]).ok();
        turns.push(project.sh("a", "cat /turn"));
        assert_eq!(project.sh("a", "cat /agent; grep -c ffff /caps"), "yes\n1");
    }
    assert_ne!(turns[0], turns[1], "the stage was built anew");
}

// covers: compose key services.*.build.provenance
// covers: compose key services.*.build.sbom
#[test]
fn what_is_said_about_an_image_is_what_the_file_asks_for() {
    let engine = Engine::ours();
    let registry = testkit::Registry::start();
    let name = registry.name("said:1");
    let file = format!(
        "services:\n  a:\n    image: {name}\n    build:\n      context: .\n      dockerfile_inline: \"FROM IMAGE\"\n      SAID\n"
    );
    let project = Project::new(&engine, "said", "");
    let manifests = |said: &str| {
        project.write("compose.yaml", &file.replace("SAID", said));
        project.compose(["build", "--quiet"]).ok();
        project.compose(["push", "--quiet"]).ok();
        registry.manifest("said:1").contains("attestation-manifest")
    };
    assert!(!manifests("provenance: false"));
    assert!(manifests("provenance: mode=max"));
    assert!(!manifests("sbom: false"));
    project.write("compose.yaml", &file.replace("SAID", "sbom: generator=no.such.registry.invalid/x"));
    let refused = project.compose(["build"]).assert_code(1);
    assert!((refused.stdout + &refused.stderr).contains("no.such.registry.invalid"));
    engine.docker(["rmi", &name]).ok();
}
