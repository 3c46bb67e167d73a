//! What functions are worth.

use serde_json::Value;
use testkit::Engine;

use super::{alike, command, printed};

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
