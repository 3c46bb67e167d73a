//! Go templates with docker's functions, over JSON as it was received.
//!
//! gotmpl keeps maps sorted, as Go does for maps; docker's answers are structs, whose order people see in `json`.
//! So `json` looks its argument up in the received document and prints the piece found there, order and all.

use std::sync::Arc;

use gotmpl::{MissingKey, Template as Inner, Value as Go};
use serde_json::Value;

use crate::error::Error;

/// A parsed template.
pub(crate) struct Template {
    text: String,
    stage: Stage,
    /// What it is made of, if that is fields and text alone, as docker's tables are: for those nothing is interpreted.
    pieces: Option<Vec<Piece>>,
}

enum Piece {
    Text(String),
    Field(String),
}

/// How docker's error texts begin, which depends on the command.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) parse: &'static str,
    pub(crate) execute: &'static str,
}

/// A listing's rows.
pub(crate) const LISTING: Stage =
    Stage { parse: "failed to parse template", execute: "failed to execute template" };
/// `inspect` and its relatives.
pub(crate) const INSPECT: Stage =
    Stage { parse: "template parsing error", execute: "template parsing error" };

impl Template {
    /// Checks the template's grammar.
    pub(crate) fn parse(text: &str, stage: Stage) -> Result<Self, Error> {
        let text = with_label_calls(text);
        let empty = Arc::new(Document { shown: Value::Null, plain: Value::Null });
        let parsed = inner(&empty, false).parse(&text);
        parsed.map_err(|e| Error::Template { stage: stage.parse, reason: e.to_string() })?;
        let pieces = pieces(&text);
        Ok(Self { text, stage, pieces })
    }

    /// A row of a listing, each field as `cell` shows it; none where that takes more than putting fields into a text.
    pub(crate) fn fill(
        &self,
        row: &serde_json::Map<String, Value>,
        cell: fn(&str) -> String,
    ) -> Option<String> {
        let mut line = String::new();
        for piece in self.pieces.as_ref()? {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field(name) => match row.get(name)? {
                    Value::String(text) => line.push_str(&cell(text)),
                    list => line.push_str(&cell(&structs(list)?)),
                },
            }
        }
        Some(line)
    }

    /// Renders one document. `shown` is what the template sees, `plain` what `json` prints of it.
    pub(crate) fn render(&self, shown: Value, plain: Value) -> Result<String, Error> {
        self.execute(Document { shown, plain }, false)
    }

    /// Renders a row of headers: docker's functions leave a header as it is.
    pub(crate) fn render_header(&self, headers: Value) -> Result<String, Error> {
        self.execute(Document { plain: headers.clone(), shown: headers }, true)
    }

    fn execute(&self, document: Document, header: bool) -> Result<String, Error> {
        let failed =
            |e: gotmpl::TemplateError| Error::Template { stage: self.stage.execute, reason: e.to_string() };
        let document = Arc::new(document);
        let data = to_go(&document.shown);
        let template = inner(&document, header).parse(&self.text).map_err(failed)?;
        template.execute_to_string(&data).map_err(failed)
    }
}

/// A list of what are structs in Go, as Go writes it: `[{0.0.0.0 80 8080 tcp}]`. With any other template they are maps.
fn structs(list: &Value) -> Option<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let one = |item: &Value| {
        let fields = item.as_object()?.values().map(word);
        Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(" ")))
    };
    let items: Option<Vec<_>> = list.as_array()?.iter().map(one).collect();
    Some(format!("[{}]", items?.join(" ")))
}

/// A template's text and fields, if there is nothing else in it.
fn pieces(template: &str) -> Option<Vec<Piece>> {
    let mut parts = template.split("{{");
    let mut pieces = vec![Piece::Text(parts.next()?.to_owned())];
    for part in parts {
        let (action, text) = part.split_once("}}")?;
        let name = action.trim_matches(' ').strip_prefix('.')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        pieces.extend([Piece::Field(name.to_owned()), Piece::Text(text.to_owned())]);
    }
    Some(pieces)
}

struct Document {
    shown: Value,
    plain: Value,
}

/// `.Label "key"` is a method with an argument, which a map can't have: it becomes a function of the row.
fn with_label_calls(text: &str) -> String {
    text.replace(".Label \"", "label . \"").replace(".Label `", "label . `")
}

fn inner(document: &Arc<Document>, header: bool) -> Inner {
    let source = Arc::clone(document);
    let json = move |args: &[Go]| Ok(text(json_of(&source, args.first().unwrap_or(&Go::Nil))));
    let template =
        Inner::new("").missing_key(MissingKey::Error).func("label", move |args| Ok(label(args, header)));
    let same = |args: &[Go]| Ok(args.first().cloned().unwrap_or(Go::Nil));
    if header {
        let names = ["json", "split", "join", "title", "lower", "upper", "pad", "truncate"];
        return names.into_iter().fold(template, |template, name| template.func(name, same));
    }
    template
        .func("json", json)
        .func("split", |args| Ok(split(args)))
        .func("join", |args| Ok(join(args)))
        .func("title", |args| Ok(text(title(&string(args, 0)))))
        .func("lower", |args| Ok(text(string(args, 0).to_lowercase())))
        .func("upper", |args| Ok(text(string(args, 0).to_uppercase())))
        .func("pad", |args| Ok(text(pad(args))))
        .func("truncate", |args| Ok(text(truncate(args))))
}

fn text(text: impl AsRef<str>) -> Go {
    Go::String(text.as_ref().into())
}

fn string(args: &[Go], at: usize) -> String {
    match args.get(at) {
        Some(Go::String(text)) => text.to_string(),
        Some(Go::Nil) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn number(args: &[Go], at: usize) -> usize {
    // Wider than any terminal is a mistake, and would only cost memory.
    args.get(at).and_then(Go::as_int).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(4096)
}

fn split(args: &[Go]) -> Go {
    let (whole, separator) = (string(args, 0), string(args, 1));
    let parts: Vec<Go> = if separator.is_empty() {
        whole.chars().map(|c| text(c.to_string())).collect()
    } else {
        whole.split(&separator).map(text).collect()
    };
    Go::List(parts.into())
}

fn join(args: &[Go]) -> Go {
    let parts: Vec<String> = match args.first() {
        Some(Go::List(list)) => (0..list.len()).map(|at| string(list, at)).collect(),
        _ => Vec::new(),
    };
    text(parts.join(&string(args, 1)))
}

/// Go's `strings.Title`: the first letter of each word.
fn title(text: &str) -> String {
    let mut before = ' ';
    let raise = |c: char| {
        let first = !(before.is_alphanumeric() || before == '_' || before == '\'');
        before = c;
        if first { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(raise).collect()
}

fn pad(args: &[Go]) -> String {
    let whole = string(args, 0);
    if whole.is_empty() {
        return whole;
    }
    format!("{}{whole}{}", " ".repeat(number(args, 1)), " ".repeat(number(args, 2)))
}

fn truncate(args: &[Go]) -> String {
    string(args, 0).chars().take(number(args, 1)).collect()
}

fn label(args: &[Go], header: bool) -> Go {
    let key = string(args, 1);
    if header {
        let last = key.rsplit('.').next().unwrap_or_default();
        return text(last.replace(['-', '_'], " "));
    }
    let Some(Go::Map(row)) = args.first() else { return text("") };
    let Some(Go::String(labels)) = row.get("Labels") else { return text("") };
    let found = labels.split(',').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key));
    text(found.map_or("", |(_, value)| value))
}

fn json_of(document: &Document, value: &Go) -> String {
    let wanted = from_go(value);
    let found = find(&document.shown, &document.plain, &wanted);
    found.map_or_else(|| wanted.to_string(), Value::to_string)
}

/// The piece of `plain` that stands where `shown` has a piece equal to `wanted`.
fn find<'a>(shown: &Value, plain: &'a Value, wanted: &Value) -> Option<&'a Value> {
    if shown == wanted {
        return Some(plain);
    }
    match (shown, plain) {
        (Value::Object(shown), Value::Object(plain)) => {
            let mut pairs = plain.iter().filter_map(|(key, plain)| Some((shown.get(key)?, plain)));
            pairs.find_map(|(shown, plain)| find(shown, plain, wanted))
        }
        (Value::Array(shown), Value::Array(plain)) => {
            shown.iter().zip(plain).find_map(|(shown, plain)| find(shown, plain, wanted))
        }
        _ => None,
    }
}

fn to_go(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(bool) => Go::Bool(*bool),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Go::Int(int),
            (None, Some(uint)) => Go::Uint(uint),
            (None, None) => Go::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(string) => text(string),
        Value::Array(items) => Go::List(items.iter().map(to_go).collect()),
        Value::Object(keys) => {
            Go::Map(Arc::new(keys.iter().map(|(key, value)| (key.as_str().into(), to_go(value))).collect()))
        }
    }
}

fn from_go(value: &Go) -> Value {
    match value {
        Go::Bool(bool) => (*bool).into(),
        Go::Int(int) => (*int).into(),
        Go::Uint(uint) => (*uint).into(),
        Go::Float(float) => (*float).into(),
        Go::String(string) => string.as_ref().into(),
        Go::List(items) => items.iter().map(from_go).collect(),
        Go::Map(keys) => {
            Value::Object(keys.iter().map(|(key, value)| (key.to_string(), from_go(value))).collect())
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(format: &str, value: Value) -> String {
        Template::parse(format, INSPECT).unwrap().render(value.clone(), value).unwrap()
    }

    #[test]
    fn dockers_functions_are_there() {
        let value = json!({ "b": "x-y", "a": ["p", "q"], "n": 3, "e": "" });
        assert_eq!(render("{{json .}}", value.clone()), r#"{"b":"x-y","a":["p","q"],"n":3,"e":""}"#);
        assert_eq!(
            render("{{json .a}} {{join .a \"+\"}} {{index (split .b \"-\") 1}}", value.clone()),
            r#"["p","q"] p+q y"#
        );
        assert_eq!(
            render(
                "{{upper .b}}|{{title .b}}|{{pad .b 1 2}}|{{pad .e 1 2}}|{{truncate .b 2}}",
                value.clone()
            ),
            "X-Y|X-Y| x-y  ||x-"
        );
        assert_eq!(render("{{range $k, $v := .}}{{$k}} {{end}}{{println .n}}", value), "a b e n 3\n");
        assert_eq!(render("{{.Label \"k\"}}", json!({ "Labels": "j=1,k=v" })), "v");
    }

    #[test]
    fn a_missing_key_is_an_error() {
        let error = Template::parse("{{.Nope}}", LISTING).unwrap().render(json!({}), json!({})).unwrap_err();
        assert!(diag::chain(&error).contains("Nope"), "{error}");
        assert!(Template::parse("{{.Nope", LISTING).is_err());
    }
}
