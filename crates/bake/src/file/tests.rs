use super::*;

fn load(text: &str, targets: &[&str], set: &[&str]) -> Result<Json, String> {
    let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let asked = Asked { targets: own(targets), set: own(set), ..Asked::default() };
    let mut files = Files::read(&[], &asked).map_err(|error| error.to_string())?;
    let body = syntax::parse("f", text).map_err(|error| error.to_string())?;
    files.add("f", body).map_err(|error| error.to_string())?;
    files.check_variables().map_err(|error| error.to_string())?;
    files.bake().map(|bake| bake.to_json()).map_err(|error| diag::chain(&error))
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    for (text, expected) in [
        ("target \"default\" {\n  inherits = [\"default\"]\n}", "target \"default\" inherits from itself"),
        ("group \"default\" { targets = [\"default\"] }", "group \"default\" contains itself"),
        (
            "target \"default\" {\n  contexts = { a = \"target:default\" }\n}",
            "target \"default\" is its own context",
        ),
        (
            "variable \"a\" {\n  default = b\n}\nvariable \"b\" { default = a }",
            "f:4: variable \"a\" needs itself",
        ),
        (
            "function \"f\" {\n  params = [n]\n  result = f(n)\n}\nx = f(1)",
            "f:5: function \"f\" calls itself without end",
        ),
        ("target \"default\" {\n  color = 1\n}", "f:2: \"color\" is not an attribute of targets"),
        ("target \"default\" {\n  tags = 1\n}", "f:2: tags: a list is required, but have number"),
        ("target \"default\" {\n  args = { A = [1] }\n}", "f:2: args: string required, but have list"),
        ("x = nosuch(1)", "f:1: there is no function named \"nosuch\""),
        ("x = y", "f:1: there is no variable named \"y\""),
        ("x = 1 / 0", "f:1: that is no number: division by zero, or too large"),
        ("garden \"x\" {}", "f:1: a bake file has no block \"garden\""),
        (
            "target \"default\" {\n  name = \"a/b\"\n  matrix = { x = [1] }\n}",
            "\"a/b\" is no name for a target: only letters, digits, \"_\" and \"-\" are",
        ),
        (
            "target \"default\" {\n  name = \"${x}${y}${z}${w}\"\n  matrix = { x = range(10), y = range(10), z = range(10), w = range(10) }\n}",
            "f:3: the matrix comes to more than 1000 targets",
        ),
    ] {
        assert_eq!(load(text, &[], &[]).unwrap_err(), expected, "{text}");
    }
    assert_eq!(load("", &["nosuch"], &[]).unwrap_err(), "failed to find target nosuch");
    let one = "target \"default\" {}";
    assert_eq!(load(one, &[], &["default.color=red"]).unwrap_err(), "unknown key: color");
    assert_eq!(
        load(one, &[], &["default=red"]).unwrap_err(),
        "invalid override key default, expected target.name"
    );
}

/// Whatever is missing or twice in a file: it means something or is refused.
#[test]
fn no_text_breaks_the_reader() {
    const TEXT: &str = "variable \"v\" {\n  default = { a = [1, \"x${1 + 2}é\"], b = <<-E\n  t\n E\n }\n}\n\
        function \"f\" {\n  params = [a]\n  variadic_params = r\n  result = [for i, x in r : x if x != a][*]\n}\n\
        target \"default\" {\n  args = { A = \"%{ if true ~} y %{ else }n%{ endif }\", B = -1.5e3 % 2 ? f(1, [2]...)[0] : v.a.1 }\n}\n";
    let marks: Vec<usize> = TEXT.char_indices().map(|(at, _)| at).chain([TEXT.len()]).collect();
    for (at, from) in marks.iter().enumerate() {
        let next = marks.get(at + 1).copied().unwrap_or(TEXT.len());
        let (head, tail) = TEXT.split_at(*from);
        for text in [
            head.to_owned(),
            tail.to_owned(),
            format!("{head}{}", &TEXT[next..]),
            format!("{head}{}{tail}", &TEXT[*from..next]),
        ] {
            let _ = load(&text, &[], &[]);
        }
    }
    for name in
        ["format", "join", "substr", "slice", "element", "cidrhost", "formatdate", "timeadd", "csvdecode"]
    {
        for arguments in
            ["", "\"\"", "\"\", \"\"", "-1, -1, -1", "[], 0, 0", "null, null", "\"%\", 1", "\"é\", 99, 1"]
        {
            let _ = load(&format!("x = {name}({arguments})"), &[], &[]);
        }
    }
    let wide = "x = replace(join(\"\", [for i in range(5000) : \"aaaaaaaaaa\"]), \"\", join(\"\", [for i in range(5000) : \"bbbbbbbbbb\"]))";
    assert!(load(wide, &[], &[]).unwrap_err().contains("too much text"));
}

#[test]
fn names_fit_patterns() {
    for (pattern, name, expected) in
        [("*", "a", true), ("a*", "ab", true), ("a*c", "abc", true), ("a*c", "ab", false), ("a", "ab", false)]
    {
        assert_eq!(targets::fits(pattern, name), expected, "{pattern} {name}");
    }
}
