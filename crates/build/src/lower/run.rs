//! RUN.

use dockerfile::word::Lexer;
use dockerfile::{InlineFile, Lines, MountType, Run, Security as Asked, chomp, heredoc};

use super::environment::{Environment, Masked};
use super::image::{self, Layer};
use super::problem::Problem;
use super::stages::Lowering;
use super::{arguments, names};
use crate::graph::{Bind, Device, Exec, Input, Mount, MountKind, Network, Op, Output, Security};

/// Where a script is that picks its own interpreter.
const SCRIPTS: &str = "/dev/pipes/";

/// An exec operation that is being put together.
pub(super) struct Steps {
    pub(super) exec: Exec,
    pub(super) inputs: Vec<Output>,
}

impl Steps {
    pub(super) fn input(&mut self, output: Option<Output>) -> Option<Input> {
        let output = output?;
        let at = self.inputs.iter().position(|known| *known == output).unwrap_or_else(|| {
            self.inputs.push(output);
            self.inputs.len() - 1
        });
        Some(Input(u32::try_from(at).unwrap_or(u32::MAX)))
    }
}

impl Lowering<'_> {
    pub(super) fn run_instruction(
        &mut self,
        at: usize,
        run: &Run,
        sources: &[Option<usize>],
        code: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        // A program may look at anything.
        self.use_of(at, "/");
        // Directories that were made for mounts are no part of what a step did.
        let exec = Exec { remove_mount_stubs: true, ..Exec::default() };
        let mut steps = Steps { exec, inputs: Vec::new() };
        let root = steps.input(self.stages[at].root);
        steps.exec.mounts.push(Mount::root(root));
        let mut shown_code = code.to_owned();
        let words = self.words(run, &mut steps, &mut shown_code)?;
        let words = if run.command.shell { self.with_shell(at, &words) } else { words };
        self.settings(at, run, &mut steps.exec);
        self.mounts(at, run, sources, &mut steps, lines)?;
        if self.options.shm_size > 0 {
            let kind = MountKind::Tmpfs { size: self.options.shm_size };
            steps.exec.mounts.push(Mount {
                target: "/dev/shm".to_owned(),
                kind,
                read_only: false,
                output: None,
            });
        }
        steps.exec.args.clone_from(&words);
        let name = self.run_name(at, run, &shown_code);
        let stage = &mut self.stages[at];
        let platform = stage.platform.clone().unwrap_or_default();
        let name = names::numbered(stage, self.options.several_platforms, &platform, &name);
        let mut shown = names::shown(&self.options.source, name, lines, code);
        shown.ignore_cache = stage.no_cache;
        let op = Op::Exec(Box::new(steps.exec));
        stage.root = Some(self.graph.add(op, steps.inputs, Some(platform), shown)?.output());
        let text = history(&words, &stage.arguments, &stage.environment);
        image::remember(&mut stage.image, text, Layer::Yes, self.options.epoch);
        Ok(())
    }

    /// What is executed, with here-documents where they belong.
    fn words(&mut self, run: &Run, steps: &mut Steps, shown: &mut String) -> Result<Vec<String>, Problem> {
        let Some(first) = run.files.first() else { return Ok(run.command.words.clone()) };
        let [word] = run.command.words.as_slice() else {
            return Err(Problem::new(format!(
                "parsing produced an invalid run command: [{}]",
                run.command.words.join(" ")
            )));
        };
        if heredoc(word).is_none() {
            // The shell gets the documents as they stand.
            let documents = run.files.iter().map(|file| format!("\n{}{}", file.content, file.name));
            return Ok(vec![format!("{word}{}", documents.collect::<String>())]);
        }
        shown.push_str(&format!(" ({})", names::summary(&first.content)));
        let script = content(first);
        if !first.content.starts_with("#!") {
            return Ok(vec![script]);
        }
        let document = self.inline(&first.name, script.as_bytes(), 0o755)?;
        let from = steps.input(Some(document));
        let kind = MountKind::Bind(Bind { from, selector: String::new() });
        steps.exec.mounts.push(Mount { target: SCRIPTS.to_owned(), kind, read_only: true, output: None });
        Ok(vec![format!("{SCRIPTS}{}", first.name)])
    }

    fn settings(&self, at: usize, run: &Run, exec: &mut Exec) {
        let (stage, options) = (&self.stages[at], self.options);
        exec.env = stage.environment.list();
        exec.cwd.clone_from(&stage.directory);
        exec.user.clone_from(&stage.user);
        exec.hostname.clone_from(&options.hostname);
        exec.network = match run.network {
            dockerfile::Network::Default => options.network,
            dockerfile::Network::None => Network::None,
            dockerfile::Network::Host => Network::Host,
        };
        exec.security = match run.security {
            Asked::Sandbox => Security::Sandbox,
            Asked::Insecure => Security::Insecure,
        };
        exec.extra_hosts.clone_from(&options.extra_hosts);
        exec.ulimits.clone_from(&options.ulimits);
        exec.cgroup_parent.clone_from(&options.cgroup_parent);
        let device =
            |device: &dockerfile::Device| Device { name: device.name.clone(), optional: !device.required };
        exec.devices = run.devices.iter().map(device).collect();
        exec.proxy = arguments::proxy(options);
    }

    /// What the step is called: with variables' values where they are known, and without secrets'.
    fn run_name(&self, at: usize, run: &Run, code: &str) -> String {
        let mut masked = Environment::default();
        let secrets = run.mounts.iter().filter(|mount| mount.kind == MountType::Secret);
        for name in secrets.filter_map(|mount| mount.env.as_deref()) {
            // What doesn't fit isn't masked, and isn't known either.
            let _ = masked.set(name, "****");
        }
        let variables = Masked { over: &masked, under: &self.stages[at].environment };
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..self.lexer };
        names::expanded(&lexer, code, &variables)
    }
}

fn content(file: &InlineFile) -> String {
    if file.chomp { chomp(&file.content) } else { file.content.clone() }
}

/// `RUN |1 A=b /bin/sh -c …`: with the arguments' values, which were in the environment.
fn history(words: &[String], declared: &[(String, Option<String>)], environment: &Environment) -> String {
    use dockerfile::word::Variables as _;
    let mut text = String::from("RUN ");
    if !declared.is_empty() {
        text.push_str(&format!("|{} ", declared.len()));
    }
    for (name, value) in declared {
        let value = environment.get(name).or(value.as_deref()).unwrap_or_default();
        text.push_str(&format!("{name}={value} "));
    }
    text + &words.join(" ")
}
