//! ARGs before the first FROM, and those that are there without being declared.

use dockerfile::word::{Lexer, Variables as _};

use super::environment::Environment;
use super::options::Options;
use super::outline::{Argument, Arguments};
use super::platform;
use super::problem::Problem;

/// What is set for every build.
pub(super) fn defaults(options: &Options, target: &str) -> Result<Environment, Problem> {
    let mut environment = Environment::default();
    let platforms = [("BUILD", &options.build_platform), ("TARGET", options.target_platform())];
    for (prefix, platform) in platforms {
        let version = platform.os_version.clone().unwrap_or_default();
        let values = [
            ("PLATFORM", platform::format(platform)),
            ("OS", platform.os.clone()),
            ("OSVERSION", version),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", platform.variant.clone().unwrap_or_default()),
        ];
        for (name, value) in values {
            let name = format!("{prefix}{name}");
            let given = options.arguments.get(&name);
            environment.set(&name, given.unwrap_or(&value))?;
        }
    }
    let target = if target.is_empty() { "default" } else { target };
    let given = options.arguments.get("TARGETSTAGE");
    environment.set("TARGETSTAGE", given.map_or(target, String::as_str))?;
    Ok(environment)
}

/// Declares the file's own on top. With `options` their values come before the defaults in the text.
pub(super) fn declare(
    mut environment: Environment,
    file: &dockerfile::Dockerfile,
    lexer: &Lexer,
    options: Option<&Options>,
) -> Result<(Environment, Arguments), Problem> {
    let mut known = Arguments::default();
    for (arguments, lines) in &file.arguments {
        for argument in arguments {
            let mut info = Argument::new(argument, *lines);
            let given = options.and_then(|options| options.arguments.get(&argument.name)).cloned();
            let value = match (given, &argument.default) {
                (Some(given), _) => Some(given),
                (None, None) => None,
                (None, Some(default)) => {
                    let expanded = lexer
                        .expand(default, &environment)
                        .map_err(|problem| Problem::from(problem).at(*lines))?;
                    info.uses = expanded.matched;
                    Some(expanded.text)
                }
            };
            if let Some(value) = value {
                environment.set(&argument.name, &value)?;
                info.value = value;
            }
            known.insert(argument.name.clone(), info);
        }
    }
    Ok((environment, known))
}

/// What a stage's ARG without a value gets from before the first FROM.
pub(super) fn inherited(globals: &Environment, name: &str) -> Option<String> {
    globals.get(name).map(str::to_owned)
}

/// The proxy's variables: they are in the environment of steps without being declared.
pub(super) fn proxy(options: &Options) -> crate::graph::Proxy {
    let value = |name: &str| {
        let found = options.arguments.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).next_back().unwrap_or_default()
    };
    crate::graph::Proxy {
        http: value("http_proxy"),
        https: value("https_proxy"),
        ftp: value("ftp_proxy"),
        no: value("no_proxy"),
        all: value("all_proxy"),
    }
}
