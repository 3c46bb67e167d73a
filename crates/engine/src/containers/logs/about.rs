//! What a log tells of its container: the tag, and the labels and variables that were asked for.

use std::collections::BTreeMap;

use gotmpl::{MissingKey, Template, Value};
use regex::Regex;

use super::options::Options;
use crate::Error;
use crate::containers::record::Container;

/// Docker's default.
const TAG: &str = "{{.ID}}";
/// A tag's template that makes more than this makes nothing sensible.
const MOST_TAG: usize = 4096;

/// What can be known to be wrong without a container.
pub(super) fn check(options: &Options<'_>) -> Result<(), Error> {
    for key in ["labels-regex", "env-regex"] {
        pattern(options, key)?;
    }
    let tag = options.text("tag").unwrap_or(TAG);
    parse(tag).map(drop).map_err(|error| options.wrong("tag", &template_error(&error)))
}

fn parse(text: &str) -> Result<Template, gotmpl::TemplateError> {
    Template::new("log-tag").missing_key(MissingKey::Error).parse(text)
}

fn template_error(error: &gotmpl::TemplateError) -> String {
    let text = error.to_string();
    if text.starts_with("template:") { text } else { format!("template: log-tag: {text}") }
}

fn pattern(options: &Options<'_>, key: &str) -> Result<Option<Regex>, Error> {
    let read = |text: &str| {
        Regex::new(text).map_err(|error| options.wrong(key, &format!("error parsing regexp: {error}")))
    };
    options.text(key).map(read).transpose()
}

/// How the container is called in a log server.
pub(super) fn tag(container: &Container, options: &Options<'_>) -> Result<String, Error> {
    let wrong = |error: gotmpl::TemplateError| options.wrong("tag", &template_error(&error));
    let text = options.text("tag").unwrap_or(TAG);
    let tag = parse(text).and_then(|template| template.execute_to_string(&described(container)));
    let tag = tag.map_err(wrong)?;
    match tag.len() <= MOST_TAG {
        true => Ok(tag),
        false => Err(options.wrong("tag", "it makes a text that is too long")),
    }
}

/// What a tag's template can name: methods and fields of docker's `logger.Info`.
fn described(container: &Container) -> Value {
    let text = |text: &str| Value::String(text.into());
    let image = container.image.as_str();
    let bare = image.split(':').next_back().unwrap_or(image);
    let short = bare.get(..12).unwrap_or(bare);
    let command = container.command();
    let fields = [
        ("ID", text(container.short_id())),
        ("FullID", text(&container.id)),
        ("Name", text(&container.name)),
        ("ImageID", text(short)),
        ("ImageFullID", text(image)),
        ("ImageName", text(&container.config.image)),
        ("DaemonName", text("docker")),
        ("Command", text(&command.join(" "))),
        ("Hostname", text(&host_name())),
        ("ContainerID", text(&container.id)),
        ("ContainerName", text(&format!("/{}", container.name))),
        ("ContainerImageID", text(image)),
        ("ContainerImageName", text(&container.config.image)),
        ("ContainerLabels", labels(container)),
    ];
    Value::Map(
        fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<BTreeMap<_, _>>().into(),
    )
}

fn labels(container: &Container) -> Value {
    let labels = container.config.labels.iter().flatten();
    let pairs = labels.map(|(name, value)| (name.as_str().into(), Value::String(value.as_str().into())));
    Value::Map(pairs.collect::<BTreeMap<_, _>>().into())
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The labels and variables that were asked for.
pub(super) fn extra(container: &Container, options: &Options<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut extra = BTreeMap::new();
    let labels =
        container.config.labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
    pick(labels, options.text("labels"), pattern(options, "labels-regex")?.as_ref(), &mut extra);
    let env = container.config.env.iter().flatten().filter_map(|entry| entry.split_once('='));
    pick(env, options.text("env"), pattern(options, "env-regex")?.as_ref(), &mut extra);
    Ok(extra)
}

fn pick<'a>(
    from: impl Iterator<Item = (&'a str, &'a str)>,
    names: Option<&str>,
    pattern: Option<&Regex>,
    into: &mut BTreeMap<String, String>,
) {
    let named = |name: &str| names.is_some_and(|names| names.split(',').any(|wanted| wanted == name));
    let wanted = from.filter(|(name, _)| named(name) || pattern.is_some_and(|regex| regex.is_match(name)));
    into.extend(wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// What `json-file` keeps with each line.
pub(super) fn attributes(
    container: &Container,
    options: &Options<'_>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut attributes = extra(container, options)?;
    if options.text("tag").is_some() {
        attributes.insert("tag".into(), tag(container, options)?);
    }
    Ok(attributes)
}
