//! What `up` changes: what changed, and nothing else; data stays.

use testkit::Engine;

use super::Project;

const APPLICATION: &str = "
services:
  web:
    image: IMAGE
    command: sleep 1000
    init: true
    environment: {GREETING: \"${GREETING:-hello}\"}
    depends_on: [db]
    volumes: [\"data:/data\", \"/scratch\"]
  db:
    image: IMAGE
    command: sleep 1000
    init: true
volumes:
  data: {}
";

#[test]
fn only_what_changed_is_made_anew_and_data_is_kept() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "changes", APPLICATION);
    project.compose(["up", "--detach"]).ok();
    let (web, db) = (project.id("web"), project.id("db"));
    project.sh("web", "echo kept > /data/file; echo kept > /scratch/file");

    let again = project.compose(["up", "--detach"]).assert_code(0);
    assert!(!again.stderr.contains("Recreate"), "{}", again.stderr);
    assert_eq!((project.id("web"), project.id("db")), (web.clone(), db.clone()), "nothing changed");

    project.write(".env", "GREETING=goodbye\n");
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(
        plan.contains("recreate: environment.GREETING changed") && plan.contains("nothing to do"),
        "{plan}"
    );
    assert_eq!(project.id("web"), web, "a dry run does nothing");
    project.compose(["up", "--detach"]).ok();
    assert_ne!(project.id("web"), web, "a variable changed");
    assert_eq!(project.id("db"), db, "the other service is as it was");
    assert_eq!(project.sh("web", "echo $GREETING; cat /data/file /scratch/file"), "goodbye\nkept\nkept");

    project.compose(["up", "--detach", "--force-recreate", "--renew-anon-volumes", "web"]).ok();
    assert_eq!(project.sh("web", "cat /data/file; ls /scratch"), "kept", "-V renews what has no name");
    assert_eq!(project.id("db"), db, "only the service that was named");

    project.compose(["down", "--timeout", "0"]).ok();
    project.compose(["up", "--detach"]).ok();
    assert_eq!(project.sh("web", "cat /data/file"), "kept", "a volume outlives its containers");
    project.compose(["down", "--timeout", "0", "--volumes"]).ok();
    project.compose(["up", "--detach"]).ok();
    assert_eq!(project.sh("web", "ls /data"), "", "unless it is to go");
}

// covers: compose key services.*.configs[].source
// covers: compose key services.*.configs[].target
// covers: compose key services.*.configs[].uid
// covers: compose key services.*.configs[].gid
// covers: compose key services.*.configs[].mode
// covers: compose key services.*.secrets[].source
// covers: compose key services.*.secrets[].target
// covers: compose key services.*.secrets[].uid
// covers: compose key services.*.secrets[].gid
// covers: compose key services.*.secrets[].mode
#[test]
fn contents_of_configs_and_secrets_count_as_changes_and_have_their_owners() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    configs: [plain, {source: said, target: /etc/said, uid: \"7\", gid: \"8\", mode: 0440}]
    secrets: [token, {source: token, target: other, uid: \"9\", gid: \"10\", mode: 0400}]
configs:
  plain: {file: ./plain.txt}
  said: {content: \"value ${NUMBER:-1}\"}
secrets:
  token: {environment: TOKEN}
";
    let project = Project::new(&engine, "contents", file);
    project.write("plain.txt", "first\n");
    project.write(".env", "TOKEN=geheim\n");
    project.compose(["up", "-d"]).ok();
    let script = "cat /plain /etc/said; echo; cat /run/secrets/token; echo; stat -c '%u:%g %a' /etc/said /run/secrets/other";
    assert_eq!(project.sh("a", script), "first\nvalue 1\ngeheim\n7:8 440\n9:10 400");
    let before = project.id("a");
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.id("a"), before);
    project.write("plain.txt", "second\n");
    project.compose(["up", "-d"]).ok();
    assert_ne!(project.id("a"), before, "a file changed");
    assert_eq!(project.sh("a", "cat /plain"), "second");
}

/// What isn't made anew with its network goes on in the new one, as it was in the old one.
#[test]
fn a_network_that_is_another_one_is_made_anew_and_nobody_is_left_without_it() {
    let engine = Engine::isolated();
    let file = "
services:
  a: {image: IMAGE, command: sleep 1000, init: true, networks: [one]}
  b: {image: IMAGE, command: sleep 1000, init: true, networks: {one: {aliases: [other]}}}
networks: {one: {labels: {of: LABEL}}}
";
    let project = Project::new(&engine, "renewed", &file.replace("LABEL", "first"));
    project.compose(["up", "-d", "--timeout", "0"]).ok();
    let (a, b) = (project.id("a"), project.id("b"));
    project.write("compose.yaml", &file.replace("LABEL", "second"));
    project.compose(["up", "-d", "--timeout", "0", "a"]).ok();
    assert_ne!(project.id("a"), a);
    assert_eq!(project.id("b"), b);
    let network = format!("{}_one", project.name);
    let label = engine.docker(["network", "inspect", "--format", "{{.Labels.of}}", &network]).ok();
    assert_eq!(label, "second");
    project.sh("a", "ping -c 1 other");
    let third = file.replace("LABEL", "third");
    project.write("compose.yaml", &third);
    project.compose(["up", "-d", "--timeout", "0", "--no-recreate"]).ok();
    assert_eq!(project.id("b"), b);
    project.sh("a", "ping -c 1 other");
    project.compose(["up", "-d", "--timeout", "0"]).ok();
    assert_eq!(project.id("b"), b, "nothing is left to do");
}

#[test]
fn services_are_scaled_and_orphans_are_told_and_removed() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true}, b: {image: IMAGE, command: sleep 1000, init: true}}\n";
    let project = Project::new(&engine, "scaled", file);
    project.compose(["up", "-d", "--scale", "a=3"]).ok();
    let names = |project: &Project| project.compose(["ps", "--format", "{{.Name}}"]).ok();
    let full = |suffix: &str| format!("{}-{suffix}", project.name);
    assert_eq!(names(&project), [full("a-1"), full("a-2"), full("a-3"), full("b-1")].join("\n"));
    let first = project.id("a");
    project.compose(["scale", "a=1"]).ok();
    assert_eq!(names(&project), [full("a-1"), full("b-1")].join("\n"));
    assert_eq!(project.id("a"), first);
    project.write("compose.yaml", "services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n");
    let told = project.compose(["up", "-d"]).assert_code(0).stderr;
    assert!(told.contains("Found orphan containers") && told.contains(&full("b-1")), "{told}");
    project.compose(["up", "-d", "--remove-orphans"]).ok();
    assert_eq!(names(&project), full("a-1"));
}

#[test]
fn a_failing_change_leaves_what_was_there() {
    let engine = Engine::isolated();
    let file =
        "services: {a: {image: IMAGE, command: sleep 1000, init: true, volumes: [\"./data:/data\"]}}\n";
    let project = Project::new(&engine, "failing", file);
    project.compose(["up", "-d"]).ok();
    let before = project.id("a");
    let broken = "services: {a: {image: IMAGE, command: sleep 1000, init: true, volumes: [{type: bind, source: /not/there, target: /data, bind: {create_host_path: false}}]}}\n";
    project.write("compose.yaml", broken);
    let failed = project.compose(["up", "-d"]).assert_code(1);
    assert!(failed.stderr.contains("/not/there"), "{}", failed.stderr);
    assert_eq!(project.id("a"), before, "the container has its name back");
    assert_eq!(project.inspect("a")["State"]["Running"], true);
}
