//! The tables against docker 28.5.2 (compose 2.40.3, buildx 0.29.1), whose help pages are recorded beside this file.

use std::collections::BTreeMap;

use flags::{Page, Support};

use super::{Action, Command, ROOT};

const RECORDED: &str = include_str!("recorded/help-28.5.2.txt");

/// Pages that differ on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("docker", "builder and Compose are built in, refused commands are left out"),
    ("docker image", "has explore"),
    ("docker volume", "has the commands for what is in volumes"),
    ("docker build", "has --explain"),
    ("docker builder build", "has --explain"),
    ("docker image build", "has --explain"),
    ("docker system", "has the commands for Ketch's own engine"),
    ("docker buildx", "plugins end their page with advice of their own"),
    ("docker buildx build", "docker shows its own build with another text for --builder"),
    ("docker completion", "the shells are arguments here"),
    ("docker compose config", "has --explain"),
    ("docker compose", "has kube and plan; blanks at the end of a line"),
    ("docker trust signer add", "blanks at the end of a line"),
];

fn walk(command: &'static Command, path: &str, seen: &mut dyn FnMut(&str, &'static Command)) {
    seen(path, command);
    for subcommand in command.subcommands {
        walk(subcommand, &format!("{path} {}", subcommand.name), seen);
    }
}

fn recorded() -> BTreeMap<&'static str, &'static str> {
    RECORDED
        .split("@@@ ")
        .filter_map(|page| page.split_once('\n'))
        .map(|(name, page)| (name, page.trim()))
        .collect()
}

#[test]
fn help_pages_are_dockers() {
    let pages = recorded();
    let mut wrong = Vec::new();
    let mut right = 0;
    walk(&ROOT, "docker", &mut |path, command| {
        let Some(page) = pages.get(path) else { return };
        // Of a command that the recorded version lacks, docker shows the page of its group.
        let rest = page.strip_prefix("Usage:  ").and_then(|page| page.strip_prefix(path));
        let group_page = rest.is_some_and(|rest| rest.starts_with(" [OPTIONS] COMMAND"));
        if !rest.is_some_and(|rest| rest.starts_with([' ', '\n']))
            || group_page && command.subcommands.is_empty()
        {
            return;
        }
        // docker has its examples on the web alone.
        let bare = Command { example: "", ..*command };
        let ours = Page { path, width: 80, extra: &[], defaults: &[], groups_only: false }.render(&bare);
        let different = DIFFERENT.iter().any(|(name, _)| *name == path);
        match (ours.trim() == *page, different) {
            (true, false) => right += 1,
            (false, false) => wrong.push(difference(page, &ours)),
            (true, true) => wrong.push(format!("{path} is listed as different and is not")),
            (false, true) => {}
        }
    });
    assert!(wrong.is_empty(), "{} pages differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(right > 150, "only {right} pages were compared");
}

fn difference(theirs: &str, ours: &str) -> String {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.trim().lines().collect());
    let missing = theirs.iter().filter(|line| !ours.contains(line)).map(|line| format!("- {line}\n"));
    let added = ours.iter().filter(|line| !theirs.contains(line)).map(|line| format!("+ {line}\n"));
    theirs[..1].iter().map(|line| format!("{line}\n")).chain(missing.chain(added).take(12)).collect()
}

/// A flag that is `Done` has its name in the code of some command; otherwise nobody can be reading it.
#[test]
fn flags_that_count_as_done_are_read() {
    let code = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut unread = Vec::new();
    walk(&ROOT, "docker", &mut |path, command| {
        if matches!(command.action, Action::Run(_)) {
            let flags = command
                .sorted_flags()
                .into_iter()
                .filter(|flag| flag.support == Support::Done && flag.long != "help");
            unread.extend(
                flags
                    .filter(|flag| !code.contains(&format!("\"{}\"", flag.long)))
                    .map(|flag| format!("{path} --{}", flag.long)),
            );
        }
    });
    assert!(unread.is_empty(), "{unread:?}");
}

fn sources(dir: &std::path::Path) -> String {
    let mut code = String::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tree") {
            code.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    code
}

#[test]
fn names_are_unique_in_their_group_and_flags_in_their_command() {
    walk(&ROOT, "docker", &mut |path, command| {
        let mut names: Vec<&str> = command
            .subcommands
            .iter()
            .flat_map(|c| std::iter::once(c.name).chain(c.aliases.iter().copied()))
            .collect();
        let mut flags: Vec<String> = Vec::new();
        for flag in command.sorted_flags() {
            flags.push(flag.long.to_owned());
            flags.extend(flag.short.map(String::from));
        }
        for list in [&mut names, &mut flags.iter().map(String::as_str).collect()] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count, "{path}: {list:?}");
        }
    });
}

#[test]
fn examples_are_understood_and_the_commands_that_people_use_have_some() {
    let mut count = 0;
    walk(&ROOT, "ketch", &mut |path, command| {
        for rest in command.example.split('\n').filter(|_| !command.example.is_empty()) {
            count += 1;
            let line =
                call_of(&format!("{path} {rest}")).unwrap_or_else(|| panic!("{path} {rest} calls nobody"));
            match flags::parse("ketch", &ROOT, &line) {
                Ok(flags::Outcome::Run(_)) => {}
                Ok(flags::Outcome::Help(_)) => panic!("{path} {rest} is half a command"),
                Err(error) => panic!("{path} {rest}: {}", error.render()),
            }
        }
    });
    assert!(count > 60, "only {count} examples");
}

/// Every line of a document's shell blocks that calls us, without its comment and what it is piped into.
fn documented(text: &str) -> Vec<Vec<std::ffi::OsString>> {
    let mut lines = Vec::new();
    let mut is_shell = false;
    for line in text.lines().map(str::trim) {
        match line {
            "```sh" | "```console" => is_shell = true,
            "```" => is_shell = false,
            _ if !is_shell => {}
            _ => lines.extend(line.split(" | ").filter_map(call_of)),
        }
    }
    lines
}

/// The words after our name, if it is we who are called.
fn call_of(line: &str) -> Option<Vec<std::ffi::OsString>> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    let line = line.trim_start_matches("$ ").trim_start_matches("sudo ");
    let words = words(line);
    let (first, rest) = words.split_first()?;
    let ours = matches!(first.as_str(), "ketch" | "docker-compose");
    // The engine and the runtime have tables of their own.
    let elsewhere = matches!(rest.first().map(String::as_str), Some("daemon" | "runtime" | "demo"));
    let end =
        rest.iter().position(|word| matches!(word.as_str(), ">" | "<" | "&&" | ";")).unwrap_or(rest.len());
    let prefix = (first == "docker-compose").then(|| "compose".to_owned());
    (ours && !elsewhere).then(|| prefix.iter().chain(&rest[..end]).map(Into::into).collect())
}

/// Quotes are read as a shell reads them, as far as documents have any.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn what_documents_tell_people_to_write_is_understood() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    pages.extend(
        std::fs::read_dir(root.join("examples"))
            .unwrap()
            .map(|entry| entry.unwrap().path().join("README.md")),
    );
    let mut count = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
        for line in documented(&std::fs::read_to_string(page).unwrap_or_default()) {
            count += 1;
            let place = || format!("{}: {line:?}", page.display());
            match flags::parse("ketch", &ROOT, &line) {
                Ok(flags::Outcome::Run(call)) => {
                    assert!(matches!(call.command.action, Action::Run(_)), "{} is refused", place());
                }
                Ok(flags::Outcome::Help(_)) => panic!("{} is half a command", place()),
                Err(error) => panic!("{}: {}", place(), error.render()),
            }
        }
    }
    assert!(count > 40, "only {count} lines were found");
}
