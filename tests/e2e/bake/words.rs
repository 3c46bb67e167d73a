//! Every word for it, with every flag.

use std::fs;

use serde_json::Value;
use testkit::Engine;
use testkit::command::run;

const WORDS: [&[&str]; 3] = [&["bake"], &["buildx", "bake"], &["buildx", "f"]];

const BAKED: &str = "variable \"WORD\" {\n  default = \"usual\"\n}\n\
    target \"default\" {\n  args = { WORD = WORD }\n  dockerfile-inline = \"FROM BASE\\nARG WORD\\nRUN echo $WORD > /word; cat /proc/sys/kernel/random/uuid > /mark\\n\"\n}\n\
    target \"host\" {\n  inherits = [\"default\"]\n  network = \"host\"\n}\n\
    target \"odd\" {\n  dockerfile-inline = \"from BASE AS x\\n\"\n}\n";

// covers: cli docker bake
// covers: cli docker bake --allow
// covers: cli docker bake --builder
// covers: cli docker bake --call
// covers: cli docker bake --check
// covers: cli docker bake --debug
// covers: cli docker bake --file
// covers: cli docker bake --list
// covers: cli docker bake --list-targets
// covers: cli docker bake --list-variables
// covers: cli docker bake --load
// covers: cli docker bake --metadata-file
// covers: cli docker bake --no-cache
// covers: cli docker bake --print
// covers: cli docker bake --progress
// covers: cli docker bake --provenance
// covers: cli docker bake --pull
// covers: cli docker bake --push
// covers: cli docker bake --sbom
// covers: cli docker bake --set
// covers: cli docker bake --var
// covers: cli docker buildx f
// covers: cli docker buildx f --allow
// covers: cli docker buildx f --builder
// covers: cli docker buildx f --call
// covers: cli docker buildx f --check
// covers: cli docker buildx f --debug
// covers: cli docker buildx f --file
// covers: cli docker buildx f --list
// covers: cli docker buildx f --list-targets
// covers: cli docker buildx f --list-variables
// covers: cli docker buildx f --load
// covers: cli docker buildx f --metadata-file
// covers: cli docker buildx f --no-cache
// covers: cli docker buildx f --print
// covers: cli docker buildx f --progress
// covers: cli docker buildx f --provenance
// covers: cli docker buildx f --pull
// covers: cli docker buildx f --push
// covers: cli docker buildx f --sbom
// covers: cli docker buildx f --set
// covers: cli docker buildx f --var
// covers: cli docker buildx bake --list-targets
// covers: cli docker buildx bake --list-variables
// covers: cli docker buildx bake --provenance
// covers: cli docker buildx bake --pull
// covers: cli docker buildx bake --push
// covers: cli docker buildx bake --sbom
// covers: cli docker buildx bake --var
#[test]
fn every_word_bakes_with_every_flag() {
    let engine = Engine::ours();
    let registry = testkit::Registry::start();
    let base = engine.busybox();
    let script = "printf '{\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{}}' > $BUILDKIT_SCAN_DESTINATION/x.json\n";
    engine.scratch().write("scanner/s", script);
    let scanner = format!("FROM {base}\nCOPY s /s\nENTRYPOINT [\"sh\", \"/s\"]\n");
    engine.scratch().write("scanner/Dockerfile", scanner);
    run(engine
        .ketch_command()
        .args(["build", "-q", "-t", "scanner:1"])
        .arg(engine.scratch().join("scanner")))
    .ok();
    engine.scratch().write("b.hcl", BAKED.replace("BASE", &base));
    let folder = engine.scratch().join("");
    for (number, word) in WORDS.into_iter().enumerate() {
        let bake = |more: &[&str]| {
            let mut command = engine.ketch_command();
            run(command.current_dir(&folder).args(word).arg("--file=b.hcl").args(more))
        };
        let tag = engine.name(&format!("word{number}"));
        let tagged = format!("default.tags={tag}");
        let seen = |path: &str| engine.docker(["run", "--rm", "--network", "none", &tag, "cat", path]).ok();
        let flags =
            ["--builder=default", "--progress=plain", "--load", "--metadata-file=meta.json", "--debug"];
        let said = bake(&[&flags[..], &["--set", &tagged, "--var=WORD=other"]].concat()).assert_code(0);
        assert!(said.stderr.contains("#1 ") && said.stderr.contains("debug: engine at"), "{}", said.stderr);
        assert_eq!(seen("/word"), "other");
        let metadata: Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
        assert!(metadata["default"]["containerimage.config.digest"].is_string(), "{metadata}");
        let mark = seen("/mark");
        bake(&["--set", &tagged, "--var=WORD=other", "--progress=quiet"]).ok();
        assert_eq!(seen("/mark"), mark);
        bake(&["--set", &tagged, "--var=WORD=other", "--no-cache"]).ok();
        assert_ne!(seen("/mark"), mark);
        assert_ne!(bake(&["--builder=absent"]).code, 0);

        assert!(bake(&["--print"]).ok().contains("dockerfile-inline"));
        assert!(
            bake(&["--list=targets"]).ok().contains("host")
                && bake(&["--list-targets"]).ok().contains("host")
        );
        assert!(bake(&["--list-variables"]).ok().contains("WORD"));
        assert!(bake(&["host"]).assert_code(1).stderr.contains("network.host"));
        bake(&["--allow=network.host", "host"]).ok();
        for flag in ["--check", "--call=check"] {
            let found = bake(&[flag, "odd"]);
            assert!((found.stdout.clone() + &found.stderr).contains("FromAsCasing"), "{found:?}");
        }

        let pushed = registry.name(&format!("baked:{number}"));
        let entries = |flags: &[&str]| {
            bake(&[&["--push", "--set", &format!("default.tags={pushed}")], flags].concat()).ok();
            let text = registry.manifest(pushed.split_once('/').unwrap().1);
            let index: Value = serde_json::from_str(&text).unwrap();
            index["manifests"].as_array().map_or(1, Vec::len)
        };
        assert_eq!(entries(&["--provenance=false"]), 1);
        assert_eq!(entries(&["--provenance=true"]), 2);
        assert_eq!(entries(&["--provenance=false", "--sbom=generator=scanner:1"]), 2);
        // What is here is older than what the registry has.
        engine.scratch().write("p.hcl", format!("target \"default\" {{\n  dockerfile-inline = \"FROM {pushed}\\nENV A=1\\n\"\n  output = [\"files\"]\n}}\n"));
        engine.docker(["tag", &base, &pushed]).ok();
        for (flag, is_new) in [("--pull=false", false), ("--pull", true)] {
            let _ = fs::remove_dir_all(folder.join("files"));
            let mut command = engine.ketch_command();
            run(command.current_dir(&folder).args(word).args(["--file=p.hcl", flag])).ok();
            assert_eq!(folder.join("files/word").exists(), is_new, "{flag}");
        }
    }
}
