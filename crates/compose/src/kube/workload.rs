//! What keeps a service's pods: a Deployment, a StatefulSet or a Job; and what makes it reachable.

use serde_json::{Map, Value, json};

use super::{Objects, files, labels, name, object, pod, selector};
use crate::Project;
use crate::container::{list, text};

pub(super) fn add(project: &Project, service: &str, spec: &Value, all: &mut Objects) -> Result<(), String> {
    let mounts = files::mounts(service, spec, all);
    let keeps_data = mounts.claims;
    let mut pod = pod::spec(project, service, spec, mounts, all);
    tell_of_hooks(service, spec, all);
    let policy = match text(&spec["deploy"]["restart_policy"], "condition") {
        "" => text(spec, "restart"),
        condition => condition,
    };
    let ends = match policy.split(':').next().unwrap_or_default() {
        // What nobody says is "no", too; but only who says it means a task that ends.
        "no" | "none" => Some("Never"),
        "on-failure" => Some("OnFailure"),
        _ => None,
    };
    if let Some(restart) = ends {
        pod["restartPolicy"] = restart.into();
        all.objects.push(job(project, service, policy, spec, &pod));
    } else {
        let reachable = reachable(project, service, spec, all);
        all.objects.push(match keeps_data {
            true => stateful(project, service, &pod),
            false => deployment(project, service, spec, &pod),
        });
        all.objects.extend(reachable);
    }
    Ok(())
}

fn tell_of_hooks(service: &str, spec: &Value, all: &mut Objects) {
    for key in ["post_start", "pre_stop"] {
        if list(spec, key).len() > 1 {
            all.tell(service, &format!("{key}: only the first command: a pod has one"));
        }
    }
}

/// Labels may be any text here, which annotations may be there.
fn template(project: &Project, service: &str, pod: &Value) -> Value {
    let spec = project.service(service).unwrap_or(&Value::Null);
    let mut annotations = Map::new();
    for key in ["labels", "annotations"] {
        let pairs = spec[key].as_object().into_iter().flatten();
        annotations
            .extend(pairs.filter_map(|(name, value)| Some((name.clone(), pod::scalar(value)?.into()))));
    }
    let mut metadata = json!({ "labels": labels(project, service) });
    if !annotations.is_empty() {
        metadata["annotations"] = annotations.into();
    }
    json!({ "metadata": metadata, "spec": pod })
}

fn deployment(project: &Project, service: &str, spec: &Value, pod: &Value) -> Value {
    let mut made = object("apps/v1", "Deployment", project, service);
    // As the file says: the new one first, or the old one away first.
    let (surge, missing) = match text(&spec["deploy"]["update_config"], "order") {
        "start-first" => (1, 0),
        _ => (0, 1),
    };
    made["spec"] = json!({
        "replicas": project.scale(service),
        "selector": { "matchLabels": selector(project, service) },
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": missing } },
        "template": template(project, service, pod),
    });
    made
}

/// One whose volume has to be free before the next one can have it.
fn stateful(project: &Project, service: &str, pod: &Value) -> Value {
    let mut made = object("apps/v1", "StatefulSet", project, service);
    made["spec"] = json!({
        "replicas": project.scale(service),
        "serviceName": name(service),
        "selector": { "matchLabels": selector(project, service) },
        "template": template(project, service, pod),
    });
    made
}

fn job(project: &Project, service: &str, policy: &str, spec: &Value, pod: &Value) -> Value {
    let mut made = object("batch/v1", "Job", project, service);
    let given = policy.split_once(':').and_then(|(_, count)| count.parse::<u64>().ok());
    let attempts = given.or_else(|| spec["deploy"]["restart_policy"]["max_attempts"].as_u64());
    let mut inner = json!({ "template": template(project, service, pod) });
    // One that isn't to be started again isn't tried again either.
    let attempts = attempts.or((pod["restartPolicy"] == "Never").then_some(0));
    if let Some(attempts) = attempts {
        inner["backoffLimit"] = attempts.into();
    }
    made["spec"] = inner;
    made
}

/// The Service that has its name, and an Ingress where the file asks for one (`x-ingress: host`).
fn reachable(project: &Project, service: &str, spec: &Value, all: &mut Objects) -> Vec<Value> {
    let mut ports: Vec<Value> = Vec::new();
    let mut taken = std::collections::BTreeSet::new();
    let mut add = |port: u64, target: u64, protocol: &str, application: &str| {
        if taken.insert((port, protocol.to_owned())) {
            let name = format!("{}-{port}", protocol.to_lowercase());
            let mut made = json!({ "name": name, "port": port, "targetPort": target, "protocol": protocol });
            if !application.is_empty() {
                made["appProtocol"] = application.into();
            }
            ports.push(made);
        }
    };
    let mut is_published = false;
    for port in list(spec, "ports") {
        let Some(target) = port["target"].as_u64() else { continue };
        let protocol = pod::protocol(text(port, "protocol"));
        // Inside, names answer at the container's own ports, as they do here.
        let application = text(port, "app_protocol");
        add(target, target, protocol, application);
        let host = text(port, "host_ip");
        if host.starts_with("127.") || host == "::1" {
            all.tell(service, &format!("ports: {host} is this machine's alone: use kubectl port-forward"));
            continue;
        }
        is_published = true;
        match text(port, "published").parse::<u64>() {
            Ok(published) => add(published, target, protocol, application),
            Err(_) if text(port, "published").is_empty() => {}
            Err(_) => {
                all.tell(service, "ports: a range for one port isn't there: the target's number is used");
            }
        }
    }
    for (number, protocol) in pod::listening(spec) {
        add(number, number, protocol, "");
    }
    let mut made = object("v1", "Service", project, service);
    let mut inner = Map::new();
    inner.insert("selector".into(), selector(project, service));
    match ports.is_empty() {
        // A name that leads to the pods, whatever they listen on.
        true => drop(inner.insert("clusterIP".into(), "None".into())),
        false => drop(inner.insert("ports".into(), ports.into())),
    }
    if is_published {
        inner.insert("type".into(), "LoadBalancer".into());
    }
    made["spec"] = inner.into();
    let ingress = ingress(project, service, spec);
    std::iter::once(made).chain(ingress).collect()
}

fn ingress(project: &Project, service: &str, spec: &Value) -> Option<Value> {
    let host = project.extension("services", service, "x-ingress")?;
    let (port, _) = *pod::listening(spec).first()?;
    let mut made = object("networking.k8s.io/v1", "Ingress", project, service);
    let backend = json!({ "service": { "name": name(service), "port": { "number": port } } });
    made["spec"] = json!({
        "rules": [{ "host": host, "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] } }],
    });
    Some(made)
}
