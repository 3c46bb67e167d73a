//! From a node to an instruction.

use super::flags::{Flags, Takes};
use super::{Argument, Instruction, Kind, health, run, transfer};
use crate::error::Problem;
use crate::source::{Arguments, Node};
use crate::suggest;

/// Every instruction; the first of several that are equally near is the one that people mean most.
pub(crate) const NAMES: [&str; 18] = [
    "RUN",
    "COPY",
    "FROM",
    "CMD",
    "ENV",
    "ARG",
    "ADD",
    "USER",
    "LABEL",
    "SHELL",
    "EXPOSE",
    "VOLUME",
    "WORKDIR",
    "ONBUILD",
    "ENTRYPOINT",
    "HEALTHCHECK",
    "STOPSIGNAL",
    "MAINTAINER",
];

/// Understands everything but FROM.
pub(crate) fn instruction(node: Node) -> Result<Instruction, Problem> {
    let Node { keyword, flags, arguments, heredocs, original, lines, comments } = node;
    let code = original.trim().to_owned();
    let kind = match keyword.to_ascii_uppercase().as_str() {
        "ADD" => Kind::Add(transfer::add(&flags, arguments, heredocs)?),
        "COPY" => Kind::Copy(transfer::copy(&flags, arguments, heredocs)?),
        "RUN" => Kind::Run(run::parse(&flags, arguments, heredocs)?),
        "HEALTHCHECK" => Kind::Healthcheck(health::parse(&flags, arguments)?),
        // These two look at no flag, and never did.
        "ARG" => Kind::Arg(arguments_of_arg(arguments, &comments)?),
        "STOPSIGNAL" => Kind::StopSignal(one(arguments, "STOPSIGNAL")?),
        "ONBUILD" => {
            let kind = Kind::OnBuild(trigger(&arguments, &code, &heredocs)?);
            Flags::read(&flags, &[])?;
            kind
        }
        upper => {
            let kind = plain(upper, arguments).unwrap_or_else(|| {
                let suggestion = suggest::did_you_mean_word(&keyword, &NAMES);
                Err(Problem::UnknownInstruction { name: keyword.clone(), suggestion })
            });
            // An unknown flag is the problem rather than what is missing because it took the flag's place.
            if !matches!(kind, Err(Problem::UnknownInstruction { .. } | Problem::ExactlyOne("MAINTAINER"))) {
                Flags::read(&flags, &[])?;
            }
            kind?
        }
    };
    Ok(Instruction { kind, name: keyword, code, lines })
}

/// Those without flags. Nothing if there is no such instruction.
fn plain(upper: &str, arguments: Arguments) -> Option<Result<Kind, Problem>> {
    Some(match upper {
        "CMD" => Ok(Kind::Cmd(run::command_line(arguments))),
        "ENTRYPOINT" => Ok(Kind::Entrypoint(run::command_line(arguments))),
        "ENV" => pairs(arguments, "ENV").map(Kind::Env),
        "LABEL" => pairs(arguments, "LABEL").map(Kind::Label),
        "EXPOSE" => words(arguments, "EXPOSE").map(|mut ports| {
            ports.sort_unstable();
            Kind::Expose(ports)
        }),
        "MAINTAINER" => one(arguments, "MAINTAINER").map(Kind::Maintainer),
        "SHELL" => shell(arguments).map(Kind::Shell),
        "USER" => one(arguments, "USER").map(Kind::User),
        "VOLUME" => volumes(arguments).map(Kind::Volume),
        "WORKDIR" => one(arguments, "WORKDIR").map(Kind::Workdir),
        _ => return None,
    })
}

fn one(arguments: Arguments, keyword: &'static str) -> Result<String, Problem> {
    match arguments {
        Arguments::Text(text) => Ok(text),
        _ => Err(Problem::ExactlyOne(keyword)),
    }
}

fn words(arguments: Arguments, keyword: &'static str) -> Result<Vec<String>, Problem> {
    match arguments {
        Arguments::Words(words) | Arguments::Json(words) if !words.is_empty() => Ok(words),
        _ => Err(Problem::AtLeastOne(keyword)),
    }
}

fn pairs(arguments: Arguments, keyword: &'static str) -> Result<Vec<super::Pair>, Problem> {
    let Arguments::Pairs(pairs) = arguments else { return Err(Problem::AtLeastOne(keyword)) };
    if pairs.iter().any(|pair| pair.name.is_empty()) {
        return Err(Problem::BlankName(keyword));
    }
    Ok(pairs)
}

fn volumes(arguments: Arguments) -> Result<Vec<String>, Problem> {
    let volumes: Vec<String> =
        words(arguments, "VOLUME")?.iter().map(|volume| volume.trim().to_owned()).collect();
    if volumes.iter().any(String::is_empty) { Err(Problem::EmptyVolume) } else { Ok(volumes) }
}

fn shell(arguments: Arguments) -> Result<Vec<String>, Problem> {
    match arguments {
        Arguments::Json(words) if !words.is_empty() => Ok(words),
        Arguments::Text(_) => Err(Problem::NotJson("SHELL")),
        _ => Err(Problem::AtLeastOne("SHELL")),
    }
}

fn arguments_of_arg(arguments: Arguments, comments: &[String]) -> Result<Vec<Argument>, Problem> {
    let words = words(arguments, "ARG")?;
    let argument = |word: String| {
        let (name, default) = match word.split_once('=') {
            Some(("", _)) => return Err(Problem::BlankName("ARG")),
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word, None),
        };
        Ok(Argument { description: description(comments, &name), name, default })
    };
    words.into_iter().map(argument).collect()
}

/// What a comment `# name and what it is` says.
pub(crate) fn description(comments: &[String], name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let said = comments.iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
    said.unwrap_or_default().to_owned()
}

/// The trigger's text, with its here-documents, as the image's configuration keeps it.
fn trigger(
    arguments: &Arguments,
    code: &str,
    heredocs: &[crate::source::Heredoc],
) -> Result<String, Problem> {
    let keyword = match arguments {
        Arguments::Trigger(node) => node.keyword.to_uppercase(),
        Arguments::Words(_) => return Err(Problem::OnBuildChain),
        _ => return Err(Problem::AtLeastOne("ONBUILD")),
    };
    if matches!(keyword.as_str(), "FROM" | "MAINTAINER") {
        return Err(Problem::OnBuildTrigger(keyword));
    }
    let text = code.get("ONBUILD".len()..).unwrap_or_default().trim_start();
    let documents = heredocs.iter().map(|document| format!("\n{}{}", document.content, document.name));
    Ok([text.to_owned(), documents.collect()].concat())
}

/// FROM's `--platform`.
pub(crate) fn from_flags(given: &[String]) -> Result<String, Problem> {
    Ok(Flags::read(given, &[("platform", Takes::Text)])?.text("platform"))
}
