//! Ways of saying it that are rarer: inline Dockerfiles, images by age, names of the first docker-compose, resources that nobody uses.

use testkit::Engine;

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
    let file = "services: {a: {image: no.such.registry.invalid/x, use_api_socket: true}}\n";
    let project = Project::new(&engine, "early", file);
    let refused = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("use_api_socket") && !refused.contains("Pulling"), "{refused}");
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
