//! docker's CLI plugins: found in the configuration's folder, listed, and run with the whole command line.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use testkit::Engine;

const PLUGIN: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"Test","Version":"1.2","ShortDescription":"Greets people"}'
  exit 0
fi
echo "called with: $*"
exit 7
"#;

fn install(engine: &Engine, folder: &str, mode: u32) -> PathBuf {
    let path = engine.scratch().write(&format!("{folder}/docker-greet"), PLUGIN);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    path
}

#[test]
fn a_plugin_becomes_a_command() {
    let engine = Engine::isolated();
    install(&engine, "home/.docker/cli-plugins", 0o755);
    for output in [engine.ketch(["greet", "--loud", "you"]), engine.docker(["greet", "--loud", "you"])] {
        assert_eq!(output.assert_code(7).stdout, "called with: greet --loud you\n");
    }
    for help in [engine.ketch(["--help"]).ok(), engine.docker(["--help"]).ok()] {
        assert!(help.lines().any(|line| line.contains("greet*") && line.contains("Greets people")), "{help}");
    }
    let format = "{{range .ClientInfo.Plugins}}{{if eq .Name \"greet\"}}{{.Name}} {{.Version}} {{.Vendor}}{{end}}{{end}}";
    assert_eq!(engine.ketch(["info", "--format", format]).ok(), "greet 1.2 Test");
}

// covers: value client-config config.json cliPluginsExtraDirs
#[test]
fn a_plugin_can_lie_in_a_private_configuration() {
    let engine = Engine::isolated();
    install(&engine, "private/cli-plugins", 0o755);
    let config = engine.scratch().join("private");
    let config = config.to_str().unwrap();
    let told = engine.ketch(["--config", config, "greet"]).assert_code(7);
    assert!(told.stdout.contains("greet"), "{told:?}");
    let unknown = engine.ketch(["greet"]).assert_code(1);
    assert!(unknown.stderr.contains("greet"), "{unknown:?}");
    engine.scratch().write(
        "private/config.json",
        serde_json::json!({"cliPluginsExtraDirs": [engine.scratch().join("extra")]}).to_string(),
    );
    std::fs::remove_file(engine.scratch().join("private/cli-plugins/docker-greet")).unwrap();
    install(&engine, "extra", 0o755);
    engine.ketch(["--config", config, "greet"]).assert_code(7);
}

#[test]
fn a_program_that_anybody_could_have_put_there_is_not_run() {
    let engine = Engine::isolated();
    install(&engine, "home/.docker/cli-plugins", 0o757);
    let told = engine.ketch(["greet"]).assert_code(1);
    assert!(!told.stdout.contains("called with"), "{told:?}");
}
