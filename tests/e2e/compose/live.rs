//! What a running container can be given, it is given: it isn't made anew for that.

use testkit::Engine;

use super::Project;

const FILE: &str = "
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    restart: ${RESTART:-no}
    networks: {alpha: {}, MORE: {aliases: [other]}}
    deploy:
      resources: {limits: {memory: \"${MEMORY:-64M}\", cpus: \"${CPUS:-0.5}\", pids: \"${PIDS:-100}\"}}
networks: {alpha: {}, middle: {}, back: {}}
";

#[test]
fn limits_restart_policies_and_networks_change_on_the_running_container() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "live", &FILE.replace("MORE", "middle"));
    project.compose(["up", "-d"]).ok();
    let before = project.inspect("a");
    project.write(".env", "RESTART=always\nMEMORY=128M\nCPUS=0.25\nPIDS=50\n");
    project.write("compose.yaml", &FILE.replace("MORE", "back"));
    let plan = project.compose(["up", "--dry-run"]).ok();
    for part in [
        "a-1: update: memory 67108864 → 134217728",
        "cpus",
        "pids 100 → 50",
        "restart no → always",
        "_back joined",
        "_middle left",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let up = project.compose(["up", "-d"]).assert_code(0).stderr;
    assert!(up.contains("Updated") && !up.contains("Recreate"), "{up}");
    let after = project.inspect("a");
    assert_eq!((&after["Id"], &after["State"]["Pid"]), (&before["Id"], &before["State"]["Pid"]));
    let host = &after["HostConfig"];
    assert_eq!((host["Memory"].as_i64(), host["NanoCpus"].as_i64()), (Some(128 << 20), Some(250_000_000)));
    assert_eq!(
        (host["PidsLimit"].as_i64(), host["RestartPolicy"]["Name"].as_str()),
        (Some(50), Some("always"))
    );
    let networks = after["NetworkSettings"]["Networks"].as_object().unwrap();
    let names: Vec<_> = ["alpha", "back"].map(|key| format!("{}_{key}", project.name)).into();
    assert!(networks.len() == 2 && names.iter().all(|name| networks.contains_key(name)), "{networks:?}");
    let again = project.compose(["up", "-d"]).assert_code(0).stderr;
    assert!(!again.contains("Updat") && !again.contains("Recreate"), "{again}");
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(plan.contains("nothing to do"), "{plan}");
}

/// A container that was given what changed is as the file says: docker's client finds nothing to do either.
#[test]
fn the_other_client_makes_nothing_anew_after_a_live_change() {
    let engine = Engine::ours();
    let project = Project::new(&engine, "relabelled", &FILE.replace("MORE", "middle"));
    project.compose(["up", "-d"]).ok();
    let before = project.id("a");
    project.write(".env", "RESTART=always\nMEMORY=128M\nCPUS=0.25\nPIDS=50\n");
    project.write("compose.yaml", &FILE.replace("MORE", "back"));
    project.compose(["up", "-d"]).ok();
    let label = project.inspect("a")["Config"]["Labels"]["com.docker.compose.config-hash"].clone();
    assert_eq!(format!("a {}", label.as_str().unwrap()), project.real(["config", "--hash=a"]).ok());
    project.real(["up", "-d"]).ok();
    assert_eq!(project.id("a"), before);
    let service = project.inspect("a")["Config"]["Labels"]["com.docker.compose.service"].clone();
    assert_eq!(service, "a", "the other labels are as they were");
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.id("a"), before);
}

#[test]
fn what_can_not_change_live_is_made_anew_and_told_by_name() {
    let engine = Engine::isolated();
    let file = FILE.replace("MORE", "middle");
    let project = Project::new(&engine, "weighty", &file);
    project.compose(["up", "-d"]).ok();
    let before = project.id("a");
    // Only how things are done: nothing about the container.
    let aside = file.replace("    deploy:\n", "    deploy:\n      update_config: {parallelism: 3}\n");
    project.write("compose.yaml", &aside);
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(plan.contains("nothing to do"), "{plan}");
    // No engine takes a limit of memory away from a container that runs.
    let unlimited = file.replace("memory: \"${MEMORY:-64M}\", ", "");
    project.write("compose.yaml", &unlimited);
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(plan.contains("a-1: recreate: the limit of memory is taken away"), "{plan}");
    let more = unlimited
        .replace("    init: true", "    init: true\n    environment: {DB_HOST: other}\n    hostname: h");
    project.write("compose.yaml", &more);
    let plan = project.compose(["up", "--dry-run"]).ok();
    assert!(plan.contains("a-1: recreate: environment.DB_HOST, hostname changed"), "{plan}");
    project.compose(["up", "-d"]).ok();
    assert_ne!(project.id("a"), before);
}
