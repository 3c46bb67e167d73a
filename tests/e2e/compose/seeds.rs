//! What people are told that Compose does for them.

use testkit::Engine;
use testkit::command::Output;

use super::Project;

/// Who is used: what people are told holds for our client and for docker's.
const CLIENTS: [&str; 2] = ["ours", "docker's"];

impl Project<'_> {
    #[track_caller]
    fn by<const N: usize>(&self, client: &str, arguments: [&str; N]) -> Output {
        match client {
            "ours" => self.compose(arguments),
            _ => self.real(arguments),
        }
    }
}

/// Several copies of one environment on one host, each with its own names on the same inner port.
#[test]
fn copies_of_an_environment_stand_side_by_side() {
    let engine = Engine::isolated();
    let file = "
services:
  web:
    image: IMAGE
    command: sh -c 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
    hostname: ${COPY}
    stop_signal: SIGKILL
  client: {image: IMAGE, command: sleep 1000, init: true, depends_on: [web]}
";
    let first = Project::new(&engine, "copies", file);
    let second = first.copy("another");
    for (project, copy) in [(&first, "first"), (&second, "second")] {
        project.write(".env", &format!("COPY={copy}\n"));
        project.compose(["up", "-d"]).ok();
    }
    let page =
        |project: &Project| project.sh("client", "until wget -q -O - http://web/ 2>/dev/null; do :; done");
    assert_eq!((page(&first).as_str(), page(&second).as_str()), ("first", "second"));
    assert_eq!(first.compose(["ps", "--services"]).ok(), "client\nweb");
}

/// Code on the host is what runs: a bind mount shows a change at once.
#[test]
fn live_code_is_seen_by_a_bind_mount() {
    let engine = Engine::isolated();
    let file =
        "services: {web: {image: IMAGE, command: sleep 1000, init: true, volumes: [\"./code:/code\"]}}\n";
    let project = Project::new(&engine, "live", file);
    project.write("code/page", "before\n");
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.sh("web", "cat /code/page"), "before");
    project.write("code/page", "after\n");
    assert_eq!(project.sh("web", "cat /code/page"), "after");
}

/// Mistakes are told with the place, before anything is done.
#[test]
fn a_mistake_in_the_file_starts_nothing() {
    let engine = Engine::isolated();
    let file = "services:\n  web:\n    image: IMAGE\n    networks: [wnet]\nnetworks:\n  wnet:\n    ipam:\n      config:\n        - subnet: 192.268.100.1/24\n";
    let project = Project::new(&engine, "mistake", file);
    let wrong = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(wrong.contains("compose.yaml:9:19") && wrong.contains("192.268.100.1/24"), "{wrong}");
    assert!(wrong.contains("each part of an address is at most 255"), "{wrong}");
    let same =
        "services:\n  a: {image: IMAGE, ports: [\"80:80\"]}\n  b: {image: IMAGE, ports: [\"80:80\"]}\n";
    project.write("compose.yaml", same);
    let wrong = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(wrong.contains("port 80 is already published by service \"a\""), "{wrong}");
    project.write("compose.yaml", "services:\n  a: {image: IMAGE, ports: [\"80:80\", \"80:81\"]}\n");
    let wrong = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(wrong.contains("port 80 is already published by this service"), "{wrong}");
    assert_eq!(project.compose(["ps", "--all", "--quiet"]).ok(), "");
}

/// "When containers are made anew, the data in their volumes isn't lost."
#[test]
fn data_in_volumes_is_kept_over_down_and_up_and_over_a_change() {
    let engine = Engine::isolated();
    let file = "
services:
  db: {image: IMAGE, command: sleep 1000, init: true, environment: {TURN: \"${TURN:-0}\"}, volumes: [\"data:/data\", /unnamed]}
volumes: {data: {}}
";
    for client in CLIENTS {
        let project = Project::new(&engine, "kept", file);
        project.write(".env", "TURN=0\n");
        project.by(client, ["up", "-d"]).ok();
        project.sh("db", "echo kept > /data/file; echo kept > /unnamed/file");
        let first = project.id("db");
        project.write(".env", "TURN=1\n");
        project.by(client, ["up", "-d", "--timeout", "0"]).ok();
        assert_ne!(project.id("db"), first, "{client}");
        assert_eq!(project.sh("db", "cat /data/file /unnamed/file"), "kept\nkept", "{client}");
        project.by(client, ["down", "--timeout", "0"]).ok();
        project.by(client, ["up", "-d"]).ok();
        assert_eq!(project.sh("db", "cat /data/file"), "kept", "{client}");
    }
}

/// "A service that hasn't changed keeps its containers."
#[test]
fn only_services_that_changed_are_made_anew() {
    let engine = Engine::isolated();
    let file = "services: {web: {image: IMAGE, command: sleep 1000, init: true, labels: {a: \"${A:-1}\"}}, db: {image: IMAGE, command: sleep 1000, init: true}}\n";
    for client in CLIENTS {
        let project = Project::new(&engine, "changed", file);
        project.write(".env", "A=1\n");
        project.by(client, ["up", "-d"]).ok();
        let (web, db) = (project.id("web"), project.id("db"));
        project.by(client, ["up", "-d"]).ok();
        assert_eq!((project.id("web"), project.id("db")), (web.clone(), db.clone()), "{client}");
        project.write(".env", "A=2\n");
        project.by(client, ["up", "-d", "--timeout", "0"]).ok();
        assert!(project.id("web") != web && project.id("db") == db, "{client}");
    }
}

/// "Variables make one file fit several environments."
#[test]
fn variables_move_one_file_between_environments() {
    let engine = Engine::isolated();
    let file = "services: {web: {image: IMAGE, command: sleep 1000, init: true, environment: {STAGE: \"${STAGE:?say which}\", SIZE: \"${SIZE:-small}\"}}}\n";
    for client in CLIENTS {
        let project = Project::new(&engine, "moved", file);
        let unset = project.by(client, ["up", "-d"]).assert_code(1).stderr;
        assert!(unset.contains("STAGE") && unset.contains("say which"), "{client}: {unset}");
        project.write("local.env", "STAGE=local\n");
        project.write("production.env", "STAGE=production\nSIZE=large\n");
        for (name, says) in [("local", "local small"), ("production", "production large")] {
            let path = format!("{name}.env");
            project.by(client, ["--env-file", &path, "up", "-d", "--timeout", "0"]).ok();
            let inspected = project.inspect("web");
            let environment = inspected["Config"]["Env"].as_array().unwrap();
            let of = |key: &str| {
                let mut values = environment.iter().filter_map(|one| one.as_str()?.strip_prefix(key));
                values.next().unwrap_or_default().to_owned()
            };
            assert_eq!(format!("{} {}", of("STAGE="), of("SIZE=")), says, "{client}");
        }
        project.by(client, ["--env-file", "local.env", "down", "--timeout", "0"]).ok();
    }
}

/// "The name of a service is a name in its network", and only there.
#[test]
fn services_find_each_other_by_name() {
    let engine = Engine::isolated();
    let file = "
services:
  app: {image: IMAGE, command: sleep 1000, init: true, networks: [front]}
  mysql: {image: IMAGE, command: sleep 1000, init: true, networks: {front: {aliases: [database]}}}
  apart: {image: IMAGE, command: sleep 1000, init: true, networks: [back]}
networks: {front: {}, back: {}}
";
    for client in CLIENTS {
        let project = Project::new(&engine, "names", file);
        project.by(client, ["up", "-d"]).ok();
        for name in ["mysql", "database", &project.container("mysql")] {
            let asked = project.sh("app", &format!("ping -c 1 -w 5 {name} > /dev/null && echo yes"));
            assert_eq!(asked, "yes", "{client}: {name}");
        }
        project.compose(["exec", "-T", "app", "sh", "-c", "ping -c 1 -w 5 apart"]).assert_code(1);
        project.by(client, ["down", "--timeout", "0"]).ok();
    }
}

/// "One command starts everything, another one takes it away", and what no service uses is never made.
#[test]
fn up_starts_everything_and_down_leaves_nothing() {
    let engine = Engine::isolated();
    let file = "
services:
  web: {image: IMAGE, command: sleep 1000, init: true, depends_on: [db], restart: always}
  db: {image: IMAGE, command: sleep 1000, init: true}
networks:
  coffee: {ipam: {driver: default, config: [{subnet: 192.168.92.0/24}]}}
";
    for client in CLIENTS {
        let project = Project::new(&engine, "whole", file);
        project.by(client, ["up", "-d"]).ok();
        assert_eq!(project.compose(["ps", "--status", "running", "-q"]).ok().lines().count(), 2, "{client}");
        let networks = engine.docker(["network", "ls", "--format", "{{.Name}}"]).ok();
        assert!(networks.contains(&format!("{}_default", project.name)), "{client}: {networks}");
        assert!(!networks.contains("coffee"), "{client}: {networks}");
        project.by(client, ["down", "--timeout", "0"]).ok();
        assert_eq!(project.compose(["ps", "--all", "-q"]).ok(), "", "{client}");
        let networks = engine.docker(["network", "ls", "--format", "{{.Name}}"]).ok();
        assert!(!networks.contains(&project.name), "{client}: {networks}");
    }
}

/// "Images are built from a Dockerfile, or named": one file has both.
#[test]
fn a_service_is_built_or_its_image_is_named() {
    let engine = Engine::ours();
    let file =
        "services: {web: {build: ., init: true}, db: {image: IMAGE, command: sleep 1000, init: true}}\n";
    let project = Project::new(&engine, "both-ways", file);
    project.write("Dockerfile", "FROM IMAGE\nWORKDIR /code\nCOPY page .\nCMD [\"sleep\", \"1000\"]\n");
    project.write("page", "one\n");
    project.compose(["up", "-d", "--quiet-build"]).ok();
    assert_eq!(project.sh("web", "cat page"), "one");
    let db = project.id("db");
    project.write("page", "two\n");
    project.compose(["up", "-d", "--build", "--quiet-build", "--timeout", "0"]).ok();
    assert_eq!((project.sh("web", "cat page").as_str(), project.id("db")), ("two", db));
}

/// "A volume of a service has to be declared", unlike those of `run`.
#[test]
fn a_volume_that_nobody_declared_is_refused_with_its_line() {
    let engine = Engine::isolated();
    let project = Project::new(
        &engine,
        "undeclared",
        "services:\n  db:\n    image: IMAGE\n    volumes: [\"db_data:/data\"]\n",
    );
    let wrong = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(wrong.contains("undefined volume db_data") && wrong.contains("compose.yaml:4"), "{wrong}");
    let theirs = project.real(["up", "-d"]).assert_code(1).stderr;
    assert!(theirs.contains("undefined volume db_data"), "{theirs}");
}
