//! What people are told that Compose does for them.

use testkit::Engine;

use super::Project;

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
    assert_eq!(project.compose(["ps", "--all", "--quiet"]).ok(), "");
}
