use std::ffi::OsString;

use proptest::prelude::*;

use crate::{Args, Command, Error, Flag, Kind, Matches, Outcome, Page, go, parse};

const FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Run in background").short('d'),
    Flag::new("env", Kind::List, "Set environment variables").short('e'),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open").short('i'),
    Flag::new("memory", Kind::Bytes, "Memory limit").short('m').default("0"),
    Flag::new("name", Kind::String, "Assign a name"),
    Flag::new("old", Kind::String, "Old").deprecated("use --new instead"),
    Flag::new("gone", Kind::Bool, "Gone").refused("it is gone"),
    Flag::new("sig-proxy", Kind::Bool, "Proxy signals").default("true"),
    Flag::new("tail", Kind::Int, "Number of `lines`").short('n').default("-1"),
    Flag::new("opt", Kind::Strings, "Options"),
];

const LEAF: Command<()> = Command {
    name: "",
    aliases: &[],
    usage: "[OPTIONS]",
    short: "",
    long: "",
    also: "",
    example: "",
    flags: &[FLAGS],
    args: Args::Any,
    stop_at_positional: false,
    subcommands: &[],
    hidden: false,
    common: 0,
    action: (),
};
static RUN: Command<()> = Command {
    name: "run",
    usage: "[OPTIONS] IMAGE",
    short: "Run",
    args: Args::AtLeast(1),
    stop_at_positional: true,
    common: 1,
    ..LEAF
};
static LS: Command<()> = Command { name: "ls", aliases: &["list"], short: "List", args: Args::None, ..LEAF };
static BOX: Command<()> =
    Command { name: "box", usage: "", short: "Boxes", flags: &[], subcommands: &[&LS], ..LEAF };
static ROOT: Command<()> = Command {
    name: "docker",
    usage: "[OPTIONS] COMMAND",
    short: "All",
    flags: &[&[Flag::new("host", Kind::String, "Where").short('H')]],
    subcommands: &[&RUN, &LS, &BOX],
    ..LEAF
};

fn parse_words(words: &[&str]) -> Result<Outcome<()>, Error> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    parse("docker", &ROOT, &words)
}

fn run(words: &[&str]) -> Matches {
    match parse_words(words).unwrap() {
        Outcome::Run(invocation) => invocation.matches,
        Outcome::Help(_) => panic!("help"),
    }
}

fn error(words: &[&str]) -> String {
    parse_words(words).unwrap_err().render()
}

#[test]
fn flags_are_read_in_every_spelling() {
    let matches =
        run(&["run", "-die", "A=1", "-eB=2", "-e=C", "--env", "D", "--env=", "-m1g", "--name=x", "i", "-d"]);
    assert!(matches.bool("detach") && matches.bool("interactive"));
    assert_eq!(matches.list("env"), ["A=1", "B=2", "C", "D", ""]);
    assert_eq!(matches.bytes("memory"), 1 << 30);
    assert_eq!(matches.text("name"), "x");
    assert_eq!(matches.args, ["i", "-d"]);
    assert!(matches.changed("name") && !matches.changed("sig-proxy") && matches.bool("sig-proxy"));
    assert!(!run(&["run", "--sig-proxy=false", "i"]).bool("sig-proxy"));
    assert_eq!(run(&["run", "--opt", "a,\"b,c\"", "--opt=d", "i"]).list("opt"), ["a", "b,c", "d"]);
}

#[test]
fn two_dashes_end_the_flags() {
    let matches = run(&["run", "--", "-x", "--", "y"]);
    assert_eq!((matches.args, matches.dash_at), (vec!["-x".into(), "--".into(), "y".into()], Some(0)));
}

#[test]
fn aliases_and_groups_are_walked() {
    let Outcome::Run(found) = parse_words(&["-H", "h", "box", "list"]).unwrap() else { panic!("help") };
    assert_eq!((found.path.as_str(), found.outer[0].text("host")), ("docker box ls", "h"));
    assert!(matches!(parse_words(&["box"]).unwrap(), Outcome::Help(_)));
    assert!(matches!(parse_words(&["run", "--help"]).unwrap(), Outcome::Help(_)));
    assert!(matches!(parse_words(&["run", "-h"]).unwrap(), Outcome::Help(_)));
}

#[test]
fn errors_are_pflags_in_dockers_layout() {
    let usage = "\n\nUsage:  docker run [OPTIONS] IMAGE\n\nRun 'docker run --help' for more information";
    assert_eq!(error(&["run", "--foo"]), format!("unknown flag: --foo{usage}"));
    assert_eq!(error(&["run", "--nmae"]), format!("unknown flag: --nmae\nDid you mean --name?{usage}"));
    assert_eq!(error(&["run", "-dx"]), format!("unknown shorthand flag: 'x' in -x{usage}"));
    assert_eq!(error(&["run", "--name"]), format!("flag needs an argument: --name{usage}"));
    assert_eq!(error(&["run", "-dm"]), format!("flag needs an argument: 'm' in -m{usage}"));
    let bytes = "invalid argument \"zz\" for \"-m, --memory\" flag: invalid size: 'zz'";
    assert_eq!(error(&["run", "-m", "zz"]), format!("{bytes}{usage}"));
    let int =
        "invalid argument \"z\" for \"-n, --tail\" flag: strconv.ParseInt: parsing \"z\": invalid syntax";
    assert_eq!(error(&["run", "-nz"]), format!("{int}{usage}"));
    assert_eq!(error(&["run", "--gone", "i"]), "docker run: --gone: it is gone");
    assert_eq!(
        error(&["run"]),
        "docker: 'docker run' requires at least 1 argument\n\nUsage:  docker run [OPTIONS] IMAGE\n\n\
         See 'docker run --help' for more information"
    );
    assert_eq!(
        error(&["box", "lss"]),
        "docker: unknown command: docker box lss\nDid you mean 'docker box ls'?\n\nUsage:  docker box\n\n\
         Run 'docker box --help' for more information"
    );
    assert_eq!(
        error(&["nope"]),
        "docker: unknown command: docker nope\n\nRun 'docker --help' for more information"
    );
}

#[test]
fn help_is_laid_out_in_columns() {
    let page =
        Page { path: "docker run", width: 80, extra: &[], defaults: &[], groups_only: false }.render(&RUN);
    assert_eq!(
        page,
        "Usage:  docker run [OPTIONS] IMAGE

Run

Options:
  -d, --detach         Run in background
  -e, --env list       Set environment variables
      --gone           Gone
  -i, --interactive    Keep STDIN open
  -m, --memory bytes   Memory limit
      --name string    Assign a name
      --opt strings    Options
      --sig-proxy      Proxy signals (default true)
  -n, --tail lines     Number of lines (default -1)
"
    );
}

#[test]
fn numbers_are_gos() {
    assert_eq!(go::parse_int("-0x1_0"), Ok(-16));
    assert_eq!(go::parse_int("017"), Ok(15));
    go::parse_int("1__0").unwrap_err();
    go::parse_int("9223372036854775808").unwrap_err();
    assert_eq!(go::parse_uint("65535", 16), Ok(65535));
    go::parse_uint("65536", 16).unwrap_err();
    assert_eq!(go::parse_duration("1h2m3.5s").unwrap().as_millis(), 3_723_500);
    assert_eq!(go::parse_duration("10").unwrap_err(), "time: missing unit in duration \"10\"");
    assert_eq!(go::parse_duration("1x").unwrap_err(), "time: unknown unit \"x\" in duration \"1x\"");
    assert_eq!(go::parse_bytes("1.5KiB"), Ok(1536));
    assert_eq!(go::parse_bytes("32 mb"), Ok(32 << 20));
    go::parse_bytes("1q").unwrap_err();
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(words in proptest::collection::vec("[-a-z=,\"é0-9]{0,8}", 0..8)) {
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        if let Err(error) = parse("docker", &ROOT, &words) {
            prop_assert!(!error.render().is_empty());
        }
    }

    #[test]
    fn what_follows_the_image_is_not_ours(tail in proptest::collection::vec("[-a-z=]{0,6}", 0..6)) {
        let words: Vec<&str> = ["run", "-d", "image"].into_iter().chain(tail.iter().map(String::as_str)).collect();
        let matches = run(&words);
        prop_assert_eq!(&matches.args[1..], &tail[..]);
    }

    #[test]
    fn durations_and_sizes_never_panic(text in "[0-9.a-zµ+-]{0,12}") {
        let _ = (go::parse_duration(&text), go::parse_bytes(&text), go::parse_int(&text), go::split_csv(&text));
    }

    #[test]
    fn numbers_survive_their_own_text(number: i64) {
        prop_assert_eq!(go::parse_int(&number.to_string()), Ok(number));
    }
}
