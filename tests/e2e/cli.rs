//! The real docker command line against our engine, and ours against whichever engine is under test.

use serde_json::Value;
use testkit::Engine;

// covers: cli docker version
// covers: cli docker version --format
#[test]
fn version_is_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    let format = "{{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}} {{.Server.MinAPIVersion}}";
    let theirs = engine.docker(["version", "--format", format]).ok();
    let ours = engine.ketch(["version", "--format", format]).ok();
    assert_eq!(ours, theirs);
    for text in [engine.docker(["version"]).ok(), engine.ketch(["version"]).ok()] {
        for line in ["Client:", "Server:", " API version:", " OS/Arch:", " Git commit:"] {
            assert!(text.contains(line), "no {line:?} in:\n{text}");
        }
    }
    let json: Value = serde_json::from_str(&engine.ketch(["version", "--format", "json"]).ok()).unwrap();
    assert!(json["Client"]["Version"].is_string() && json["Server"]["Components"].is_array(), "{json}");
}

// covers: cli docker info
// covers: cli docker info --format
// covers: cli docker system info
// covers: cli docker system info --format
#[test]
fn info_is_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    let format =
        "{{.ID}} {{.OSType}} {{.NCPU}} {{.MemTotal}} {{.Driver}} {{.Swarm.LocalNodeState}} {{json .Plugins}}";
    let theirs = engine.docker(["info", "--format", format]).ok();
    assert_eq!(engine.ketch(["info", "--format", format]).ok(), theirs);
    assert_eq!(engine.ketch(["system", "info", "--format", format]).ok(), theirs);
    let (theirs, ours) = (engine.docker(["info"]).ok(), engine.ketch(["info"]).ok());
    let labels = |text: &str| -> Vec<String> {
        let server = text.split("Server:").nth(1).unwrap_or_default().to_owned();
        server
            .lines()
            .filter(|line| line.contains(':'))
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(labels(&ours), labels(&theirs));
}

// covers: value format-field docker system df .Type
// covers: value format-field docker system df .TotalCount
// covers: value format-field docker system df .Active
// covers: value format-field docker system df .Size
// covers: value format-field docker system df .Reclaimable
// covers: value format-method formatter.diskUsageContainersContext .Active
// covers: value format-method formatter.diskUsageContainersContext .Reclaimable
// covers: value format-method formatter.diskUsageContainersContext .Size
// covers: value format-method formatter.diskUsageContainersContext .TotalCount
// covers: value format-method formatter.diskUsageImagesContext .Active
// covers: value format-method formatter.diskUsageImagesContext .Reclaimable
// covers: value format-method formatter.diskUsageImagesContext .Size
// covers: value format-method formatter.diskUsageImagesContext .TotalCount
// covers: cli docker system df
// covers: cli docker system df --format
#[test]
fn system_df_is_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    engine.busybox();
    for arguments in [
        &["system", "df"][..],
        &["system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}"],
    ] {
        // Another test on a shared engine may change what is counted in between: compared again until it is the same.
        testkit::eventually(testkit::DEADLINE, || {
            let run = |client: &dyn Fn(&[&str]) -> String| client(arguments);
            let theirs = run(&|arguments| match arguments {
                [a, b] => engine.docker([a, b]).ok(),
                [a, b, c, d] => engine.docker([a, b, c, d]).ok(),
                other => panic!("{other:?}"),
            });
            let ours = run(&|arguments| match arguments {
                [a, b] => engine.ketch([a, b]).ok(),
                [a, b, c, d] => engine.ketch([a, b, c, d]).ok(),
                other => panic!("{other:?}"),
            });
            if ours == theirs { Ok(()) } else { Err(format!("docker:\n{theirs}\nketch:\n{ours}")) }
        });
    }
}

// covers: cli docker events
// covers: cli docker events --since
// covers: cli docker events --until
// covers: cli docker events --filter
// covers: cli docker events --format
// covers: cli docker system events
// covers: cli docker system events --since
// covers: cli docker system events --until
// covers: cli docker system events --filter
// covers: cli docker system events --format
#[test]
fn past_events_are_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    let clock = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    };
    let since = clock().to_string();
    let id = {
        let tag = engine.busybox();
        engine.get(&format!("/images/{tag}/json")).json()["Id"].as_str().unwrap_or_default().to_owned()
    };
    let (until, image) = ((clock() + 1).to_string(), format!("image={id}"));
    let arguments =
        ["events", "--since", &since, "--until", &until, "--filter", "type=image", "--filter", &image];
    let told = engine.ketch(arguments).ok();
    assert_eq!(told, engine.docker(arguments).ok());
    assert!(told.contains(" image load "), "{told}");
    let [_, b, c, d, e, f, g, h, i] = arguments;
    let arguments = ["system", "events", b, c, d, e, f, g, h, i, "--format", "{{json .}}"];
    assert_eq!(engine.ketch(arguments).ok(), engine.docker(arguments).ok());
}

// covers: value format-method formatter.clientContextContext .Current
// covers: value format-method formatter.clientContextContext .Description
// covers: value format-method formatter.clientContextContext .DockerEndpoint
// covers: value format-method formatter.clientContextContext .Error
// covers: value format-method formatter.clientContextContext .Name
// covers: cli docker context create
// covers: cli docker context create --description
// covers: cli docker context create --docker
// covers: cli docker context ls
// covers: cli docker context use
// covers: cli docker context show
// covers: cli docker context inspect
// covers: cli docker context rm
// covers: cli docker context export
// covers: cli docker context import
#[test]
fn contexts_are_shared_by_both_clients() {
    let engine = Engine::isolated();
    let host = format!("host=unix://{}", engine.socket().display());
    engine.ketch(["context", "create", "one", "--description", "first", "--docker", &host]).ok();
    engine.docker(["context", "create", "two", "--docker", &host]).ok();
    let format = "{{.Name}} {{.Description}} {{.DockerEndpoint}}";
    let format = &format!("{format} {{{{.Current}}}} {{{{.Error}}}}");
    let ours = engine.ketch(["context", "ls", "--format", format]).ok();
    assert_eq!(ours, engine.docker(["context", "ls", "--format", format]).ok());
    assert!(ours.contains("one first"), "{ours}");
    for name in ["one", "two"] {
        assert_eq!(
            engine.ketch(["context", "inspect", name]).ok(),
            engine.docker(["context", "inspect", name]).ok()
        );
    }
    let archive = engine.scratch().join("one.tar");
    let archive = archive.to_str().unwrap_or_default();
    engine.ketch(["context", "export", "one", archive]).ok();
    engine.docker(["context", "import", "three", archive]).ok();
    engine.docker(["context", "use", "three"]).ok();
    engine.ketch(["context", "use", "two"]).ok();
    assert_eq!(engine.ketch(["context", "show"]).ok(), engine.docker(["context", "show"]).ok());
    engine.ketch(["context", "rm", "--force", "one", "two", "three"]).ok();
    assert_eq!(engine.docker(["context", "ls", "-q"]).ok(), "default");
}

#[test]
fn usage_errors_end_with_dockers_codes() {
    let engine = Engine::isolated();
    for arguments in [["nosuch", "x"], ["version", "--nosuch"], ["context", "nosuch"], ["version", "extra"]] {
        let theirs = engine.docker(arguments);
        let ours = engine.ketch(arguments);
        assert_eq!(
            ours.code, theirs.code,
            "{arguments:?}\nketch: {}\ndocker: {}",
            ours.stderr, theirs.stderr
        );
        assert!(ours.stdout.is_empty() == theirs.stdout.is_empty(), "{arguments:?}: {}", ours.stdout);
    }
}

#[test]
fn a_socket_that_may_not_be_read_is_told() {
    let engine = Engine::ours();
    let socket = engine.scratch().join("run/nobody.sock");
    let host = format!("unix://{}", socket.display());
    let told = engine.ketch(["-H", &host, "version"]).assert_code(1);
    assert!(told.stderr.contains("nobody.sock"), "{}", told.stderr);
}

// covers: cli docker inspect
// covers: cli docker inspect --format
// covers: cli docker inspect --type
#[test]
fn inspect_is_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    for arguments in
        [["inspect", "--type", "image", &tag], ["inspect", "--format", "{{.Os}} {{json .Config.Cmd}}", &tag]]
    {
        assert_eq!(engine.ketch(arguments).ok(), engine.docker(arguments).ok());
    }
    let [ours, theirs] = [engine.ketch(["inspect", "nosuch"]), engine.docker(["inspect", "nosuch"])];
    assert_eq!((ours.code, ours.stdout), (theirs.code, theirs.stdout));
    assert!(ours.stderr.contains("nosuch"), "{}", ours.stderr);
}
