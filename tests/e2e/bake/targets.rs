//! What is built is what the files say.

use std::fs;

use serde_json::Value;
use testkit::Engine;

use super::{REAL, command};

// covers: cli docker buildx bake
// covers: cli docker buildx bake --list
// covers: cli docker buildx bake --load
// covers: cli docker buildx bake --metadata-file
// covers: cli docker buildx bake --no-cache
// covers: cli docker buildx bake --progress
// covers: cli docker buildx bake --allow
// covers: cli docker buildx bake --call
// covers: cli docker buildx bake --check
#[test]
fn targets_are_built() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!(
        "target \"app\" {{\n  context = \"dir\"\n  contexts = {{ below = \"target:below\" }}\n  tags = [\"{0}:app\"]\n  args = {{ W = \"seven\" }}\n}}\n\
         target \"below\" {{\n  dockerfile-inline = \"FROM {base}\\nRUN echo below > /below\\nENV FROM_BELOW=yes\\n\"\n}}\n\
         target \"m\" {{\n  name = \"m-${{v}}\"\n  matrix = {{ v = [\"1\", \"2\"] }}\n  dockerfile-inline = \"FROM {base}\\nRUN echo ${{v}} > /which\\n\"\n  tags = [\"{0}:${{v}}\"]\n}}\n\
         target \"host\" {{\n  network = \"host\"\n  dockerfile-inline = \"FROM {base}\\nRUN true\\n\"\n}}\n",
        engine.name("baked")
    );
    engine.scratch().write("docker-bake.hcl", text);
    engine.scratch().write("dir/Dockerfile", "FROM below\nARG W\nRUN echo $W > /word\n");
    let folder = engine.scratch().join("");
    let bake = |words: &[&str]| command(&engine, false, &folder, &[], words);
    bake(&["--progress", "plain", "--metadata-file", "metadata.json", "app", "m"]).ok();
    let said = |tag: &str, text: &str| {
        let image = format!("{}:{tag}", engine.name("baked"));
        engine.docker(["run", "--rm", "--network", "none", &image, "sh", "-c", text]).ok()
    };
    assert_eq!(said("app", "cat /below /word; echo $FROM_BELOW"), "below\nseven\nyes");
    assert_eq!(said("1", "cat /which") + &said("2", "cat /which"), "12");
    let metadata: Value = serde_json::from_slice(&fs::read(folder.join("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata.as_object().unwrap().len(), 3);
    assert!(metadata["app"]["containerimage.config.digest"].is_string());
    // What stood below has no name any more.
    assert!(!engine.docker(["images", "--format", "{{.Repository}}"]).ok().contains("ketch-bake"));
    let refused = bake(&["host"]).assert_code(1);
    assert!(refused.stderr.contains("network.host"), "{}", refused.stderr);
    bake(&["--allow", "network.host", "--no-cache", "host"]).ok();
    bake(&["--check", "m"]).ok();
    for list in ["targets", "type=variables,format=json", "type=targets,format=json"] {
        let [ours, theirs] = REAL.map(|real| command(&engine, real, &folder, &[], &["--list", list]).ok());
        assert_eq!(ours, theirs, "{list}");
    }
    for (words, expected) in [
        (&["https://example.com/x.git"][..], "are not supported: check it out first"),
        (&["nosuch"], "failed to find target nosuch"),
    ] {
        let refused = bake(words).assert_code(1);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    let refused = bake(&["--policy", "disabled=true"]).assert_code(125);
    assert!(refused.stderr.contains("--policy: builds evaluate no policies"), "{}", refused.stderr);
}
