//! Variables that stand for flags, and flags of the simple verbs.

use testkit::Engine;

use super::Project;

/// What stands for a flag in the environment.
#[test]
fn variables_stand_for_flags() {
    let engine = Engine::isolated();
    let two = "services: {a: {image: IMAGE, command: sleep 1000, init: true}, b: {image: IMAGE, command: sleep 1000, init: true}}\n";
    let project = Project::new(&engine, "variables", two);
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        testkit::command::run(project.command().envs(variables.iter().copied()).args(arguments))
    };
    let up = with(&[("COMPOSE_STATUS_STDOUT", "1")], &["up", "-d"]).assert_code(0);
    assert!(up.stdout.contains("Container") && up.stderr.is_empty(), "{}", up.stderr);
    project.write("compose.yaml", "services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n");
    assert!(with(&[], &["up", "-d"]).stderr.contains("Found orphan containers"));
    let silent = with(&[("COMPOSE_IGNORE_ORPHANS", "true")], &["up", "-d"]).assert_code(0);
    assert!(!silent.stderr.contains("orphan"), "{}", silent.stderr);
    with(&[], &["kill"]).assert_code(0);
    let b = || super::inspect(&engine, &project.container("b"))["State"]["Running"] == true;
    assert!(b(), "what the file no longer has is only killed when that is asked for");
    with(&[("COMPOSE_REMOVE_ORPHANS", "1")], &["kill"]).assert_code(0);
    assert!(!b());
    let both = [("COMPOSE_IGNORE_ORPHANS", "1"), ("COMPOSE_REMOVE_ORPHANS", "1")];
    let refused = with(&both, &["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans"), "{refused}");
    with(&[("COMPOSE_REMOVE_ORPHANS", "1")], &["up", "-d"]).assert_code(0);
    assert_eq!(project.compose(["ps", "-a", "--services"]).ok(), "a");
    let wrong = with(&[("COMPOSE_ANSI", "sometimes")], &["up", "-d"]);
    assert!(wrong.code == 0 || wrong.stderr.contains("unknown --ansi value"), "{}", wrong.stderr);
}

/// `start --wait`, and what `build` passes on.
#[test]
fn a_start_waits_until_all_is_well() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true, healthcheck: {test: \"test -e /well || { touch /well; false; }\", interval: 100ms}}}\n";
    let project = Project::new(&engine, "waits", file);
    project.compose(["create"]).ok();
    project.compose(["start", "--wait"]).ok();
    assert_eq!(project.inspect("a")["State"]["Health"]["Status"], "healthy");
}
