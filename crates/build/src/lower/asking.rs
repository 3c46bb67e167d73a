//! The frontend against a gateway that has a few files and images, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oci::Digest;
use oci::image::Platform;
use serde_json::{Value, json};

use super::*;
use crate::frontend::{Built, Files, Frontend as _, Gateway, Ref};
use crate::graph::{Op, Pull, Source};
use crate::progress::Warning;
use crate::session::Entry;
use crate::{Error, Job};

/// Directories of the client's, by name, and files in them.
#[derive(Default)]
struct World {
    files: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
    asked: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
}

struct Directory(BTreeMap<&'static str, &'static str>);

impl World {
    fn with(directory: &'static str, files: &[(&'static str, &'static str)]) -> Self {
        Self::default().and(directory, files)
    }

    fn and(mut self, directory: &'static str, files: &[(&'static str, &'static str)]) -> Self {
        self.files.insert(directory, files.iter().copied().collect());
        self
    }

    fn ask(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    async fn build(&self, attributes: &[(&str, &str)]) -> Result<Built, Error> {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Dockerfile.build(&attributes, &BTreeMap::new(), self).await
    }
}

impl Gateway for World {
    fn session(&self) -> &str {
        "session"
    }

    fn platforms(&self) -> Vec<Platform> {
        vec![platform::normal("linux", "amd64", "")]
    }

    fn image<'a>(
        &'a self,
        reference: &'a str,
        platform: Option<&'a Platform>,
        _: Pull,
        name: &'a str,
    ) -> Job<'a, ResolvedImage> {
        Box::pin(async move {
            self.ask(name.to_owned());
            if reference.contains("none") {
                return Err(Error::NotFound(format!("{reference}: not found")));
            }
            let platform = platform.cloned().unwrap_or_default();
            let config = json!({
                "architecture": platform.architecture, "os": "linux", "config": {},
                "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(b"layer").to_string()]},
            });
            let config = config.to_string().into_bytes();
            Ok(ResolvedImage { reference: reference.to_owned(), digest: Digest::sha256(&config), config })
        })
    }

    fn solve<'a>(&'a self, wanted: &'a Ref) -> Job<'a, Arc<dyn Files>> {
        Box::pin(async move {
            let vertex = wanted.graph.get(wanted.output.expect("an output").vertex);
            self.ask(vertex.shown.name.clone());
            let name = match &vertex.op {
                Op::Source(Source::Local(local)) => local.name.clone(),
                Op::Source(Source::Git(git)) => git.remote.clone(),
                other => panic!("{other:?}"),
            };
            let files = self.files.get(name.as_str()).cloned().unwrap_or_default();
            let files: Arc<dyn Files> = Arc::new(Directory(files));
            Ok(files)
        })
    }

    fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap().push(warning.short);
    }
}

impl Files for Directory {
    fn read<'a>(&'a self, path: &'a str, _: Option<(u64, u64)>) -> Job<'a, Vec<u8>> {
        let found = self.0.get(path).map(|text| text.as_bytes().to_vec());
        Box::pin(async move { found.ok_or_else(|| Error::NotFound(path.to_owned())) })
    }

    fn list<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Job<'a, Vec<Entry>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn stat<'a>(&'a self, path: &'a str) -> Job<'a, Entry> {
        Box::pin(async move { Err(Error::NotFound(path.to_owned())) })
    }
}

fn local<'a>(built: &'a Built, key: &str) -> &'a crate::graph::Local {
    let found = built.refs[key].graph.iter().find_map(|(_, vertex)| match &vertex.op {
        Op::Source(Source::Local(local)) => Some(local),
        _ => None,
    });
    found.expect("the context")
}

fn message<T>(result: Result<T, Error>) -> (String, usize) {
    let error = result.err().expect("a failure");
    let line = error
        .positions()
        .first()
        .and_then(|position| position.ranges.first())
        .map_or(0, |range| range.start.0);
    (error.to_string(), line as usize)
}

#[tokio::test]
async fn what_is_needed_is_asked_for_by_buildkits_names() {
    let world = World::with("dockerfile", &[("Dockerfile", "FROM a\nCOPY --from=b /x /\nCOPY y /\n")])
        .and("context", &[(".dockerignore", "*.log\n!/k\n")]);
    let built = world.build(&[]).await.expect("a build");
    let mut asked = world.asked.lock().unwrap().clone();
    asked.sort_unstable();
    let expected = [
        "[internal] load .dockerignore",
        "[internal] load build definition from Dockerfile",
        "[internal] load metadata for docker.io/library/a:latest",
        "[internal] load metadata for docker.io/library/b:latest",
    ];
    assert_eq!(asked, expected);
    let context = local(&built, "");
    assert_eq!(
        (context.exclude.as_slice(), context.follow.as_slice()),
        (["*.log", "!k"].map(str::to_owned).as_slice(), ["y".to_owned()].as_slice())
    );
    let config: Value = serde_json::from_slice(&built.metadata["containerimage.config"]).expect("JSON");
    assert_eq!(config["history"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_dockerfile_has_other_names_and_an_ignore_file_of_its_own() {
    let world =
        World::with("dockerfile", &[("d/x", "FROM scratch\nCOPY . /\n"), ("d/x.dockerignore", "own\n")])
            .and("context", &[(".dockerignore", "other\n")]);
    let built = world.build(&[("filename", "d/x")]).await.expect("a build");
    assert_eq!(local(&built, "").exclude, ["own"]);
    let world = World::with("dockerfile", &[("dockerfile", "FROM scratch\nCOPY . /\n")]);
    assert!(local(&world.build(&[]).await.expect("a build"), "").exclude.is_empty());
    let (text, _) = message(World::default().build(&[]).await);
    assert_eq!(text, "failed to read dockerfile: open Dockerfile: no such file or directory");
}

#[tokio::test]
async fn failures_have_their_place() {
    let with = |text: &'static str| World::with("dockerfile", &[("Dockerfile", text)]);
    let (text, line) = message(with("FROM scratch\nCOPYY a b\n").build(&[]).await);
    assert_eq!(
        (text.as_str(), line),
        ("dockerfile parse error on line 2: unknown instruction: COPYY (did you mean COPY?)", 2)
    );
    let (text, line) = message(with("FROM busybox AS nine\nFROM none\n").build(&[]).await);
    assert_eq!(
        (text.as_str(), line),
        ("none: docker.io/library/none:latest: not found (did you mean nine?)", 2)
    );
    let (text, _) = message(with("# syntax=other/frontend\nFROM scratch\n").build(&[]).await);
    assert!(text.contains("\"other/frontend\""), "{text}");
    assert!(with("# syntax=docker/dockerfile:1.7-labs\nFROM scratch\n").build(&[]).await.is_ok());
    let (text, _) = message(with("FROM scratch\n").build(&[("colour", "red")]).await);
    assert_eq!(text, "the Dockerfile frontend has no option \"colour\"");
}

#[tokio::test]
async fn several_platforms_are_several_results() {
    let world = World::with("dockerfile", &[("Dockerfile", "FROM a\nRUN x\n")]);
    let built = world.build(&[("platform", "linux/amd64,linux/arm64")]).await.expect("a build");
    assert_eq!(built.refs.keys().collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    assert!(built.metadata.contains_key("containerimage.config/linux/arm64"));
    let platforms: Value = serde_json::from_slice(&built.metadata["refs.platforms"]).expect("JSON");
    assert_eq!(platforms["Platforms"][1]["ID"], "linux/arm64");
    let names: Vec<_> = built.refs["linux/arm64"].graph.iter().map(|(_, v)| v.shown.name.clone()).collect();
    assert_eq!(names[1], "[linux/arm64 2/2] RUN x");
}

#[tokio::test]
async fn a_repository_is_a_context_with_its_dockerfile() {
    let world = World::with("https://h/r.git", &[("Dockerfile", "FROM scratch\nCOPY a /\n")]);
    let built = world.build(&[("context", "https://h/r.git#main:sub")]).await.expect("a build");
    let git = built.refs[""].graph.iter().find_map(|(_, vertex)| match &vertex.op {
        Op::Source(Source::Git(git)) => Some((git.reference.clone(), git.subdir.clone())),
        _ => None,
    });
    assert_eq!(git, Some(("main".to_owned(), "sub".to_owned())));
    assert_eq!(*world.asked.lock().unwrap(), ["[internal] load git source https://h/r.git#main:sub"]);
}

// covers: dockerfile subrequest frontend.lint
// covers: dockerfile builtin-arg ARG BUILDKIT_DOCKERFILE_CHECK
#[tokio::test]
async fn checks_are_warnings_of_a_build_and_the_answer_of_a_check() {
    let text = "FROM scratch as a\nMAINTAINER m\n";
    let world = World::with("dockerfile", &[("Dockerfile", text)]);
    world.build(&[]).await.expect("a build");
    let expected = [
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)",
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
    ];
    let mut warnings = world.warnings.lock().unwrap().clone();
    warnings.sort_unstable();
    assert_eq!(warnings, expected);
    let built = world.build(&[("requestid", "frontend.lint")]).await.expect("an answer");
    assert!(built.refs.is_empty());
    assert_eq!(built.metadata["result.statuscode"], b"1");
    let shown = "Lint Rule FromAsCasing\n  Dockerfile:1\n  'as' and 'FROM' keywords' casing do not match\n  1  |  FROM scratch as a\n\n\n\
                 Lint Rule MaintainerDeprecated\n  Dockerfile:2\n  Maintainer instruction is deprecated in favor of using label\n  2  |  MAINTAINER m\n\n\n";
    assert_eq!(String::from_utf8_lossy(&built.metadata["result.txt"]), shown);
    let skipped = [("requestid", "frontend.lint"), ("build-arg:BUILDKIT_DOCKERFILE_CHECK", "skip=all")];
    let built = world.build(&skipped).await.expect("an answer");
    assert_eq!(built.metadata["result.statuscode"], b"0");
    let (text, _) = message(world.build(&[("build-arg:BUILDKIT_DOCKERFILE_CHECK", "error=true")]).await);
    assert_eq!(text, "lint violation found for rules: FromAsCasing, MaintainerDeprecated");
}

// covers: dockerfile subrequest frontend.outline
// covers: dockerfile subrequest frontend.targets
// covers: dockerfile subrequest frontend.subrequests.describe
#[tokio::test]
async fn outlines_and_targets_are_listed() {
    let text = "# a the first\nFROM scratch AS a\nARG X=1\nFROM a AS b\n";
    let world = World::with("dockerfile", &[("Dockerfile", text)]);
    let built = world.build(&[("requestid", "frontend.targets")]).await.expect("an answer");
    assert_eq!(
        String::from_utf8_lossy(&built.metadata["result.txt"]),
        "TARGET        DESCRIPTION\na             the first\nb (default)\n"
    );
    let built = world.build(&[("requestid", "frontend.outline"), ("target", "a")]).await.expect("an answer");
    let outline: Value = serde_json::from_slice(&built.metadata["result.json"]).expect("JSON");
    assert_eq!((&outline["name"], &outline["args"][0]["name"]), (&json!("a"), &json!("X")));
    assert!(world.build(&[("requestid", "frontend.subrequests.describe")]).await.is_ok());
    assert!(world.build(&[("requestid", "frontend.other")]).await.is_err());
}
