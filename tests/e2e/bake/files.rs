//! What files mean, of every kind, alone and together.

use testkit::Engine;

use super::{REAL, alike, command, printed};

/// Variables, words, and what is said of them.
type Wrong<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

/// Everything of the language, and every attribute.
const WHOLE: &str = r#"
# a comment
variable "TAG" { default = "latest" }
variable "NUM" { default = 3 }
variable "ON" { default = false }
variable "LIST" { default = ["a", "b"] }
variable "DERIVED" { default = "${TAG}-x" }
variable "TYPED" {
  type = list(string)
  default = ["p"]
  description = "a list"
}
variable "CHECKED" {
  type = number
  default = 5
  validation {
    condition = CHECKED > 3
    error_message = "too small"
  }
}
function "inc" {
  params = [n]
  result = n + 1
}
function "joined" {
  params = [first]
  variadic_params = rest
  result = join(first, rest)
}
group "default" { targets = ["app", "mat"] }
group "all" { targets = ["default", "other"] }
target "_common" {
  args = { COMMON = "yes", GONE = "x" }
  labels = { "a.b" = "c" }
  platforms = ["linux/amd64"]
  annotations = ["index:common=1"]
}
target "other" {
  inherits = ["_common"]
  tags = ["other:${DERIVED}"]
}
target "app" {
  inherits = ["_common"]
  description = "an app"
  context = "./dir/../dir"
  dockerfile = "Dockerfile.x"
  args = {
    GONE = null
    TAG = "v-${TAG}"
    N2 = inc(NUM) * 2 - 1
    V = joined("-", "x", "y")
    COND = TAG == "latest" && !ON ? "yes" : "no"
    FOR = join(",", [for x in LIST : upper(x) if x != "z"])
    MAP = jsonencode({ for i, x in LIST : x => i })
    SPLAT = join(",", [{ n = "q" }, { n = "r" }][*].n)
    T = "%{ if TAG == "latest" }L%{ else }O%{ endif }%{ for x in LIST ~} ${x} %{~ endfor }"
    H = <<-EOT
      line ${TAG}
        indented
    EOT
    E = "a\tb\\ $${x} \u00e9"
    TYPED = join(",", TYPED)
    M = 7 % 4 + 2.5
    I = LIST[1]
    NEG = -NUM
  }
  tags = ["app:${TAG}", ""]
  contexts = { other = "target:other", img = "docker-image://x" }
  cache-from = ["type=registry,ref=user/app:cache", "user/x"]
  cache-to = [{ type = "inline" }]
  secret = ["id=s,env=X", { id = "t", env = "E" }]
  output = ["type=local,dest=out", { type = "registry" }]
  pull = true
  no-cache = false
  network = "none"
  no-cache-filter = ["st"]
  shm-size = "128m"
  ulimits = ["nofile=1024:1024"]
  entitlements = ["network.host"]
  extra-hosts = { h = "1.2.3.4" }
  annotations = ["index:a=b"]
  attest = ["type=provenance,mode=max", { type = "sbom" }]
  target = "st"
  call = "check"
}
target "mat" {
  name = "mat-${sanitize(v.x)}-${w}"
  matrix = {
    v = [{ x = "1.0" }, { x = "2" }]
    w = ["a", "b"]
  }
  args = { V = v.x, W = w }
  dockerfile-inline = "FROM scratch"
}
"#;

// covers: value bake-block bake target
// covers: value bake-block bake group
// covers: value bake-block bake variable
// covers: value bake-block bake function
// covers: value bake-file bake docker-bake.hcl
// covers: value bake-target-attribute bake args
// covers: value bake-target-attribute bake annotations
// covers: value bake-target-attribute bake attest
// covers: value bake-target-attribute bake cache-from
// covers: value bake-target-attribute bake cache-to
// covers: value bake-target-attribute bake call
// covers: value bake-target-attribute bake context
// covers: value bake-target-attribute bake contexts
// covers: value bake-target-attribute bake description
// covers: value bake-target-attribute bake dockerfile-inline
// covers: value bake-target-attribute bake dockerfile
// covers: value bake-target-attribute bake entitlements
// covers: value bake-target-attribute bake extra-hosts
// covers: value bake-target-attribute bake inherits
// covers: value bake-target-attribute bake labels
// covers: value bake-target-attribute bake matrix
// covers: value bake-target-attribute bake name
// covers: value bake-target-attribute bake no-cache-filter
// covers: value bake-target-attribute bake no-cache
// covers: value bake-target-attribute bake output
// covers: value bake-target-attribute bake platforms
// covers: value bake-target-attribute bake pull
// covers: value bake-target-attribute bake secret
// covers: value bake-target-attribute bake shm-size
// covers: value bake-target-attribute bake tags
// covers: value bake-target-attribute bake target
// covers: value bake-target-attribute bake ulimits
// covers: value bake-target-attribute bake network
// covers: value client-env docker buildx BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP
// covers: cli docker buildx bake --print
// covers: cli docker buildx bake --set
// refuses: value bake-target-attribute bake policy because docker's builder evaluates no policies, so a file that relies on one must not be built without it
// refuses: value bake-target-attribute bake resources because steps of docker's builder have no limits of their own in a definition
#[test]
fn a_file_means_what_it_means_to_the_real_buildx() {
    let engine = Engine::ours().with_plugins();
    let folder = engine.scratch().join("");
    engine.scratch().write("docker-bake.hcl", WHOLE);
    for words in [&[][..], &["all"], &["mat"], &["mat-2-a", "app"], &["other", "other"]] {
        alike(&engine, &folder, &[], words);
    }
    for variables in [
        &[("TAG", "env"), ("NUM", "10"), ("ON", "true")][..],
        &[("TYPED", "one,two"), ("CHECKED", "7")],
        &[("TYPED_JSON", "[\"x\",\"y\"]")],
    ] {
        alike(&engine, &folder, variables, &["app", "other"]);
    }
    // The real one of this version knows nothing of it yet.
    let ignored = [("TAG", "env"), ("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "1")];
    let said = printed(&engine, false, &folder, &ignored, &["other"]);
    assert_eq!(said["target"]["other"]["tags"][0], "other:latest-x");
    for set in [
        &["app.args.TAG=zz"][..],
        &["*.platform=linux/arm64", "*.platform=linux/amd64"],
        &["app.tags=new:1", "app.output=type=docker", "app.target=", "app.no-cache=true"],
        &["mat-*.args.W=all", "app.labels.x=y", "app.contexts.img=docker-image://y"],
        &["*.cache-from=type=inline", "app.context=elsewhere", "app.dockerfile=D", "app.network=default"],
    ] {
        let words: Vec<&str> = set.iter().flat_map(|text| ["--set", text]).collect();
        alike(&engine, &folder, &[], &words);
    }
    let wrong: &[Wrong<'_>] = &[
        (&[("CHECKED", "1")], &[], "docker-bake.hcl:17"),
        (&[("NUM", "x")], &[], "NUM"),
        (&[], &["nosuch"], "failed to find target nosuch"),
        (&[], &["--set", "app.color=red"], "unknown key: color"),
    ];
    for (variables, words, expected) in wrong {
        for real in REAL {
            let words = [&["--print"], *words].concat();
            let refused = command(&engine, real, &folder, variables, &words).assert_code(1);
            assert!(refused.stderr.contains(expected), "{real}: {}", refused.stderr);
        }
    }
    for (attribute, why) in
        [("policy = []", "\"policy\" is not supported"), ("resources = {}", "\"resources\" is not supported")]
    {
        engine.scratch().write("refused.hcl", format!("target \"default\" {{\n  {attribute}\n}}\n"));
        let refused = command(&engine, false, &folder, &[], &["--print", "-f", "refused.hcl"]).assert_code(1);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

// covers: value bake-file bake docker-bake.json
// covers: value bake-file bake docker-bake.override.hcl
// covers: value bake-file bake docker-bake.override.json
// covers: value bake-file bake compose.yaml
// covers: value bake-file bake compose.yml
// covers: value bake-file bake docker-compose.yml
// covers: value bake-file bake docker-compose.yaml
// covers: value client-env docker buildx BUILDX_BAKE_FILE
// covers: value client-env docker buildx BUILDX_BAKE_PATH_SEPARATOR
// covers: cli docker buildx bake --file
#[test]
fn files_of_every_kind_come_together() {
    let engine = Engine::ours().with_plugins();
    let write = |name: &str, text: &str| drop(engine.scratch().write(name, text));
    let json = r#"{"variable": {"V": {"default": "j"}}, "group": {"default": {"targets": ["a", "b"]}},
        "target": {"a": {"args": {"V": "${V}!", "N": 1}, "tags": ["a:${V}"]}, "b": {"inherits": ["a"], "labels": {"l": "1"}}}}"#;
    write("json/docker-bake.json", json);
    write("json/docker-bake.override.json", r#"{"target": {"a": {"args": {"MORE": "yes"}}}}"#);
    write("json/docker-bake.override.hcl", "target \"a\" {\n  tags = [\"over:1\"]\n}\n");
    alike(&engine, &engine.scratch().join("json"), &[], &[]);
    alike(&engine, &engine.scratch().join("json"), &[], &["-f", "docker-bake.json", "b"]);
    let files = [
        ("BUILDX_BAKE_FILE", "docker-bake.json,docker-bake.override.hcl"),
        ("BUILDX_BAKE_PATH_SEPARATOR", ","),
    ];
    alike(&engine, &engine.scratch().join("json"), &files, &["a"]);
    let compose = "services:\n  web:\n    image: web:1\n    build:\n      context: ./w\n      args: {A: \"1\"}\n      target: t\n      tags: [\"web:2\"]\n  \
                   db:\n    image: db\n  plain:\n    build: ./p\n";
    for name in ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"] {
        let folder = format!("of-{name}");
        write(&format!("{folder}/{name}"), compose);
        alike(&engine, &engine.scratch().join(&folder), &[], &[]);
        write(&format!("{folder}/docker-bake.hcl"), "target \"web\" {\n  args = { B = \"2\" }\n}\n");
        alike(&engine, &engine.scratch().join(&folder), &[], &["web"]);
    }
    write("none/x", "");
    for real in REAL {
        let none = command(&engine, real, &engine.scratch().join("none"), &[], &["--print"]).assert_code(1);
        assert!(none.stderr.contains("couldn't find a bake definition"), "{}", none.stderr);
    }
}
