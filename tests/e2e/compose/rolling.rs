//! `deploy.update_config.order: start-first`: the new one is well before the old one goes, and nobody who asks is refused.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::Engine;

use super::Project;

const FILE: &str = "
services:
  web:
    image: IMAGE
    command: sh -c 'mkdir -p /www && echo ${PAGE} > /www/index.html && exec httpd -f -p 80 -h /www'
    init: true
    ports: [\"18331:80\"]
    healthcheck: {test: [CMD-SHELL, \"wget -q -O - http://127.0.0.1/ | grep -q good\"], interval: 1s, start_interval: 200ms, start_period: 20s, retries: 1}
    deploy: {update_config: {order: start-first}}
  client: {image: IMAGE, command: sleep 1000, init: true}
";

fn page(address: &str) -> io::Result<String> {
    let at = SocketAddr::new(address.parse::<IpAddr>().map_err(io::Error::other)?, 18331);
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned());
    body.filter(|body| !body.is_empty()).ok_or_else(|| io::Error::other(format!("no page: {text:?}")))
}

/// Asks again and again, by each of these addresses, until the work is done; every page in the order in which they came first.
fn asking<T>(addresses: &[&str], work: impl FnOnce() -> T) -> (T, Vec<Vec<String>>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = addresses
            .iter()
            .map(|address| {
                let over = &over;
                scope.spawn(move || {
                    let mut pages: Vec<String> = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let page = page(address).unwrap_or_else(|error| format!("failed: {error}"));
                        if pages.last() != Some(&page) {
                            pages.push(page);
                        }
                    }
                    pages
                })
            })
            .collect();
        let result = work();
        over.store(true, Ordering::Relaxed);
        (result, clients.into_iter().map(|client| client.join().expect("a client")).collect())
    })
}

// covers: compose key services.*.deploy.update_config
// covers: compose key services.*.deploy.update_config.order
#[test]
fn a_client_that_never_stops_asking_sees_no_error_while_a_service_is_replaced() {
    let engine = Engine::ours();
    let project = Project::new(&engine, "rolling", FILE);
    project.write(".env", "PAGE=good1\n");
    project.compose(["up", "--detach", "--wait"]).ok();
    let before = project.id("web");
    let addresses = ["127.0.0.1", "::1"];
    testkit::eventually(testkit::DEADLINE, || addresses.map(page).into_iter().collect::<Result<Vec<_>, _>>());

    // From within, by its name.
    let asks = "while [ ! -e /stop ]; do wget -q -O - http://web/ || echo failed; done | uniq > /pages; mv /pages /told";
    project.compose(["exec", "-d", "client", "sh", "-c", asks]).ok();
    project.write(".env", "PAGE=good2\n");
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(plan.contains("web-1: recreate, started first: command changed"), "{plan}");
    let (up, pages) = asking(&addresses, || project.compose(["up", "--detach"]));
    let said = up.assert_code(0).stderr;
    assert!(said.contains("Took over"), "{said}");
    assert_eq!(pages, [["good1", "good2"], ["good1", "good2"]], "{said}");
    assert_ne!(project.id("web"), before);
    assert_eq!(
        project.compose(["ps", "-a", "--format", "{{.Service}} {{.State}}", "web"]).ok(),
        "web running"
    );
    project.sh("client", "until wget -q -O - http://web/ | grep -q good2; do :; done; touch /stop");
    assert_eq!(project.sh("client", "while [ ! -e /told ]; do :; done; cat /told"), "good1\ngood2");

    let again = project.compose(["up", "--detach"]).assert_code(0).stderr;
    assert!(!again.contains("Recreate") && !again.contains("Updat"), "{again}");
}

#[test]
fn an_interrupted_replacement_is_finished_by_the_next_up() {
    let mut engine = Engine::ours();
    let file = FILE.replace("18331", "18333");
    let project = Project::new(&engine, "halfway", &file);
    project.write(".env", "PAGE=good1\n");
    project.compose(["up", "--detach", "--wait"]).ok();
    project.write(".env", "PAGE=good2\n");
    let mut up = project.command().args(["up", "--detach"]).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(up.stderr.take().unwrap()).lines();
    assert!(
        told.map_while(Result::ok).any(|line| line.contains("Waiting")),
        "the new one runs behind the old one"
    );
    kill_process(Pid::from_child(&up), Signal::KILL).unwrap();
    up.wait().unwrap();
    let (folder, name, image) = (project.folder.clone(), project.name.clone(), project.image.clone());
    std::mem::forget(project);
    engine.crash_and_restart();
    let project = Project { engine: &engine, folder, name, image };
    project.compose(["up", "--detach"]).ok();
    assert_eq!(project.compose(["ps", "-a", "--format", "{{.Name}}", "web"]).ok(), project.container("web"));
    assert_eq!(project.sh("client", "until wget -q -O - http://web/; do :; done"), "good2");
    let bound = project.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].clone();
    assert_eq!(bound, "18333");
}

// covers: compose key services.*.deploy.update_config.failure_action
#[test]
fn one_that_does_not_get_well_goes_and_the_old_one_never_stopped() {
    let engine = Engine::ours();
    let file = FILE
        .replace("18331", "18332")
        .replace("order: start-first", "order: start-first, failure_action: rollback");
    let project = Project::new(&engine, "failing", &file.replace("start_period: 20s", "start_period: 0s"));
    project.write(".env", "PAGE=good1\n");
    project.compose(["up", "--detach", "--wait"]).ok();
    let before = project.inspect("web");
    project.write(".env", "PAGE=bad\n");
    let failed = project.compose(["up", "--detach"]).assert_code(1).stderr;
    assert!(failed.contains("was not updated") && failed.contains("is unhealthy"), "{failed}");
    let after = project.inspect("web");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    assert_eq!(after["NetworkSettings"]["Ports"], before["NetworkSettings"]["Ports"]);
    assert_eq!(project.compose(["ps", "-a", "--format", "{{.Name}}", "web"]).ok(), project.container("web"));
    assert_eq!(project.sh("client", "wget -q -O - http://web/"), "good1");
}

// covers: compose key services.*.deploy.update_config.parallelism
// covers: compose key services.*.deploy.update_config.delay
// covers: compose key services.*.deploy.update_config.monitor
// covers: compose key services.*.deploy.update_config.max_failure_ratio
#[test]
fn replicas_are_replaced_one_after_the_other_and_put_back_where_one_fails() {
    let engine = Engine::ours();
    let file = "
services:
  web:
    image: IMAGE
    # The second one of the new ones finds the folder that the first one made.
    command: sh -c '${RUN:-touch /well && sleep 1000}'
    init: true
    volumes: [\"data:/data\"]
    healthcheck: {test: CHECK, interval: 1s, start_interval: 100ms, start_period: 60s}
    deploy:
      replicas: 2
      update_config: {order: start-first, parallelism: 1, delay: 1ms, monitor: 300ms, failure_action: FAILURE, max_failure_ratio: RATIO}
volumes: {data: {}}
";
    let write = |project: &Project, check: &str, failure: &str, ratio: &str| {
        let file = file.replace("CHECK", check).replace("FAILURE", failure).replace("RATIO", ratio);
        project.write("compose.yaml", &file);
    };
    // The old ones aren't checked: put back, they are well when they have run for as long as they are monitored. That is too
    // short for those that have to fail.
    let (unchecked, checked) = ("[NONE]", "test -e /well");
    let ids = |project: &Project| project.compose(["ps", "-q", "web"]).ok();
    let project = Project::new(&engine, "replicas", file);
    write(&project, unchecked, "rollback", "0");
    project.compose(["up", "--detach"]).ok();
    let before = ids(&project);
    write(&project, checked, "rollback", "0");
    project.write(".env", "RUN=mkdir /data/one && touch /well && sleep 1000\n");
    let failed = project.compose(["up", "--detach"]).assert_code(1).stderr;
    assert!(failed.contains("exited (1)") && failed.contains("Rolled back"), "{failed}");
    assert_eq!(ids(&project), before, "both are as they were");

    project.write(".env", "RUN=mkdir /data/two && touch /well && sleep 1000\n");
    write(&project, checked, "pause", "0.5");
    let told = project.compose(["up", "--detach"]).assert_code(0).stderr;
    assert!(told.contains("a container of web was not updated"), "half of them may fail: {told}");
    let after = ids(&project);
    let same = after.lines().filter(|id| before.contains(id)).count();
    assert_eq!((same, after.lines().count()), (1, 2), "{after}\n{before}");
}

#[test]
fn where_it_can_not_be_that_is_told_and_the_old_one_stops_first() {
    let engine = Engine::isolated();
    let file = "
services:
  web:
    image: IMAGE
    command: sleep ${SPAN:-1000}
    init: true
    network_mode: none
    deploy: {update_config: {order: start-first}}
";
    let project = Project::new(&engine, "hindered", file);
    project.compose(["up", "--detach"]).ok();
    project.write(".env", "SPAN=1001\n");
    let told = project.compose(["up", "--detach"]).assert_code(0).stderr;
    assert!(told.contains("update_config.order is stop-first here: it has no network of its own"), "{told}");
    assert_eq!(project.inspect("web")["Config"]["Cmd"][1], "1001");
}
