//! A project as Kubernetes objects: how it outgrows one machine.
//!
//! ```text
//! service without a volume   Deployment        ports          Service (published ones: LoadBalancer)
//! service with a volume      StatefulSet       volumes        PersistentVolumeClaim
//! service that ends          Job               configs        ConfigMap, secrets: Secret
//! ```
//!
//! What has no counterpart is told, by service and key, and is in no object: nothing is left out silently.

mod files;
mod health;
mod pod;
mod told;
mod workload;

use serde_json::{Map, Value, json};
use yaml::{At, Node};

use crate::Project;

/// The objects, in the order in which they are applied, and what isn't in them.
#[derive(Debug, Default)]
pub struct Objects {
    pub objects: Vec<Value>,
    /// A line for each thing that has no counterpart.
    pub told: Vec<String>,
}

impl Objects {
    /// One document for each object.
    pub fn yaml(&self) -> String {
        self.objects.iter().map(|object| format!("---\n{}", yaml::emit(&node(object)))).collect()
    }

    fn tell(&mut self, service: &str, what: &str) {
        self.told.push(format!("{service}: {what}"));
    }
}

/// The project in a namespace; none is the one that is current.
pub fn objects(project: &Project, namespace: Option<&str>) -> Result<Objects, String> {
    let mut all = Objects::default();
    files::volumes(project, &mut all);
    files::contents(project, &mut all)?;
    for service in project.in_order() {
        let Some(spec) = project.service(service) else { continue };
        workload::add(project, service, spec, &mut all)?;
    }
    for object in &mut all.objects {
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
    }
    Ok(all)
}

/// An object's head.
fn object(api: &str, kind: &str, project: &Project, name: &str) -> Value {
    json!({
        "apiVersion": api,
        "kind": kind,
        "metadata": { "name": self::name(name), "labels": labels(project, name) },
    })
}

/// What the objects of a service are known by.
fn labels(project: &Project, service: &str) -> Value {
    json!({
        "app.kubernetes.io/name": name(service),
        "app.kubernetes.io/part-of": name(&project.name),
        "app.kubernetes.io/managed-by": "ketch",
    })
}

/// What selects the pods of a service: it can't be changed later, so it is little.
fn selector(project: &Project, service: &str) -> Value {
    json!({ "app.kubernetes.io/name": name(service), "app.kubernetes.io/part-of": name(&project.name) })
}

/// A name as Kubernetes takes it: small letters, digits and dashes, at most 63.
fn name(text: &str) -> String {
    let letters = text.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    });
    let name: String = letters.take(63).collect();
    name.trim_matches('-').to_owned()
}

/// Without what is null, an empty list or an empty mapping.
fn without_empty(object: &mut Map<String, Value>) {
    object.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
}

fn node(value: &Value) -> Node {
    let at = At::default();
    let value = match value {
        Value::Null => yaml::Value::Null,
        Value::Bool(truth) => yaml::Value::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => yaml::Value::Int(whole),
            None => yaml::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => yaml::Value::Text(text.clone()),
        Value::Array(list) => yaml::Value::List(list.iter().map(node).collect()),
        Value::Object(map) => {
            yaml::Value::Map(map.iter().map(|(key, value)| (key.clone(), node(value))).collect())
        }
    };
    Node::new(value, at)
}
