//! The checks that look at the text alone.

use super::{Findings, Rule};
use crate::error::Lines;
use crate::go::quote;
use crate::source::{Arguments, Node};
use crate::stages::Stage;

pub(crate) fn empty_continuations(lines: &[usize], findings: &mut Findings) {
    for line in lines {
        let lines = Lines::new(*line, 0);
        findings.add(Rule::NoEmptyContinuation, lines, "Empty continuation line".to_owned());
    }
}

/// Of any instruction, before it's understood.
pub(crate) fn node(node: &Node, findings: &mut Findings) {
    if node.keyword.eq_ignore_ascii_case("maintainer") {
        let detail = "Maintainer instruction is deprecated in favor of using label".to_owned();
        findings.add(Rule::MaintainerDeprecated, node.lines, detail);
    }
    if let Arguments::Words(words) = &node.arguments
        && node.keyword.eq_ignore_ascii_case("arg")
    {
        let names = words.iter().map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name));
        definition("ARG", &names.collect::<Vec<_>>(), node, findings);
    }
}

/// Of a FROM, whose words are in order.
pub(crate) fn from(node: &Node, words: &[String], findings: &mut Findings) {
    let [_, word, name] = words else { return };
    if name.to_lowercase() != *name {
        let detail = format!("Stage name '{name}' should be lowercase");
        findings.add(Rule::StageNameCasing, node.lines, detail);
    }
    if (is_lower(&node.keyword), is_upper(&node.keyword)) != (is_lower(word), is_upper(word)) {
        let detail = format!("'{word}' and '{}' keywords' casing do not match", node.keyword);
        findings.add(Rule::FromAsCasing, node.lines, detail);
    }
    definition("FROM", &[&name.to_lowercase()], node, findings);
}

/// A comment right above should begin with the name of what it describes.
fn definition(keyword: &str, names: &[&str], node: &Node, findings: &mut Findings) {
    let Some(last) = node.comments.last() else { return };
    // Directives for checks may stand there too.
    if last.starts_with("check=") {
        return;
    }
    let describes = |name: &&str| {
        node.comments
            .iter()
            .any(|comment| comment.strip_prefix(*name).is_some_and(|rest| rest.starts_with(' ')))
    };
    if names.iter().any(describes) {
        return;
    }
    let expected = if names.len() > 1 { "<arg_key>" } else { names.first().copied().unwrap_or_default() };
    let detail = format!("Comment for {keyword} should follow the format: `# {expected} <description>`");
    findings.add(Rule::InvalidDefinitionDescription, node.lines, detail);
}

/// Of all stages together.
pub(crate) fn stages(stages: &[Stage], findings: &mut Findings) {
    names(stages, findings);
    casing(stages, findings);
}

fn names(stages: &[Stage], findings: &mut Findings) {
    let mut seen = std::collections::HashSet::new();
    for stage in stages.iter().filter(|stage| !stage.name.is_empty()) {
        let name = quote(&stage.name);
        if matches!(stage.name.as_str(), "context" | "scratch") {
            let detail = format!("Stage name should not use the same name as reserved stage {name}");
            findings.add(Rule::ReservedStageName, stage.lines, detail);
        }
        if !seen.insert(&stage.name) {
            let detail = format!("Duplicate stage name {name}, stage names should be unique");
            findings.add(Rule::DuplicateStageName, stage.lines, detail);
        }
    }
}

/// Keywords in capitals or in small letters, whichever most are in.
fn casing(stages: &[Stage], findings: &mut Findings) {
    let keywords = || {
        stages.iter().flat_map(|stage| {
            let own =
                stage.instructions.iter().map(|instruction| (instruction.name.as_str(), instruction.lines));
            std::iter::once((stage.keyword.as_str(), stage.lines)).chain(own)
        })
    };
    let lower = keywords().filter(|(keyword, _)| is_lower(keyword)).count();
    let upper = keywords().filter(|(keyword, _)| is_upper(keyword)).count();
    let (fits, majority): (fn(&str) -> bool, _) =
        if lower > upper { (is_lower, "lowercase") } else { (is_upper, "uppercase") };
    for (keyword, lines) in keywords().filter(|(keyword, _)| !fits(keyword)) {
        let detail =
            format!("Command '{keyword}' should match the case of the command majority ({majority})");
        findings.add(Rule::ConsistentInstructionCasing, lines, detail);
    }
}

fn is_lower(word: &str) -> bool {
    word.to_lowercase() == word
}

fn is_upper(word: &str) -> bool {
    word.to_uppercase() == word
}
