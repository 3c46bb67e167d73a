//! `pre_start`: containers that run to their end, one after the other, before a service's containers start.

use client::encode;
use compose::container::container;
use compose::labels;
use http::Method;
use serde_json::{Value, json};

use super::act::Act;
use super::observe;
use super::wait;
use crate::error::Error;

impl Act<'_> {
    /// Runs them for those of a service's containers that are to be started. One that fails keeps the service from starting,
    /// and stays to be looked at.
    pub(super) async fn before_start(&self, service: &str, own: &[Value]) -> Result<(), Error> {
        let steps = self.project.service(service).map(|spec| spec["pre_start"].clone()).unwrap_or_default();
        let starting = own
            .iter()
            .filter(|one| !matches!(one["State"].as_str(), Some("running" | "paused" | "restarting")));
        let numbers: Vec<u32> = starting.map(observe::number).collect();
        for (step, spec) in steps.as_array().into_iter().flatten().enumerate() {
            let times = if spec["per_replica"] == true { numbers.len() } else { numbers.len().min(1) };
            for number in numbers.iter().take(times) {
                self.step(service, *number, step + 1, spec).await?;
            }
        }
        Ok(())
    }

    async fn step(&self, service: &str, number: u32, step: usize, spec: &Value) -> Result<(), Error> {
        let facts = self.facts(service, None).await?;
        let mut wanted = container(self.project, service, number, &facts).map_err(Error::Usage)?;
        change(&mut wanted.body, spec);
        let name = self.project.joined(&[service, "pre-start", &step.to_string(), &number.to_string()]);
        self.report.begins("Container", &name, "Starting");
        self.delete(&name).await?;
        let path = format!("/containers/create?name={}", encode(&name));
        let answer = self.engine.call(Method::POST, &path, Some(&wanted.body)).await?.json()?;
        let id = answer["Id"].as_str().unwrap_or(&name).to_owned();
        super::inject::inject(self.engine, &id, &wanted.files).await?;
        self.engine.call(Method::POST, &format!("/containers/{id}/start"), None).await?;
        let code = wait::code(self.engine, &id).await?;
        if code != 0 {
            return Err(Error::Usage(format!(
                "service {service:?}: pre_start {step} exited ({code}); its container {name} is kept for its logs"
            )));
        }
        self.delete(&id).await?;
        self.report.done("Container", &name, "Exited");
        Ok(())
    }
}

/// What makes a service's container one of these: nobody finds it by the service's name or ports.
fn change(body: &mut Value, spec: &Value) {
    if let Some(image) = spec["image"].as_str() {
        body["Image"] = image.into();
        (body["Entrypoint"], body["User"], body["WorkingDir"]) = (Value::Null, "".into(), "".into());
    }
    body["Cmd"] = spec["command"].clone();
    for (ours, theirs) in [("user", "User"), ("working_dir", "WorkingDir")] {
        if let Some(text) = spec[ours].as_str() {
            body[theirs] = text.into();
        }
    }
    let mut lines: Vec<Value> = body["Env"].as_array().cloned().unwrap_or_default();
    for (name, value) in spec["environment"].as_object().into_iter().flatten() {
        let is_same = |line: &Value| {
            let line = line.as_str().unwrap_or_default();
            line.split_once('=').map_or(line, |(known, _)| known) == name
        };
        lines.retain(|line| !is_same(line));
        lines.push(value.as_str().map_or_else(|| name.clone(), |value| format!("{name}={value}")).into());
    }
    body["Env"] = lines.into();
    body["Healthcheck"] = json!({ "Test": ["NONE"] });
    let host = &mut body["HostConfig"];
    (host["PortBindings"], host["RestartPolicy"]) = (json!({}), json!({}));
    host["Privileged"] = (spec["privileged"] == true).into();
    let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object_mut();
    for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values_mut()) {
        for key in ["Aliases", "IPAMConfig", "MacAddress"] {
            if let Some(map) = endpoint.as_object_mut() {
                map.shift_remove(key);
            }
        }
    }
    body["Labels"][labels::ONE_OFF] = "True".into();
    if let Some(labels) = body["Labels"].as_object_mut() {
        labels.shift_remove(labels::NUMBER);
    }
}
