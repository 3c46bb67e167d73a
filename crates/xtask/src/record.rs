//! `cargo xtask record --host unix://… --containerd-host unix://…`: asks a real dockerd and writes `tests/recordings`.
//!
//! The second one is a dockerd that keeps its images in containerd (`"features": {"containerd-snapshotter": true}`): of an
//! image's platforms that one alone tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value};
use testkit::cases::{Case, ERRORS, SWARM};
use testkit::http::{self, Reply, Request};
use testkit::recording::{Answers, Recordings, add, route, versions};
use testkit::scenario::{self, Caller};

struct Recorder {
    socket: PathBuf,
    routes: BTreeMap<String, Answers>,
}

impl Caller for Recorder {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let reply = http::call(&self.socket, request)
            .with_context(|| format!("{} {}", request.method, request.path))?;
        add(self.routes.entry(route(&request.method, &request.path)).or_default(), &reply);
        Ok(reply)
    }
}

/// `cargo xtask replies --host unix://…`: dockerd's whole answers and what the docker command line makes of them.
pub(crate) fn replies(arguments: &[String]) -> anyhow::Result<()> {
    testkit::replay::record(socket(arguments, "--host")?)
}

fn socket<'a>(arguments: &'a [String], flag: &str) -> anyhow::Result<&'a Path> {
    let at = arguments.iter().position(|argument| argument == flag);
    let host = at.and_then(|at| arguments.get(at + 1));
    let host = host.with_context(|| format!("usage: {flag} unix:///path/to/docker.sock"))?;
    Ok(Path::new(host.strip_prefix("unix://").context("the host must be a unix:// socket")?))
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (containerd, socket) = (socket(arguments, "--containerd-host")?, socket(arguments, "--host")?);
    let recordings = Recordings::committed();
    recordings.clear()?;
    for version in versions() {
        let mut recorder = Recorder { socket: socket.into(), routes: BTreeMap::new() };
        scenario::run(&mut recorder, &version)?;
        if scenario::knows_platforms(&version) {
            recorder.socket = containerd.into();
            scenario::platforms(&mut recorder, &version)?;
        }
        for (route, answers) in &recorder.routes {
            recordings.write(&version, route, answers)?;
        }
        recordings.write_document(&version, "errors", &outcomes(socket, ERRORS, &version)?)?;
        recordings.write_document(&version, "swarm", &outcomes(socket, SWARM, &version)?)?;
        println!("{version}: {} routes", recorder.routes.len());
    }
    Ok(())
}

fn outcomes(socket: &Path, cases: &[Case], version: &str) -> anyhow::Result<Value> {
    let mut map = Map::new();
    for case in cases {
        let reply = http::call(socket, &case.request(version)).with_context(|| case.name)?;
        map.insert(case.name.to_owned(), Case::outcome(&reply));
    }
    Ok(Value::Object(map))
}
