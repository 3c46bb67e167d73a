//! Builders with names of their own: what CI makes first. Each is an engine, whichever driver was asked for.

use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;

use testkit::Engine;
use testkit::command::{Output, run};

use super::Context;

/// A client with files of its own.
struct Client<'a>(&'a Engine);

impl Client<'_> {
    fn buildx(&self, words: &[&str]) -> Output {
        let mut command = self.0.ketch_command();
        command.env("BUILDX_CONFIG", self.0.scratch().join("buildx"));
        run(command.arg("buildx").args(words))
    }

    fn refused(&self, words: &[&str], why: &str) {
        let refused = self.buildx(words);
        assert_ne!(refused.code, 0, "{words:?}");
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }

    fn current(&self) -> String {
        let listed = self.buildx(&["ls"]).ok();
        let line = listed
            .lines()
            .find(|line| line.split_whitespace().next().is_some_and(|name| name.ends_with('*')));
        line.and_then(|line| line.split_whitespace().next())
            .unwrap_or_default()
            .trim_end_matches('*')
            .to_owned()
    }
}

/// What `docker/setup-buildx-action` and `docker/build-push-action` run, word for word.
// covers: cli docker buildx create
// covers: cli docker buildx create --bootstrap
// covers: cli docker buildx create --buildkitd-flags
// covers: cli docker buildx create --driver
// covers: cli docker buildx create --driver-opt
// covers: cli docker buildx create --name
// covers: cli docker buildx create --use
// covers: cli docker buildx rm
// covers: value buildx-driver buildx create --driver docker-container
#[test]
fn what_continuous_integration_makes_first_is_the_engine() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let client = Client(&engine);
    let context = Context::new(&engine, "c", "FROM BASE\nRUN true\n");
    let flags = "--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host";
    let made = client.buildx(&[
        "create",
        "--name",
        "builder-1b2c",
        "--driver",
        "docker-container",
        "--driver-opt",
        "image=moby/buildkit:v0.25.0,network=host",
        "--buildkitd-flags",
        flags,
        "--use",
    ]);
    assert_eq!(made.clone().ok(), "builder-1b2c");
    // What was said of a daemon is not passed over in silence.
    for said in ["the engine itself", "image=moby/buildkit:v0.25.0", "builder.entitlements"] {
        assert!(made.stderr.contains(said), "{said}: {}", made.stderr);
    }
    let told = client.buildx(&["inspect", "--bootstrap", "--builder", "builder-1b2c"]).ok();
    for line in ["Name:   builder-1b2c", "Status:           running", "builder-1b2c0"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(client.buildx(&["inspect", "builder-1b2c"]).ok(), told);
    let place = context.path().display().to_string();
    // One of our own: what an error would do to the machine's is not for this test to show.
    let nowhere = engine.scratch().join("null").display().to_string();
    run(std::process::Command::new("mknod").args([&nowhere, "c", "1", "3"])).ok();
    let build =
        ["build", "--iidfile", &nowhere, "--tag", "ci:1", "--load", "--metadata-file", &nowhere, &place];
    client.buildx(&build).ok();
    assert!(std::fs::metadata(&nowhere).unwrap().file_type().is_char_device(), "it was replaced");
    let several = ["--platform=linux/amd64,linux/arm64", "--output=type=cacheonly"];
    let apart =
        Context::new(&engine, "apart", "FROM scratch\nCOPY Dockerfile /\n").path().display().to_string();
    client.buildx(&[&["build", "--builder", "builder-1b2c"], &several[..], &[&apart]].concat()).ok();
    engine.docker(["run", "--rm", "--network=none", "ci:1", "true"]).ok();
    assert_eq!(client.current(), "builder-1b2c");
    assert_eq!(client.buildx(&["rm", "builder-1b2c"]).ok(), "builder-1b2c removed");
    assert_eq!(client.current(), "default");
    client.refused(&["inspect", "builder-1b2c"], "no builder \"builder-1b2c\" found");
    assert!(client.buildx(&["create", "--bootstrap"]).ok().starts_with("builder_"));
}

/// The real buildx finds what ours made, and ours what the real one did.
// covers: cli docker buildx create --builder
// covers: cli docker buildx create --debug
// covers: cli docker buildx rm --all-inactive
// covers: cli docker buildx rm --builder
// covers: cli docker buildx rm --debug
// covers: cli docker buildx rm --force
// covers: cli docker buildx rm --keep-daemon
// covers: cli docker buildx rm --keep-state
// covers: cli docker buildx stop
// covers: cli docker buildx stop --builder
// covers: cli docker buildx stop --debug
// covers: cli docker buildx use
// covers: cli docker buildx use --builder
// covers: cli docker buildx use --debug
// covers: cli docker buildx use --global
// covers: value buildx-driver buildx create --driver docker
#[test]
fn builders_are_made_chosen_and_forgotten() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let client = Client(&engine);
    let real = |words: &[&str]| {
        let mut command = engine.docker_command();
        command.env("BUILDX_CONFIG", engine.scratch().join("buildx"));
        run(command.arg("buildx").args(words))
    };
    let address = format!("unix://{}", engine.socket().display());
    for (name, more) in [("one", "--debug"), ("two", "--builder=one"), ("three", "--driver=docker")] {
        client.buildx(&["create", "--name", name, more, &address]).ok();
    }
    client.buildx(&["create", "--name=gone", "unix:///nobody/listens.sock"]).ok();
    // The same files.
    assert!(real(&["ls"]).ok().contains("two"));
    client.buildx(&["use", "--debug", "one"]).ok();
    assert_eq!(client.current(), "one");
    real(&["use", "two"]).ok();
    assert_eq!(client.current(), "two");
    client.buildx(&["use", "--builder=three", "--global"]).ok();
    assert_eq!(client.current(), "three");
    let listed = client.buildx(&["ls", "--format={{.Name}} {{.Status}}"]).ok();
    for line in ["default running", "one running", "two running", "three running", "gone inactive"] {
        assert!(listed.lines().any(|said| said == line), "{line}: {listed}");
    }
    // Another engine's socket is where the build goes, whatever the environment says.
    let mut elsewhere = engine.ketch_command();
    elsewhere
        .env("BUILDX_CONFIG", engine.scratch().join("buildx"))
        .env("DOCKER_HOST", "unix:///nobody/listens.sock");
    run(elsewhere.args(["buildx", "du", "--builder=one"])).ok();
    for words in [&["stop"][..], &["stop", "two"], &["stop", "--builder=one"], &["stop", "--debug"]] {
        client.buildx(words).ok();
    }
    assert_eq!(client.buildx(&["rm", "--all-inactive", "--force"]).ok(), "gone removed");
    assert_eq!(client.buildx(&["rm", "--keep-state", "--keep-daemon"]).ok(), "three removed");
    assert_eq!(client.current(), "default");
    assert_eq!(client.buildx(&["rm", "--debug", "--builder=one"]).ok(), "one removed");
    client.buildx(&["use", "default"]).ok();
    assert_eq!(client.buildx(&["rm", "two"]).ok(), "two removed");
    for (words, why) in [
        (&["create", "--name=default"][..], "already exists as context builder"),
        (&["create", "--name=a/b"], "invalid builder name"),
        (&["create", "--driver=kubernetes"], "the driver \"kubernetes\" is not supported"),
        (&["create", "--driver=remote", "tcp://x:1"], "the driver \"remote\" is not supported"),
        (&["create", "--driver-opt=memory=1g"], "memory=1g"),
        (&["create", "--buildkitd-flags=--oci-worker-gc"], "--oci-worker-gc"),
        (&["create", "--config=x.toml"], "daemon.json"),
        (&["create", "--buildkitd-config=x.toml"], "daemon.json"),
        (&["create", "--append"], "--append: a builder is one engine"),
        (&["create", "--leave"], "--leave: a builder is one engine"),
        (&["create", "--node=n"], "--node: a builder is one engine"),
        (&["create", "--platform=linux/arm64"], "--platform"),
        (&["create", "nonsense://x"], "nonsense"),
        (&["use", "--default", "x"], "--default"),
        (&["use", "absent"], "no builder \"absent\" found"),
        (&["stop", "absent"], "no builder \"absent\" found"),
        (&["rm", "absent"], "no builder \"absent\" found"),
        (&["rm"], "context builder cannot be removed"),
        (&["rm", "--all-inactive", "x"], "cannot specify builder name"),
    ] {
        client.refused(words, why);
    }
    client.buildx(&["create", "--name=twice"]).ok();
    client.refused(&["create", "--name=twice"], "existing instance for \"twice\"");
    // Others of buildx's are not taken for engines.
    let others = [
        (
            "kube",
            r#"{"Name":"kube","Driver":"kubernetes","Nodes":[{"Name":"k0","Endpoint":"x"}]}"#,
            "\"kubernetes\" is not supported",
        ),
        (
            "several",
            r#"{"Name":"several","Driver":"docker-container","Nodes":[{"Name":"a"},{"Name":"b"}]}"#,
            "2 nodes",
        ),
    ];
    for (name, text, why) in others {
        engine.scratch().write(&format!("buildx/instances/{name}"), text);
        client.refused(&["inspect", name], why);
    }
}

/// An endpoint that takes connections and says nothing is a builder that is inactive, and holds nobody up.
// covers: cli docker buildx create --timeout
// covers: cli docker buildx du --timeout
// covers: cli docker buildx inspect --timeout
// covers: cli docker buildx ls --timeout
// covers: cli docker buildx prune --timeout
// covers: cli docker buildx rm --timeout
#[test]
fn a_builder_that_says_nothing_is_inactive() {
    let engine = Engine::ours();
    let client = Client(&engine);
    let socket = engine.scratch().join("silent.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let endpoint = format!("unix://{}", socket.display());
    client.buildx(&["create", "--name=silent", &endpoint]).ok();
    let listed = client.buildx(&["ls", "--timeout=500ms"]).ok();
    let line = |of: &str| listed.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned();
    assert!(line(&endpoint).contains("inactive"), "{listed}");
    assert!(line("\\_ default").contains("running"), "{listed}");
    let document = client.buildx(&["ls", "--timeout=500ms", "--format=json"]).ok();
    assert!(document.contains("context deadline exceeded"), "{document}");
    for words in [
        &["inspect", "--timeout=100ms", "silent"][..],
        &["du", "--timeout=100ms", "--builder=silent"],
        &["prune", "--force", "--timeout=100ms", "--builder=silent"],
        &["create", "--name=too", "--bootstrap", "--timeout=100ms", &endpoint],
    ] {
        client.refused(words, "context deadline exceeded");
    }
    // Whoever answers has all the time that there is for what it does then.
    client.buildx(&["du", "--timeout=20s"]).ok();
    client.buildx(&["prune", "--force", "--timeout=20s"]).ok();
    let removed = client.buildx(&["rm", "--all-inactive", "--force", "--timeout=100ms"]).ok();
    assert_eq!(removed.lines().collect::<Vec<_>>(), ["silent removed", "too removed"]);
}
