//! The build checks that need values.

use std::collections::BTreeSet;

use dockerfile::check::{Findings, Rule};
use dockerfile::word::{Expanded, Lexer, Variables as _};
use dockerfile::{Lines, nearest, quote};
use oci::Reference;
use oci::image::Platform;

use super::arguments;
use super::environment::Environment;
use super::outline::Arguments;
use super::platform;

/// A FROM should make sense without any build argument too.
pub(super) fn default_bases(
    file: &dockerfile::Dockerfile,
    lexer: &Lexer,
    defaults: &Environment,
    findings: &mut Findings,
) {
    let Ok((environment, _)) = arguments::declare(defaults.clone(), file, lexer, None) else { return };
    for stage in &file.stages {
        let Ok(expanded) = lexer.expand(&stage.base, &environment) else { return };
        if Reference::parse(&expanded.text).is_err() {
            let detail =
                format!("Default value for ARG {} results in empty or invalid base image name", stage.base);
            findings.add(Rule::InvalidDefaultArgInFrom, stage.lines, detail);
        }
    }
}

/// A FROM should use what is declared.
pub(super) fn undeclared(
    unmatched: &BTreeSet<String>,
    globals: &Environment,
    known: &Arguments,
    lines: Lines,
    findings: &mut Findings,
) {
    let names: BTreeSet<&str> = globals.names().into_iter().chain(known.keys().map(String::as_str)).collect();
    for name in unmatched.iter().filter(|name| !names.contains(name.as_str())) {
        let meant = nearest(name, names.iter().copied());
        let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        let detail = format!("FROM argument '{name}' is not declared{meant}");
        findings.add(Rule::UndefinedArgInFrom, lines, detail);
    }
}

/// `--platform` says too little or too much.
pub(super) fn platform_flag(
    stage: &dockerfile::Stage,
    expanded: &Expanded,
    globals: &Environment,
    host: &Platform,
    findings: &mut Findings,
) {
    let only_target = expanded.matched.len() == 1 && expanded.matched.contains("TARGETPLATFORM");
    if only_target && expanded.unmatched.is_empty() && globals.get("TARGETPLATFORM") == Some(&expanded.text) {
        let detail = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            stage.platform
        );
        findings.add(Rule::RedundantTargetPlatform, stage.lines, detail);
    }
    if !expanded.matched.is_empty() || !expanded.unmatched.is_empty() {
        return;
    }
    let Ok(platform) = platform::parse(&expanded.text, host) else { return };
    if !stage.name.contains(&platform.os) && !stage.name.contains(&platform.architecture) {
        let detail = format!("FROM --platform flag should not use constant value {}", quote(&expanded.text));
        findings.add(Rule::FromPlatformFlagConstDisallowed, stage.lines, detail);
    }
}

/// The image that came isn't for the platform that was wanted.
pub(super) fn base_platform(
    name: &str,
    wanted: &Platform,
    actual: &Platform,
    lines: Lines,
    findings: &mut Findings,
) {
    if wanted.os == actual.os && wanted.architecture == actual.architecture {
        return;
    }
    let [wanted, actual] =
        [wanted, actual].map(|platform| quote(&platform::format(&platform::normalized(platform))));
    let detail =
        format!("Base image {name} was pulled with platform {actual}, expected {wanted} for current build");
    findings.add(Rule::InvalidBaseImagePlatform, lines, detail);
}

/// Variables that nothing sets.
pub(super) fn undefined(
    unmatched: &BTreeSet<String>,
    declared: &[(String, Option<String>)],
    environment: &Environment,
    lines: Lines,
    findings: &mut Findings,
) {
    let declared = |name: &str| declared.iter().any(|(known, _)| known == name);
    let names = environment.names();
    for name in unmatched.iter().filter(|name| !declared(name)) {
        let meant = nearest(name, names.iter().copied());
        let meant = meant.map(|meant| format!(" (did you mean ${meant}?)")).unwrap_or_default();
        findings.add(Rule::UndefinedVar, lines, format!("Usage of undefined variable '${name}'{meant}"));
    }
}

/// A name that sounds like a secret's.
pub(super) fn secret(keyword: &str, name: &str, lines: Lines, findings: &mut Findings) {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let lower = name.to_ascii_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    if has(&SECRET) && !has(&["public"]) {
        let detail =
            format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {})", quote(name));
        findings.add(Rule::SecretsUsedInArgOrEnv, lines, detail);
    }
}

/// `ENV a b`.
pub(super) fn legacy(keyword: &str, pairs: &[dockerfile::Pair], lines: Lines, findings: &mut Findings) {
    for _ in pairs.iter().filter(|pair| pair.legacy) {
        let detail = format!(
            "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
        );
        findings.add(Rule::LegacyKeyValueFormat, lines, detail);
    }
}

/// Only the last of these counts; the place is the one that doesn't.
pub(super) fn once(keyword: &str, before: Option<Lines>, findings: &mut Findings) {
    let Some(lines) = before else { return };
    let detail = format!(
        "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
    );
    findings.add(Rule::MultipleInstructionsDisallowed, lines, detail);
}

/// A port that says more than it may.
pub(super) fn port(word: &str, lines: Lines, findings: &mut Findings) {
    if word.contains(':') {
        let detail = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
        );
        findings.add(Rule::ExposeInvalidFormat, lines, detail);
    }
    let protocol = word.split_once('/').map_or("", |(_, protocol)| protocol);
    if protocol.to_lowercase() != protocol {
        let detail = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
        findings.add(Rule::ExposeProtoCasing, lines, detail);
    }
}
