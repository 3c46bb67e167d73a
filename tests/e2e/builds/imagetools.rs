//! `buildx imagetools`: what is in a registry, looked at and put together, as the real buildx does it.

use serde_json::Value;
use testkit::command::{Output, run};
use testkit::{Engine, Registry};

use super::Context;

fn tools(engine: &Engine, real: bool, words: &[&str]) -> Output {
    let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
    run(command.current_dir(engine.scratch().join("")).args(["buildx", "imagetools"]).args(words))
}

/// Images of two platforms, each under a name of its own, and an index of both with what is said about them.
fn images(engine: &Engine, registry: &Registry) -> [String; 3] {
    let text = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /arch\n";
    let context = Context::new(engine, "tools", text);
    context.file("amd64", "amd64").file("arm64", "arm64");
    ["amd64", "arm64", "amd64,linux/arm64"].map(|platform| {
        let name = registry.name(&format!("tools:{}", platform.replace([',', '/'], "-")));
        let provenance = if platform.contains(',') { "--provenance=mode=min" } else { "--provenance=false" };
        let platform = format!("--platform=linux/{platform}");
        let mut command = engine.ketch_command();
        command.args(["build", "-q", "-t", &name, "--push", &platform, provenance]);
        run(command.arg(context.path())).ok();
        name
    })
}

// covers: cli docker buildx imagetools
// covers: cli docker buildx imagetools --builder
// covers: cli docker buildx imagetools --debug
// covers: cli docker buildx imagetools inspect
// covers: cli docker buildx imagetools inspect --builder
// covers: cli docker buildx imagetools inspect --debug
// covers: cli docker buildx imagetools inspect --format
// covers: cli docker buildx imagetools inspect --raw
#[test]
fn a_registry_s_images_are_shown_as_by_the_real_buildx() {
    let engine = Engine::ours().with_plugins();
    let registry = Registry::start();
    let names = images(&engine, &registry);
    for name in &names {
        for words in [
            &["inspect", name][..],
            &["inspect", "--raw", name],
            &["inspect", "--format", "{{json .Manifest}}", name],
            &["inspect", "--format", "{{.Name}} {{.Manifest.Digest}} {{.Manifest.MediaType}}", name],
        ] {
            let [ours, theirs] = [false, true].map(|real| tools(&engine, real, words).ok());
            // Annotations have another order there each time.
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&ours), sorted(&theirs), "{words:?}\n{ours}\n{theirs}");
        }
    }
    let json = |field: &str, name: &str| -> Value {
        let format = format!("{{{{json .{field}}}}}");
        serde_json::from_str(&tools(&engine, false, &["inspect", "--format", &format, name]).ok()).unwrap()
    };
    assert_eq!(json("Image", &names[1])["architecture"], "arm64");
    let both = json("Image", &names[2]);
    assert_eq!(both["linux/amd64"]["rootfs"]["type"], "layers");
    let said = json("Provenance", &names[2]);
    assert!(said["linux/arm64"]["SLSA"]["buildType"].is_string(), "{said}");
    assert_eq!(json("", &names[0])["manifest"]["digest"], registry.digest("tools:amd64"));
    for (words, why) in [
        (&["inspect", "--raw", "--format", "x", &names[0]][..], "cannot be used together"),
        (&["inspect", "--format", "{{.SBOM}}", &names[0]], ".SBOM is only"),
        (&["inspect", "--builder", "absent", &names[0]], "no builder \"absent\""),
        (&["--builder", "absent", "inspect", &names[0]], "no builder \"absent\""),
        (&["inspect", "UPPER"], "invalid reference"),
        (&["inspect", &registry.name("tools:none")], "none"),
    ] {
        let refused = tools(&engine, false, words).assert_code(1);
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
    for words in [&["--debug", "inspect", &names[0]][..], &["inspect", "--debug", &names[0]]] {
        assert_eq!(tools(&engine, false, words).ok(), tools(&engine, true, &["inspect", &names[0]]).ok());
    }
}

// covers: cli docker buildx imagetools create
// covers: cli docker buildx imagetools create --annotation
// covers: cli docker buildx imagetools create --append
// covers: cli docker buildx imagetools create --builder
// covers: cli docker buildx imagetools create --debug
// covers: cli docker buildx imagetools create --dry-run
// covers: cli docker buildx imagetools create --file
// covers: cli docker buildx imagetools create --metadata-file
// covers: cli docker buildx imagetools create --platform
// covers: cli docker buildx imagetools create --prefer-index
// covers: cli docker buildx imagetools create --progress
// covers: cli docker buildx imagetools create --tag
#[test]
fn images_become_one_name_as_by_the_real_buildx() {
    let engine = Engine::ours().with_plugins();
    let registry = Registry::start();
    let [amd, arm, both] = images(&engine, &registry);
    let digest = registry.digest("tools:arm64");
    engine.scratch().write("digest", &digest);
    let annotated = ["--annotation", "index:a=b", "--annotation", "manifest-descriptor:k=v"];
    // What would be made is the same, byte for byte.
    let lines: [&[&str]; 7] = [
        &[&amd, &arm],
        &[&amd],
        &["--prefer-index=false", &amd],
        &[&both],
        &[&both, &amd],
        &["-t", &amd, "-f", "digest", &amd],
        &[&annotated[..], &[&both, &amd]].concat(),
    ];
    for line in lines {
        let words = [&["create", "--dry-run"], line].concat();
        let [ours, theirs] = [false, true].map(|real| tools(&engine, real, &words).ok());
        assert_eq!(ours, theirs, "{words:?}");
    }
    let index = |name: &str| -> Value { serde_json::from_str(&registry.manifest(name)).unwrap() };
    let count = |name: &str| index(name)["manifests"].as_array().map_or(0, Vec::len);
    // Into another repository of the registry, with all that it needs.
    let made = registry.name("joined:1");
    let words = [
        "create",
        "--progress=plain",
        "--metadata-file=meta.json",
        "--builder=default",
        "--debug",
        "-t",
        &made,
        &amd,
    ];
    let said = tools(&engine, false, &words).assert_code(0);
    assert!(said.stderr.contains("pushing"), "{}", said.stderr);
    assert_eq!(count("joined:1"), 1);
    let meta: Value =
        serde_json::from_slice(&std::fs::read(engine.scratch().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["containerimage.descriptor"]["digest"], registry.digest("joined:1"));
    tools(&engine, false, &["create", "--append", "-t", &made, &arm]).ok();
    assert_eq!(count("joined:1"), 2);
    engine.docker(["pull", &made]).ok();
    // Of what is for several, a part with what is said about it.
    let part = registry.name("part:1");
    tools(&engine, false, &["create", "--platform=linux/arm64", "-t", &part, &both]).ok();
    let entries = index("part:1")["manifests"].clone();
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "{entries}");
    assert_eq!(entries[0]["platform"]["architecture"], "arm64");
    for (words, why) in [
        (&["create"][..], "no sources specified"),
        (&["create", &amd], "can't push with no tags"),
        (&["create", "--append", "--dry-run", &amd], "can't append with no references"),
        (&["create", "--dry-run", "--annotation", "manifest:a=b", &both], "not supported yet"),
        (&["create", "--dry-run", "--annotation", "index:a=b", &amd], "a list of Docker's has none"),
        (&["create", "--dry-run", "--platform", "linux/riscv64", &both], "for any of the platforms"),
        (&["create", "-t", "127.0.0.1:1/x:1", &amd], "127.0.0.1:1"),
    ] {
        let refused = tools(&engine, false, words).assert_code(1);
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
}
