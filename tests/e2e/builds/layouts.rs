//! Images that builds begin with, in OCI layouts of the client's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Engine;
use testkit::command::{self, Output};

use super::{Context, run};

const TEXT: &str = "FROM given\nRUN cat /mark > /seen; echo $MARK >> /seen\nFROM BASE\nCOPY --from=given /mark /copied\nCOPY --from=0 /seen /seen\n";

type Client = fn(&Engine) -> Command;

const CLIENTS: [(&str, Client); 2] = [
    ("ours", |engine| engine.ketch_command()),
    ("buildx", |engine| {
        let mut command = engine.docker_command();
        command.arg("buildx");
        command
    }),
];

/// A layout with an image that has this mark, under the tag `one`.
fn layout(engine: &Engine, name: &str, mark: &str) -> PathBuf {
    let text = format!("FROM BASE\nENV MARK={mark}\nRUN echo {mark} > /mark\n");
    written(engine, name, &text, &[])
}

/// A layout with what a Dockerfile makes.
fn written(engine: &Engine, name: &str, text: &str, more: &[&str]) -> PathBuf {
    let context = Context::new(engine, &format!("{name}-context"), text);
    context.file("mark", "mark");
    let (archive, folder) = (engine.scratch().join(&format!("{name}.tar")), engine.scratch().join(name));
    let mut build = engine.ketch_command();
    build.args(["build", "-t", "given:one", "-o", &format!("type=oci,dest={}", archive.display())]);
    command::run(build.args(more).arg(context.path())).ok();
    let file = fs::File::open(archive).expect("the archive that was made");
    tar::Archive::new(file).unpack(&folder).expect("a folder of the test's");
    folder
}

fn build(engine: &Engine, client: Client, context: &Context, tag: &str, given: &str) -> Output {
    let mut command = client(engine);
    command.args(["build", "--progress=plain", "--load", "-t", tag, "--build-context"]);
    command::run(command.arg(format!("given=oci-layout://{given}")).arg(context.path()))
}

/// The digest that the layout's index has.
fn digest(folder: &Path) -> String {
    let index = fs::read(folder.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("an index");
    index["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
}

// covers: dockerfile context oci-layout:// named context: local OCI layout
// covers: buildkit llb-cap LLBCaps source.ocilayout
#[test]
fn an_image_in_a_folder_is_a_context() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let folder = layout(&engine, "layout", "first");
    let context = Context::new(&engine, "context", TEXT);
    let place = folder.display();
    for (name, client) in CLIENTS {
        let tag = format!("{}:1", engine.name(name));
        for given in [
            format!("{place}:one"),
            format!("{place}@{}", digest(&folder)),
            format!("{place}:one@{}", digest(&folder)),
        ] {
            let said = build(&engine, client, &context, &tag, &given).assert_code(0);
            assert!(said.stderr.contains("[context given] OCI load from client"), "{}", said.stderr);
            assert_eq!(run(&engine, &tag, "cat /seen /copied"), "first\nfirst\nfirst");
        }
        // The same image from a store of another name is the same image.
        let said = build(&engine, client, &context, &tag, &format!("{place}:one")).assert_code(0);
        assert!(said.stderr.matches("CACHED").count() >= 2, "{}", said.stderr);
        let none = format!("{place}@sha256:{}", "0".repeat(64));
        let refused = build(&engine, client, &context, &tag, &none).assert_code(1);
        assert!(refused.stderr.contains("not found"), "{}", refused.stderr);
    }
    let wrong = build(&engine, CLIENTS[0].1, &context, "wrong:1", &format!("{place}:two")).assert_code(1);
    assert!(wrong.stderr.contains("could not be resolved"), "{}", wrong.stderr);
    // The only image needs no name.
    let said = build(&engine, CLIENTS[0].1, &context, "bare:1", &place.to_string()).assert_code(0);
    assert!(said.stderr.contains("CACHED"), "{}", said.stderr);
    // Another image is another one, whatever it is called.
    let other = layout(&engine, "other", "second");
    build(&engine, CLIENTS[1].1, &context, "second:1", &format!("{}:one", other.display())).ok();
    assert_eq!(run(&engine, "second:1", "cat /seen /copied"), "second\nsecond\nsecond");
    // Of several platforms, the one that is built for.
    let text = "FROM scratch\nARG TARGETARCH\nCOPY mark /$TARGETARCH\n";
    let several = written(&engine, "several", text, &["--platform=linux/amd64,linux/arm64"]);
    context.dockerfile(&engine, "FROM BASE\nCOPY --from=given / /given/\n");
    build(&engine, CLIENTS[0].1, &context, "third:1", &format!("{}:one", several.display())).ok();
    assert_eq!(run(&engine, "third:1", "ls /given"), "amd64");
}

#[test]
fn a_lent_result_may_be_made_of_its_lenders_layout() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let folder = layout(&engine, "layout", "lent");
    let context = Context::new(&engine, "context", "FROM given\nRUN cat /mark > /below\n");
    context.file("above", "FROM below\nRUN cat /mark > /above\n");
    let file = format!(
        "target \"below\" {{\n  contexts = {{ given = \"oci-layout://{}@{}\" }}\n}}\ntarget \"above\" {{\n  dockerfile = \"above\"\n  \
         tags = [\"above:1\"]\n  contexts = {{ below = \"target:below\" }}\n}}\n",
        folder.display(),
        digest(&folder)
    );
    context.file("docker-bake.hcl", &file);
    for mut command in [engine.docker_command(), engine.ketch_command()] {
        command.current_dir(context.path());
        command::run(command.args(["buildx", "bake", "--allow=fs=*", "--no-cache", "--load", "above"])).ok();
        assert_eq!(run(&engine, "above:1", "cat /below /above"), "lent\nlent");
        engine.docker(["rmi", "above:1"]).ok();
    }
}

#[test]
fn a_layout_that_lies_is_no_image() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let folder = layout(&engine, "layout", "lies");
    let context = Context::new(&engine, "context", "FROM given\nCOPY --from=given /mark /copied\n");
    let blobs = folder.join("blobs/sha256");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(blobs.join(&digest(&folder)[7..])).unwrap()).unwrap();
    let hex = |blob: &serde_json::Value| blob["digest"].as_str().unwrap()[7..].to_owned();
    let layers = manifest["layers"].as_array().unwrap();
    for (blob, change, words) in [
        (hex(layers.last().unwrap()), Some("xx"), "arrived as"),
        (hex(layers.last().unwrap()), None, "not found"),
        (hex(&manifest["config"]), Some("{}"), "gave something else"),
        (digest(&folder)[7..].to_owned(), Some("{\"layers\":[]}"), "gave something else"),
    ] {
        let path = blobs.join(&blob);
        let whole = fs::read(&path).unwrap();
        match change {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        for (_, client) in CLIENTS {
            // What is here by its digest is asked for of nobody.
            engine.docker(["builder", "prune", "--all", "--force"]).ok();
            let given = format!("{}@{}", folder.display(), digest(&folder));
            let refused = build(&engine, client, &context, "lies:1", &given).assert_code(1);
            assert!(refused.stderr.contains(words), "{blob}: {}", refused.stderr);
        }
        fs::write(&path, whole).unwrap();
    }
    build(&engine, CLIENTS[1].1, &context, "true:1", &format!("{}@{}", folder.display(), digest(&folder)))
        .ok();
}
