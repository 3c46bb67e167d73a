//! A corpus of command lines: what they say, how they end and what `inspect` shows afterwards, recorded from dockerd.
//!
//! ```text
//! # what this is about
//! $ both --memory 32m $I true           as `create` and as `run -d`; any other command stands as one writes it
//!   . HostConfig.Memory 33554432        what `inspect` shows otherwise than for a container without these flags
//! $ rm $C                               a case goes on until the empty line; $C is its container
//!   | $C                                standard output; `!` standard error, `=` the exit code unless it is 0
//!
//! $ create --link a $I
//! ~ links come with networks            Ketch refuses by name what dockerd does, or earlier
//! $ run $I nosuch
//! % runc is not asked                   Ketch says it in other words: the exit code is the same
//! ```
//!
//! Each line is run by our command line, in the long form of the command, too, and by the real docker. With
//! `KETCH_TEST_DOCKER_HOST` and `KETCH_RECORD=1` the expectations are written anew from that engine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::{Engine, command};

/// A file, split where the cases end.
fn run(file: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("e2e/corpus").join(file);
    let text = std::fs::read_to_string(&path).expect("a file of the corpus");
    let engine = Engine::isolated();
    let mut corpus = Corpus { image: engine.busybox(), engine, baselines: BTreeMap::new(), number: 0 };
    let (mut written, mut wrong) = (String::new(), String::new());
    for case in text.split("\n\n").map(|case| case.trim_end_matches('\n')) {
        let recorded = corpus.case(case, &mut wrong);
        let _ = write!(written, "{recorded}\n\n");
    }
    if corpus.engine.is_peer() && std::env::var_os("KETCH_RECORD").is_some() {
        std::fs::write(&path, format!("{}\n", written.trim_end())).expect("writing the recording");
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong);
}

struct Corpus {
    engine: Engine,
    image: String,
    /// What `inspect` shows of a container without flags, made by `create` or `run`.
    baselines: BTreeMap<(String, bool), Vec<(String, Value)>>,
    number: u32,
}

/// One line of the corpus with what is expected of it.
struct Step<'a> {
    line: &'a str,
    expected: Vec<&'a str>,
    differs: Option<&'a str>,
    words_differ: Option<&'a str>,
}

fn steps(case: &str) -> (Vec<&str>, Vec<Step<'_>>) {
    let (mut comments, mut steps) = (Vec::new(), Vec::<Step<'_>>::new());
    for line in case.lines() {
        match (line.split_at_checked(2), steps.last_mut()) {
            (Some(("$ ", line)), _) => {
                steps.push(Step { line, expected: Vec::new(), differs: None, words_differ: None });
            }
            (Some(("~ ", why)), Some(step)) => step.differs = Some(why),
            (Some(("% ", why)), Some(step)) => step.words_differ = Some(why),
            (Some(("  ", expected)), Some(step)) => step.expected.push(expected),
            _ => comments.push(line),
        }
    }
    (comments, steps)
}

impl Corpus {
    /// Runs a case with every client; what it would be as a recording.
    fn case(&mut self, case: &str, wrong: &mut String) -> String {
        let (comments, steps) = steps(case);
        let mut recorded: String = comments.iter().map(|line| format!("{line}\n")).collect();
        for (at, client) in self.clients(&steps).into_iter().enumerate() {
            self.number += 1;
            let name = self.engine.name(&format!("c{}", self.number));
            for step in &steps {
                let got = self.step(step.line, client, &name);
                if at == 0 {
                    let _ = writeln!(recorded, "$ {}", step.line);
                    recorded.extend(step.differs.map(|why| format!("~ {why}\n")));
                    recorded.extend(step.words_differ.map(|why| format!("% {why}\n")));
                    recorded.extend(got.iter().map(|line| format!("  {line}\n")));
                }
                if let Some(what) = self.judge(step, &got) {
                    let _ = writeln!(wrong, "{client:?}: $ {}\n{what}", step.line);
                }
            }
            let _ = command::run(self.engine.docker_command().args(["rm", "-fv", &name]));
        }
        recorded.trim_end().to_owned()
    }

    fn clients(&self, steps: &[Step<'_>]) -> Vec<Client> {
        let both = steps.iter().any(|step| step.line.starts_with("both "));
        let mut clients = vec![Client { real: true, long: false, runs: false }];
        if both {
            clients.push(Client { real: true, long: false, runs: true });
        }
        if self.engine.is_peer() {
            return clients;
        }
        let made =
            steps.iter().any(|step| ["both ", "create ", "run "].iter().any(|w| step.line.starts_with(w)));
        for runs in [false, true].into_iter().take(1 + usize::from(both)) {
            clients.extend([false, true].iter().take(1 + usize::from(made)).map(|long| Client {
                real: false,
                long: *long,
                runs,
            }));
        }
        clients
    }

    /// Runs one line; what it wrote, how it ended, what came of it.
    fn step(&mut self, line: &str, client: Client, name: &str) -> Vec<String> {
        let words = words(line);
        let words: Vec<String> = words.iter().map(|word| self.filled(word, name)).collect();
        let verb = match words[0].as_str() {
            "both" if client.runs => "run",
            "both" => "create",
            other => other,
        };
        let makes = matches!(verb, "create" | "run");
        let mut arguments: Vec<String> = Vec::new();
        arguments.extend((client.long && makes).then(|| "container".to_owned()));
        arguments.push(verb.to_owned());
        if makes {
            let says = |flag: &str| words.iter().any(|word| word.split('=').next() == Some(flag));
            arguments.extend((verb == "run" && words[0] == "both").then(|| "-d".to_owned()));
            if !says("--name") {
                arguments.extend(["--name".to_owned(), name.to_owned()]);
            }
            if !says("--network") && !says("--net") {
                arguments.extend(["--network".to_owned(), "none".to_owned()]);
            }
        }
        arguments.extend(words[1..].iter().cloned());
        let mut command = self.command(client);
        let output = command::run(command.args(&arguments));
        let mut got = Vec::new();
        got.extend((output.code != 0).then(|| format!("= {}", output.code)));
        let is_id =
            makes && output.code == 0 && (verb == "create" || words.iter().any(|w| w == "-d") || client.runs);
        if !is_id {
            got.extend(output.stdout.lines().map(|line| format!("| {}", self.neutral(line, name))));
        }
        // Where there is help is no part of what went wrong.
        let aside = |line: &str| line.is_empty() || line.starts_with("Run '") || line.starts_with("Usage: ");
        let lines: Vec<&str> = output.stderr.lines().collect();
        // Ours shows below what went wrong where in a mount it is.
        let is_mark = |at: usize| {
            lines.get(at).is_some_and(|line| line.ends_with('^') && line.trim().chars().all(|c| c == '^'))
        };
        let said = (0..lines.len()).filter(|at| !is_mark(*at) && !is_mark(at + 1)).map(|at| lines[at]);
        let said = said.filter(|line| !aside(line));
        got.extend(said.map(|line| format!("! {}", self.neutral(&common(line), name))));
        if is_id {
            got.extend(self.shown(verb, client, name));
        }
        got.iter().map(|line| line.trim_end().to_owned()).collect()
    }

    fn command(&self, client: Client) -> Command {
        if client.real { self.engine.docker_command() } else { self.engine.ketch_command() }
    }

    fn filled(&self, word: &str, name: &str) -> String {
        word.replace("$I", &self.image).replace("$C", name)
    }

    /// Without what differs from run to run.
    fn neutral(&self, line: &str, name: &str) -> String {
        let line = line.replace(&self.image, "$I").replace(name, "$C");
        hexadecimal(&line)
    }

    /// What `inspect` shows otherwise than without flags.
    fn shown(&mut self, verb: &str, client: Client, name: &str) -> Vec<String> {
        let key = (verb.to_owned(), client.real);
        if !self.baselines.contains_key(&key) {
            let plain = self.engine.name(&format!("plain-{verb}-{}", client.real));
            let mut command = self.command(client);
            command.args([verb, "--name", &plain, "--network", "none"]);
            command.args((verb == "run").then_some("-d")).args([&self.image, "true"]);
            command::run(&mut command).ok();
            let shown = self.inspected(&plain);
            self.baselines.insert(key.clone(), shown);
            let _ = command::run(self.engine.docker_command().args(["rm", "-f", &plain]));
        }
        let (shown, plain) = (self.inspected(name), &self.baselines[&key]);
        let of = |path: &str| plain.iter().find(|(known, _)| known == path).map(|(_, value)| value);
        let mut lines = Vec::new();
        for (path, value) in &shown {
            if of(path) != Some(value) {
                lines.push(format!(". {path} {}", self.neutral(&value.to_string(), name)));
            }
        }
        for (path, _) in plain.iter().filter(|(path, _)| !shown.iter().any(|(known, _)| known == path)) {
            lines.push(format!(". {path} (nothing)"));
        }
        lines
    }

    fn inspected(&self, name: &str) -> Vec<(String, Value)> {
        let output = command::run(self.engine.docker_command().args(["container", "inspect", name]));
        let found: Value = serde_json::from_str(&output.ok()).expect("inspect answers with JSON");
        let found = &found[0];
        let mut fields = Vec::new();
        for part in ["HostConfig", "Config"] {
            for (key, value) in found[part].as_object().into_iter().flatten() {
                if !matches!(key.as_str(), "Cmd" | "Image" | "Runtime" | "ContainerIDFile") {
                    fields.push((format!("{part}.{key}"), value.clone()));
                }
            }
        }
        // dockerd's order is the one of a map.
        for (path, value) in &mut fields {
            if let ("Config.Env", Some(list)) = (path.as_str(), value.as_array_mut()) {
                list.sort_by_key(Value::to_string);
            }
        }
        // Its id, unless it is given one: one and the same for comparison.
        for (path, value) in &mut fields {
            if path == "Config.Hostname"
                && found["Id"].as_str().is_some_and(|id| id.starts_with(value.as_str().unwrap_or("?")))
            {
                *value = "<id>".into();
            }
        }
        let mut mounts = found["Mounts"].clone();
        for mount in mounts.as_array_mut().into_iter().flatten() {
            // Where volumes are is the engine's affair.
            if mount["Type"] == "volume" {
                mount["Source"] = "<volume>".into();
            }
        }
        if let Some(list) = mounts.as_array_mut() {
            list.sort_by_key(|mount| mount["Destination"].to_string());
        }
        fields.push(("Mounts".to_owned(), mounts));
        fields
    }

    /// What is wrong with what came, if anything.
    fn judge(&self, step: &Step<'_>, got: &[String]) -> Option<String> {
        if step.differs.is_some() && !self.engine.is_peer() {
            let refused = got.first().is_some_and(|line| line.starts_with("= "))
                && got.iter().any(|line| {
                    line.starts_with("! ") && (line.contains("not supported") || line.contains("invalid"))
                });
            return (!refused).then(|| format!("  is not refused by name:\n{}", listed(got)));
        }
        if step.words_differ.is_some() && !self.engine.is_peer() {
            let code = |line: &&str| line.starts_with("= ");
            let expected = step.expected.iter().copied().find(code);
            let same = expected == got.iter().map(String::as_str).find(code);
            return (!same).then(|| format!("  ends otherwise:\n{}", listed(got)));
        }
        let same = step.expected.len() == got.len() && step.expected.iter().zip(got).all(|(a, b)| a == b);
        let expected: Vec<String> = step.expected.iter().map(|line| (*line).to_owned()).collect();
        (!same).then(|| format!("  expected:\n{}  got:\n{}", listed(&expected), listed(got)))
    }
}

/// Who runs a line, and how.
#[derive(Debug, Clone, Copy)]
struct Client {
    /// The real docker.
    real: bool,
    /// `container create` for `create`.
    long: bool,
    /// `both` as `run -d`.
    runs: bool,
}

fn listed(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

/// A shell's words, with quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => (quote, open) = (Some(c), true),
            (c, Some(q)) if c == q => quote = None,
            (' ', None) => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (c, _) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Our own program says its own name where docker says its.
fn common(line: &str) -> String {
    let line = line.strip_prefix("ketch: ").map_or_else(|| line.to_owned(), |rest| format!("docker: {rest}"));
    line.replace("'ketch ", "'docker ")
}

/// Ids of any container, image or volume.
fn hexadecimal(line: &str) -> String {
    let (mut out, mut run) = (String::new(), String::new());
    let flush = |run: &mut String, out: &mut String| {
        match run.len() {
            64 => out.push_str("<id>"),
            12 if run.bytes().any(|b| b.is_ascii_digit()) => out.push_str("<short>"),
            _ => out.push_str(run),
        }
        run.clear();
    };
    for c in line.chars() {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            run.push(c);
        } else {
            flush(&mut run, &mut out);
            out.push(c);
        }
    }
    flush(&mut run, &mut out);
    out
}

#[test]
fn limits_and_the_process() {
    let _parent = testkit::ParentCgroup::named("ketch-corpus");
    run("limits.txt");
}

#[test]
fn namespaces_and_names() {
    run("namespaces.txt");
}

#[test]
fn mounts() {
    run("mounts.txt");
}

#[test]
fn the_programs_settings() {
    run("program.txt");
}

#[test]
fn what_is_refused() {
    run("refused.txt");
}

#[test]
fn networks_and_ports() {
    run("networks.txt");
}
