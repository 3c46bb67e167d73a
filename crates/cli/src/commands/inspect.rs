//! `inspect` and its forms for one kind of object: the engine's bytes, indented or through a template.

use client::{Engine, encode};
use serde_json::Value;

use super::each::unless_fatal;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::template::{INSPECT, Template};
use crate::ui;

/// A kind of object: its name, its route before and after the object's name.
type Kind = (&'static str, &'static str, &'static str);

const KINDS: [Kind; 4] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
];

/// Kinds of docker's that no engine of ours has.
const FOREIGN: [&str; 6] = ["service", "task", "node", "plugin", "secret", "config"];

/// `inspect`.
pub(crate) fn any(call: &Call) -> Outcome {
    let flags = call.flags();
    if flags.changed("type") && flags.text("type").is_empty() {
        return Err(Error::Usage("type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"".into()));
    }
    let wanted = flags.text("type");
    if FOREIGN.contains(&wanted) {
        return Err(Error::Refused {
            path: format!("{} --type {wanted}", call.path()),
            reason: "Ketch has no objects of this kind",
        });
    }
    let kinds: Vec<Kind> =
        KINDS.iter().filter(|(name, ..)| wanted.is_empty() || *name == wanted).copied().collect();
    if kinds.is_empty() {
        return Err(Error::Usage(format!(
            "unknown type: {wanted:?}: must be one of \"container\", \"image\", \"network\", \"volume\""
        )));
    }
    inspect(call, &kinds, size_query(flags.bool("size")))
}

/// `container inspect`.
pub(crate) fn container(call: &Call) -> Outcome {
    inspect(call, &KINDS[..1], size_query(call.flags().bool("size")))
}

/// `image inspect`.
pub(crate) fn image(call: &Call) -> Outcome {
    let platform = call.flags().find("platform").map(super::platform::parse).transpose()?;
    let query = platform.map_or_else(String::new, |platform| format!("?platform={}", encode(&platform)));
    inspect(call, &KINDS[1..2], query)
}

/// `network inspect`.
pub(crate) fn network(call: &Call) -> Outcome {
    let query = if call.flags().bool("verbose") { "?verbose=true" } else { "" };
    inspect(call, &KINDS[2..3], query.into())
}

/// `volume inspect`.
pub(crate) fn volume(call: &Call) -> Outcome {
    inspect(call, &KINDS[3..4], String::new())
}

/// Only containers have a size that has to be counted; the others ignore the parameter.
fn size_query(size: bool) -> String {
    if size { "?size=1".into() } else { String::new() }
}

fn inspect(call: &Call, kinds: &[Kind], query: String) -> Outcome {
    let format = call.flags().text("format");
    let template = match format {
        "" | "json" => None,
        _ => Some(Template::parse(format, INSPECT)?),
    };
    let (found, failures) = call.with_engine(|engine| async move {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in call.args() {
            match find(&engine, kinds, name, &query).await {
                Ok(Some(object)) => found.push(object),
                Ok(None) => failures.push(format!("Error: No such object: {name}")),
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        Ok((found, failures))
    })?;
    ui::out(&print(format, template.as_ref(), found)?)?;
    if failures.is_empty() { Ok(0) } else { Err(Error::Several(failures.join("\n"))) }
}

/// The object of the first kind that has it. With one kind alone the engine's own error is the answer.
async fn find(
    engine: &Engine,
    kinds: &[Kind],
    name: &str,
    query: &str,
) -> Result<Option<Value>, client::Error> {
    for (_, before, after) in kinds {
        match engine.get(&format!("{before}{}{after}{query}", encode(name))).await {
            Ok(object) => return Ok(Some(object)),
            Err(error) if kinds.len() > 1 && error.is_status(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Objects as docker prints them.
pub(crate) fn print(format: &str, template: Option<&Template>, found: Vec<Value>) -> Result<String, Error> {
    if let Some(template) = template {
        let lines: Result<Vec<String>, Error> =
            found.into_iter().map(|object| Ok(template.render(as_struct(&object), object)? + "\n")).collect();
        // docker prints an empty line where it found nothing.
        return Ok(lines?.concat()).map(|text| if text.is_empty() { "\n".into() } else { text });
    }
    let whole = Value::Array(found);
    Ok(match format {
        "json" => format!("{whole}\n"),
        _ if whole == Value::Array(vec![]) => "[]\n".into(),
        _ => format!("{}\n", client::files::harmless(&client::files::indented(&whole, "    "))),
    })
}

/// Keys that docker's structs have even where the JSON leaves them out: templates ask whether they are there.
const OPTIONAL: [(&str, &[&str]); 4] = [
    ("State", &["Health"]),
    (
        "Config",
        &["Healthcheck", "StopSignal", "StopTimeout", "ExposedPorts", "Volumes", "Shell", "MacAddress"],
    ),
    ("HostConfig", &["Mounts", "Annotations", "Init", "Tmpfs", "StorageOpt", "Sysctls"]),
    ("NetworkSettings", &["Networks", "Ports"]),
];

/// What a template sees: the object, with the names of Go's fields where they differ from the keys.
fn as_struct(object: &Value) -> Value {
    let mut shown = object.clone();
    for (part, keys) in OPTIONAL {
        let Some(part) = shown.get_mut(part).and_then(Value::as_object_mut) else { continue };
        for key in keys {
            part.entry(*key).or_insert(Value::Null);
        }
    }
    if let Some(keys) = shown.as_object_mut()
        && let Some(id) = keys.get("Id").cloned()
    {
        keys.entry("ID").or_insert(id);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_keys_and_their_order_survive() {
        let object =
            json!({ "Zeta": 1, "Id": "x", "New": { "b": "<", "a": [] }, "State": { "Status": "up" } });
        let text = |format: &str| {
            let template = Template::parse(format, INSPECT).unwrap();
            print(format, Some(&template), vec![object.clone()]).unwrap()
        };
        assert_eq!(text("{{json .New}} {{.ID}}"), "{\"b\":\"<\",\"a\":[]} x\n");
        assert_eq!(text("{{json .}}"), format!("{object}\n"));
        assert_eq!(text("{{if .State.Health}}sick{{else}}{{.State.Status}}{{end}}"), "up\n");
        assert!(print("", None, vec![object]).unwrap().contains("\"b\": \"<\",\n            \"a\": []"));
    }
}
