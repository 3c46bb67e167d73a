//! Source policies: what a client says about where a build may take things from, and what it takes instead.
//!
//! A rule fits a source by its address and attributes as definitions have them, whoever lowered it; so each source is
//! written as such before it is asked about. A policy counts at the gateway: for an image whose config is wanted, for
//! everything that is solved, and for the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use build::container::{Container, Room};
use build::frontend::{Built, Files, Gateway, Known, Ref, ResolvedImage};
use build::graph::{Git, Graph, Http, Image, Local, Op, Output, Pull, Source, VertexId};
use build::progress::Warning;
use build::{Error, Job};
use oci::image::Platform;
use regex::{Regex, RegexBuilder};

use super::llb;
use crate::proto::pb;
use crate::proto::sourcepolicy::{AttrMatch, MatchType, Policy, PolicyAction, Rule};

/// So often a source may become another one, as BuildKit has it.
const MOST_CHANGES: usize = 20;
const MOST_RULES: usize = 10_000;
/// What an expression may take when it is compiled.
const MOST_EXPRESSION: usize = 1 << 20;

/// Policies, of which the first that changes a source does.
#[derive(Debug, Default, Clone)]
pub(super) struct Policies(Arc<Vec<Vec<Ruling>>>);

/// A rule, ready to be asked.
#[derive(Debug)]
struct Ruling {
    action: PolicyAction,
    identifier: String,
    /// With what is compared where the addresses aren't the same; nothing for those that have to be.
    pattern: Option<Result<Regex, String>>,
    constraints: Vec<Constraint>,
    to: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Constraint {
    Equal(String, String),
    NotEqual(String, String),
    Matches(String, Regex),
}

/// A source as definitions have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    identifier: String,
    attributes: BTreeMap<String, String>,
}

impl Policies {
    /// Reads rules; what can't be asked of any source is refused at once.
    pub(super) fn read<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Result<Self, Error> {
        let rules = |policy: &Policy| policy.rules.iter().map(Ruling::read).collect::<Result<Vec<_>, _>>();
        let all: Vec<_> = policies.into_iter().map(rules).collect::<Result<_, _>>()?;
        match all.iter().map(Vec::len).sum::<usize>() > MOST_RULES {
            true => Err(Error::Invalid(format!("a source policy has more than {MOST_RULES} rules"))),
            false => Ok(Self(Arc::new(all))),
        }
    }

    /// A gateway that gives only what they let it.
    pub(super) fn over(&self, gateway: Arc<dyn Gateway>) -> Arc<dyn Gateway> {
        match self.is_empty() {
            true => gateway,
            false => Arc::new(Policed { gateway, policies: self.clone() }),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// What is taken instead of a source; nothing where it stays.
    fn decide(&self, source: &Written) -> Result<Option<Written>, String> {
        let mut now = source.clone();
        for _ in 0..=MOST_CHANGES {
            match self.changed(&now)? {
                Some(changed) => now = changed,
                None => return Ok((now != *source).then_some(now)),
            }
        }
        Err("too many mutations on a single source: too many operations".into())
    }

    /// One change by the first policy that makes one.
    fn changed(&self, source: &Written) -> Result<Option<Written>, String> {
        for rules in self.0.iter() {
            let mut denied = false;
            for rule in rules {
                if !rule.fits(source)? {
                    continue;
                }
                match rule.action {
                    PolicyAction::Allow => denied = false,
                    PolicyAction::Deny => denied = true,
                    PolicyAction::Convert => {
                        let changed = rule.convert(source);
                        if changed != *source {
                            return Ok(Some(changed));
                        }
                    }
                }
            }
            if denied {
                let address = &source.identifier;
                return Err(format!("source {address:?} denied by policy: source denied by policy"));
            }
        }
        Ok(None)
    }

    /// The same result, of the sources that may be used.
    pub(super) fn apply(&self, wanted: &Ref) -> Result<Ref, Error> {
        let why =
            |why| Error::Denied(format!("failed to load LLB: error evaluating the source policy: {why}"));
        let Some(output) = wanted.output.filter(|_| !self.is_empty()) else { return Ok(wanted.clone()) };
        let mut graph = Graph::default();
        let mut taken: Vec<VertexId> = Vec::with_capacity(wanted.graph.len());
        for (_, vertex) in wanted.graph.iter().take(output.vertex.index() + 1) {
            let moved = |input: &Output| Output { vertex: taken[input.vertex.index()], index: input.index };
            let (mut op, mut shown) = (vertex.op.clone(), vertex.shown.clone());
            if let Op::Source(source) = &vertex.op
                && let Some(instead) = self.decide(&written(source)).map_err(why)?
            {
                shown.name =
                    shown.name.replace(&name(&written(source).identifier), &name(&instead.identifier));
                op = instead.read()?;
                keep_hints(&mut op, source);
            }
            let inputs = vertex.inputs.iter().map(moved).collect();
            taken.push(graph.add(op, inputs, vertex.platform.clone(), shown)?);
        }
        let output = Output { vertex: taken[output.vertex.index()], index: output.index };
        Ref::new(Arc::new(graph), Some(output))
    }

    /// The image that is meant.
    pub(super) fn image(&self, reference: &str, pull: Pull) -> Result<(String, Pull), Error> {
        if self.is_empty() || reference.contains("://") {
            return Ok((reference.to_owned(), pull));
        }
        let asked = written(&Source::Image(Image { reference: reference.to_owned(), pull }));
        let within = format!("failed to resolve source metadata for {reference}");
        let denied = |why| Error::Denied(format!("{within}: could not resolve image due to policy: {why}"));
        match self.decide(&asked).map_err(denied)? {
            None => Ok((reference.to_owned(), pull)),
            Some(instead) => match instead.clone().read()? {
                Op::Source(Source::Image(image)) => Ok((image.reference, image.pull)),
                _ => {
                    let (from, to) = (&asked.identifier, &instead.identifier);
                    Err(Error::Invalid(format!("ref mutated by policy to non-image: {from} -> {to}")))
                }
            },
        }
    }

    /// All results, of the sources that may be used.
    pub(super) fn apply_to(&self, built: Built) -> Result<Built, Error> {
        let refs = built.refs.into_iter().map(|(key, wanted)| Ok((key, self.apply(&wanted)?)));
        Ok(Built { refs: refs.collect::<Result<_, Error>>()?, ..built })
    }

    /// The repository or file that is meant.
    pub(super) fn other(&self, source: &Source) -> Result<Option<Source>, Error> {
        let denied = |why| Error::Denied(format!("could not resolve source due to policy: {why}"));
        match self.decide(&written(source)).map_err(denied)?.map(Written::read).transpose()? {
            Some(Op::Source(other)) => Ok(Some(other)),
            _ => Ok(None),
        }
    }
}

impl Ruling {
    fn read(rule: &Rule) -> Result<Self, Error> {
        let selector = rule.selector.clone().unwrap_or_default();
        let unknown =
            |what: &str, number: i32| Error::Invalid(format!("source policy: unknown {what} {number}"));
        let action = PolicyAction::try_from(rule.action).map_err(|_| unknown("action", rule.action))?;
        let kind = MatchType::try_from(selector.match_type);
        let pattern = match kind.map_err(|_| unknown("match type", selector.match_type))? {
            MatchType::Exact => None,
            MatchType::Regex => Some(expression(&selector.identifier)),
            MatchType::Wildcard if selector.identifier.contains("**") => {
                let (text, why) = (&selector.identifier, "invalid wildcard: \"**\"");
                Some(Err(format!("failed to translate wildcard {text:?} to regexp: {why}")))
            }
            MatchType::Wildcard => {
                let parts: Vec<_> = selector.identifier.split('*').map(regex::escape).collect();
                Some(expression(&format!("^{}$", parts.join("(.*)"))))
            }
        };
        let constraints = selector.constraints.iter().map(|constraint| {
            let (key, value) = (constraint.key.clone(), constraint.value.clone());
            let condition = AttrMatch::try_from(constraint.condition);
            Ok(match condition.map_err(|_| unknown("attr condition", constraint.condition))? {
                AttrMatch::Equal => Constraint::Equal(key, value),
                AttrMatch::Notequal => Constraint::NotEqual(key, value),
                AttrMatch::Matches => {
                    Constraint::Matches(key, expression(&value).map_err(|why| Error::Denied(matching(&why)))?)
                }
            })
        });
        let updates = rule.updates.clone().unwrap_or_default();
        Ok(Self {
            action,
            identifier: selector.identifier.clone(),
            pattern,
            constraints: constraints.collect::<Result<_, Error>>()?,
            to: updates.identifier,
            attributes: updates.attrs.into_iter().collect(),
        })
    }

    fn fits(&self, source: &Written) -> Result<bool, String> {
        let value = |key: &String| source.attributes.get(key).map_or("", String::as_str);
        let meets = |constraint: &Constraint| match constraint {
            Constraint::Equal(key, wanted) => value(key) == wanted,
            Constraint::NotEqual(key, wanted) => value(key) != wanted,
            Constraint::Matches(key, pattern) => pattern.is_match(value(key)),
        };
        if !self.constraints.iter().all(meets) {
            return Ok(false);
        }
        match &self.pattern {
            _ if self.identifier == source.identifier => Ok(true),
            None => Ok(false),
            Some(Ok(pattern)) => Ok(pattern.is_match(&source.identifier)),
            Some(Err(why)) => Err(matching(why)),
        }
    }

    /// Only what differs counts as a change.
    fn convert(&self, source: &Written) -> Written {
        let mut changed = source.clone();
        match &self.pattern {
            _ if self.to.is_empty() => {}
            Some(Ok(pattern)) => {
                let to = self.to.as_str();
                changed.identifier = pattern.replace_all(&source.identifier, to).into_owned();
            }
            _ => changed.identifier.clone_from(&self.to),
        }
        changed.attributes.extend(self.attributes.clone());
        changed
    }
}

fn matching(why: &str) -> String {
    format!("error matching source policy: {why}")
}

fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MOST_EXPRESSION).build().map_err(|e| e.to_string())
}

/// What people are shown of an address.
fn name(identifier: &str) -> String {
    identifier.strip_prefix("docker-image://").unwrap_or(identifier).to_owned()
}

/// What is no part of an address stays what it was.
fn keep_hints(op: &mut Op, from: &Source) {
    let Op::Source(now) = op else { return };
    match (now, from) {
        (Source::Local(now), Source::Local(from)) => now.shared_key.clone_from(&from.shared_key),
        (Source::OciLayout(now), Source::OciLayout(from)) => now.session.clone_from(&from.session),
        _ => {}
    }
}

impl Written {
    fn operation(self) -> pb::SourceOp {
        pb::SourceOp { identifier: self.identifier, attrs: self.attributes.into_iter().collect() }
    }

    fn read(self) -> Result<Op, Error> {
        Ok(llb::source(&self.operation())?.0)
    }
}

/// A source as a definition's operation.
pub(super) fn operation(source: &Source) -> pb::SourceOp {
    written(source).operation()
}

/// A source's address and attributes, as BuildKit's own frontend writes them.
fn written(source: &Source) -> Written {
    let mut attributes: Vec<(&str, String)> = Vec::new();
    let identifier = match source {
        Source::Image(image) => {
            match image.pull {
                Pull::Always => attributes.push(("image.resolvemode", "pull".into())),
                Pull::Missing | Pull::Never => {}
            }
            format!("docker-image://{}", image.reference)
        }
        Source::Local(local) => local_attributes(local, &mut attributes),
        Source::Git(git) => git_attributes(git, &mut attributes),
        Source::Http(http) => http_attributes(http, &mut attributes),
        Source::OciLayout(layout) => {
            attributes.push(("oci.store", layout.store.clone()));
            format!("oci-layout://{}", layout.reference)
        }
    };
    let given = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    let mut attributes: BTreeMap<_, _> = given.map(|(key, value)| (key.to_owned(), value)).collect();
    if let Source::Http(http) = source {
        let header = |(name, value): &(String, String)| (format!("http.header.{name}"), value.clone());
        attributes.extend(http.headers.iter().map(header));
    }
    Written { identifier, attributes }
}

fn local_attributes(local: &Local, attributes: &mut Vec<(&str, String)>) -> String {
    let list = |list: &[String]| match list {
        [] => String::new(),
        list => serde_json::json!(list).to_string(),
    };
    attributes.push(("local.includepattern", list(&local.include)));
    attributes.push(("local.excludepatterns", list(&local.exclude)));
    attributes.push(("local.followpaths", list(&local.follow)));
    attributes.push(("local.session", local.session.clone()));
    format!("local://{}", local.name)
}

fn git_attributes(git: &Git, attributes: &mut Vec<(&str, String)>) -> String {
    let flag = |on: bool| if on { "true".to_owned() } else { String::new() };
    attributes.extend([
        ("git.fullurl", git.remote.clone()),
        ("git.keepgitdir", flag(git.keep_git_dir)),
        ("git.skipsubmodules", flag(git.skip_submodules)),
        ("git.checksum", git.checksum.clone().unwrap_or_default()),
        ("git.authtokensecret", git.auth_token_secret.clone()),
        ("git.authheadersecret", git.auth_header_secret.clone()),
        ("git.mountsshsock", git.mount_ssh.clone()),
        ("git.knownsshhosts", git.known_hosts.clone()),
    ]);
    let address = git.remote.split_once("://").map_or(git.remote.as_str(), |(_, rest)| rest);
    let subdir = if git.subdir.is_empty() { String::new() } else { format!(":{}", git.subdir) };
    match (git.reference.as_str(), subdir.as_str()) {
        ("", "") => format!("git://{address}"),
        (reference, subdir) => format!("git://{address}#{reference}{subdir}"),
    }
}

fn http_attributes(http: &Http, attributes: &mut Vec<(&str, String)>) -> String {
    let number = |number: u32| if number == 0 { String::new() } else { number.to_string() };
    attributes.extend([
        ("http.checksum", http.checksum.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("http.filename", http.filename.clone().unwrap_or_default()),
        ("http.perm", http.mode.map(|mode| format!("{mode:o}")).unwrap_or_default()),
        ("http.uid", number(http.uid)),
        ("http.gid", number(http.gid)),
        ("http.authheadersecret", http.auth_header_secret.clone()),
    ]);
    http.url.clone()
}

/// A gateway with policies.
struct Policed {
    gateway: Arc<dyn Gateway>,
    policies: Policies,
}

impl Gateway for Policed {
    fn session(&self) -> &str {
        self.gateway.session()
    }

    fn platforms(&self) -> Vec<Platform> {
        self.gateway.platforms()
    }

    fn image<'a>(
        &'a self,
        reference: &'a str,
        platform: Option<&'a Platform>,
        pull: Pull,
        name: &'a str,
    ) -> Job<'a, ResolvedImage> {
        Box::pin(async move {
            let (reference, pull) = self.policies.image(reference, pull)?;
            self.gateway.image(&reference, platform, pull, name).await
        })
    }

    fn known<'a>(&'a self, source: &'a Source, name: &'a str) -> Job<'a, (Source, Known)> {
        Box::pin(async move {
            match self.policies.other(source)? {
                None => self.gateway.known(source, name).await,
                Some(other) => self.gateway.known(&other, name).await,
            }
        })
    }

    fn solve<'a>(&'a self, wanted: &'a Ref) -> Job<'a, Arc<dyn Files>> {
        Box::pin(async move { self.gateway.solve(&self.policies.apply(wanted)?).await })
    }

    fn warn(&self, warning: Warning) {
        self.gateway.warn(warning);
    }

    fn container<'a>(&'a self, mut room: Room) -> Job<'a, Arc<dyn Container>> {
        Box::pin(async move {
            for input in &mut room.inputs {
                *input = self.policies.apply(input)?;
            }
            self.gateway.container(room).await
        })
    }
}
