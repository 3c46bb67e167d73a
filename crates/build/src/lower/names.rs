//! What steps are called: `[build 2/5] RUN make`.

use std::collections::BTreeMap;
use std::sync::Arc;

use dockerfile::Lines;
use dockerfile::word::{Lexer, Variables};
use oci::image::Platform;

use super::environment::Environment;
use super::platform;
use super::stage::Stage;
use crate::graph::{Position, Range, Shown, SourceFile};

/// The place of `lines`: one range for each, as BuildKit has it.
pub(super) fn position(source: &Arc<SourceFile>, lines: Lines) -> Option<Position> {
    let range = |line: usize| {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Range { start: (line, 0), end: (line, 0) }
    };
    (lines.first > 0)
        .then(|| Position { file: source.clone(), ranges: (lines.first..=lines.last).map(range).collect() })
}

/// A step of a stage, with its number.
pub(super) fn numbered(stage: &mut Stage, several: bool, platform: &Platform, text: &str) -> String {
    if stage.total == 0 {
        return text.to_owned();
    }
    stage.index += 1;
    let mut name = String::from("[");
    if several {
        name.push_str(&platform::format(platform));
        name.push_str(&crossing(platform, &stage.environment));
        name.push(' ');
    }
    if !stage.name.is_empty() {
        name.push_str(&stage.name);
        name.push(' ');
    }
    let width = stage.total.to_string().len();
    name.push_str(&format!("{:width$}/{}] ", stage.index, stage.total));
    if stage.in_trigger {
        name.push_str("ONBUILD ");
    }
    name.push_str(text);
    name
}

/// `->arm64` where a stage that runs on one platform makes something for another.
fn crossing(platform: &Platform, environment: &Environment) -> String {
    let value = |name: &str| environment.get(name).map(str::to_owned);
    let target = match value("TARGETPLATFORM").and_then(|text| platform::parse(&text, platform).ok()) {
        Some(target) => target,
        None => {
            let parts = [value("TARGETOS"), value("TARGETARCH"), value("TARGETVARIANT")];
            if parts.iter().all(Option::is_none) {
                return String::new();
            }
            let [system, architecture, variant] = parts;
            let or = |part: Option<String>, default: &str| {
                part.filter(|p| !p.is_empty()).unwrap_or(default.to_owned())
            };
            platform::normal(
                &or(system, &platform.os),
                &or(architecture, &platform.architecture),
                &variant.unwrap_or_default(),
            )
        }
    };
    if target.os != platform.os {
        return format!("->{}", platform::format(&target));
    }
    if target.architecture == platform.architecture {
        return String::new();
    }
    let variant = target.variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("->{}{variant}", target.architecture)
}

/// An instruction with its variables' values, as far as they are known, and its keyword in capitals.
pub(super) fn expanded(lexer: &Lexer, code: &str, variables: &dyn Variables) -> String {
    let text = lexer.expand(code, variables).map_or_else(|_| code.to_owned(), |expanded| expanded.text);
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// What a step shows besides its name.
pub(super) fn shown(source: &Arc<SourceFile>, name: String, lines: Lines, code: &str) -> Shown {
    let mut description = BTreeMap::new();
    if !code.is_empty() {
        description.insert("com.docker.dockerfile.v1.command".to_owned(), code.to_owned());
    }
    Shown { name, positions: position(source, lines).into_iter().collect(), description, ..Shown::default() }
}

/// The first line of a here-document.
pub(super) fn summary(document: &str) -> String {
    let document = document.trim();
    match document.split_once('\n') {
        Some((first, _)) => format!("{}...", first.trim_end_matches('\r')),
        None => document.to_owned(),
    }
}
