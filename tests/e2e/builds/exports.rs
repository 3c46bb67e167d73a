//! The forms in which images leave: archives and registries, how layers are packed, several platforms, what is said about them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use oci::Digest;
use serde_json::{Value, json};
use testkit::command::{self, Output};
use testkit::{Engine, Registry};

use super::{Context, run};

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.current_dir(engine.scratch().join("")).args(["build", "--progress", "plain"]).args(more);
    command::run(command.arg(context.path()))
}

/// An OCI layout in a tar.
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn read(path: &Path) -> Self {
        let mut archive = tar::Archive::new(std::fs::File::open(path).expect("the form that it has to have"));
        let mut files = BTreeMap::new();
        for entry in archive.entries().expect("the form that it has to have") {
            let mut entry = entry.expect("the form that it has to have");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("the form that it has to have");
            files.insert(entry.path().expect("the form that it has to have").display().to_string(), bytes);
        }
        Self(files)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.0[name]).expect("the form that it has to have")
    }

    fn blob(&self, descriptor: &Value) -> &[u8] {
        let digest = descriptor["digest"].as_str().expect("the form that it has to have");
        let bytes = &self.0[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(Digest::sha256(bytes).as_str(), digest);
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    }

    fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(self.blob(descriptor)).expect("the form that it has to have")
    }

    /// The manifest of the only image.
    fn manifest(&self) -> Value {
        self.document(&self.json("index.json")["manifests"][0])
    }
}

fn small(engine: &Engine, name: &str) -> Context {
    let context = Context::new(engine, name, "FROM scratch\nCOPY a /a\nCOPY b /b\n");
    context.file("a", &"hello ".repeat(4000)).file("b", "b");
    context
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    value[key].as_array().expect("the form that it has to have").iter().collect()
}

// covers: cli docker build --output
// covers: buildkit exporter-attr image, oci, docker compression
// covers: buildkit exporter-attr image, oci, docker compression-level
// covers: buildkit exporter Exporters.Type oci
// refuses: buildkit exporter-attr oci tar because an archive is what clients take; as a folder it would be theirs to write
#[test]
fn layers_are_packed_as_it_is_asked_for() {
    let engine = Engine::ours();
    let context = small(&engine, "packed");
    let name = engine.name("packed");
    let kind = |suffix: &str| format!("application/vnd.oci.image.layer.v1.tar{suffix}");
    let mut sizes = BTreeMap::new();
    for (asked, suffix, magic) in [
        ("", "+gzip", &[0x1f, 0x8b][..]),
        (",compression=gzip,compression-level=0", "+gzip", &[0x1f, 0x8b]),
        (",compression=zstd", "+zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
        (",compression=zstd,compression-level=19", "+zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
        (",compression=uncompressed", "", b""),
    ] {
        build(&engine, &context, &["-t", &name, "-o", &format!("type=oci,dest=x.tar{asked}")]).ok();
        let path = engine.scratch().join("x.tar");
        let layout = Layout::read(&path);
        let manifest = layout.manifest();
        assert!(!layout.0.contains_key("manifest.json"));
        for layer in list(&manifest, "layers") {
            assert_eq!(layer["mediaType"], kind(suffix), "{asked}");
        }
        let first = layout.blob(&manifest["layers"][0]);
        assert!(first.starts_with(magic), "{asked}");
        sizes.insert(asked, first.len());
        engine.docker(["load", "-i", &path.display().to_string()]).ok();
        let made = engine.docker(["create", &name, "x"]).ok();
        let copied = engine.scratch().join("copied");
        engine.docker(["cp", &format!("{}:/a", made.trim()), &copied.display().to_string()]).ok();
        assert_eq!(std::fs::read_to_string(&copied).unwrap(), "hello ".repeat(4000));
        engine.docker(["rm", made.trim()]).ok();
        engine.docker(["rmi", &name]).ok();
    }
    assert!(sizes[",compression=gzip,compression-level=0"] > 100 * sizes[""] / 10, "{sizes:?}");
    assert!(sizes[",compression=uncompressed"] > sizes[",compression=gzip,compression-level=0"] / 2);
    for (asked, words) in [
        ("compression=estargz", "compression=estargz"),
        ("compression=gzip,compression-level=10", "compression-level=10"),
        ("compression-level=x", "compression-level"),
        ("force-compression=perhaps", "force-compression"),
        ("rewrite-timestamp=perhaps", "rewrite-timestamp"),
        ("tar=false", "tar=false"),
        ("annotation-other.a=b", "annotation"),
    ] {
        let refused =
            build(&engine, &context, &["-o", &format!("type=oci,dest=y.tar,{asked}")]).assert_code(1);
        assert!(refused.stderr.contains(words), "{asked}: {}", refused.stderr);
    }
}

/// What a base image brought stays as it came, unless it is forced.
// covers: buildkit exporter-attr image, oci, docker force-compression
// covers: buildkit exporter-attr image, oci, docker push
#[test]
fn what_came_packed_stays_so_unless_it_is_forced() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let context = small(&engine, "first");
    let base = registry.name("base:1");
    build(&engine, &context, &["-t", &base, "--push", "-o", "type=image"]).ok();
    engine.docker(["rmi", &base]).ok();
    engine.docker(["pull", &base]).ok();
    let context = Context::new(&engine, "second", &format!("FROM {base}\nCOPY c /c\n"));
    context.file("c", "c");
    let kinds = |more: &str| -> Vec<String> {
        build(&engine, &context, &["-o", &format!("type=oci,dest=f.tar,compression=zstd{more}")]).ok();
        let manifest = Layout::read(&engine.scratch().join("f.tar")).manifest();
        let layers = list(&manifest, "layers");
        layers
            .iter()
            .map(|layer| layer["mediaType"].as_str().unwrap().rsplit('+').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(""), ["gzip", "gzip", "zstd"]);
    assert_eq!(kinds(",force-compression=true"), ["zstd", "zstd", "zstd"]);
}

// covers: cli docker build --platform
// covers: cli docker build --annotation
// covers: buildkit exporter-attr image, oci, docker annotation[-TYPE][[PLATFORM]].KEY
// covers: buildkit llb-cap LLBCaps exporter.image.annotations
// covers: buildkit driver-feature docker driver MultiPlatform
#[test]
fn several_platforms_are_one_index() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let text = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH}.txt /arch\nCOPY a /a\n";
    let context = Context::new(&engine, "platforms", text);
    context.file("amd64.txt", "amd64").file("arm64.txt", "arm64").file("a", "a");
    let name = registry.name("several:1");
    let flags = [
        "--platform=linux/amd64,linux/arm64",
        "--annotation=of.all=1",
        "--annotation=manifest[linux/arm64]:of.arm=2",
        "--annotation=index:of.index=3",
        "--annotation=manifest-descriptor:of.entry=4",
        "--metadata-file=meta.json",
    ];
    build(&engine, &context, &[&["-t", &name, "--push"][..], &flags].concat()).ok();
    let index: Value = serde_json::from_str(&registry.manifest("several:1")).unwrap();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["annotations"], json!({ "of.index": "3" }));
    let entries = list(&index, "manifests");
    let platforms: Vec<&Value> = entries.iter().map(|entry| &entry["platform"]["architecture"]).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    assert!(entries.iter().all(|entry| entry["annotations"] == json!({ "of.entry": "4" })));
    let manifest = |at: usize| -> Value {
        let digest = entries[at]["digest"].as_str().unwrap();
        serde_json::from_str(&registry.manifest(&format!("several@{digest}"))).unwrap()
    };
    assert_eq!(manifest(0)["annotations"], json!({ "of.all": "1" }));
    assert_eq!(manifest(1)["annotations"], json!({ "of.all": "1", "of.arm": "2" }));
    // What differs alone is another layer.
    assert_eq!(manifest(0)["layers"][1], manifest(1)["layers"][1]);
    assert_ne!(manifest(0)["layers"][0], manifest(1)["layers"][0]);
    let meta = std::fs::read(engine.scratch().join("meta.json")).unwrap();
    let meta: Value = serde_json::from_slice(&meta).unwrap();
    assert_eq!(meta["containerimage.digest"], registry.digest("several:1"));
    // Also when it is pushed again, under another name.
    let again = registry.name("again:2");
    engine.docker(["tag", &name, &again]).ok();
    engine.docker(["push", &again]).ok();
    assert_eq!(registry.digest("again:2"), registry.digest("several:1"));
    // And in an archive.
    build(&engine, &context, &["-o", "type=oci,dest=p.tar", flags[0]]).ok();
    let layout = Layout::read(&engine.scratch().join("p.tar"));
    let top = &layout.json("index.json")["manifests"][0];
    let platforms = layout.document(top);
    assert_eq!(list(&platforms, "manifests").len(), 2);
    // Files of several platforms lie beside one another.
    build(&engine, &context, &["-o", "files", flags[0]]).ok();
    let read = |name: &str| std::fs::read_to_string(engine.scratch().join("files").join(name)).unwrap();
    assert_eq!((read("linux_amd64/arch"), read("linux_arm64/arch")), ("amd64".into(), "arm64".into()));
    // An index's annotation needs one.
    let refused = build(&engine, &context, &["-t", &name, flags[3]]).assert_code(1);
    assert!(refused.stderr.contains("index annotations not supported for single platform export"));
}

/// A program of ours that looks through an image.
fn generator(engine: &Engine) -> String {
    let script = "test -r $BUILDKIT_SCAN_SOURCE && ! touch $BUILDKIT_SCAN_SOURCE/x 2>/dev/null || exit 1\n\
                  files=$(cd $BUILDKIT_SCAN_SOURCE && ls | tr '\\n' ' ')\n\
                  printf '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://spdx.dev/Document\",\
                  \"predicate\":{\"files\":\"%s\",\"more\":\"%s\"}}' \"$files\" \"$BUILDKIT_SCAN_more\" \
                  > $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json\n";
    let context =
        Context::new(engine, "generator", "FROM BASE\nCOPY gen.sh /\nENTRYPOINT [\"sh\", \"/gen.sh\"]\n");
    context.file("gen.sh", script);
    let name = engine.name("generator");
    build(engine, &context, &["-t", &name]).ok();
    name
}

/// The statements about each image of an index.
fn statements(registry: &Registry, name: &str, tag: &str) -> Vec<(Value, Vec<Value>)> {
    let index: Value = serde_json::from_str(&registry.manifest(&format!("{name}:{tag}")))
        .expect("the form that it has to have");
    let entries = list(&index, "manifests");
    let attestation =
        |entry: &&&Value| entry["annotations"]["vnd.docker.reference.type"] == "attestation-manifest";
    entries
        .iter()
        .filter(attestation)
        .map(|entry| {
            assert_eq!(entry["platform"], json!({ "architecture": "unknown", "os": "unknown" }));
            let about = &entry["annotations"]["vnd.docker.reference.digest"];
            assert!(entries.iter().any(|image| image["digest"] == *about));
            let reference =
                format!("{name}@{}", entry["digest"].as_str().expect("the form that it has to have"));
            let manifest: Value =
                serde_json::from_str(&registry.manifest(&reference)).expect("the form that it has to have");
            let layers = registry.layers(&reference);
            let said = list(&manifest, "layers").into_iter().zip(layers).map(|(layer, path)| {
                assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
                let statement: Value =
                    serde_json::from_slice(&std::fs::read(path).expect("the form that it has to have"))
                        .expect("the form that it has to have");
                assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], statement["predicateType"]);
                let digest = statement["subject"][0]["digest"]["sha256"]
                    .as_str()
                    .expect("the form that it has to have");
                assert_eq!(format!("sha256:{digest}"), about.as_str().expect("the form that it has to have"));
                statement
            });
            (about.clone(), said.collect())
        })
        .collect()
}

// covers: cli docker build --attest
// covers: cli docker build --provenance
// covers: cli docker build --sbom
// covers: buildkit frontend-attr attestation attest:sbom
// covers: buildkit frontend-attr attestation attest:provenance
// covers: buildkit llb-cap LLBCaps exporter.image.attestations
#[test]
fn what_is_said_about_an_image_goes_with_it() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let base = engine.busybox();
    let generator = generator(&engine);
    let text = "FROM BASE AS one\nARG PASS\nRUN --mount=type=secret,id=s,required=false echo x > /x\nFROM scratch\nCOPY --from=one /x /x\nCOPY f /f\n";
    let context = Context::new(&engine, "said", text);
    context.file("f", "f");
    let name = registry.name("said:max");
    let sbom = format!("--attest=type=sbom,generator={generator},more=1");
    let flags = ["-t", &name, "--push", "--provenance=mode=max", &sbom, "--build-arg=PASS=word"];
    build(&engine, &context, &flags).ok();
    let said = statements(&registry, "said", "max");
    assert_eq!(said.len(), 1);
    let [sbom, provenance] = &said[0].1[..] else { panic!("{said:?}") };
    assert_eq!(sbom["predicate"], json!({ "files": "f x ", "more": "1" }));
    assert_eq!(provenance["predicateType"], "https://slsa.dev/provenance/v0.2");
    let said = &provenance["predicate"];
    assert_eq!(said["buildType"], "https://mobyproject.org/buildkit@v1");
    assert_eq!(said["invocation"]["parameters"]["args"]["build-arg:PASS"], "word");
    assert_eq!(said["invocation"]["parameters"]["secrets"], json!([{ "id": "s", "optional": true }]));
    assert_eq!(said["invocation"]["parameters"]["locals"], json!([{ "name": "context" }]));
    let uri = said["materials"][0]["uri"].as_str().unwrap();
    let (repository, tag) = base.split_once(':').unwrap();
    assert_eq!(uri, format!("pkg:docker/{repository}@{tag}?platform=linux%2Famd64"));
    assert_eq!(said["buildConfig"]["llbDefinition"].as_array().unwrap().len(), 5);
    assert_eq!(said["metadata"]["completeness"]["materials"], false);
    let source = &said["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]["source"];
    assert_eq!(source["infos"][0]["filename"], "Dockerfile");

    // Little is said by default: nothing that somebody passed.
    let name = registry.name("said:min");
    build(&engine, &context, &["-t", &name, "--push", "--provenance=true", "--build-arg=PASS=word"]).ok();
    let said = statements(&registry, "said", "min").remove(0).1.remove(0)["predicate"].clone();
    assert!(!said.to_string().contains("word") && said["buildConfig"].is_null(), "{said}");
    assert_eq!(said["metadata"]["completeness"]["parameters"], false);
    // What stays here says it too where it was asked for, and is pushed with it.
    let name = registry.name("said:later");
    build(&engine, &context, &["-t", &name, "--provenance=true"]).ok();
    engine.docker(["push", &name]).ok();
    assert_eq!(statements(&registry, "said", "later").len(), 1);
    assert_eq!(engine.docker(["run", "--rm", "--network", "none", &base, "true"]).ok(), "");

    let refused = build(&engine, &context, &["--attest=type=other"]).assert_code(1);
    assert!(refused.stderr.contains("the attestation \"other\""), "{}", refused.stderr);
}

// covers: buildkit exporter-attr local attestation-prefix
// covers: buildkit exporter-attr local platform-split
// refuses: buildkit exporter-attr local mode because a folder's other files are the client's, and nothing is ever removed from it
#[test]
fn what_is_said_about_files_lies_beside_them() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let generator = generator(&engine);
    let context = Context::new(&engine, "beside", "FROM scratch\nCOPY a z/f /\nCOPY z /z\n");
    context.file("a", "a").file("z/f", "f");
    let at = |path: &str| engine.scratch().join(path);
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
    };
    let hex = |text: &str| Digest::sha256(text.as_bytes()).hex().to_owned();
    let sbom = format!("--attest=type=sbom,generator={generator}");
    build(&engine, &context, &["-o", "files", "--provenance=true", &sbom]).ok();
    let provenance = read("files/provenance.json");
    assert_eq!(provenance["predicateType"], "https://slsa.dev/provenance/v0.2");
    let expected: Vec<Value> = [("a", "a"), ("f", "f"), ("z/f", "f")]
        .map(|(path, text)| json!({ "name": path, "digest": { "sha256": hex(text) } }))
        .to_vec();
    assert_eq!(provenance["subject"], json!(expected));
    assert_eq!(read("files/sbom.spdx.json")["predicate"]["files"], "a f z ");
    assert_eq!(std::fs::read_to_string(at("files/z/f")).unwrap(), "f");
    // Of several platforms, beside one another or each in its folder.
    let platforms = "--platform=linux/amd64,linux/arm64";
    build(&engine, &context, &["-o", "split", platforms, "--provenance=true"]).ok();
    assert_eq!(read("split/linux_arm64/provenance.json")["subject"], json!(expected));
    let together = "type=local,dest=together,platform-split=false,attestation-prefix=said-";
    let both = build(&engine, &context, &["-o", together, platforms]).assert_code(1);
    assert!(both.stderr.contains("cannot overwrite a from linux/amd64 with linux/arm64"), "{}", both.stderr);
    let apart = Context::new(
        &engine,
        "apart",
        "FROM scratch\nARG TARGETARCH\nCOPY a /z-$TARGETARCH\nCOPY a /a-$TARGETARCH\n",
    );
    apart.file("a", "a");
    build(&engine, &apart, &["-o", together, platforms, "--provenance=true"]).ok();
    for platform in ["amd64", "arm64"] {
        let said = read(&format!("together/said-provenance.linux_{platform}.json"));
        assert_eq!(said["subject"][0]["name"], format!("a-{platform}"));
        assert!(at("together").join(format!("z-{platform}")).exists());
    }
    build(&engine, &context, &["-o", "type=tar,dest=said.tar", "--provenance=true"]).ok();
    let names: Vec<String> = Layout::read(&at("said.tar")).0.into_keys().collect();
    assert_eq!(names, ["a", "f", "provenance.json", "z/", "z/f"]);
    // buildx, too; what it adds to everything by itself is no file.
    for (flags, there) in [(&["--provenance=true"][..], true), (&[], false)] {
        let folder = format!("buildx-{there}");
        let mut command = engine.docker_command();
        command.args(["buildx", "build", "-o"]).arg(at(&folder)).args(flags);
        command::run(command.arg(context.path())).ok();
        assert_eq!(at(&folder).join("provenance.json").exists(), there);
    }
    // A file of that name is the image's.
    let taken = Context::new(&engine, "taken", "FROM scratch\nCOPY provenance.json /\n");
    taken.file("provenance.json", "mine");
    let refused = build(&engine, &taken, &["-o", "taken-out", "--provenance=true"]).assert_code(1);
    assert!(refused.stderr.contains("duplicate attestation path name"), "{}", refused.stderr);
    let refused = build(&engine, &context, &["-o", "type=local,dest=x,mode=delete"]).assert_code(1);
    assert!(refused.stderr.contains("mode=delete"), "{}", refused.stderr);
}

/// buildx asks for a little provenance with every image that is pushed.
#[test]
fn buildx_s_images_come_with_their_provenance() {
    let engine = Engine::ours().with_plugins();
    let registry = Registry::start();
    let context = small(&engine, "buildx");
    let name = registry.name("buildx:1");
    let mut command = engine.docker_command();
    command.args(["buildx", "build", "--platform=linux/amd64,linux/arm64", "--push", "-t", &name]);
    command::run(command.arg("--metadata-file").arg(engine.scratch().join("m.json")).arg(context.path()))
        .ok();
    assert_eq!(statements(&registry, "buildx", "1").len(), 2);
    let meta: Value =
        serde_json::from_slice(&std::fs::read(engine.scratch().join("m.json")).unwrap()).unwrap();
    assert_eq!(meta["containerimage.digest"], registry.digest("buildx:1"));
    // What stays here has none.
    command::run(engine.docker_command().args(["buildx", "build", "-t", "stays:1"]).arg(context.path())).ok();
}

// covers: buildkit llb-cap LLBCaps exporter.multiple
#[test]
fn several_results_of_one_build() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let context = small(&engine, "results");
    let name = registry.name("results:1");
    let outputs =
        ["-o", "files", "-o", "type=tar,dest=r.tar", "-o", "type=oci,dest=o.tar", "-o", "type=registry"];
    let flags = [&["-t", &name, "--iidfile", "id"][..], &outputs].concat();
    build(&engine, &context, &flags).ok();
    let at = |name: &str| engine.scratch().join(name);
    assert_eq!(std::fs::read_to_string(at("files").join("b")).unwrap(), "b");
    assert!(at("r.tar").exists() && Layout::read(&at("o.tar")).0.contains_key("index.json"));
    let manifest: Value = serde_json::from_str(&registry.manifest("results:1")).unwrap();
    assert_eq!(manifest["config"]["digest"].as_str().unwrap(), std::fs::read_to_string(at("id")).unwrap());
}

// refuses: buildkit exporter-attr image, oci, docker dangling-name-prefix because an image without a name is known by its id here
// refuses: buildkit exporter-attr image, oci, docker attestation-inline because what is attested is beside an image and not in it
// covers: buildkit exporter-attr image, oci, docker unpack
#[test]
fn what_an_exporter_does_not_do_is_refused_before_anything_is_built() {
    let engine = Engine::ours();
    let context = small(&engine, "refused");
    for attribute in [
        "dangling-name-prefix=x",
        "attestation-inline=true",
        "buildinfo=true",
        "registry.insecure=true,name=registry.example/a",
        "nosuch=1",
    ] {
        let told = build(&engine, &context, &["-o", &format!("type=image,{attribute}")]).assert_code(1);
        let name = attribute.split([',']).next().unwrap();
        assert!(told.stderr.contains(name) && told.stderr.contains("not supported"), "{}", told.stderr);
        assert!(!told.stderr.contains("COPY a /a"), "{}", told.stderr);
    }
    build(&engine, &context, &["-o", "type=image,rewrite-timestamp=false,unpack=true,name=kept:1"]).ok();
}

// covers: dockerfile builtin-arg ARG SOURCE_DATE_EPOCH Int
#[test]
fn the_same_inputs_are_the_same_bytes_on_another_engine() {
    type Client = fn(&Engine) -> std::process::Command;
    let made = |client: Client, said: &[&str], variable: Option<&str>| -> (Vec<u8>, Value) {
        let engine = Engine::ours().with_plugins();
        let context = small(&engine, "same");
        let mut command = client(&engine);
        command.current_dir(engine.scratch().join("")).args(["build", "--provenance=false"]);
        command.args(["-o", "type=oci,dest=same.tar"]).args(said).arg(context.path());
        command::run(command.envs(variable.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)))).ok();
        let path = engine.scratch().join("same.tar");
        let layout = Layout::read(&path);
        let config = layout.document(&layout.manifest()["config"]);
        (std::fs::read(path).unwrap(), config)
    };
    let (ours, argument) = (Engine::ketch_command, "--build-arg=SOURCE_DATE_EPOCH=1700000000");
    let (first, config) = made(ours, &[argument], None);
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    // Said as an argument or by the environment, which an argument goes before, to either client.
    assert!(first == made(ours, &[], Some("1700000000")).0, "the same build, and other bytes");
    assert!(first == made(ours, &[argument], Some("1")).0);
    assert!(first == made(Engine::docker_command, &[], Some("1700000000")).0, "buildx' differ");
    assert!(first != made(ours, &[], Some("1700000001")).0);
}

#[test]
fn an_image_s_files_are_its_own_whatever_form_it_has() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "form", "FROM BASE\nRUN echo made > /made\n");
    let name = engine.name("form");
    for form in ["compression=zstd", "compression=gzip,compression-level=9", "oci-mediatypes=false"] {
        build(&engine, &context, &["-t", &name, "-o", &format!("type=image,{form}")]).ok();
        assert_eq!(run(&engine, &name, "cat /made"), "made");
    }
    let refused =
        build(&engine, &context, &["-t", &name, "-o", "type=image,compression=zstd,oci-mediatypes=false"]);
    assert!(refused.assert_code(1).stderr.contains("zstd"));
}
