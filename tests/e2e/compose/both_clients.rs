//! Either client takes over what the other one started.

use testkit::Engine;

use super::Project;

const FILE: &str = "
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    env_file: a.env
    volumes: [\"data:/data\", \"/anonymous\", \"./bound:/bound:ro\"]
    ulimits: {nofile: {soft: 1000, hard: 2000}}
    labels: {a.b: c}
    stop_grace_period: 1s
  b:
    image: IMAGE
    command: sleep 1000
    init: true
    networks: {back: {aliases: [other]}}
    depends_on: [a]
    healthcheck: {test: [CMD, \"true\"], interval: 1m30s}
    deploy: {replicas: 2, resources: {limits: {memory: 64M}}}
  shares:
    image: IMAGE
    command: sleep 1000
    init: true
    network_mode: \"service:a\"
networks: {back: {}}
volumes: {data: {}}
";

// covers: value compose-label containers, networks, volumes, images com.docker.compose.project
// covers: value compose-label containers, networks, volumes, images com.docker.compose.service
// covers: value compose-label containers, networks, volumes, images com.docker.compose.config-hash
// covers: value compose-label containers, networks, volumes, images com.docker.compose.container-number
// covers: value compose-label containers, networks, volumes, images com.docker.compose.volume
// covers: value compose-label containers, networks, volumes, images com.docker.compose.network
// covers: value compose-label containers, networks, volumes, images com.docker.compose.project.working_dir
// covers: value compose-label containers, networks, volumes, images com.docker.compose.project.config_files
// covers: value compose-label containers, networks, volumes, images com.docker.compose.oneoff
// covers: value compose-label containers, networks, volumes, images com.docker.compose.image
// covers: value compose-label containers, networks, volumes, images com.docker.compose.depends_on
// covers: value compose-label containers, networks, volumes, images com.docker.compose.version
#[test]
fn nothing_is_made_anew_because_of_the_other_client() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "both", FILE);
    project.write("a.env", "FROM_FILE=1\n");
    std::fs::create_dir_all(project.folder.join("bound")).unwrap();
    let ids = || ["a", "b", "shares"].map(|service| project.id(service));
    project.compose(["up", "-d"]).ok();
    let ours = ids();
    project.real(["up", "-d"]).ok();
    assert_eq!(ids(), ours, "docker's client finds our containers as they should be");
    project.real(["down", "--volumes", "--timeout", "0"]).ok();
    assert_eq!(project.compose(["ps", "-a", "-q"]).ok(), "", "and takes them all away");
    project.real(["up", "-d"]).ok();
    let theirs = ids();
    project.compose(["up", "-d"]).ok();
    assert_eq!(ids(), theirs, "and we find its containers as they should be");
    let down = project.compose(["down", "--volumes", "--timeout", "0"]).assert_code(0);
    assert!(down.stderr.contains("Removed"), "{}", down.stderr);
    assert_eq!(project.real(["ps", "-a", "-q"]).ok(), "");
}

/// Docker's client walks the services in parallel: the order of its lists is another each time.
fn sorted(list: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn both_show_the_same_of_a_project() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "shown", FILE);
    project.write("a.env", "FROM_FILE=1\n");
    std::fs::create_dir_all(project.folder.join("bound")).unwrap();
    project.real(["up", "-d"]).ok();
    let table = ["ps", "--format", "table {{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.Ports}}"];
    assert_eq!(project.compose(table).ok(), project.real(table).ok());
    for arguments in [
        ["config", "--services"],
        ["config", "--images"],
        ["config", "--volumes"],
        ["config", "--hash=*"],
        ["ps", "--services"],
    ] {
        let (ours, theirs) = (project.compose(arguments).ok(), project.real(arguments).ok());
        assert_eq!(sorted(&ours), sorted(&theirs), "{arguments:?}");
    }
    assert_eq!(project.compose(["config"]).ok(), project.real(["config"]).ok());
    let name = format!("name={}", project.name);
    let listed = ["ls", "--filter", &name, "--format", "json"];
    assert_eq!(project.compose(listed).ok(), project.real(listed).ok());
}

// covers: compose syntax services.*.external_links[]
// covers: compose key services.*.external_links
// covers: compose key services.*.external_links[]
#[test]
fn links_are_names_that_only_one_service_uses() {
    let engine = Engine::isolated();
    let outside = engine.name("outside");
    let file = "
services:
  a: {image: IMAGE, command: sleep 1000, init: true}
  b: {image: IMAGE, command: sleep 1000, init: true, links: [\"a:database\"], external_links: [\"OUTSIDE:far\"]}
";
    let project = Project::new(&engine, "links", &file.replace("OUTSIDE", &outside));
    for client in ["ours", "docker's"] {
        project.compose(["create", "a"]).ok();
        let network = format!("{}_default", project.name);
        engine
            .docker([
                "run",
                "-d",
                "--init",
                "--name",
                &outside,
                "--network",
                &network,
                &project.image,
                "sleep",
                "1000",
            ])
            .ok();
        match client {
            "ours" => project.compose(["up", "-d"]).ok(),
            _ => project.real(["up", "-d"]).ok(),
        };
        let reached = project
            .sh("b", "ping -c 1 -w 5 database > /dev/null && ping -c 1 -w 5 far > /dev/null && echo yes");
        assert_eq!(reached, "yes", "{client}");
        engine.docker(["rm", "--force", &outside]).ok();
        project.compose(["down", "--timeout", "0"]).ok();
    }
}
