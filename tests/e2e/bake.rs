//! Bake files: what they mean is what the real buildx says they mean, and what is built is what they say.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::Engine;
use testkit::command::{Output, run};

/// Variables, words, and what is said of them.
type Wrong<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

const REAL: [bool; 2] = [false, true];

fn command(engine: &Engine, real: bool, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
    command.current_dir(folder).envs(variables.iter().copied());
    run(command.args(["buildx", "bake"]).args(words))
}

/// What a file means to one of the two.
fn printed(engine: &Engine, real: bool, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Value {
    let said = command(engine, real, folder, variables, &[&["--print"], words].concat()).ok();
    let mut said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    // The real one goes through a matrix in another order each time.
    for (name, group) in said["group"].as_object_mut().into_iter().flatten() {
        if let Some(members) = group["targets"].as_array_mut().filter(|_| name == "mat") {
            members.sort_by_key(ToString::to_string);
        }
    }
    said
}

/// Both say the same, which is returned.
#[track_caller]
fn alike(engine: &Engine, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Value {
    let [ours, theirs] = REAL.map(|real| printed(engine, real, folder, variables, words));
    for (name, target) in theirs["target"].as_object().into_iter().flatten() {
        for (key, value) in target.as_object().into_iter().flatten() {
            assert_eq!(ours["target"][name][key], *value, "{name}.{key} {words:?} {variables:?}");
        }
    }
    assert_eq!(ours, theirs, "{words:?} {variables:?}");
    ours
}

/// A call for each function, as text.
const FUNCTIONS: &[(&str, &str)] = &[
    ("absolute", r#"absolute(-3.5)"#),
    ("add", r#"add(1, 2.5)"#),
    ("and", r#"and(true, false)"#),
    ("base64decode", r#"base64decode("aGk=")"#),
    ("base64encode", r#"base64encode("hi there")"#),
    ("basename", r#"join(",", [basename("/a/b.txt"), basename("/"), basename("a/")])"#),
    ("can", r#"join(",", [can(parseint("x", 10)), can(1 + 1)])"#),
    ("ceil", r#"ceil(1.2)"#),
    ("chomp", r#"chomp("a\n\n")"#),
    ("chunklist", r#"jsonencode(chunklist(["a", "b", "c"], 2))"#),
    (
        "cidrhost",
        r#"join(",", [cidrhost("10.1.2.3/8", 5), cidrhost("fd00::/64", 18), cidrhost("10.0.0.0/24", -1)])"#,
    ),
    ("cidrnetmask", r#"cidrnetmask("10.1.0.0/12")"#),
    ("cidrsubnet", r#"join(",", [cidrsubnet("10.0.0.0/8", 8, 3), cidrsubnet("fd00::/48", 16, 255)])"#),
    ("cidrsubnets", r#"jsonencode(cidrsubnets("10.0.0.0/8", 8, 4, 8))"#),
    ("coalesce", r#"coalesce(null, "x", "y")"#),
    ("coalescelist", r#"jsonencode(coalescelist([], ["a"]))"#),
    ("compact", r#"jsonencode(compact(["a", "", "b"]))"#),
    ("concat", r#"jsonencode(concat(["a"], ["b", "c"]))"#),
    ("contains", r#"join(",", [contains(["a", "b"], "a"), contains(["a"], "z")])"#),
    ("convert", r#"convert("5", number) + 1"#),
    ("csvdecode", r#"jsonencode(csvdecode("a,b\n1,\"x,y\"\n"))"#),
    ("dirname", r#"join(",", [dirname("/a/b/c"), dirname("a"), dirname("/a")])"#),
    ("distinct", r#"jsonencode(distinct(["a", "b", "a"]))"#),
    ("divide", r#"divide(7, 2)"#),
    ("element", r#"join(",", [element(["a", "b", "c"], 1), element(["a", "b", "c"], 4)])"#),
    ("equal", r#"join(",", [equal(1, 1), equal("a", "b")])"#),
    ("flatten", r#"jsonencode(flatten([["a"], [["b"], "c"]]))"#),
    ("floor", r#"floor(1.8)"#),
    (
        "format",
        r#"format("%05d|%s|%q|%.2f|%v|%-5s|%5s|%x|%t|%%|%+d", 42, "a", "q", 1.5, [1, "x"], "ab", "cd", 255, true, 7)"#,
    ),
    (
        "formatdate",
        r#"formatdate("EEE, DD MMM YYYY hh:mm:ss 'at' ZZZ H AA YY M D EEEE MMMM", "2024-02-03T04:05:06Z")"#,
    ),
    ("formatlist", r#"jsonencode(formatlist("%s-%s", ["a", "b"], "x"))"#),
    ("greaterthan", r#"greaterthan(2, 1)"#),
    ("greaterthanorequalto", r#"greaterthanorequalto(2, 2)"#),
    ("hasindex", r#"join(",", [hasindex(["a"], 0), hasindex(["a"], 5)])"#),
    ("homedir", r#"homedir()"#),
    ("indent", r#"indent(2, "a\nb\nc")"#),
    ("index", r#"index(["x", "y"], 1)"#),
    ("indexof", r#"indexof(["a", "b"], "b")"#),
    ("int", r#"join(",", [int(1.9), int(-1.9)])"#),
    ("join", r#"join("-", ["a"], ["b", "c"])"#),
    ("jsondecode", r#"jsondecode("{\"a\": [1, \"x\"]}").a[1]"#),
    ("jsonencode", r#"jsonencode({ b = [1, 2.5, true, null], a = "<x>" })"#),
    ("keys", r#"jsonencode(keys({ b = 1, a = 2 }))"#),
    ("length", r#"length(["a", "b"])"#),
    ("lessthan", r#"lessthan(2, 1)"#),
    ("lessthanorequalto", r#"lessthanorequalto(2, 2)"#),
    ("log", r#"log(8, 2)"#),
    ("lookup", r#"join(",", [lookup({ a = "x" }, "a", "d"), lookup({ a = "x" }, "b", "d")])"#),
    ("lower", r#"lower("ABC")"#),
    ("max", r#"max(1, 5, 3)"#),
    ("md5", r#"md5("hi")"#),
    ("merge", r#"jsonencode(merge({ a = 1, b = 2 }, { b = 3 }))"#),
    ("min", r#"min(4, 2, 3)"#),
    ("modulo", r#"modulo(7, 4)"#),
    ("multiply", r#"multiply(3, 4)"#),
    ("negate", r#"negate(3)"#),
    ("not", r#"not(true)"#),
    ("notequal", r#"notequal(1, 2)"#),
    ("or", r#"or(true, false)"#),
    ("parseint", r#"join(",", [parseint("ff", 16), parseint("-101", 2)])"#),
    ("pow", r#"pow(2, 10)"#),
    ("range", r#"jsonencode([range(3), range(1, 4), range(6, 0, -2)])"#),
    (
        "regex",
        r#"join(",", [regex("[a-z]+", "12abc"), regex("([0-9]+)-([0-9]+)", "7-8")[1], regex("(?P<n>x+)", "axx").n])"#,
    ),
    ("regex_replace", r#"regex_replace("a1b2", "([a-z])([0-9])", "$2$1")"#),
    ("regexall", r#"jsonencode(regexall("[a-z]", "a1b"))"#),
    ("replace", r#"replace("a.b.c", ".", "-")"#),
    ("reverse", r#"reverse("abc")"#),
    ("reverselist", r#"jsonencode(reverselist(["a", "b"]))"#),
    ("sanitize", r#"sanitize("a.b/c_d-e f")"#),
    ("sethaselement", r#"sethaselement(["a"], "a")"#),
    ("setintersection", r#"jsonencode(setintersection(["a", "b"], ["b", "c"]))"#),
    ("setproduct", r#"jsonencode(setproduct(["a", "b"], ["x", "y"]))"#),
    ("setsubtract", r#"jsonencode(setsubtract(["a", "b"], ["b"]))"#),
    ("setsymmetricdifference", r#"jsonencode(setsymmetricdifference(["a", "b"], ["b", "c"]))"#),
    ("setunion", r#"jsonencode(setunion(["b", "a"], ["c", "b"]))"#),
    ("sha1", r#"sha1("hi")"#),
    ("sha256", r#"sha256("hi")"#),
    ("sha512", r#"sha512("hi")"#),
    ("signum", r#"join(",", [signum(-5), signum(0), signum(5)])"#),
    ("slice", r#"jsonencode(slice(["a", "b", "c"], 1, 3))"#),
    ("sort", r#"jsonencode(sort(["b", "c", "a"]))"#),
    ("split", r#"jsonencode(split(",", "a,b,c"))"#),
    ("strlen", r#"strlen("h\u00e9llo")"#),
    ("substr", r#"join(",", [substr("hello", 1, 3), substr("hello", -3, 2), substr("hello", 1, -1)])"#),
    ("subtract", r#"subtract(5, 7)"#),
    (
        "timeadd",
        r#"join(",", [timeadd("2024-01-01T00:00:00Z", "1h30m"), timeadd("2024-01-01T00:00:00Z", "-24h")])"#,
    ),
    ("title", r#"title("hello big world")"#),
    ("trim", r#"trim("--a-b--", "-")"#),
    ("trimprefix", r#"trimprefix("v1", "v")"#),
    ("trimspace", r#"trimspace("  a ")"#),
    ("trimsuffix", r#"trimsuffix("a.tar", ".tar")"#),
    ("try", r#"try(parseint("x", 10), "default")"#),
    ("upper", r#"upper("abc")"#),
    ("urlencode", r#"urlencode("a b&c/d~e")"#),
    ("uuidv5", r#"uuidv5("dns", "example.com")"#),
    ("values", r#"jsonencode(values({ b = "1", a = "2" }))"#),
    ("zipmap", r#"jsonencode(zipmap(["a", "b"], [1, 2]))"#),
];

// covers: value bake-function bake absolute
// covers: value bake-function bake add
// covers: value bake-function bake and
// covers: value bake-function bake base64decode
// covers: value bake-function bake base64encode
// covers: value bake-function bake basename
// covers: value bake-function bake can
// covers: value bake-function bake ceil
// covers: value bake-function bake chomp
// covers: value bake-function bake chunklist
// covers: value bake-function bake cidrhost
// covers: value bake-function bake cidrnetmask
// covers: value bake-function bake cidrsubnet
// covers: value bake-function bake cidrsubnets
// covers: value bake-function bake coalesce
// covers: value bake-function bake coalescelist
// covers: value bake-function bake compact
// covers: value bake-function bake concat
// covers: value bake-function bake contains
// covers: value bake-function bake convert
// covers: value bake-function bake csvdecode
// covers: value bake-function bake dirname
// covers: value bake-function bake distinct
// covers: value bake-function bake divide
// covers: value bake-function bake element
// covers: value bake-function bake equal
// covers: value bake-function bake flatten
// covers: value bake-function bake floor
// covers: value bake-function bake format
// covers: value bake-function bake formatdate
// covers: value bake-function bake formatlist
// covers: value bake-function bake greaterthan
// covers: value bake-function bake greaterthanorequalto
// covers: value bake-function bake hasindex
// covers: value bake-function bake homedir
// covers: value bake-function bake indent
// covers: value bake-function bake index
// covers: value bake-function bake indexof
// covers: value bake-function bake int
// covers: value bake-function bake join
// covers: value bake-function bake jsondecode
// covers: value bake-function bake jsonencode
// covers: value bake-function bake keys
// covers: value bake-function bake length
// covers: value bake-function bake lessthan
// covers: value bake-function bake lessthanorequalto
// covers: value bake-function bake log
// covers: value bake-function bake lookup
// covers: value bake-function bake lower
// covers: value bake-function bake max
// covers: value bake-function bake md5
// covers: value bake-function bake merge
// covers: value bake-function bake min
// covers: value bake-function bake modulo
// covers: value bake-function bake multiply
// covers: value bake-function bake negate
// covers: value bake-function bake not
// covers: value bake-function bake notequal
// covers: value bake-function bake or
// covers: value bake-function bake parseint
// covers: value bake-function bake pow
// covers: value bake-function bake range
// covers: value bake-function bake regex
// covers: value bake-function bake regex_replace
// covers: value bake-function bake regexall
// covers: value bake-function bake replace
// covers: value bake-function bake reverse
// covers: value bake-function bake reverselist
// covers: value bake-function bake sanitize
// covers: value bake-function bake sethaselement
// covers: value bake-function bake setintersection
// covers: value bake-function bake setproduct
// covers: value bake-function bake setsubtract
// covers: value bake-function bake setsymmetricdifference
// covers: value bake-function bake setunion
// covers: value bake-function bake sha1
// covers: value bake-function bake sha256
// covers: value bake-function bake sha512
// covers: value bake-function bake signum
// covers: value bake-function bake slice
// covers: value bake-function bake sort
// covers: value bake-function bake split
// covers: value bake-function bake strlen
// covers: value bake-function bake substr
// covers: value bake-function bake subtract
// covers: value bake-function bake timeadd
// covers: value bake-function bake title
// covers: value bake-function bake trim
// covers: value bake-function bake trimprefix
// covers: value bake-function bake trimspace
// covers: value bake-function bake trimsuffix
// covers: value bake-function bake try
// covers: value bake-function bake upper
// covers: value bake-function bake urlencode
// covers: value bake-function bake uuidv5
// covers: value bake-function bake values
// covers: value bake-function bake zipmap
// covers: value bake-function bake uuidv4
// covers: value bake-function bake bcrypt
// covers: value bake-function bake timestamp
// refuses: value bake-function bake byteslen because nothing else in a bake file makes bytes
// refuses: value bake-function bake bytesslice because nothing else in a bake file makes bytes
// refuses: value bake-function bake rsadecrypt because a private key has no place in a bake file
#[test]
fn functions_are_worth_what_they_are_to_the_real_buildx() {
    let engine = Engine::ours().with_plugins();
    let rows: String = FUNCTIONS.iter().map(|(name, call)| format!("    {name} = {call}\n")).collect();
    let text = format!("target \"default\" {{\n  args = {{\n{rows}  }}\n}}\n");
    let folder = engine.scratch().join("");
    engine.scratch().write("docker-bake.hcl", text);
    let said = alike(&engine, &folder, &[], &[]);
    let args = said["target"]["default"]["args"].as_object().unwrap();
    assert_eq!(args.len(), FUNCTIONS.len());
    // Chance and the clock make others each time.
    let chance = "target \"default\" {\n  args = {\n    A = uuidv4()\n    B = bcrypt(\"x\", 4)\n    C = timestamp()\n  }\n}\n";
    engine.scratch().write("chance.hcl", chance);
    let shape = |real: bool| {
        let said = printed(&engine, real, &folder, &[], &["-f", "chance.hcl"]);
        let text = |name: &str| said["target"]["default"]["args"][name].as_str().unwrap().to_owned();
        let dashes = |text: String| {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect::<String>()
        };
        (dashes(text("A")), text("B").len(), text("B")[..7].replace("2b", "2a"), dashes(text("C")))
    };
    assert_eq!(shape(false), shape(true));
    // What nothing in a file makes is refused by name.
    for name in ["byteslen", "bytesslice", "rsadecrypt"] {
        engine.scratch().write("refused.hcl", format!("x = {name}(\"a\", \"b\")"));
        let refused = command(&engine, false, &folder, &[], &["--print", "-f", "refused.hcl"]).assert_code(1);
        assert!(refused.stderr.contains(&format!("{name}: it is not supported")), "{}", refused.stderr);
    }
}

// covers: value bake-function bake semvercmp
// covers: value bake-function bake unixtimestampparse
// covers: value bake-function bake formattimestamp
#[test]
fn newer_functions_than_the_real_ones_are_there() {
    let engine = Engine::ours();
    let text = "target \"default\" {\n  args = {\n    A = semvercmp(\"1.2.3\", \">= 1.0, < 2\")\n    B = semvercmp(\"v2.0.0\", \"~1.2 || ^1\")\n    \
                C = jsonencode(unixtimestampparse(1700000000))\n    D = formattimestamp(\"YYYY-MM-DD'T'hh:mm\", 1700000000)\n  }\n}\n";
    engine.scratch().write("docker-bake.hcl", text);
    let said = printed(&engine, false, &engine.scratch().join(""), &[], &[]);
    let args = &said["target"]["default"]["args"];
    assert_eq!(
        (&args["A"], &args["B"], &args["D"]),
        (&"true".into(), &"false".into(), &"2023-11-14T22:13".into())
    );
    let parts: Value = serde_json::from_str(args["C"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&parts["month_name"], &parts["rfc3339"]),
        (&"November".into(), &"2023-11-14T22:13:20Z".into())
    );
}

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
