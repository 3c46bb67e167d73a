//! What a real dockerd answered: `tests/recordings/<version>/<method>_<route>.json`, one shape for each status.
//!
//! A version's folder holds only the routes whose answers differ from the version before it; reading walks down.
//! `allowed.tsv` beside the folders lists the deviations that are ours on purpose, each with its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::shape::{Deviation, Shape};

/// The versions that are recorded, oldest first: `1.24`, which all before 1.40 answer like, `1.32`, which docker-java asks for, and
/// `1.40` … `1.51`.
pub fn versions() -> Vec<String> {
    [24, 32].into_iter().chain(40..=51).map(|minor| format!("1.{minor}")).collect()
}

/// Routes with a part that is a name; everything else is its own template. Names of images may contain slashes.
const TEMPLATES: &[&str] = &[
    "/containers/{id}/json",
    "/containers/{id}/start",
    "/containers/{id}/stop",
    "/containers/{id}/wait",
    "/containers/{id}/kill",
    "/containers/{id}/logs",
    "/containers/{id}/exec",
    "/containers/{id}/restart",
    "/containers/{id}/pause",
    "/containers/{id}/unpause",
    "/containers/{id}/rename",
    "/containers/{id}/resize",
    "/containers/{id}/top",
    "/containers/{id}/changes",
    "/containers/{id}/stats",
    "/containers/{id}/update",
    "/containers/{id}",
    "/exec/{id}/json",
    "/exec/{id}/start",
    "/images/{name}/json",
    "/images/{name}/history",
    "/images/{name}/push",
    "/images/{name}/tag",
    "/images/{name}",
    "/distribution/{name}/json",
    "/networks/{id}/connect",
    "/networks/{id}/disconnect",
    "/networks/{id}",
    "/volumes/{name}",
];
const FIXED: &[&str] = &[
    "/containers/json",
    "/containers/create",
    "/images/create",
    "/images/json",
    "/images/load",
    "/images/prune",
    "/networks/create",
    "/networks/prune",
    "/volumes/create",
    "/volumes/prune",
];

/// `GET` and `/v1.44/containers/abc/json?size=1` → `GET /containers/{id}/json`.
pub fn route(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let (_, path) = split_version(path);
    if FIXED.contains(&path) {
        return format!("{method} {path}");
    }
    let matching = TEMPLATES.iter().find(|template| matches(template, path));
    format!("{method} {}", matching.copied().unwrap_or(path))
}

fn matches(template: &str, path: &str) -> bool {
    let (Some(open), Some(close)) = (template.find('{'), template.find('}')) else { return template == path };
    let (prefix, suffix) = (&template[..open], &template[close + 1..]);
    path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)).is_some_and(|name| !name.is_empty())
}

/// `/v1.44/info` → (`1.44`, `/info`).
pub fn split_version(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    match versioned {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            (Some(version), &path[path.len() - rest.len() - 1..])
        }
        _ => (None, path),
    }
}

/// What one route answered with one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    content_type: String,
    headers: Vec<String>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Empty,
    /// Not JSON: text or a raw stream.
    Bytes,
    Json(Shape),
    /// JSON documents one after the other (events, progress).
    Stream(Shape),
}

/// Headers that depend on the connection and not on the route.
const TRANSPORT: &[&str] = &["Connection", "Content-Length", "Date", "Keep-Alive", "Transfer-Encoding"];

impl Answer {
    pub fn of(reply: &Reply) -> Self {
        let mut headers: Vec<_> = reply.head.headers.iter().map(|(name, _)| canonical(name)).collect();
        headers.retain(|name| !TRANSPORT.contains(&name.as_str()));
        headers.sort();
        let content_type = reply.header("content-type").unwrap_or_default().to_owned();
        Self { body: Body::of(&content_type, &reply.body), content_type, headers }
    }

    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let body = match (self.body, other.body) {
            (Body::Json(a), Body::Json(b)) => Body::Json(a.or(b)),
            (Body::Stream(a) | Body::Json(a), Body::Stream(b) | Body::Json(b)) => Body::Stream(a.or(b)),
            (Body::Empty, body) | (body, _) => body,
        };
        Self { body, ..self }
    }

    fn to_value(&self) -> Value {
        let body = match &self.body {
            Body::Empty => json!("empty"),
            Body::Bytes => json!("bytes"),
            Body::Json(shape) => json!({ "json": shape.to_value() }),
            Body::Stream(shape) => json!({ "stream": shape.to_value() }),
        };
        json!({ "content_type": self.content_type, "headers": self.headers, "body": body })
    }

    fn from_value(value: &Value) -> anyhow::Result<Self> {
        let body = match &value["body"] {
            Value::String(word) if word == "empty" => Body::Empty,
            Value::String(_) => Body::Bytes,
            body if body.get("json").is_some() => Body::Json(Shape::from_value(&body["json"])?),
            body => Body::Stream(Shape::from_value(&body["stream"])?),
        };
        let content_type = value["content_type"].as_str().unwrap_or_default().to_owned();
        Ok(Self { content_type, headers: serde_json::from_value(value["headers"].clone())?, body })
    }

    /// The JSON in it, written as a shape.
    fn shape(&self) -> Option<Value> {
        match &self.body {
            Body::Empty | Body::Bytes => None,
            Body::Json(shape) | Body::Stream(shape) => Some(shape.to_value()),
        }
    }

    fn deviations(&self, found: &Self) -> Vec<Deviation> {
        let mut list = Vec::new();
        let mut note = |path: &str, what: String| list.push(Deviation { path: path.into(), what });
        if self.content_type != found.content_type {
            note("content-type", format!("expected {:?}, found {:?}", self.content_type, found.content_type));
        }
        for name in self.headers.iter().filter(|name| !found.headers.contains(name)) {
            note(&format!("header {name}"), "missing".into());
        }
        match (&self.body, &found.body) {
            (Body::Json(a), Body::Json(b)) | (Body::Stream(a), Body::Stream(b) | Body::Json(b)) => {
                list.extend(a.deviations(b));
            }
            (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => {}
            // A stream that happened to be silent.
            (Body::Bytes | Body::Stream(_), Body::Empty) => {}
            (a, b) => {
                list.push(Deviation { path: "body".into(), what: format!("expected {a:?}, found {b:?}") });
            }
        }
        list
    }
}

impl Body {
    fn of(content_type: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        if !content_type.starts_with("application/json") {
            return Self::Bytes;
        }
        let documents: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_slice(bytes).into_iter().collect();
        let Ok(documents) = documents else { return Self::Bytes };
        let streamed = documents.len() > 1;
        match documents.iter().map(Shape::of).reduce(Shape::or) {
            None => Self::Empty,
            Some(shape) if streamed => Self::Stream(shape),
            Some(shape) => Self::Json(shape),
        }
    }
}

fn canonical(name: &str) -> String {
    let part = |word: &str| word[..1].to_uppercase() + &word[1..].to_lowercase();
    name.split('-').filter(|word| !word.is_empty()).map(part).collect::<Vec<_>>().join("-")
}

/// All statuses of one route in one version.
pub type Answers = BTreeMap<u16, Answer>;

/// Notes one more answer of a route.
pub fn add(answers: &mut Answers, reply: &Reply) {
    let answer = Answer::of(reply);
    let merged = match answers.remove(&reply.status()) {
        Some(known) => known.or(answer),
        None => answer,
    };
    answers.insert(reply.status(), merged);
}

/// The folder of recordings.
#[derive(Debug, Clone)]
pub struct Recordings {
    folder: PathBuf,
}

/// A difference that is ours on purpose.
#[derive(Debug)]
pub struct Allowed {
    /// `GET /info`, or `case <name>`.
    pub route: String,
    pub path: String,
    pub reason: String,
}

impl Recordings {
    /// The ones that are committed with this workspace.
    pub fn committed() -> Self {
        Self::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings"))
    }

    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Forgets all recordings, for a recorder that writes them anew.
    pub fn clear(&self) -> anyhow::Result<()> {
        for folder in
            versions().iter().map(|version| self.folder.join(version)).filter(|folder| folder.exists())
        {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    fn file(&self, version: &str, name: &str) -> PathBuf {
        self.folder.join(version).join(format!("{name}.json"))
    }

    /// The newest document called `name` that is not newer than `version`.
    pub fn document(&self, version: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let minor =
            |version: &str| version.split('.').nth(1).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let wanted = minor(version);
        for version in versions().iter().rev().filter(|known| minor(known) <= wanted) {
            let path = self.file(version, name);
            if path.exists() {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                return Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?));
            }
        }
        Ok(None)
    }

    pub fn answers(&self, version: &str, route: &str) -> anyhow::Result<Answers> {
        let Some(Value::Object(map)) = self.document(version, &file_name(route))? else {
            return Ok(Answers::new());
        };
        map.iter().map(|(status, answer)| Ok((status.parse()?, Answer::from_value(answer)?))).collect()
    }

    /// Writes one version's answers of a route.
    pub fn write(&self, version: &str, route: &str, answers: &Answers) -> anyhow::Result<()> {
        let map: Value =
            answers.iter().map(|(status, answer)| (status.to_string(), answer.to_value())).collect();
        self.write_document(version, &file_name(route), &map)
    }

    /// Writes a document unless the version before says the same. Versions are written oldest first.
    pub fn write_document(&self, version: &str, name: &str, document: &Value) -> anyhow::Result<()> {
        if self.document(version, name)?.as_ref() == Some(document) {
            return Ok(());
        }
        let path = self.file(version, name);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::write(&path, format!("{document:#}\n")).with_context(|| path.display().to_string())
    }

    /// Compares an answer with what dockerd gave; empty when it is the same or excused.
    pub fn check(&self, request: &Request, reply: &Reply) -> anyhow::Result<Vec<Deviation>> {
        let route = route(&request.method, &request.path);
        let version =
            split_version(&request.path).0.or(reply.header("api-version")).unwrap_or("1.51").to_owned();
        let recorded = self.answers(&version, &route)?;
        let found = Answer::of(reply);
        let deviations = match recorded.get(&reply.status()) {
            Some(answer) => answer.deviations(&found),
            None if reply.status() >= 400 => error_deviations(&found),
            None => vec![Deviation {
                path: String::new(),
                what: format!("{route} answered {}, which was never recorded", reply.status()),
            }],
        };
        let allowed = self.allowed()?;
        Ok(deviations.into_iter().filter(|deviation| !is_allowed(&allowed, &route, deviation)).collect())
    }

    /// The keys that dockerd said somewhere in its answers of a route, and that are nowhere in `found`. Which of them an
    /// answer has may depend on the case; all calls of a recording together have all of them.
    pub fn unsaid(&self, version: &str, route: &str, found: &Answers) -> anyhow::Result<Vec<Deviation>> {
        let allowed = self.allowed()?;
        let mut list = Vec::new();
        for (status, answer) in self.answers(version, route)? {
            let Some(said) = found.get(&status).and_then(Answer::shape) else { continue };
            let (mut expected, mut paths) = (Vec::new(), Vec::new());
            answer.shape().iter().for_each(|shape| collect(shape, String::new(), &mut expected));
            collect(&said, String::new(), &mut paths);
            let missing = expected.into_iter().filter(|path| !paths.contains(path));
            list.extend(missing.map(|path| Deviation { path, what: "never said".into() }));
        }
        list.retain(|deviation| !allowed.iter().any(|row| excuses(row, route, &deviation.path)));
        Ok(list)
    }

    /// The differences that are ours on purpose, as (route or `case <name>`, path).
    pub fn allowed(&self) -> anyhow::Result<Vec<(String, String)>> {
        Ok(self.allowed_with_reasons()?.into_iter().map(|row| (row.route, row.path)).collect())
    }

    pub fn allowed_with_reasons(&self) -> anyhow::Result<Vec<Allowed>> {
        let text = fs::read_to_string(self.folder.join("allowed.tsv"))?;
        let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
            let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let [route, path, reason] = <[String; 3]>::try_from(columns)
                .map_err(|_| anyhow::anyhow!("allowed.tsv needs route, path and reason: {line:?}"))?;
            Ok(Allowed { route, path, reason })
        });
        rows.collect()
    }

    /// The written shapes of a version's successful JSON answers; the older version's where they still hold.
    pub fn shapes(&self, version: &str, route: &str) -> anyhow::Result<Vec<Value>> {
        let answers = self.document(version, &file_name(route))?.unwrap_or_default();
        let bodies = answers.as_object().into_iter().flatten().map(|(_, answer)| &answer["body"]);
        let bodies = bodies.flat_map(|body| [&body["json"], &body["stream"]]);
        Ok(bodies.filter(|shape| !shape.is_null()).cloned().collect())
    }
}

/// The paths of a written shape: `.Key`, `[]` for an array's elements, `.*` for a map's values.
pub fn collect(shape: &Value, path: String, paths: &mut Vec<String>) {
    match shape {
        Value::Array(elements) => {
            paths.push(path.clone());
            elements.iter().for_each(|element| collect(element, format!("{path}[]"), paths));
        }
        Value::Object(choices) if choices.contains_key("|") => {
            for choice in choices["|"].as_array().into_iter().flatten() {
                collect(choice, path.clone(), paths);
            }
        }
        Value::Object(fields) => {
            paths.push(path.clone());
            for (key, below) in fields {
                collect(below, format!("{path}.{}", key.trim_end_matches('?')), paths);
            }
        }
        _ => paths.push(path),
    }
}

/// Whether `path` is `excused` or something in it.
pub fn is_at_or_below(path: &str, excused: &str) -> bool {
    path.strip_prefix(excused).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn excuses((known, excused): &(String, String), route: &str, path: &str) -> bool {
    (known == "*" || known == route) && is_at_or_below(path, excused)
}

fn is_allowed(allowed: &[(String, String)], route: &str, deviation: &Deviation) -> bool {
    allowed.iter().any(|(known, path)| (known == "*" || known == route) && *path == deviation.path)
}

fn error_deviations(found: &Answer) -> Vec<Deviation> {
    match &found.body {
        Body::Json(shape) => Shape::of(&json!({ "message": "" })).deviations(shape),
        // dockerd answers some requests that never reach a route in plain text.
        _ => Vec::new(),
    }
}

fn file_name(route: &str) -> String {
    route.replace([' ', '/'], "_").replace(['{', '}'], "").replacen("__", "_", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_routes() {
        assert_eq!(route("GET", "/v1.44/containers/abc/json?size=1"), "GET /containers/{id}/json");
        assert_eq!(route("GET", "/containers/json?all=1"), "GET /containers/json");
        assert_eq!(route("GET", "/v1.40/images/a/b:c/json"), "GET /images/{name}/json");
        assert_eq!(route("HEAD", "/_ping"), "HEAD /_ping");
        assert_eq!(split_version("/volumes/x"), (None, "/volumes/x"));
    }

    #[test]
    fn a_shape_becomes_the_paths_of_its_fields() {
        let mut paths = Vec::new();
        let shape =
            json!({"A?": ["string"], "M": {"*": {"B": "bool"}}, "O": {"|": ["null", {"C": "string"}]}});
        collect(&shape, String::new(), &mut paths);
        assert_eq!(paths, ["", ".A", ".A[]", ".M", ".M.*", ".M.*.B", ".O", ".O", ".O.C"]);
    }

    #[test]
    fn what_is_excused_excuses_what_is_below_it() {
        assert!(is_at_or_below(".Containerd.Address", ".Containerd"));
        assert!(!is_at_or_below(".ContainerdCommit", ".Containerd"));
    }
}
