//! What buildx' users set and see besides flags: variables, what an engine's driver can do, images that have no tag.

use std::process::Command;

use serde_json::Value;
use testkit::command::{Output, run};
use testkit::{Engine, Registry};

use super::Context;

fn buildx(engine: &Engine) -> Command {
    let mut command = engine.docker_command();
    command.args(["buildx", "build"]);
    command
}

fn ours(engine: &Engine) -> Command {
    let mut command = engine.ketch_command();
    command.args(["build", "--progress=plain"]);
    command
}

fn with(mut command: Command, variables: &[(&str, &str)], arguments: &[&str], context: &Context) -> Output {
    command.current_dir(context.path()).envs(variables.iter().copied()).args(arguments);
    run(command.arg("."))
}

// covers: buildkit driver-feature docker driver OCIExporter
// covers: buildkit driver-feature docker driver DockerExporter
// covers: buildkit driver-feature docker driver DirectPush
// covers: buildkit driver-feature docker driver DefaultLoad
// covers: buildkit driver-feature docker driver PreferImageDigest
#[test]
fn the_docker_driver_does_all_that_buildx_asks_of_it() {
    let engine = Engine::ours().with_plugins();
    let registry = Registry::start();
    let context = Context::new(&engine, "c", "FROM scratch\nCOPY Dockerfile /\n");
    let name = registry.name("direct:1");
    for output in ["type=oci,dest=o.tar", "type=docker,dest=d.tar"] {
        with(buildx(&engine), &[], &["-o", output], &context).ok();
    }
    for archive in ["o.tar", "d.tar"] {
        engine.docker(["load", "-i", &context.path().join(archive).display().to_string()]).ok();
    }
    with(buildx(&engine), &[], &["--push", "-t", &name, "--metadata-file=m.json"], &context).ok();
    let said: Value = serde_json::from_slice(&std::fs::read(context.path().join("m.json")).unwrap()).unwrap();
    assert_eq!(said["containerimage.digest"], registry.digest("direct:1"));
    with(buildx(&engine), &[], &["-t", "loaded:1", "--iidfile=id"], &context).ok();
    let id = engine.docker(["inspect", "--format={{.Id}}", "loaded:1"]).ok();
    assert_eq!(std::fs::read_to_string(context.path().join("id")).unwrap(), id);
}

/// How matrices of machines build images of several platforms: each pushes its own by digest, one names them all.
// covers: buildkit exporter-attr image, oci, docker push-by-digest
// covers: buildkit exporter-attr image, oci, docker name-canonical
// covers: buildkit exporter-attr image, oci, docker registry.insecure
#[test]
fn an_image_without_a_tag_is_pushed_by_its_digest() {
    let engine = Engine::ours().with_plugins();
    let registry = Registry::start();
    let context = Context::new(&engine, "c", "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    let name = registry.name("apart");
    let mut digests = Vec::new();
    for (command, platform) in [(ours(&engine), "linux/amd64"), (ours(&engine), "linux/arm64")] {
        let output = format!(
            "type=image,name={name},push=true,push-by-digest=true,name-canonical=true,registry.insecure=true"
        );
        let flags = ["--platform", platform, "--output", &output, "--metadata-file=m.json"];
        with(command, &[], &flags, &context).ok();
        let said: Value =
            serde_json::from_slice(&std::fs::read(context.path().join("m.json")).unwrap()).unwrap();
        let digest = said["containerimage.digest"].as_str().unwrap().to_owned();
        let pushed: Value = serde_json::from_str(&registry.manifest(&format!("apart@{digest}"))).unwrap();
        assert!(pushed["manifests"].is_array() || pushed["layers"].is_array(), "{pushed}");
        // It is here by that name, too.
        engine.docker(["inspect", &format!("{name}@{digest}")]).ok();
        digests.push(format!("{name}@{digest}"));
    }
    let mut named = engine.docker_command();
    named.args(["buildx", "imagetools", "create", "-t", &format!("{name}:all")]).args(&digests);
    run(&mut named).ok();
    let index: Value = serde_json::from_str(&registry.manifest("apart:all")).unwrap();
    let platforms: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|one| &one["platform"]["architecture"]).collect();
    assert!(
        platforms.contains(&&Value::from("amd64")) && platforms.contains(&&Value::from("arm64")),
        "{index}"
    );
    for (output, why) in [
        (format!("type=image,name={name}:1,push=true,push-by-digest=true"), "can't push tagged ref"),
        (format!("type=image,name={name},name-canonical=true"), "name-canonical=true"),
        ("type=image,push=true,push-by-digest=true".to_owned(), "tag is needed"),
        (format!("type=image,name={name},store=false"), "store=false"),
    ] {
        let refused = with(ours(&engine), &[], &["--output", &output], &context).assert_code(1);
        assert!(refused.stderr.contains(why), "{output}: {}", refused.stderr);
    }
}

// covers: buildkit exporter-attr image, oci, docker oci-mediatypes
// refuses: buildkit cache-attr cache local directory reset because a folder's other caches are its owner's, and a tag's own is replaced
// refuses: buildkit exporter-attr image, oci, docker danging-name-empty-only because an image without a name is known by its id here
// refuses: buildkit exporter-attr image, oci, docker oci-artifact because what is said about images is written as all of BuildKit's releases read it
// refuses: buildkit exporter-attr image, oci, docker prefer-nondist-layers because layers of other hosts are refused, and none is written
// refuses: buildkit session-metadata filesync buildkit-exporter-multi-platform because the folders of platforms are the exporter's, and no client that can be had reads it
// refuses: value client-env docker buildx BUILDX_NO_DEFAULT_OCI_ARTIFACT because what is said about images is written as all of BuildKit's releases read it
#[test]
fn an_exporters_words() {
    let engine = Engine::ours();
    let context = Context::new(&engine, "c", "FROM scratch\nCOPY Dockerfile /\n");
    for (asked, kind) in [
        ("true", "application/vnd.oci.image.manifest.v1+json"),
        ("false", "application/vnd.docker.distribution.manifest.v2+json"),
    ] {
        let output = format!("type=oci,dest=x.tar,oci-mediatypes={asked}");
        with(ours(&engine), &[], &["--output", &output], &context).ok();
        let mut archive = tar::Archive::new(std::fs::File::open(context.path().join("x.tar")).unwrap());
        let index = archive
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .find(|entry| entry.path().unwrap().ends_with("index.json"));
        let index: Value = serde_json::from_reader(index.unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["mediaType"], kind);
    }
    let reset = ["--cache-to", "type=local,dest=kept,reset=true"];
    let refused = with(ours(&engine), &[], &reset, &context).assert_code(1);
    assert!(refused.stderr.contains("the setting \"reset\" of a cache"), "{}", refused.stderr);
    for attribute in ["danging-name-empty-only=true", "oci-artifact=true", "prefer-nondist-layers=true"] {
        let refused =
            with(ours(&engine), &[], &["-o", &format!("type=image,{attribute}")], &context).assert_code(1);
        assert!(refused.stderr.contains(&format!("{attribute} is not supported")), "{}", refused.stderr);
    }
}

// covers: value client-env docker buildx BUILDX_NO_DEFAULT_LOAD
// covers: value client-env docker buildx BUILDKIT_PROGRESS
// covers: value client-env docker buildx BUILDKIT_INLINE_CACHE
// covers: value client-env docker buildx BUILDKIT_MULTI_PLATFORM
// refuses: value client-env docker buildx BUILDKIT_INLINE_BUILDINFO_ATTRS because BuildKit itself dropped build infos
// refuses: value client-env docker buildx BUILDKIT_HOST because every engine is a builder: DOCKER_HOST and contexts name it
// refuses: value client-env docker buildx BUILDX_EXPERIMENTAL because nothing is hidden
// refuses: value client-env docker buildx BUILDX_CPU_PROFILE because it is for profiling a program in Go
// refuses: value client-env docker buildx BUILDX_MEM_PROFILE because it is for profiling a program in Go
// refuses: value client-env docker buildx BUILDX_DAP_USER_AGENT because builds have no debugger
// refuses: value client-env docker buildx BUILDX_DEFAULT_POLICY because builds evaluate no policies in Rego
// refuses: value client-env docker buildx BUILDX_GIT_LABELS because a context's repository isn't looked at: --label says what is wanted
// refuses: value client-env docker buildx BUILDX_GIT_INFO because a context's repository isn't looked at
// refuses: value client-env docker buildx BUILDX_GIT_CHECK_DIRTY because a context's repository isn't looked at
// refuses: value client-env docker buildx BUILDX_SEND_GIT_QUERY_AS_INPUT because an address goes to the engine as it was given
// refuses: value client-env docker buildx BUILDX_METADATA_WARNINGS because `build --check` says them
// refuses: value client-env docker buildx BUILDX_BAKE_ENTITLEMENTS_FS because a bake file of one's own may read what its reader may, and others' are not fetched
// refuses: value client-env docker buildx BUILDX_BAKE_FILE_RELATIVE_PATHS because paths are relative to where bake is called, as they are by default
// refuses: value client-env docker buildx BUILDX_BAKE_GIT_AUTH_TOKEN because bake files are not fetched: check the repository out
// refuses: value client-env docker buildx BUILDX_BAKE_GIT_AUTH_HEADER because bake files are not fetched: check the repository out
// refuses: value client-env docker buildx BUILDX_BAKE_GIT_SSH because bake files are not fetched: check the repository out
// refuses: value client-env docker DOCKER_BUILDKIT because there is one builder, and it builds what the classic one did
// refuses: value client-config config.json aliases because docker lets `builder` alone have one, and that is BuildKit's already
#[test]
fn variables_say_what_flags_do_not() {
    let engine = Engine::ours().with_plugins();
    let context = Context::new(&engine, "c", "FROM scratch\nCOPY Dockerfile /\n");
    let there = |name: &str| {
        engine.docker_command().args(["image", "inspect", name]).output().unwrap().status.success()
    };
    for (name, command) in [("kept-in-cache", buildx(&engine)), ("ours-in-cache", ours(&engine))] {
        with(command, &[("BUILDX_NO_DEFAULT_LOAD", "true")], &["-t", name], &context).ok();
        assert!(!there(name), "{name}");
    }
    let mut quiet = engine.ketch_command();
    quiet.arg("build");
    let said = with(quiet, &[("BUILDKIT_PROGRESS", "rawjson")], &[], &context).assert_code(0);
    assert!(said.stderr.starts_with('{'), "{}", said.stderr);
    // A build argument without a value has that of the variable.
    let variables = [("BUILDKIT_INLINE_CACHE", "1"), ("BUILDKIT_MULTI_PLATFORM", "1")];
    let flags = [
        "--build-arg=BUILDKIT_INLINE_CACHE",
        "--build-arg=BUILDKIT_MULTI_PLATFORM",
        "-o",
        "type=oci,dest=x.tar",
    ];
    with(ours(&engine), &variables, &flags, &context).ok();
    let mut archive = tar::Archive::new(std::fs::File::open(context.path().join("x.tar")).unwrap());
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry.unwrap(), &mut bytes).unwrap();
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(text.contains("moby.buildkit.cache.v0"), "no cache goes with the image");
    // What others mean changes nothing of what is built.
    let id = |variables: &[(&str, &str)]| with(ours(&engine), variables, &["-q"], &context).ok();
    let plain = id(&[]);
    let others = [
        "DOCKER_BUILDKIT",
        "BUILDKIT_INLINE_BUILDINFO_ATTRS",
        "BUILDX_EXPERIMENTAL",
        "BUILDX_CPU_PROFILE",
        "BUILDX_MEM_PROFILE",
        "BUILDX_DAP_USER_AGENT",
        "BUILDX_DEFAULT_POLICY",
        "BUILDX_GIT_LABELS",
        "BUILDX_GIT_INFO",
        "BUILDX_GIT_CHECK_DIRTY",
        "BUILDX_SEND_GIT_QUERY_AS_INPUT",
        "BUILDX_METADATA_WARNINGS",
        "BUILDX_BAKE_ENTITLEMENTS_FS",
        "BUILDX_NO_DEFAULT_OCI_ARTIFACT",
        "BUILDKIT_HOST",
    ];
    for name in others {
        assert_eq!(id(&[(name, "0")]), plain, "{name}");
    }
    let mut bake = engine.ketch_command();
    bake.args(["buildx", "bake", "https://example.com/repository.git"]);
    assert!(run(&mut bake).assert_code(1).stderr.contains("example.com"));
    let config =
        engine.scratch().write("home/.docker/config.json", "{\"aliases\": {\"builder\": \"buildx\"}}");
    assert!(run(engine.ketch_command().args(["builder", "prune", "--force"])).ok().contains("Total"));
    std::fs::remove_file(config).unwrap();
}

// covers: dockerfile builtin-arg ARG BUILDKIT_BUILD_NAME String
// refuses: dockerfile builtin-arg ARG BUILDKIT_SBOM_SCAN_CONTEXT because an SBOM is of the result alone
// refuses: dockerfile builtin-arg ARG BUILDKIT_SBOM_SCAN_STAGE because an SBOM is of the result alone
// refuses: dockerfile subrequest frontend.convertllb because a definition is asked for by BuildKit's own tests alone
#[test]
fn arguments_that_the_builder_reads_itself() {
    let engine = Engine::ours().with_plugins();

    let context = Context::new(
        &engine,
        "c",
        "FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE\nARG BUILDKIT_SBOM_SCAN_CONTEXT\nCOPY Dockerfile /\n",
    );
    with(ours(&engine), &[], &["--build-arg=BUILDKIT_BUILD_NAME=called so"], &context).ok();
    for mut command in [engine.docker_command(), engine.ketch_command()] {
        let listed = run(command.args(["buildx", "history", "ls", "--format={{.Name}}"])).ok();
        assert_eq!(listed.lines().next(), Some("called so"));
    }
    for name in ["BUILDKIT_SBOM_SCAN_STAGE", "BUILDKIT_SBOM_SCAN_CONTEXT"] {
        let flags = ["--sbom=true", &format!("--build-arg={name}=true")];
        let refused = with(ours(&engine), &[], &flags, &context).assert_code(1);
        let why = format!("{name}=true is not supported: an SBOM is of the result alone");
        assert!(refused.stderr.contains(&why), "{}", refused.stderr);
        with(ours(&engine), &[], &[&format!("--build-arg={name}=true")], &context).ok();
    }
    let refused = with(ours(&engine), &[], &["--call=convertllb"], &context).assert_code(1);
    assert!(refused.stderr.contains("convertllb"), "{}", refused.stderr);
}

// covers: value bake-target-attribute bake ssh
#[test]
fn one_targets_result_is_anothers_context() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let context =
        Context::new(&engine, "c", "FROM BASE\nENV WORD=below\nCOPY above /v\nRUN echo made > /made\n");
    context.file("above", "FROM below\nCOPY docker-bake.hcl /w\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $WORD > /word\n");
    let socket = engine.scratch().join("agent");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let file = "target \"below\" {\n  tags = [\"below:1\"]\n}\ntarget \"above\" {\n  dockerfile = \"above\"\n  tags = [\"above:1\"]\n  \
                contexts = { below = \"target:below\" }\n  ssh = [\"default\"]\n}\n";
    // A longer chain: what is lent is itself made of what was lent.
    let more = "target \"third\" {\n  dockerfile = \"third\"\n  contexts = { above = \"target:above\" }\n}\ntarget \"last\" {\n  dockerfile = \"last\"\n  \
                tags = [\"last:1\"]\n  contexts = { third = \"target:third\" }\n}\n";
    context.file("third", "FROM above\nCOPY third /\n").file("last", "FROM third\nCOPY last /\n");
    context.file("docker-bake.hcl", &format!("{file}{more}"));
    for (mut command, round) in [(engine.docker_command(), 1), (engine.ketch_command(), 2)] {
        command.current_dir(context.path()).env("SSH_AUTH_SOCK", &socket);
        let word = format!("--set=*.args.ROUND={round}");
        command.args(["buildx", "bake", "--allow=ssh", "--load", &word, "above", "last"]);
        run(&mut command).ok();
        assert_eq!(super::run(&engine, "above:1", "cat /made /word"), "made\nbelow");
        assert_eq!(
            super::run(&engine, "last:1", "cat /made /word; ls /third /last"),
            "made\nbelow\n/last\n/third"
        );
    }
}

/// Without the cache every target's build comes to the steps that it was lent by others itself. They are made once, with what the
/// lender has; and a target's own steps have nothing of it.
#[test]
fn a_lent_step_has_its_lenders_secrets_and_agent_whoever_makes_it() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let step = "RUN --mount=type=ssh --mount=type=secret,id=s";
    let context = Context::new(
        &engine,
        "c",
        &format!(
            "FROM {base}\n{step} test -S $SSH_AUTH_SOCK && cat /run/secrets/s > /said && cat /proc/sys/kernel/random/uuid > /once\n"
        ),
    );
    context.file("third", "FROM above\nRUN --mount=type=ssh ! test -S $SSH_AUTH_SOCK\n");
    context.file("last", "FROM third\nRUN --mount=type=secret,id=s,required cat /run/secrets/s > /own\n");
    context.file("first", "above's").file("second", "last's");
    let socket = engine.scratch().join("agent");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    context.file(
        "docker-bake.hcl",
        "target \"above\" {\n  tags = [\"above:1\"]\n  ssh = [\"default\"]\n  secret = [\"type=file,id=s,src=first\"]\n}\n\
         target \"third\" {\n  dockerfile = \"third\"\n  contexts = { above = \"target:above\" }\n}\n\
         target \"last\" {\n  dockerfile = \"last\"\n  tags = [\"last:1\"]\n  contexts = { third = \"target:third\" }\n  \
         secret = [\"type=file,id=s,src=second\"]\n}\n",
    );
    let mut before = String::new();
    let bake = |mut command: Command| {
        command.current_dir(context.path()).env("SSH_AUTH_SOCK", &socket);
        command.args(["buildx", "bake", "--allow=ssh", "--allow=fs=*", "--no-cache", "--load"]);
        run(command.args(["above", "last"])).ok();
        assert_eq!(super::run(&engine, "last:1", "cat /said /own"), "above'slast's");
    };
    for _ in 0..2 {
        bake(engine.docker_command());
        let once = super::run(&engine, "above:1", "cat /once");
        assert_eq!(super::run(&engine, "last:1", "cat /once"), once);
        assert_ne!(before, once, "nothing was done anew");
        before = once;
    }
    // Ours makes an image of what it lends.
    bake(engine.ketch_command());
}

/// Each target has a directory of its own, and a secret that the other one's client knows nothing of.
// covers: buildkit gateway-cap FrontendAPICaps reference.output
#[test]
fn a_targets_directory_and_secrets_stay_its_own_where_another_builds_on_it() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let context = Context::new(
        &engine,
        "c",
        &format!(
            "FROM {base}\nCOPY it /below\nRUN --mount=type=secret,id=s,required cat /run/secrets/s > /said\n"
        ),
    );
    context.file("it", "first");
    context.file("s", "known");
    context.file("other/it", "second");
    context.file("other/Dockerfile", "FROM base\nCOPY it /above\nCOPY --from=base /below /again\n");
    let file = "target \"b\" {\n  secret = [\"type=file,id=s,src=s\"]\n}\ntarget \"a\" {\n  context = \"other\"\n  tags = [\"a:1\"]\n  \
                contexts = { base = \"target:b\" }\n}\ngroup \"default\" {\n  targets = [\"a\", \"b\"]\n}\n";
    context.file("docker-bake.hcl", file);
    for mut command in [engine.docker_command(), engine.ketch_command()] {
        command.current_dir(context.path());
        run(command.args(["buildx", "bake", "--allow=fs=*", "--load", "a"])).ok();
        let said = super::run(&engine, "a:1", "cat /below /above /again /said");
        assert_eq!(said, "firstsecondfirstknown");
        engine.docker(["rmi", "a:1"]).ok();
        engine.docker(["builder", "prune", "-af"]).ok();
    }
}
