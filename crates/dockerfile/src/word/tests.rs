//! BuildKit's own tables, as expectations.

use super::*;

type Env = &'static [(&'static str, &'static str)];

struct Values(Env);

impl Variables for Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

fn expand(word: &str, env: Env) -> Result<Expanded, crate::Problem> {
    Lexer::new('\\').expand(word, &Values(env))
}

fn text(word: &str, env: Env) -> String {
    expand(word, env).map_or_else(|problem| format!("error: {problem}"), |expanded| expanded.text)
}

// covers: dockerfile expansion $var ${var} plain value; empty when unset
// covers: dockerfile expansion ${var:-word} word when unset or empty
// covers: dockerfile expansion ${var-word} word when unset
// covers: dockerfile expansion ${var:+word} word when set and not empty
// covers: dockerfile expansion ${var+word} word when set
// covers: dockerfile expansion \$var escaped: literal
// covers: dockerfile expansion '...' single quotes: no expansion
// covers: dockerfile expansion "..." double quotes: expansion, \" \$ and the escape character
#[test]
fn variables_are_expanded() {
    const ENV: Env = &[("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")];
    for line in include_str!("tests/variables.txt").lines().filter(|line| !line.starts_with('#')) {
        let (word, expected) = line.split_once(" | ").expect("two columns");
        let got = expand(word, ENV).map(|expanded| expanded.text);
        match expected {
            "error" => assert!(got.is_err(), "{word}: {got:?}"),
            _ => assert_eq!(got.as_deref(), Ok(expected.trim_end_matches('|')), "{word}"),
        }
    }
}

#[test]
fn words_are_split_after_expansion() {
    const ENV: Env = &[("hello", "world"), ("xhello", "one two"), ("env", "this  is\ta test"), ("empty", "")];
    for (word, expected) in [
        ("hello", &["hello"] as &[&str]),
        ("hello${hi}bye", &["hellobye"]),
        ("${hello}bye", &["worldbye"]),
        ("$hello$hi", &["world"]),
        ("\"hello ${hello}\" b", &["hello world", "b"]),
        ("$xhello", &["one", "two"]),
        ("'$xhello'", &["$xhello"]),
        ("\"$xhello\"", &["one two"]),
        ("a$xhello.b", &["aone", "two.b"]),
        ("$env", &["this", "is", "a", "test"]),
        ("$empty", &[]),
        ("  a \t b  ", &["a", "b"]),
        ("a\\ b", &["a b"]),
        ("한국어 $hello", &["한국어", "world"]),
    ] {
        assert_eq!(
            expand(word, ENV).map(|e| e.words),
            Ok(expected.iter().map(|w| (*w).to_owned()).collect()),
            "{word}"
        );
    }
}

// covers: dockerfile expansion ${var:?word} error when unset or empty
// covers: dockerfile expansion ${var?word} error when unset
#[test]
fn variables_may_be_required() {
    const SET: Env = &[("VAR", "plain"), ("ARG", "x")];
    const EMPTY: Env = &[("VAR", ""), ("ARG", "x")];
    const UNSET: Env = &[("ARG", "x")];
    let refused = "error: failed to process \"${VAR:?message here$ARG}\": VAR: message herex";
    assert_eq!(text("${VAR:?message here$ARG}", SET), "plain");
    assert_eq!(text("${VAR:?message here$ARG}", EMPTY), refused);
    assert_eq!(text("${VAR:?message here$ARG}", UNSET), refused);
    assert_eq!(text("${VAR?message here$ARG}", SET), "plain");
    assert_eq!(text("${VAR?message here$ARG}", EMPTY), "");
    assert!(text("${VAR?message here$ARG}", UNSET).ends_with("VAR: message herex"));
    assert!(text("${VAR?}", UNSET).ends_with("VAR: is not allowed to be unset"));
    assert!(text("${VAR:?}", EMPTY).ends_with("VAR: is not allowed to be empty"));
}

// covers: dockerfile expansion ${var#pattern} remove shortest prefix
// covers: dockerfile expansion ${var##pattern} remove longest prefix
// covers: dockerfile expansion ${var%pattern} remove shortest suffix
// covers: dockerfile expansion ${var%%pattern} remove longest suffix
// covers: dockerfile expansion ${var/pattern/repl} replace first match
// covers: dockerfile expansion ${var//pattern/repl} replace all matches
// covers: dockerfile expansion glob in patterns ? and *; escaped with backslash
#[test]
fn patterns_take_away_and_replace() {
    for (word, env, expected) in [
        ("${FOO#()[]{\\}^$.\\*\\?|\\\\}", &[("FOO", "()[]{}^$.*?|\\x")] as Env, "x"),
        ("${FOO%%\\**}", &[("FOO", "xx**")], "xx"),
        ("${FOO#*x*y}", &[("FOO", "xxyy")], "y"),
        ("${FOO#*}", &[("FOO", "xxyy")], "xxyy"),
        ("${FOO#$BAR}", &[("FOO", "xxyy"), ("BAR", "x")], "xyy"),
        ("${FOO#$BAR}", &[("FOO", "xxyy"), ("BAR", "")], "xxyy"),
        ("${FOO#}", &[("FOO", "xxyy")], "xxyy"),
        ("${FOO##*x}", &[("FOO", "xxyy")], "yy"),
        ("${FOO##}", &[("FOO", "xxyy")], "xxyy"),
        ("${FOO#?\\?}", &[("FOO", "???y")], "?y"),
        ("${ABC:-.}${FOO%x}${ABC:-.}", &[("FOO", "xxyy")], ".xxyy."),
        ("${FOO%%\\**\\*}", &[("FOO", "a***yy*")], "a"),
        ("${FOO%}", &[("FOO", "xxyy")], "xxyy"),
        ("${FOO%%$BAR}", &[("FOO", "xxyy"), ("BAR", "")], "xxyy"),
        ("${FOO%.*}", &[("FOO", "a.tar.gz")], "a.tar"),
        ("${FOO%%.*}", &[("FOO", "a.tar.gz")], "a"),
        (
            "${FOO/$NEEDLE/.} - ${FOO//$NEEDLE/.}",
            &[("FOO", "/foo*/*/*.txt"), ("NEEDLE", "\\*/")],
            "/foo.*/*.txt - /foo..*.txt",
        ),
        (
            "${FOO/$NEEDLE/} - ${FOO//$NEEDLE/}",
            &[("FOO", "/tmp/tmp/bar.txt"), ("NEEDLE", "/tmp")],
            "/tmp/bar.txt - /bar.txt",
        ),
        (
            "${FOO/$NEEDLE/$REPLACEMENT} - ${FOO//$NEEDLE/$REPLACEMENT}",
            &[("FOO", "/a/foo/b/c.txt"), ("NEEDLE", "/?/"), ("REPLACEMENT", "/")],
            "/foo/b/c.txt - /foo/c.txt",
        ),
        (
            "${FOO/$NEEDLE/$REPLACEMENT}",
            &[("FOO", "http://google.de"), ("NEEDLE", "http://"), ("REPLACEMENT", "https://")],
            "https://google.de",
        ),
        ("${FOO//\\//\\/}", &[("FOO", "/tmp/foo.txt")], "\\/tmp\\/foo.txt"),
        ("${FOO/$BAR/ww}", &[("FOO", "xxyy"), ("BAR", "")], "wwxxyy"),
        ("${FOO///}", &[("FOO", "xxyy")], "xxyy"),
        ("${FOO///}", &[], ""),
        ("${FOO//*/y}", &[("FOO", "abc")], "y"),
        ("${FOO//b/}", &[("FOO", "abcb")], "ac"),
    ] {
        assert_eq!(text(word, env), expected, "{word}");
    }
    for (word, why) in [
        ("${FOO//ww}", "syntax error: missing '/' in ${}"),
        ("${FOO//}", "syntax error: missing '/' in ${}"),
        ("${FOO/a/b", "syntax error: missing '}'"),
        ("${FOO=aaa}", "unsupported modifier (=) in substitution"),
        ("${FOO=:aaa}", "unsupported modifier (=) in substitution"),
        ("${FOO#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
        ("${FOO", "unsupported modifier (\u{fffd}) in substitution"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
    ] {
        let got = text(word, &[("FOO", "xxyy")]);
        assert!(got.ends_with(&format!(": {why}")), "{word}: {got}");
    }
}

#[test]
fn names_are_told_apart_by_whether_they_are_set() {
    let expanded = expand("${FOO-aaa} ${BAR-bbb} ${BAZ-ccc}", &[("FOO", "xxx"), ("BAR", "")]).expect("fine");
    assert_eq!(expanded.text, "xxx  ccc");
    assert_eq!(expanded.matched, BTreeSet::from(["FOO".to_owned(), "BAR".to_owned()]));
    assert_eq!(expanded.unmatched, BTreeSet::from(["BAZ".to_owned()]));
}

#[test]
fn what_is_not_set_can_stay_as_it_is_written() {
    let lexer = Lexer { keep_unset: true, raw_quotes: true, ..Lexer::new('\\') };
    for word in ["$A '$B'", "${A}", "${A:-b}", "${A/b/c}", "\"$A\" $? $1"] {
        assert_eq!(lexer.expand(word, &Unset).map(|expanded| expanded.text).as_deref(), Ok(word));
    }
}

#[test]
fn the_escape_character_is_what_the_directive_says() {
    let lexer = Lexer::new('`');
    let values = Values(&[("A", "b")]);
    for (word, expected) in [("`$A", "$A"), ("\\$A", "\\b"), ("\"`\"$A\"", "\"b")] {
        assert_eq!(
            lexer.expand(word, &values).map(|expanded| expanded.text).as_deref(),
            Ok(expected),
            "{word}"
        );
    }
}

#[test]
fn expansion_is_bounded() {
    let deep = format!("{}{}", "${A:-".repeat(100_000), "}".repeat(100_000));
    assert!(text(&deep, &[]).ends_with("braces within each other"));
    let long: &'static str = "x".repeat(1 << 19).leak();
    let env: Env = vec![("A", long)].leak();
    assert!(text("$A$A$A", env).ends_with("the result is longer than 1048576 bytes"));
    assert!(text("\"$A$A$A\"", env).ends_with("the result is longer than 1048576 bytes"));
    assert!(text(&format!("${{A//{}/b}}", "*x".repeat(1000)), env).ends_with("too long to be compared"));
}
