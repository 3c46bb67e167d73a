//! From instructions to stages.

use crate::check::{self, Findings};
use crate::error::{Error, Lines, Problem};
use crate::instruction::{Argument, Instruction, Kind, instruction};
use crate::source::{self, Arguments, Node};

/// A Dockerfile that is understood.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// ARGs before the first FROM.
    pub arguments: Vec<(Vec<Argument>, Lines)>,
    pub stages: Vec<Stage>,
    /// The character that goes on with a line and takes meanings away.
    pub escape: char,
    /// What `# syntax=` names.
    pub syntax: Option<String>,
}

/// A FROM and what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What FROM names, unexpanded.
    pub base: String,
    /// In small letters; empty without `AS`.
    pub name: String,
    /// What `--platform` says, unexpanded; empty without.
    pub platform: String,
    pub code: String,
    /// The FROM, as it was typed.
    pub keyword: String,
    /// What the comment above says of the stage.
    pub description: String,
    pub lines: Lines,
    pub instructions: Vec<Instruction>,
}

/// Understands a Dockerfile. What the build checks have to say about its text goes to `findings`.
pub fn parse(text: &[u8], findings: &mut Findings) -> Result<Dockerfile, Error> {
    let source = source::read(text)?;
    check::text::empty_continuations(&source.empty_continuations, findings);
    let syntax = source.directives.iter().find(|directive| directive.name == "syntax");
    let mut dockerfile = Dockerfile {
        arguments: Vec::new(),
        stages: Vec::new(),
        escape: source.escape,
        syntax: syntax.map(|directive| directive.value.clone()),
    };
    for node in source.nodes {
        dockerfile.add(node, findings)?;
    }
    if dockerfile.stages.is_empty() {
        return Err(Error::text(Problem::NoStages, Lines::default()));
    }
    check::text::stages(&dockerfile.stages, findings);
    Ok(dockerfile)
}

/// Understands a trigger from an image's configuration. It stands, so to speak, at the FROM that brought it.
pub fn parse_trigger(text: &str, lines: Lines) -> Result<Instruction, Error> {
    let source = source::read(text.as_bytes()).map_err(|error| Error { lines, ..error })?;
    let mut nodes = source.nodes.into_iter();
    let (Some(mut node), None) = (nodes.next(), nodes.next()) else {
        return Err(Error::text(Problem::NotOneTrigger, lines));
    };
    node.lines = lines;
    let keyword = node.keyword.to_uppercase();
    match keyword.as_str() {
        "FROM" | "MAINTAINER" => Err(Error::text(Problem::OnBuildTrigger(keyword), lines)),
        "ONBUILD" => Err(Error::text(Problem::OnBuildChain, lines)),
        _ => instruction(node).map_err(|problem| Error::text(problem, lines)),
    }
}

impl Dockerfile {
    fn add(&mut self, node: Node, findings: &mut Findings) -> Result<(), Error> {
        let lines = node.lines;
        let wrong = |problem| Error::instruction(problem, lines);
        check::text::node(&node, findings);
        if node.keyword.eq_ignore_ascii_case("from") {
            self.stages.push(stage(node, findings).map_err(wrong)?);
            return Ok(());
        }
        let instruction = instruction(node).map_err(wrong)?;
        match (self.stages.last_mut(), instruction.kind) {
            (None, Kind::Arg(arguments)) => self.arguments.push((arguments, lines)),
            (None, _) => return Err(Error::text(Problem::NoStage, lines)),
            (Some(stage), kind) => stage.instructions.push(Instruction { kind, ..instruction }),
        }
        Ok(())
    }
}

fn stage(node: Node, findings: &mut Findings) -> Result<Stage, Problem> {
    let Arguments::Words(words) = &node.arguments else { return Err(Problem::From) };
    let (base, name) = match words.as_slice() {
        [base] => (base, String::new()),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (base, stage_name(name)?),
        _ => return Err(Problem::From),
    };
    check::text::from(&node, words, findings);
    let flags = crate::instruction::from_flags(&node.flags)?;
    Ok(Stage {
        base: base.clone(),
        description: crate::instruction::description(&node.comments, &name),
        name,
        platform: flags,
        code: node.original.trim().to_owned(),
        lines: node.lines,
        keyword: node.keyword,
        instructions: Vec::new(),
    })
}

fn stage_name(name: &str) -> Result<String, Problem> {
    let lower = name.to_lowercase();
    let letter = lower.starts_with(|c: char| c.is_ascii_lowercase());
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if letter && lower.chars().all(fine) { Ok(lower) } else { Err(Problem::StageName(name.to_owned())) }
}
