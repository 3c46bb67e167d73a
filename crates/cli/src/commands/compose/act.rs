//! A service's plan carried out: containers made, made anew, started, removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use client::{Engine, encode};
use compose::Project;
use compose::container::{Facts, Wanted, container};
use compose::live::Live;
use compose::plan::{ServicePlan, Step};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::{Value, json};

use super::inject::inject;
use super::observe::{self, OneOff};
use super::report::Report;
use super::roll::{Turn, Turns};
use crate::call::Call;
use crate::commands::api_socket;
use crate::error::Error;
use crate::shape;

/// How long is waited for a container whose name is taken to be seen: two seconds in all.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What carrying out needs to know.
pub(super) struct Act<'a> {
    pub(super) engine: &'a Engine,
    pub(super) project: &'a Project,
    pub(super) report: Report,
    /// What containers are made for, where any are made.
    pub(super) call: Option<&'a Call>,
    /// Image ids by service.
    pub(super) images: BTreeMap<String, String>,
    /// Anonymous volumes go with the container that had them.
    pub(super) renew_volumes: bool,
    /// The services that are meant: of those, what depends on one that is made anew is restarted, where the file says so.
    pub(super) meant: BTreeSet<String>,
    /// Seconds until a container that is stopped is killed.
    pub(super) timeout: Option<i64>,
}

impl<'a> Act<'a> {
    /// For what needs neither images nor a caller: starting, stopping, removing.
    pub(super) fn new(
        engine: &'a Engine,
        project: &'a Project,
        report: Report,
        timeout: Option<i64>,
    ) -> Self {
        let (images, meant) = (BTreeMap::new(), BTreeSet::new());
        Self { engine, project, report, call: None, images, renew_volumes: false, meant, timeout }
    }
}

impl Act<'_> {
    /// Makes what the plan says; nothing is started.
    /// With turns, those that run are replaced when their successors are started.
    pub(super) async fn make(&self, plan: &ServicePlan, turns: Option<&Turns>) -> Result<(), Error> {
        let steps = plan.steps.iter().map(|step| async move {
            match step {
                Step::Create { number, name } => {
                    self.create(&plan.service, *number, name, None).await.map(drop)
                }
                Step::Update { id, name, live, .. } => self.update(&plan.service, id, name, live).await,
                Step::Recreate { id, number, name, running, .. } => {
                    let turns = turns.filter(|_| *running);
                    self.recreate(&plan.service, *number, name, id, turns).await
                }
                Step::Remove { id, name, running, .. } => {
                    if *running {
                        super::run::pre_stop(self.engine, self.project, &plan.service, id).await?;
                    }
                    self.remove(id, name, *running).await
                }
                Step::Keep { .. } | Step::Restart { .. } | Step::Start { .. } => Ok(()),
            }
        });
        try_join_all(steps).await.map(drop)
    }

    async fn create(
        &self,
        service: &str,
        number: u32,
        name: &str,
        replaced: Option<&Value>,
    ) -> Result<String, Error> {
        if replaced.is_none() {
            self.report.begins("Container", name, "Creating");
        }
        let facts = self.facts(service, replaced).await?;
        let mut wanted = container(self.project, service, number, &facts).map_err(Error::Usage)?;
        if let Some(call) = self.call {
            shape::add_variables(&mut wanted.body, &call.proxies()?);
        }
        let platform = self.project.service(service).and_then(|spec| spec["platform"].as_str());
        let platform = platform.map(|platform| format!("&platform={}", encode(platform))).unwrap_or_default();
        let later = self.later_networks(&mut wanted.body).await?;
        let socket = match self.call.filter(|_| api_socket::is_wanted(self.project, service)) {
            Some(call) => Some(api_socket::give(call, &mut wanted.body)?),
            None => None,
        };
        let path = format!("/containers/create?name={}{platform}", encode(&wanted.name));
        let id = match self.engine.call(Method::POST, &path, Some(&wanted.body)).await {
            Ok(answer) => answer.json()?["Id"].as_str().unwrap_or(name).to_owned(),
            Err(conflict) => self.made_meanwhile(&wanted, conflict).await?,
        };
        for (network, endpoint) in later {
            self.join(&id, &network, &endpoint).await?;
        }
        inject(self.engine, &id, &wanted.files).await?;
        if let Some(socket) = socket {
            socket.inject(self.engine, &id).await?;
        }
        self.report.done("Container", name, if replaced.is_some() { "Recreated" } else { "Created" });
        Ok(id)
    }

    /// The engine may still be making what a command that was interrupted asked it for: if that is what is wanted, it is taken.
    async fn made_meanwhile(&self, wanted: &Wanted, conflict: client::Error) -> Result<String, Error> {
        if !matches!(conflict, client::Error::Response { status: 409, .. }) {
            return Err(conflict.into());
        }
        let path = format!("/containers/{}/json", encode(&wanted.name));
        // A name is taken before there is something to be seen under it.
        for _ in 0..LOOKS {
            match self.engine.get(&path).await {
                Ok(found) if is_as_wanted(&found, &wanted.body) => {
                    return Ok(observe::id(&found).to_owned());
                }
                Ok(_) => break,
                Err(client::Error::Response { status: 404, .. }) => tokio::time::sleep(BETWEEN_LOOKS).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict.into())
    }

    pub(super) async fn join(&self, id: &str, network: &str, endpoint: &Value) -> Result<(), Error> {
        let body = json!({ "Container": id, "EndpointConfig": endpoint });
        let path = format!("/networks/{}/connect", encode(network));
        self.engine.call(Method::POST, &path, Some(&body)).await?;
        Ok(())
    }

    /// What a container can be given while it lives.
    async fn update(&self, service: &str, id: &str, name: &str, live: &Live) -> Result<(), Error> {
        self.report.begins("Container", name, "Updating");
        let path = format!("/containers/{}/update", encode(id));
        if !live.update.is_empty() {
            self.engine.call(Method::POST, &path, Some(&Value::Object(live.update.clone()))).await?;
        }
        for network in &live.leave {
            let path = format!("/networks/{}/disconnect", encode(network));
            self.engine.call(Method::POST, &path, Some(&json!({ "Container": id }))).await?;
        }
        for (network, endpoint) in &live.join {
            self.join(id, network, endpoint).await?;
        }
        // Last, as whoever finds the labels as they should be looks no further. An engine that changes no labels doesn't mind:
        // with it, docker's client makes the container anew when it comes by.
        let facts = self.facts(service, None).await?;
        let labels = compose::live::labels(self.project, service, &facts);
        self.engine.call(Method::POST, &path, Some(&json!({ "Labels": labels }))).await?;
        self.report.done("Container", name, "Updated");
        Ok(())
    }

    /// Engines before API 1.44 take one network at a time.
    async fn later_networks(&self, body: &mut Value) -> Result<Vec<(String, Value)>, Error> {
        let version = self.engine.version().await?;
        let minor = version.split_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok()).unwrap_or(0);
        if minor >= 44 {
            return Ok(Vec::new());
        }
        let first = body["HostConfig"]["NetworkMode"].as_str().unwrap_or_default().to_owned();
        let Some(endpoints) = body["NetworkingConfig"]["EndpointsConfig"].as_object_mut() else {
            return Ok(Vec::new());
        };
        let (kept, later) = std::mem::take(endpoints).into_iter().partition(|(name, _)| *name == first);
        *endpoints = kept;
        let later: serde_json::Map<_, _> = later;
        Ok(later.into_iter().collect())
    }

    pub(super) async fn facts(&self, service: &str, replaced: Option<&Value>) -> Result<Facts, Error> {
        let mut containers = BTreeMap::new();
        let shared = self.project.shares_with(service);
        if !shared.is_empty() {
            let there = observe::containers(self.engine, &self.project.name, OneOff::Without).await?;
            for one in observe::of_services(there, &shared) {
                let of = observe::label(&one, compose::labels::SERVICE).to_owned();
                containers.entry(of).or_insert_with(|| observe::id(&one).to_owned());
            }
        }
        Ok(Facts {
            image_id: self.images.get(service).cloned().unwrap_or_default(),
            containers,
            inherited: replaced.filter(|_| !self.renew_volumes).map(anonymous_volumes).unwrap_or_default(),
            replaces: replaced.is_some(),
            contents: self.project.contents(service).map_err(Error::Usage)?,
        })
    }

    /// The new one is made beside the old one, takes over its anonymous volumes and its name, and then the old one goes:
    /// when making fails, the old one is still there.
    async fn recreate(
        &self,
        service: &str,
        number: u32,
        name: &str,
        id: &str,
        turns: Option<&Turns>,
    ) -> Result<(), Error> {
        self.report.begins("Container", name, "Recreate");
        let old = self.engine.get(&format!("/containers/{}/json", encode(id))).await?;
        let short = id.get(..12).unwrap_or(id);
        let aside = format!("{short}_{name}");
        self.rename(id, &aside).await.map_err(|error| met_another(name, error))?;
        let new = match self.create(service, number, name, Some(&old)).await {
            Ok(new) => new,
            Err(error) => {
                // What was is put back, so that the next attempt finds it.
                self.rename(id, name).await?;
                return Err(error);
            }
        };
        if let Some(turns) = turns {
            turns.add(service, Turn::new(&new, id, name));
            return Ok(());
        }
        self.stop_dependents(service).await?;
        if old["State"]["Running"] == true {
            super::run::pre_stop(self.engine, self.project, service, id).await?;
            self.stop(id).await?;
        }
        self.delete(id).await
    }

    /// Stops what restarts with a service; whoever starts everything starts it again.
    pub(super) async fn stop_dependents(&self, service: &str) -> Result<(), Error> {
        let mut dependents = self.project.with_restarted(&[service.to_owned()]);
        dependents.retain(|name| name != service && self.meant.contains(name));
        if dependents.is_empty() {
            return Ok(());
        }
        let there = observe::containers(self.engine, &self.project.name, OneOff::Without).await?;
        for dependent in dependents.iter().rev() {
            let own = there.iter().filter(|one| observe::label(one, compose::labels::SERVICE) == dependent);
            for one in own.filter(|one| one["State"] == "running") {
                self.end(dependent, observe::id(one), &observe::name(one)).await?;
            }
        }
        Ok(())
    }

    /// Stops a container that runs, its hooks first.
    pub(super) async fn end(&self, service: &str, id: &str, name: &str) -> Result<(), Error> {
        super::run::pre_stop(self.engine, self.project, service, id).await?;
        self.report.begins("Container", name, "Stopping");
        self.stop(id).await?;
        self.report.done("Container", name, "Stopped");
        Ok(())
    }

    pub(super) async fn rename(&self, id: &str, name: &str) -> Result<(), Error> {
        let path = format!("/containers/{}/rename?name={}", encode(id), encode(name));
        self.engine.call(Method::POST, &path, None).await?;
        Ok(())
    }

    pub(super) async fn stop(&self, id: &str) -> Result<(), Error> {
        let seconds = self.timeout.map(|seconds| format!("?t={seconds}")).unwrap_or_default();
        let path = format!("/containers/{}/stop{seconds}", encode(id));
        self.engine.call(Method::POST, &path, None).await?;
        Ok(())
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), Error> {
        let volumes = if self.renew_volumes { "&v=1" } else { "" };
        let path = format!("/containers/{}?force=1{volumes}", encode(id));
        match self.engine.call(Method::DELETE, &path, None).await {
            // Somebody was faster.
            Err(error) if !error.is_status(404) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Ends a container and takes it away.
    pub(super) async fn remove(&self, id: &str, name: &str, running: bool) -> Result<(), Error> {
        if running {
            self.report.begins("Container", name, "Stopping");
            self.stop(id).await?;
            self.report.done("Container", name, "Stopped");
        }
        self.report.begins("Container", name, "Removing");
        self.delete(id).await?;
        self.report.done("Container", name, "Removed");
        Ok(())
    }

    /// Starts a container.
    pub(super) async fn start(&self, id: &str, name: &str) -> Result<(), Error> {
        self.report.begins("Container", name, "Starting");
        self.engine.call(Method::POST, &format!("/containers/{}/start", encode(id)), None).await?;
        self.report.done("Container", name, "Started");
        Ok(())
    }
}

/// Volumes without a name of their own, by where they are mounted.
fn anonymous_volumes(container: &Value) -> BTreeMap<String, String> {
    let mounts =
        container["Mounts"].as_array().into_iter().flatten().filter(|mount| mount["Type"] == "volume");
    let pairs = mounts.filter_map(|mount| {
        let (name, target) = (mount["Name"].as_str()?, mount["Destination"].as_str()?);
        let minted = name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit());
        minted.then(|| (target.to_owned(), name.to_owned()))
    });
    pairs.collect()
}

/// Whether a container rests that was made for the same: the labels tell its project, service, number and configuration.
fn is_as_wanted(found: &Value, body: &Value) -> bool {
    let labels = body["Labels"].as_object();
    found["State"]["Status"] == "created"
        && labels.is_some_and(|labels| {
            labels.iter().all(|(name, value)| found["Config"]["Labels"][name] == *value)
        })
}

/// What is put aside was there a moment ago: whoever did something to it since is another command on the same project.
fn met_another(name: &str, error: Error) -> Error {
    match error {
        Error::Engine(client::Error::Response { status: 400 | 404 | 409, message }) => Error::Usage(format!(
            "{name} can't be made anew: {message}; another command is changing this project: run this one again when that has ended"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_meanwhile_is_taken_only_if_it_is_the_same_and_rests() {
        let found = |status: &str, hash: &str| json!({"State": {"Status": status}, "Config": {"Labels": {"project": "p", "hash": hash, "of the image": "x"}}});
        let body = json!({"Labels": {"project": "p", "hash": "1"}});
        assert!(is_as_wanted(&found("created", "1"), &body));
        assert!(!is_as_wanted(&found("created", "2"), &body), "another configuration");
        assert!(!is_as_wanted(&found("running", "1"), &body), "somebody else's, who started it");
        assert!(!is_as_wanted(&json!({"State": {"Status": "created"}}), &body), "nobody's of ours");
        assert!(!is_as_wanted(&found("created", "1"), &json!({})), "without labels nothing is known");
    }
}
