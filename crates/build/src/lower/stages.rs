//! One pass over all stages: which are needed, what they begin with, and then their instructions in order.

use std::collections::{BTreeMap, BTreeSet};

use dockerfile::check::Findings;
use dockerfile::ignore::Matcher;
use dockerfile::word::Lexer;
use dockerfile::{Kind, Lines, quote};
use oci::image::Platform;

use super::context;
use super::environment::Environment;
use super::options::Options;
use super::outline::Arguments;
use super::problem::Problem;
use super::stage::{Command, Stage};
use super::{Known, Lowered, Need, Paths, arguments, checks, platform};
use crate::graph::{Graph, Output};

/// No file may need more stages, those without a FROM included.
const MAX_STAGES: usize = 10_000;

pub(super) enum Pass {
    Needs(BTreeSet<Need>),
    Done { lowered: Box<Lowered>, paths: Paths },
}

/// All that a pass works with.
pub(super) struct Lowering<'a> {
    pub(super) file: &'a dockerfile::Dockerfile,
    pub(super) options: &'a Options,
    pub(super) known: &'a Known,
    /// What the pass before found to be used.
    pub(super) followed: Option<&'a Paths>,
    pub(super) findings: &'a mut Findings,
    pub(super) lexer: Lexer,
    pub(super) globals: Environment,
    global_arguments: Arguments,
    pub(super) stages: Vec<Stage>,
    by_name: BTreeMap<String, usize>,
    pub(super) graph: Graph,
    pub(super) needs: BTreeSet<Need>,
    pub(super) paths: Paths,
    main: Option<Option<Output>>,
    pub(super) ignore: Matcher,
}

/// The key of the build's own context among the paths.
pub(super) const MAIN: &str = "";

pub(super) fn pass(
    file: &dockerfile::Dockerfile,
    options: &Options,
    known: &Known,
    followed: Option<&Paths>,
    findings: &mut Findings,
) -> Result<Pass, Problem> {
    let lexer = Lexer::new(file.escape);
    let last = file.stages.last().map(|stage| stage.name.as_str()).unwrap_or_default();
    let target = if options.target.is_empty() { last } else { &options.target };
    let defaults = arguments::defaults(options, target)?;
    checks::default_bases(file, &lexer, &defaults, findings);
    let (globals, global_arguments) = arguments::declare(defaults, file, &lexer, Some(options))?;
    let ignore = Matcher::new(&options.ignore).map_err(|problem| Problem::new(problem.to_string()))?;
    let mut lowering = Lowering {
        file,
        options,
        known,
        followed,
        findings,
        lexer,
        globals,
        global_arguments,
        stages: Vec::new(),
        by_name: BTreeMap::new(),
        graph: Graph::default(),
        needs: BTreeSet::new(),
        paths: Paths::new(),
        main: None,
        ignore,
    };
    lowering.list()?;
    let target = lowering.target()?;
    lowering.connect()?;
    lowering.run(target)
}

impl<'a> Lowering<'a> {
    /// Every FROM, with its words expanded.
    fn list(&mut self) -> Result<(), Problem> {
        let file = self.file;
        for (at, stage) in file.stages.iter().enumerate() {
            let listed = self.stage(at, stage).map_err(|problem| problem.at(stage.lines))?;
            self.add(listed)?;
        }
        Ok(())
    }

    fn stage(&mut self, at: usize, stage: &dockerfile::Stage) -> Result<Stage, Problem> {
        let expanded = self.lexer.expand(&stage.base, &self.globals)?;
        checks::undeclared(
            &expanded.unmatched,
            &self.globals,
            &self.global_arguments,
            stage.lines,
            self.findings,
        );
        if expanded.text.is_empty() {
            return Err(Problem::new(format!("base name ({}) should not be blank", stage.base)));
        }
        let mut used = expanded.matched;
        let platform = self.platform_of(stage, &mut used)?;
        let name = if stage.name.is_empty() { format!("stage-{at}") } else { stage.name.clone() };
        let replaced_by = match stage.name.as_str() {
            "" => None,
            name => self.named_context(name, platform.as_ref())?,
        };
        Ok(Stage {
            alias: stage.name.clone(),
            no_cache: self.options.ignores_cache_of(&stage.name),
            name,
            reference: expanded.text,
            description: stage.description.clone(),
            code: stage.code.clone(),
            lines: stage.lines,
            replaced_by,
            platform,
            known_arguments: self.global_arguments.clone(),
            used_arguments: used,
            ..Stage::default()
        })
    }

    /// What `--platform` says.
    fn platform_of(
        &mut self,
        stage: &dockerfile::Stage,
        used: &mut BTreeSet<String>,
    ) -> Result<Option<Platform>, Problem> {
        if stage.platform.is_empty() {
            return Ok(None);
        }
        let host = &self.options.build_platform;
        let expanded = self.lexer.expand(&stage.platform, &self.globals)?;
        let (globals, arguments) = (&self.globals, &self.global_arguments);
        checks::undeclared(&expanded.unmatched, globals, arguments, stage.lines, self.findings);
        checks::platform_flag(stage, &expanded, globals, host, self.findings);
        let meant = || {
            let meant = expanded.unmatched.iter().find_map(|name| dockerfile::nearest(name, globals.names()));
            meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default()
        };
        if expanded.text.is_empty() {
            let message = format!("empty platform value from expression {}{}", stage.platform, meant());
            return Err(Problem::new(message));
        }
        let parsed = platform::parse(&expanded.text, host).map_err(|why| {
            Problem::new(format!("failed to parse platform {}: {why}{}", stage.platform, meant()))
        })?;
        used.extend(expanded.matched);
        Ok(Some(parsed))
    }

    fn add(&mut self, mut stage: Stage) -> Result<usize, Problem> {
        if self.stages.len() == MAX_STAGES {
            return Err(Problem::new(format!("more than {MAX_STAGES} stages")).at(stage.lines));
        }
        let at = self.stages.len();
        stage.base = self.by_name.get(&stage.reference).copied();
        if let Some(base) = stage.base {
            stage.known_arguments = self.stages[base].known_arguments.clone();
        }
        if !stage.alias.is_empty() {
            self.by_name.insert(stage.alias.clone(), at);
        }
        self.stages.push(stage);
        Ok(at)
    }

    fn target(&self) -> Result<usize, Problem> {
        let wanted = &self.options.target;
        if wanted.is_empty() {
            return Ok(self.stages.len() - 1);
        }
        self.by_name.get(&wanted.to_lowercase()).copied().ok_or_else(|| {
            let meant = dockerfile::did_you_mean(wanted, self.by_name.keys().map(String::as_str));
            Problem::new(format!("target stage {} could not be found{meant}", quote(wanted)))
        })
    }

    /// Who needs whom.
    fn connect(&mut self) -> Result<(), Problem> {
        let file = self.file;
        for (at, stage) in file.stages.iter().enumerate() {
            let mut commands = Vec::with_capacity(stage.instructions.len());
            for instruction in &stage.instructions {
                commands.push(self.command(at, instruction.clone(), false)?);
            }
            let steps = commands.iter().filter(|command| makes_step(&command.instruction.kind)).count();
            let stage = &mut self.stages[at];
            let begins = stage.reference != "scratch" && stage.base.is_none();
            stage.total = steps + usize::from(begins);
            stage.commands = commands;
        }
        self.check_circles()?;
        if let [only] = self.stages.as_mut_slice() {
            only.name.clear();
        }
        Ok(())
    }

    /// An instruction of stage `at`, with the stages that it names.
    fn command(
        &mut self,
        at: usize,
        instruction: dockerfile::Instruction,
        trigger: bool,
    ) -> Result<Command, Problem> {
        let lines = instruction.lines;
        let named: Vec<String> = match &instruction.kind {
            Kind::Copy(copy) => vec![copy.from.clone()],
            Kind::Run(run) => run.mount_sources(),
            _ => Vec::new(),
        };
        let numbers = matches!(instruction.kind, Kind::Copy(_));
        let mut sources = Vec::with_capacity(named.len());
        for name in named {
            let source = match name.as_str() {
                "" => None,
                name => Some(self.source(name, numbers, lines).map_err(|problem| problem.at(lines))?),
            };
            self.stages[at].needs.extend(source.map(|source| (source, lines)));
            sources.push(source);
        }
        Ok(Command { instruction, sources, trigger })
    }

    /// The stage that a `--from` names, by its number too where that may be.
    fn source(&mut self, name: &str, numbers: bool, lines: Lines) -> Result<usize, Problem> {
        if numbers && let Ok(number) = name.parse::<i64>() {
            let index = usize::try_from(number).ok().filter(|index| *index < self.file.stages.len());
            return index.ok_or_else(|| Problem::new(format!("invalid stage index {number}")));
        }
        match self.by_name.get(&name.to_lowercase()) {
            Some(at) => Ok(*at),
            None => self.add(Stage::implicit(name, lines)),
        }
    }

    /// A stage that needs itself, through others or not.
    fn check_circles(&self) -> Result<(), Problem> {
        let mut state = vec![Visit::Not; self.stages.len()];
        for start in 0..self.stages.len() {
            let mut path = vec![(start, 0)];
            if state[start] != Visit::Not {
                continue;
            }
            state[start] = Visit::Open;
            while let Some((at, next)) = path.last_mut() {
                let Some((need, lines)) = self.stages[*at].needs.get(*next).copied() else {
                    state[*at] = Visit::Closed;
                    path.pop();
                    continue;
                };
                *next += 1;
                match state[need] {
                    Visit::Closed => {}
                    Visit::Open => {
                        let name = &self.stages[start].name;
                        let message = format!("circular dependency detected on stage: {name}");
                        return Err(Problem::new(message).at(lines));
                    }
                    Visit::Not => {
                        state[need] = Visit::Open;
                        path.push((need, 0));
                    }
                }
            }
        }
        Ok(())
    }

    /// The stages that `target` can't do without.
    fn reachable(&self, target: usize) -> Vec<bool> {
        let mut reached = vec![self.options.all_stages; self.stages.len()];
        let mut waiting = vec![target];
        let mut seen = vec![false; self.stages.len()];
        while let Some(at) = waiting.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            reached[at] = true;
            let stage = &self.stages[at];
            if stage.replaced_by.is_none() {
                waiting.extend(stage.base.into_iter().chain(stage.needs.iter().map(|(need, _)| *need)));
            }
        }
        reached
    }

    fn run(mut self, target: usize) -> Result<Pass, Problem> {
        let reached = loop {
            let reached = self.reachable(target);
            for at in (0..self.stages.len()).filter(|at| reached[*at]) {
                let lines = self.stages[at].lines;
                self.resolve(at).map_err(|problem| problem.at(lines))?;
            }
            if !self.needs.is_empty() {
                return Ok(Pass::Needs(self.needs));
            }
            if !self.triggers(&reached)? {
                break reached;
            }
        };
        for at in (0..self.stages.len()).filter(|at| reached[*at]) {
            self.dispatch(at)?;
        }
        self.use_of(target, "/");
        if let Some(message) = self.findings.error() {
            return Err(Problem::new(message));
        }
        Ok(self.finish(target))
    }

    /// Puts what base images ask of their children before the children's own instructions. Whether that needs more
    /// stages.
    fn triggers(&mut self, reached: &[bool]) -> Result<bool, Problem> {
        let mut more = false;
        for at in (0..reached.len()).filter(|at| reached[*at]) {
            let stage = &self.stages[at];
            if stage.triggers_known || stage.implicit || stage.replaced_by.is_some() {
                continue;
            }
            let lines = stage.lines;
            let triggers = self.triggers_for(at);
            let mut commands = Vec::with_capacity(triggers.len());
            for trigger in &triggers {
                let wrong = |problem: Problem| Problem { lines, ..problem };
                let instruction =
                    dockerfile::parse_trigger(trigger, lines).map_err(|error| wrong(error.into()))?;
                let command = self.command(at, instruction, true).map_err(wrong)?;
                more |= command.sources.iter().any(Option::is_some);
                commands.push(command);
            }
            let stage = &mut self.stages[at];
            stage.total += commands.len();
            stage.commands.splice(0..0, commands);
            stage.triggers_known = true;
            stage.image.config.on_build = None;
        }
        if more {
            self.check_circles()?;
        }
        Ok(more)
    }

    /// From the image's configuration, or from the stage that this one goes on from.
    fn triggers_for(&self, at: usize) -> Vec<String> {
        let base = self.stages[at].base.map(|base| &self.stages[base]);
        match base {
            Some(base) if base.replaced_by.is_none() => {
                let own = base.commands.iter().filter(|command| !command.trigger);
                let triggers = own.filter_map(|command| match &command.instruction.kind {
                    Kind::OnBuild(trigger) => Some(trigger.clone()),
                    _ => None,
                });
                triggers.collect()
            }
            other => other.unwrap_or(&self.stages[at]).image.config.on_build.clone().unwrap_or_default(),
        }
    }

    /// The build's own context, with what was found to be used of it.
    pub(super) fn main_context(&mut self) -> Result<Option<Output>, Problem> {
        if let Some(main) = self.main {
            return Ok(main);
        }
        let follow = context::follow(self.followed.and_then(|paths| paths.get(MAIN)));
        let main = self.options.main.add(&mut self.graph, &self.options.ignore, follow)?;
        self.main = Some(main);
        Ok(main)
    }

    /// Remembers that a path of the build's own context is used.
    pub(super) fn use_of_main(&mut self, path: &str) {
        if self.options.main.is_local() {
            self.paths.entry(MAIN.to_owned()).or_default().insert(rooted(path));
        }
    }

    /// Remembers that a path of a stage is used, if the stage is a directory of the client's.
    pub(super) fn use_of(&mut self, at: usize, path: &str) {
        if let Some(key) = &self.stages[at].context {
            self.paths.entry(key.clone()).or_default().insert(rooted(path));
        }
    }

    fn finish(mut self, target: usize) -> Pass {
        let outline = self.outline(target);
        let stage = &mut self.stages[target];
        stage.image.config.labels.extend(self.options.labels.clone());
        if let Some(platform) = &self.options.target_platform {
            stage.image.platform = platform.clone();
        }
        let lowered = Box::new(Lowered {
            output: stage.root,
            config: std::mem::take(&mut stage.image),
            base: stage.base_config.take(),
            graph: std::sync::Arc::new(self.graph),
            findings: self.findings.list().to_vec(),
            outline,
        });
        Pass::Done { lowered, paths: self.paths }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Not,
    Open,
    Closed,
}

fn makes_step(kind: &Kind) -> bool {
    matches!(kind, Kind::Add(_) | Kind::Copy(_) | Kind::Run(_) | Kind::Workdir(_))
}

/// A path from the root, cleaned.
pub(super) fn rooted(path: &str) -> String {
    dockerfile::ignore::clean(&format!("/{path}"))
}
