//! A stage's instructions, one after another.

use std::collections::BTreeSet;

use dockerfile::word::Lexer;
use dockerfile::{Instruction, Kind, Lines};

use super::image::{self, Layer};
use super::outline::Argument;
use super::problem::Problem;
use super::stage::{Command, Progress};
use super::stages::Lowering;
use super::{arguments, checks, names, ports, signals};
use crate::graph::{Action, Change, File, Input, Mkdir, Op, Owner, Place};

/// Arguments that are for the builder alone and no variables of steps.
const NOT_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

impl Lowering<'_> {
    /// Lowers stage `at`. All that it needs and that stands before it is lowered already.
    pub(super) fn dispatch(&mut self, at: usize) -> Result<(), Problem> {
        if self.stages[at].progress == Progress::Done {
            return Ok(());
        }
        if let Some(base) = self.stages[at].base {
            let base = self.stages[base].clone();
            self.stages[at].begin_from(&base);
        }
        let lines = self.stages[at].lines;
        self.begin(at).map_err(|problem| problem.at(lines))?;
        self.stages[at].progress = Progress::Done;
        for command in std::mem::take(&mut self.stages[at].commands) {
            let lines = command.instruction.lines;
            self.stages[at].in_trigger = command.trigger;
            let kept = command.clone();
            self.instruction(at, command).map_err(|problem| problem.at(lines))?;
            self.stages[at].commands.push(kept);
        }
        Ok(())
    }

    /// What the base image's configuration means for the steps.
    fn begin(&mut self, at: usize) -> Result<(), Problem> {
        let target = self.options.target_platform().clone();
        let stage = &mut self.stages[at];
        let platform = stage.platform.get_or_insert(target).clone();
        let config = &mut stage.image.config;
        let has_path = config.env.iter().any(|entry| super::environment::split(entry).0 == "PATH");
        if !has_path && platform.os != "windows" {
            config.env.push(format!("PATH={}", image::PATH));
        }
        for entry in &config.env {
            let (name, value) = super::environment::split(entry);
            stage.environment.set(name, value)?;
        }
        if !config.working_dir.is_empty() {
            config.working_dir = joined("/", &config.working_dir);
            stage.directory.clone_from(&config.working_dir);
        }
        if !config.user.is_empty() {
            stage.user.clone_from(&config.user);
        }
        Ok(())
    }

    fn instruction(&mut self, at: usize, command: Command) -> Result<(), Problem> {
        let Command { mut instruction, sources, .. } = command;
        self.expand(at, &mut instruction)?;
        let Instruction { kind, code, lines, name } = instruction;
        let keyword = name.as_str();
        match kind {
            Kind::Add(transfer) => self.add_instruction(at, &transfer, &code, lines),
            Kind::Copy(copy) => self.copy_instruction(at, &copy, &sources, &code, lines),
            Kind::Run(run) => self.run_instruction(at, &run, &sources, &code, lines),
            Kind::Workdir(path) => self.workdir(at, &path, &code, lines),
            Kind::Arg(list) => self.arg(at, &list, lines),
            Kind::Env(pairs) => self.env(at, &pairs, keyword, lines),
            Kind::Label(pairs) => self.label(at, &pairs, keyword, lines),
            Kind::Cmd(line) => self.cmd(at, &line, keyword, lines),
            Kind::Entrypoint(line) => self.entrypoint(at, &line, keyword, lines),
            Kind::Healthcheck(check) => self.healthcheck(at, &check, keyword, lines),
            Kind::Expose(words) => self.expose(at, &words, lines),
            Kind::User(user) => {
                let stage = &mut self.stages[at];
                stage.user.clone_from(&user);
                stage.image.config.user.clone_from(&user);
                self.remember(at, format!("USER {user}"))
            }
            Kind::Volume(volumes) => self.volume(at, &volumes),
            Kind::StopSignal(signal) => {
                signals::check(&signal)?;
                self.stages[at].image.config.stop_signal.clone_from(&signal);
                self.remember(at, format!("STOPSIGNAL {signal}"))
            }
            Kind::Shell(shell) => {
                let text = format!("SHELL [{}]", shell.join(" "));
                self.stages[at].image.config.shell = Some(shell);
                self.remember(at, text)
            }
            Kind::Maintainer(name) => {
                self.stages[at].image.author = Some(name.clone());
                self.remember(at, format!("MAINTAINER {name}"))
            }
            Kind::OnBuild(trigger) => {
                self.stages[at].image.config.on_build.get_or_insert_default().push(trigger);
                Ok(())
            }
        }
    }

    /// Puts variables' values into the words of one instruction: all have the values from before it.
    fn expand(&mut self, at: usize, instruction: &mut Instruction) -> Result<(), Problem> {
        let (lexer, content) = (self.lexer, Lexer { plain_quotes: true, ..Lexer::new('\\') });
        let environment = &self.stages[at].environment;
        let unmatched = std::cell::RefCell::new(Vec::<BTreeSet<String>>::new());
        let expand = |lexer: Lexer, word: &str| {
            let expanded = lexer.expand(word, environment)?;
            if !expanded.unmatched.is_empty() {
                unmatched.borrow_mut().push(expanded.unmatched);
            }
            Ok(expanded.text)
        };
        instruction.expand(&mut |word| expand(lexer, word), &mut |word| expand(content, word))?;
        for names in unmatched.into_inner() {
            self.undefined(at, &names, instruction.lines);
        }
        Ok(())
    }

    fn undefined(&mut self, at: usize, names: &BTreeSet<String>, lines: Lines) {
        let stage = &self.stages[at];
        checks::undefined(names, &stage.arguments, &stage.environment, lines, self.findings);
    }

    /// History of what makes no layer.
    fn remember(&mut self, at: usize, what: String) -> Result<(), Problem> {
        image::remember(&mut self.stages[at].image, what, Layer::No, self.options.epoch);
        Ok(())
    }

    fn env(
        &mut self,
        at: usize,
        pairs: &[dockerfile::Pair],
        keyword: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        checks::legacy(keyword, pairs, lines, self.findings);
        let mut text = String::from("ENV");
        for pair in pairs {
            checks::secret("ENV", &pair.name, lines, self.findings);
            text.push_str(&format!(" {}={}", pair.name, pair.value));
            let stage = &mut self.stages[at];
            stage.environment.set(&pair.name, &pair.value)?;
            image::set_env(&mut stage.image.config.env, &pair.name, &pair.value);
        }
        self.remember(at, text)
    }

    fn label(
        &mut self,
        at: usize,
        pairs: &[dockerfile::Pair],
        keyword: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        checks::legacy(keyword, pairs, lines, self.findings);
        let mut text = String::from("LABEL");
        for pair in pairs {
            text.push_str(&format!(" {}={}", pair.name, pair.value));
            self.stages[at].image.config.labels.insert(pair.name.clone(), pair.value.clone());
        }
        self.remember(at, text)
    }

    fn arg(&mut self, at: usize, list: &[dockerfile::Argument], lines: Lines) -> Result<(), Problem> {
        let mut texts = Vec::with_capacity(list.len());
        for argument in list {
            checks::secret("ARG", &argument.name, lines, self.findings);
            let value = self.argument_value(at, argument, lines)?;
            if self.options.sbom {
                refuse_scan(&argument.name, value.as_deref())?;
            }
            let inherited =
                argument.default.is_none() && !self.options.arguments.contains_key(&argument.name);
            let inherited = inherited && value.is_some();
            let stage = &mut self.stages[at];
            let mut info = Argument::new(argument, lines);
            if let Some(value) = &value {
                if !NOT_VARIABLES.contains(&argument.name.as_str()) {
                    stage.environment.set(&argument.name, value)?;
                }
                info.value.clone_from(value);
            }
            if !inherited {
                stage.known_arguments.insert(argument.name.clone(), info);
            }
            stage.used_arguments.insert(argument.name.clone());
            texts.push(
                value.as_ref().map_or(argument.name.clone(), |value| format!("{}={value}", argument.name)),
            );
            stage.arguments.push((argument.name.clone(), value));
        }
        self.remember(at, format!("ARG {}", texts.join(" ")))
    }

    /// The build's own value, or the default, or what was declared before the first FROM.
    fn argument_value(
        &mut self,
        at: usize,
        argument: &dockerfile::Argument,
        lines: Lines,
    ) -> Result<Option<String>, Problem> {
        if let Some(given) = self.options.arguments.get(&argument.name) {
            return Ok(Some(given.clone()));
        }
        let Some(default) = &argument.default else {
            return Ok(arguments::inherited(&self.globals, &argument.name));
        };
        let expanded = self.lexer.expand(default, &self.stages[at].environment)?;
        self.undefined(at, &expanded.unmatched, lines);
        Ok(Some(expanded.text))
    }

    fn cmd(
        &mut self,
        at: usize,
        line: &dockerfile::CommandLine,
        keyword: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        let before = self.stages[at].cmd.replace(lines);
        checks::once(keyword, before, self.findings);
        let words = self.command_line(at, line, keyword, lines);
        let text = format!("CMD {}", image::quoted(&words));
        let config = &mut self.stages[at].image.config;
        config.cmd = Some(words).filter(|words| !words.is_empty());
        config.args_escaped = true;
        self.remember(at, text)
    }

    fn entrypoint(
        &mut self,
        at: usize,
        line: &dockerfile::CommandLine,
        keyword: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        let before = self.stages[at].entrypoint.replace(lines);
        checks::once(keyword, before, self.findings);
        let words = self.command_line(at, line, keyword, lines);
        let text = format!("ENTRYPOINT {}", image::quoted(&words));
        let stage = &mut self.stages[at];
        stage.image.config.entrypoint = Some(words).filter(|words| !words.is_empty());
        // The base image's arguments were for its own entrypoint.
        if stage.cmd.is_none() {
            stage.image.config.cmd = None;
        }
        self.remember(at, text)
    }

    fn command_line(
        &mut self,
        at: usize,
        line: &dockerfile::CommandLine,
        keyword: &str,
        lines: Lines,
    ) -> Vec<String> {
        if !line.shell {
            return line.words.clone();
        }
        if self.stages[at].image.config.shell.as_ref().is_none_or(Vec::is_empty) {
            let detail = format!(
                "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
            );
            self.findings.add(dockerfile::check::Rule::JSONArgsRecommended, lines, detail);
        }
        self.with_shell(at, &line.words)
    }

    /// The shell that reads the words, and the words as one.
    pub(super) fn with_shell(&self, at: usize, words: &[String]) -> Vec<String> {
        let image = &self.stages[at].image;
        let shell = image.config.shell.clone().filter(|shell| !shell.is_empty());
        let mut line = shell.unwrap_or_else(|| match image.platform.os.as_str() {
            "windows" => vec!["cmd".to_owned(), "/S".to_owned(), "/C".to_owned()],
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        });
        line.push(words.join(" "));
        line
    }

    fn healthcheck(
        &mut self,
        at: usize,
        check: &dockerfile::Health,
        keyword: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        let before = self.stages[at].healthcheck.replace(lines);
        checks::once(keyword, before, self.findings);
        self.stages[at].image.config.healthcheck = Some(image::health(check));
        self.remember(at, image::health_text(check))
    }

    fn expose(&mut self, at: usize, words: &[String], lines: Lines) -> Result<(), Problem> {
        let mut exposed = Vec::new();
        for word in words {
            let expanded = self.lexer.expand(word, &self.stages[at].environment)?;
            for word in &expanded.words {
                checks::port(word, lines, self.findings);
                exposed.extend(ports::parse(word)?);
            }
        }
        // A list that ranges made could be long; as a set it can't be longer than there are ports.
        let mut seen = BTreeSet::new();
        exposed.retain(|port| seen.insert(port.clone()));
        let text = format!("EXPOSE [{}]", exposed.join(" "));
        let ports = exposed.into_iter().map(|port| (port, oci::image::Empty {}));
        self.stages[at].image.config.exposed_ports.extend(ports);
        self.remember(at, text)
    }

    fn volume(&mut self, at: usize, volumes: &[String]) -> Result<(), Problem> {
        if volumes.iter().any(String::is_empty) {
            return Err(dockerfile::Problem::EmptyVolume.into());
        }
        let set = volumes.iter().map(|volume| (volume.clone(), oci::image::Empty {}));
        self.stages[at].image.config.volumes.extend(set);
        self.remember(at, format!("VOLUME [{}]", volumes.join(" ")))
    }

    fn workdir(&mut self, at: usize, path: &str, code: &str, lines: Lines) -> Result<(), Problem> {
        if !self.stages[at].workdir_set && !path.starts_with('/') {
            let path = dockerfile::quote(path);
            let detail =
                format!("Relative workdir {path} can have unexpected results if the base image changes");
            self.findings.add(dockerfile::check::Rule::WorkdirRelativePath, lines, detail);
        }
        let stage = &mut self.stages[at];
        stage.workdir_set = true;
        let directory = joined(&stage.image.config.working_dir, path);
        stage.image.config.working_dir.clone_from(&directory);
        stage.directory.clone_from(&directory);
        let layer = if directory == "/" { Layer::No } else { Layer::Quiet };
        if layer == Layer::Quiet {
            self.make_directory(at, &directory, code, lines)?;
        }
        let text = format!("WORKDIR {directory}");
        image::remember(&mut self.stages[at].image, text, layer, self.options.epoch);
        Ok(())
    }

    fn make_directory(&mut self, at: usize, path: &str, code: &str, lines: Lines) -> Result<(), Problem> {
        let stage = &mut self.stages[at];
        let platform = stage.platform.clone().unwrap_or_default();
        let name = names::expanded(&self.lexer, code, &stage.environment);
        let name = names::numbered(stage, self.options.several_platforms, &platform, &name);
        let shown = names::shown(&self.options.source, name, lines, "");
        let (base, inputs) = match stage.root {
            Some(root) => (Place::Input(Input(0)), vec![root]),
            None => (Place::Scratch, Vec::new()),
        };
        let user = Some(stage.image.config.user.as_str()).filter(|user| !user.is_empty());
        let mkdir = Mkdir {
            path: path.to_owned(),
            mode: 0o755,
            parents: true,
            owner: user.map(|user| owner(user, base)),
            time: self.options.time(),
        };
        let action = Action { base, change: Change::Mkdir(mkdir), output: Some(0) };
        let op = Op::File(File { actions: vec![action] });
        stage.root = Some(self.graph.add(op, inputs, Some(platform), shown)?.output());
        Ok(())
    }
}

/// `user`, `user:group`, with names looked up at a place.
pub(super) fn owner(text: &str, within: Place) -> Owner {
    let id = |text: &str| {
        let number = text.parse().map(crate::graph::Id::Number);
        let name = || crate::graph::Id::Name { name: text.to_owned(), within };
        (!text.is_empty()).then(|| number.unwrap_or_else(|_| name()))
    };
    match text.split_once(':') {
        Some((user, group)) => Owner { user: id(user), group: id(group) },
        None => Owner { user: id(text), group: None },
    }
}

/// A path as seen from a directory; from the root, if the directory says nothing.
pub(super) fn joined(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return dockerfile::ignore::clean(path);
    }
    dockerfile::ignore::clean(&format!("/{directory}/{path}"))
}

/// An SBOM is of the result: of stages and contexts there is none.
fn refuse_scan(name: &str, value: Option<&str>) -> Result<(), Problem> {
    let scans = matches!(name, "BUILDKIT_SBOM_SCAN_STAGE" | "BUILDKIT_SBOM_SCAN_CONTEXT");
    match value {
        Some(value) if scans && !matches!(value, "" | "0" | "false") => {
            Err(Problem::new(format!("{name}={value} is not supported: an SBOM is of the result alone")))
        }
        _ => Ok(()),
    }
}
