//! `--use-api-socket`: an engine's own socket in a container, and who the user is to registries.

use std::fs;

use serde_json::{Value, json};
use testkit::{Engine, command};

// covers: cli docker run --use-api-socket
// covers: cli docker container run --use-api-socket
// covers: cli docker create --use-api-socket
// covers: cli docker container create --use-api-socket
#[test]
fn a_container_has_the_engines_socket_and_the_users_credentials() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let folder = engine.scratch().join("client");
    fs::create_dir_all(&folder).unwrap();
    let auths = json!({ "r.example": {"auth": "bWU6c2VjcmV0"}, "empty.example": {} });
    fs::write(folder.join("config.json"), json!({ "auths": auths }).to_string()).unwrap();
    let run = |words: &[&str]| {
        let mut client = engine.ketch_command();
        command::run(client.env("DOCKER_CONFIG", &folder).args(words))
    };
    let script = "echo $DOCKER_CONFIG; stat -c %a $DOCKER_CONFIG/config.json; cat $DOCKER_CONFIG/config.json; \
                  test -S /var/run/docker.sock && echo socket";
    for run_command in [&["run"][..], &["container", "run"]] {
        let rest = ["--rm", "--network", "none", "--use-api-socket", &tag, "sh", "-c", script];
        let said = run(&[run_command, &rest].concat()).ok();
        let (head, rest) = said.split_once("\n600\n").unwrap_or_else(|| panic!("{said}"));
        assert_eq!(head, "/run/secrets/docker");
        assert!(said.ends_with("socket"), "{said}");
        let mut documents = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let config = documents.next().unwrap().unwrap();
        assert_eq!(config, json!({ "auths": {"r.example": {"auth": "bWU6c2VjcmV0"}} }));
    }
    // Who says where the configuration is brings one along.
    for create in [&["create"][..], &["container", "create"]] {
        let rest = ["--use-api-socket", "-e", "DOCKER_CONFIG=/mine", &tag, "true"];
        let id = run(&[create, &rest].concat()).ok();
        let shown = engine.ketch(["inspect", "-f", "{{json .Mounts}} {{json .Config.Env}}", &id]).ok();
        assert!(
            shown.contains("\"Destination\":\"/var/run/docker.sock\"")
                && shown.contains("DOCKER_CONFIG=/mine")
        );
        assert!(!shown.contains("/run/secrets"), "{shown}");
        let source = format!("\"Source\":\"{}\"", engine.socket().display());
        assert!(shown.contains(&source), "{shown}");
        engine.ketch(["rm", &id]).ok();
    }
}
