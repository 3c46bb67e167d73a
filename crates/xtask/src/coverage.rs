//! `cargo xtask coverage`: what users may expect, against the built binary and the tests.
//!
//! `coverage/*.tsv` list the expectations. The binary tells its own commands (`ketch __tree`), routes (`__routes`) and
//! daemon options (`__daemon`). A row is *done* only if the binary says so and a test names it in a line
//! `// covers: <row>`; *refused* with the reason that the binary gives; otherwise *missing*.
//!
//! Of values, fields, instructions and keys (`coverage/more.tsv`) the binary has no list: there the tests decide, by
//! `// covers: <row>` or `// refuses: <row> because <reason>`, and a row goes with the command, route or row it belongs to
//! where that one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::check::rust_files;
use crate::corpus;
use crate::fields;
use crate::page;
use crate::process::{self, workspace};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Done,
    /// The binary has it and no test names it.
    Untested,
    Refused(String),
    Missing,
}

/// One expectation. The name is also what a test writes behind `// covers: `.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) area: String,
    pub(crate) name: String,
    pub(crate) state: State,
}

const NO_SETTING: &[&str] = &[
    "cli docker --help",
    "daemon config-key proxies",
    "daemon flag --config-file",
    "daemon flag --help",
    "daemon flag --validate",
    "daemon flag --version",
    "daemon signal SIGHUP",
    "daemon signal SIGTERM / SIGINT",
    "daemon signal SIGUSR1",
];

/// What the binary says of a row.
type Claims = BTreeMap<String, State>;

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let marks = Marks::read()?;
    let rows = rows(&claims()?, &marks)?;
    marks.all_name_a_row(&rows)?;
    if let [option, area] = arguments
        && option == "--missing"
    {
        let missing = rows.iter().filter(|row| row.area == *area && row.state == State::Missing);
        missing.for_each(|row| println!("{}", row.name));
        return Ok(());
    }
    let text = page::render(&rows);
    let path = workspace().join("docs/compatibility.md");
    if arguments.iter().any(|argument| argument == "--check") {
        let written = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(
            written == text,
            "docs/compatibility.md is not what the binary does: run `cargo xtask coverage`"
        );
        return Ok(());
    }
    fs::create_dir_all(workspace().join("docs"))?;
    fs::write(&path, text)?;
    Ok(())
}

fn claims() -> anyhow::Result<Claims> {
    let mut claims = Claims::new();
    let mut aliases = Vec::new();
    for command in dump("__tree")? {
        let name = format!("cli {}", text(&command, "command"));
        claims.insert(name.clone(), claim(&command));
        // Every command has its help; the binary lists it nowhere.
        claims.insert(format!("{name} --help"), claim(&command));
        for alias in command["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let group = name.rsplit_once(' ').map_or("", |(group, _)| group);
            aliases.push((format!("{group} {alias}"), name.clone()));
        }
        for flag in command["flags"].as_array().into_iter().flatten() {
            claims.insert(format!("{name} {}", text(flag, "flag")), claim(flag));
        }
    }
    claim_aliases(&mut claims, &aliases);
    for route in dump("__routes")? {
        let name = format!("api {} {}", text(&route, "method"), text(&route, "path"));
        for parameter in route["query"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            claims.insert(format!("{name} ?{parameter}"), claim(&route));
        }
        claims.insert(name, claim(&route));
    }
    for option in dump("__daemon")? {
        if let Some(name) = option["name"].as_str() {
            claims.insert(format!("daemon {name}"), claim(&option));
            continue;
        }
        let key = text(&option, "key");
        let flag =
            option["flag"].as_str().map(|flag| format!("daemon flag --{}", flag.trim_start_matches('-')));
        let refused = text(&option, "state") == "refused";
        let reload = (refused || option["reload"] == true).then(|| format!("daemon reloadable {key}"));
        let names = [Some(format!("daemon config-key {key}")), flag, reload];
        claims.extend(names.into_iter().flatten().map(|name| (name, claim(&option))));
    }
    // What is about one start and no setting is in no list of the binary's: a test alone decides.
    claims.extend(NO_SETTING.iter().map(|name| ((*name).to_owned(), State::Done)));
    Ok(claims)
}

/// Another word for a command is that command with its flags: it is as done as the command, and its tests are its.
fn claim_aliases(claims: &mut Claims, aliases: &[(String, String)]) {
    for (alias, name) in aliases {
        let prefix = format!("{name} --");
        let flags: Vec<_> =
            claims.range(prefix.clone()..).take_while(|(row, _)| row.starts_with(&prefix)).collect();
        let mut more: Vec<_> =
            flags.iter().map(|(row, state)| (row.replacen(name, alias, 1), (*state).clone())).collect();
        more.extend(claims.get(name).map(|state| (alias.clone(), state.clone())));
        for (row, state) in more {
            claims.entry(row).or_insert(state);
        }
    }
}

/// A key inside a setting that is refused is refused with it, and so is what belongs to a refused command or route.
fn refused_with(claims: &Claims, name: &str, parent: &str) -> Option<State> {
    if let Some(State::Refused(reason)) = claims.get(parent) {
        return Some(State::Refused(reason.clone()));
    }
    let mut key =
        name.strip_prefix("daemon config-key ").or_else(|| name.strip_prefix("daemon reloadable "))?;
    loop {
        match claims.get(&format!("daemon config-key {key}")) {
            Some(State::Refused(reason)) => return Some(State::Refused(reason.clone())),
            Some(_) => return None,
            None => key = key.rsplit_once(['.', '[', '*']).map(|(parent, _)| parent)?,
        }
    }
}

/// One of the binary's own lists. A binary that hasn't this list claims nothing.
fn dump(word: &str) -> anyhow::Result<Vec<Value>> {
    let ketch = process::ketch("debug")?;
    let output = Command::new(&ketch).arg(word).output().with_context(|| ketch.display().to_string())?;
    let rows = serde_json::from_slice(&output.stdout);
    if rows.is_err() {
        eprintln!("`ketch {word}` gives no list: all of its rows count as missing");
    }
    Ok(rows.unwrap_or_default())
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn claim(row: &Value) -> State {
    match text(row, "state") {
        "done" => State::Done,
        "refused" => State::Refused(text(row, "reason").to_owned()),
        _ => State::Missing,
    }
}

/// What the tests say.
struct Marks {
    covered: BTreeSet<String>,
    refused: BTreeMap<String, String>,
    recorded: BTreeMap<String, State>,
}

impl Marks {
    fn read() -> anyhow::Result<Self> {
        let mut marks =
            Self { covered: BTreeSet::new(), refused: BTreeMap::new(), recorded: fields::recorded()? };
        marks.covered.extend(corpus::proven(&workspace().join("tests/e2e/corpus"))?);
        let in_machines = workspace().join("tests/vm");
        let scripts = fs::read_dir(&in_machines)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        for path in scripts {
            let source = fs::read_to_string(path)?;
            marks
                .covered
                .extend(source.lines().filter_map(|line| line.strip_prefix("# covers: ")).map(str::to_owned));
        }
        for path in rust_files(&workspace())? {
            let source = fs::read_to_string(path)?;
            for line in source.lines().map(str::trim) {
                marks.covered.extend(line.strip_prefix("// covers: ").map(str::to_owned));
                let refusal = line.strip_prefix("// refuses: ").and_then(|rest| rest.split_once(" because "));
                marks.refused.extend(refusal.map(|(row, reason)| (row.to_owned(), reason.to_owned())));
            }
        }
        Ok(marks)
    }

    fn told(&self, name: &str) -> Option<State> {
        if self.covered.contains(name) {
            return Some(State::Done);
        }
        self.refusal(name).or_else(|| self.recorded.get(name).cloned())
    }

    fn refusal(&self, name: &str) -> Option<State> {
        self.refused.get(name).map(|reason| State::Refused(reason.clone()))
    }

    /// A mark that names nothing proves nothing: most likely it is misspelt.
    fn all_name_a_row(&self, rows: &[Row]) -> anyhow::Result<()> {
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        // A corpus of command lines names what it comes upon, of which not everything is expected.
        let corpus = corpus::proven(&workspace().join("tests/e2e/corpus"))?;
        let marks = self.covered.iter().filter(|mark| !corpus.contains(*mark)).chain(self.refused.keys());
        let unknown: Vec<&String> = marks.filter(|mark| !names.contains(mark.as_str())).collect();
        ensure!(unknown.is_empty(), "tests name rows that coverage/ does not have: {unknown:#?}");
        Ok(())
    }
}

fn rows(claims: &Claims, marks: &Marks) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for Expectation { area, name, parent } in expectations()? {
        let told = is_told_by_tests_alone(&name).then(|| marks.told(&name)).flatten();
        let state = match claims.get(&name) {
            Some(State::Done) if marks.covered.contains(&name) => State::Done,
            // The client passes on what an engine of another kind may take, and ours refuses.
            Some(State::Done) => marks.refusal(&name).unwrap_or(State::Untested),
            Some(State::Refused(reason)) => State::Refused(reason.clone()),
            _ => told
                .or_else(|| marks.refusal(&name))
                .or_else(|| marks.refusal(&parent))
                .or_else(|| refused_with(claims, &name, &parent))
                .unwrap_or(State::Missing),
        };
        rows.push(Row { area, name, state });
    }
    Ok(rows)
}

/// The rows of coverage/more.tsv, of which the binary has no list.
pub(crate) fn is_told_by_tests_alone(name: &str) -> bool {
    let kind = name.split(' ').next().unwrap_or_default();
    // A key within a list's entries is no setting of its own, nor is one of a setting that is an object.
    name.contains("[].")
        || name.starts_with("daemon config-key builder.")
        || matches!(kind, "value" | "field" | "dockerfile" | "compose" | "registry" | "buildkit")
}

/// A row of coverage/*.tsv.
struct Expectation {
    area: String,
    name: String,
    /// The row with which it is refused; empty if there is none.
    parent: String,
}

fn expectations() -> anyhow::Result<Vec<Expectation>> {
    let mut list = Vec::new();
    let mut push = |area: &String, name: String, parent: &str| {
        list.push(Expectation { area: area.clone(), name, parent: parent.to_owned() });
    };
    for (file, mark) in [("api", "?"), ("cli", "")] {
        for columns in table(file)? {
            let [area, name, parts] = &columns[..] else { anyhow::bail!("coverage/{file}.tsv: {columns:?}") };
            push(area, format!("{file} {name}"), "");
            let whole = format!("{file} {name}");
            parts.split_whitespace().for_each(|part| push(area, format!("{whole} {mark}{part}"), &whole));
        }
    }
    for columns in table("more")? {
        let [area, name, parent] = &columns[..] else { anyhow::bail!("coverage/more.tsv: {columns:?}") };
        push(area, name.clone(), parent);
    }
    for columns in table("daemon")? {
        let [area, kind, name] = &columns[..] else { anyhow::bail!("coverage/daemon.tsv: {columns:?}") };
        push(area, format!("daemon {kind} {name}"), "");
    }
    Ok(list)
}

fn table(file: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let path = workspace().join(format!("coverage/{file}.tsv"));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}
