//! `dockerfile.v0`: reads the Dockerfile and what goes with it through the gateway, and lowers it for every platform.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::Class;
use dockerfile::check::{Failure, Finding, Findings};
use dockerfile::{Lines, ignore};
use futures_util::future::{try_join, try_join_all};
use oci::Digest;
use oci::image::Platform;
use serde_json::json;

use super::attributes::{Asked, AskedContext, read};
use super::context::ONLY_FILE;
use super::options::Options;
use super::{Known, Lowered, Need, Problem, Step, lower, names, platform, requests};
use crate::frontend::{Built, Files, Frontend, Gateway, Ref};
use crate::graph::{Graph, Http, Local, Op, Shown, Source, SourceFile};
use crate::progress::Warning;
use crate::{Error, Job};

/// How often an image may bring triggers that need more images.
const ROUNDS: usize = 32;
const IGNORE: &str = ".dockerignore";

/// The Dockerfile frontend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dockerfile;

impl Frontend for Dockerfile {
    fn build<'a>(
        &'a self,
        attributes: &'a BTreeMap<String, String>,
        inputs: &'a BTreeMap<String, Ref>,
        gateway: &'a dyn Gateway,
    ) -> Job<'a, Built> {
        Box::pin(async move {
            let host = gateway.platforms().into_iter().next().unwrap_or_default();
            let host = platform::normalized(&host);
            let asked = read(attributes, inputs, &host).map_err(|problem| problem.error(None))?;
            Build { attributes, asked, inputs, gateway, host }.run().await
        })
    }
}

struct Build<'a> {
    attributes: &'a BTreeMap<String, String>,
    asked: Asked,
    inputs: &'a BTreeMap<String, Ref>,
    gateway: &'a dyn Gateway,
    host: Platform,
}

/// What was read of the client's or the context's files.
struct Texts {
    source: Arc<SourceFile>,
    ignore: Vec<String>,
    /// The step that brought the Dockerfile, to which warnings belong.
    vertex: Digest,
    /// The context is an archive that has to be unpacked.
    archive: bool,
}

impl Build<'_> {
    async fn run(&self) -> Result<Built, Error> {
        if self.asked.request.as_deref() == Some("frontend.subrequests.describe") {
            return Ok(requests::describe());
        }
        let texts = self.texts().await?;
        let source = &texts.source;
        if let Some(line) = self.other_syntax(source) {
            return self.forward(&line).await;
        }
        match self.asked.request.as_deref() {
            None => self.build(&texts).await,
            Some("frontend.lint") => self.lint(&texts).await,
            Some("frontend.outline") => {
                let (file, findings) =
                    self.understood(source).map_err(|problem| problem.error(Some(source)))?;
                let platform = self.asked.platforms.first();
                let lowered = self.lowered(&file, &texts, platform, findings, false).await;
                Ok(requests::outline(&lowered.map_err(|(error, _)| error)?.outline, &source.data))
            }
            Some("frontend.targets") => {
                let (file, _) = self.understood(source).map_err(|problem| problem.error(Some(source)))?;
                Ok(requests::targets(&file, &source.data))
            }
            Some(other) => {
                Err(Error::Unsupported { what: format!("the request {other:?} to the Dockerfile frontend") })
            }
        }
    }

    /// The line that names a frontend which isn't this one.
    fn other_syntax(&self, source: &SourceFile) -> Option<String> {
        // One that comes from there already was asked for as what it is.
        if self.attributes.contains_key("cmdline") {
            return None;
        }
        let named = self.asked.syntax.clone().or_else(|| dockerfile::syntax(&source.data))?;
        let image = named.split(' ').next().unwrap_or_default();
        let ours = oci::Reference::parse(image)
            .is_ok_and(|reference| reference.repository() == "docker.io/docker/dockerfile");
        (!ours).then_some(named)
    }

    /// A language that only another frontend knows.
    async fn forward(&self, line: &str) -> Result<Built, Error> {
        let image = line.split(' ').next().unwrap_or_default();
        let mut attributes = self.attributes.clone();
        attributes.insert("cmdline".into(), line.to_owned());
        attributes.insert("source".into(), image.to_owned());
        self.gateway.forward(&attributes, self.inputs).await
    }

    fn understood(&self, source: &SourceFile) -> Result<(dockerfile::Dockerfile, Findings), Problem> {
        let options = match &self.asked.check {
            Some(options) => options.clone(),
            None => dockerfile::check::Options::of_dockerfile(&source.data)
                .map_err(|problem| Problem::new(problem.to_string()))?,
        };
        let mut findings = Findings::new(options);
        let file = dockerfile::parse(&source.data, &mut findings)?;
        Ok((file, findings))
    }

    async fn build(&self, texts: &Texts) -> Result<Built, Error> {
        let (file, findings) =
            self.understood(&texts.source).map_err(|problem| problem.error(Some(&texts.source)))?;
        let platforms: Vec<Option<&Platform>> = match self.asked.platforms.as_slice() {
            [] => vec![None],
            platforms => platforms.iter().map(Some).collect(),
        };
        let all = platforms.iter().map(|platform| {
            let (file, findings) = (&file, findings.clone());
            async move {
                let lowered = self.lowered(file, texts, *platform, findings, false).await;
                lowered.map_err(|(error, findings)| {
                    self.warn(texts, &findings);
                    error
                })
            }
        });
        let all = try_join_all(all).await?;
        if let Some(first) = all.first() {
            self.warn(texts, &first.findings);
        }
        Ok(self.built(&platforms, all))
    }

    fn built(&self, platforms: &[Option<&Platform>], all: Vec<Lowered>) -> Built {
        let mut built = Built::default();
        let mut list = Vec::new();
        for (platform, lowered) in platforms.iter().zip(all) {
            let platform = platform.unwrap_or(&lowered.config.platform);
            let id = platform::format(platform);
            let several = self.asked.several_platforms;
            list.push(json!({ "ID": id, "Platform": platform }));
            let (key, suffix) = if several { (id.clone(), format!("/{id}")) } else { Default::default() };
            let config = serde_json::to_vec(&lowered.config).unwrap_or_default();
            built.metadata.insert(format!("containerimage.config{suffix}"), config);
            if let Some(base) = lowered.base {
                built.metadata.insert(format!("containerimage.base.config{suffix}"), base);
            }
            built.refs.insert(key, Ref { graph: lowered.graph, output: lowered.output });
        }
        if let Some(epoch) = self.asked.settings.epoch {
            built.metadata.insert("source.date.epoch".to_owned(), epoch.to_string().into_bytes());
        }
        if self.asked.several_platforms {
            let platforms = json!({ "Platforms": list });
            built.metadata.insert("refs.platforms".to_owned(), platforms.to_string().into_bytes());
        }
        built
    }

    /// Checks all stages, or the target's. What is wrong is part of the answer.
    async fn lint(&self, texts: &Texts) -> Result<Built, Error> {
        let source = &texts.source;
        let (findings, failure) = match self.understood(source) {
            Err(problem) => (Vec::new(), Some(Failure { message: problem.message, lines: problem.lines })),
            Ok((file, findings)) => {
                let all = self.asked.settings.target.is_empty();
                match self.lowered(&file, texts, self.asked.platforms.first(), findings, all).await {
                    Ok(lowered) => (lowered.findings, None),
                    Err((error, findings)) => {
                        let failure = Failure { message: diag::chain(&error), lines: lines(&error) };
                        (findings, Some(failure))
                    }
                }
            }
        };
        Ok(requests::lint(&findings, failure.as_ref(), &source.name, &source.data))
    }

    fn warn(&self, texts: &Texts, findings: &[Finding]) {
        for finding in findings {
            let line = finding.lines.first;
            let place = if line > 0 { format!(" (line {line})") } else { String::new() };
            self.gateway.warn(Warning {
                vertex: texts.vertex.clone(),
                level: 1,
                short: format!("{}: {}{place}", finding.rule.name(), finding.detail),
                detail: vec![finding.rule.description().to_owned()],
                url: finding.rule.url().to_owned(),
                position: names::position(&texts.source, finding.lines),
            });
        }
    }

    fn options(&self, texts: &Texts, platform: Option<&Platform>) -> Options {
        let settings = self.asked.settings.clone();
        let keep = settings.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
        let keep = keep.is_some_and(|value| matches!(value.as_str(), "1" | "true"));
        Options {
            target: settings.target,
            arguments: settings.arguments,
            labels: settings.labels,
            target_platform: platform.cloned(),
            several_platforms: self.asked.several_platforms,
            no_cache: settings.no_cache,
            pull: settings.pull,
            network: settings.network,
            extra_hosts: settings.extra_hosts,
            shm_size: settings.shm_size,
            ulimits: settings.ulimits,
            cgroup_parent: settings.cgroup_parent,
            hostname: settings.hostname,
            cache_namespace: settings.cache_namespace,
            epoch: settings.epoch,
            sbom: settings.sbom,
            contexts: self.asked.contexts.clone(),
            main: self.asked.context.main(texts.archive, keep, &self.asked.subdir),
            ignore: texts.ignore.clone(),
            ..Options::new(texts.source.clone(), self.host.clone())
        }
    }

    /// Lowers for one platform, asking for what is needed until nothing is. A failure comes with what was found by then.
    async fn lowered(
        &self,
        file: &dockerfile::Dockerfile,
        texts: &Texts,
        platform: Option<&Platform>,
        findings: Findings,
        all_stages: bool,
    ) -> Result<Lowered, (Error, Vec<Finding>)> {
        let options = Options { all_stages, ..self.options(texts, platform) };
        let source = Some(&texts.source);
        let mut known = Known::default();
        for _ in 0..ROUNDS {
            let mut found = findings.clone();
            let step = lower(file, &options, &known, &mut found)
                .map_err(|problem| (problem.error(source), found.list().to_vec()))?;
            let needs = match step {
                Step::Done(lowered) => return Ok(*lowered),
                Step::Needs(needs) => needs,
            };
            self.learn(&mut known, needs, &options, texts)
                .await
                .map_err(|error| (error, found.list().to_vec()))?;
        }
        let problem = Problem::new("triggers of base images need more and more images");
        Err((problem.error(source), Vec::new()))
    }

    async fn learn(
        &self,
        known: &mut Known,
        needs: BTreeSet<Need>,
        options: &Options,
        texts: &Texts,
    ) -> Result<(), Error> {
        let answers = needs.into_iter().map(|need| async move {
            match &need {
                Need::Image { reference, typed, platform, name, lines } => {
                    let wanted = platform::parse(platform, &self.host).ok();
                    let image = self.gateway.image(reference, wanted.as_ref(), options.pull, name).await;
                    let image = image.map_err(|error| unresolved(&error, typed, *lines, texts))?;
                    Ok::<_, Error>((need, Some(image), Vec::new()))
                }
                Need::Ignore { key, local } => {
                    let name = format!("[context {key}] load {IGNORE}");
                    let files = self.local(local, &[IGNORE.to_owned()], &name).await?;
                    let patterns = self.patterns(&*files, IGNORE).await?.unwrap_or_default();
                    Ok((need, None, patterns))
                }
            }
        });
        for (need, image, patterns) in try_join_all(answers).await? {
            match (need, image) {
                (Need::Image { reference, platform, .. }, Some(image)) => {
                    known.add_image(&reference, &platform, image);
                }
                (Need::Ignore { key, .. }, _) => known.add_ignore(&key, patterns),
                (Need::Image { .. }, None) => {}
            }
        }
        Ok(())
    }

    /// The Dockerfile and the ignore file, which may be of the same name.
    async fn texts(&self) -> Result<Texts, Error> {
        let (context, archive) = self.remote_context().await?;
        let own = context.is_none() || self.asked.own_dockerfile;
        let mut filename = self.asked.filename.clone();
        let only_file = matches!(self.asked.context, AskedContext::Http(_)) && !archive;
        if only_file && !own {
            ONLY_FILE.clone_into(&mut filename);
        }
        let dockerfile = async {
            match (&context, own) {
                (Some((files, vertex)), false) => Ok::<_, Error>((files.clone(), vertex.clone())),
                _ => self.dockerfile_directory(&filename).await,
            }
        };
        let default_ignore = async {
            match &context {
                Some(_) => Ok::<_, Error>(None),
                None => {
                    let AskedContext::Local { name, .. } = &self.asked.context else { return Ok(None) };
                    let files =
                        self.local(name, &[IGNORE.to_owned()], &format!("[internal] load {IGNORE}")).await?;
                    self.patterns(&*files, IGNORE).await
                }
            }
        };
        let ((files, vertex), default_ignore) = try_join(dockerfile, default_ignore).await?;
        let data = self.read_dockerfile(&*files, &filename).await?;
        let own_ignore = match context {
            Some(_) => None,
            None => self.patterns(&*files, &format!("{filename}{IGNORE}")).await?,
        };
        let source = Arc::new(SourceFile { name: filename, language: "Dockerfile".to_owned(), data });
        Ok(Texts { source, ignore: own_ignore.or(default_ignore).unwrap_or_default(), vertex, archive })
    }

    async fn dockerfile_directory(&self, filename: &str) -> Result<(Arc<dyn Files>, Digest), Error> {
        if let Some(input) =
            self.inputs.get(&self.asked.dockerfile_local).filter(|_| !self.asked.own_dockerfile)
        {
            return Ok((self.gateway.solve(input).await.map_err(unread)?, digest(input)));
        }
        let mut follow = vec![filename.to_owned(), format!("{filename}{IGNORE}")];
        follow.extend(small_letters(filename));
        let name = format!("[internal] load build definition from {filename}");
        let wanted = self.local_ref(&self.asked.dockerfile_local, &follow, &name)?;
        Ok((self.gateway.solve(&wanted).await.map_err(unread)?, digest(&wanted)))
    }

    async fn read_dockerfile(&self, files: &dyn Files, filename: &str) -> Result<Vec<u8>, Error> {
        let limit = Some((0, dockerfile::limits::FILE as u64 + 1));
        let first = files.read(filename, limit).await;
        let read = match (first, small_letters(filename)) {
            (Err(Error::NotFound(_)), Some(lower)) => match files.read(&lower, limit).await {
                Err(Error::NotFound(_)) => files.read(filename, limit).await,
                other => other,
            },
            (first, _) => first,
        };
        read.map_err(|error| match error {
            Error::NotFound(_) => {
                let message =
                    format!("failed to read dockerfile: open {filename}: no such file or directory");
                let hint =
                    Some("name the Dockerfile with -f, or build the directory that has one".to_owned());
                Error::Language { message, class: Class::NotFound, hint, positions: Vec::new() }
            }
            other => other,
        })
    }

    /// The patterns of an ignore file, if there is one.
    async fn patterns(&self, files: &dyn Files, name: &str) -> Result<Option<Vec<String>>, Error> {
        let text = match files.read(name, Some((0, dockerfile::limits::FILE as u64))).await {
            Ok(text) => text,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        let patterns = ignore::read(&text).and_then(|patterns| {
            ignore::Matcher::new(&patterns)?;
            Ok(patterns)
        });
        patterns.map(Some).map_err(|problem| Error::Invalid(format!("failed parsing {name}: {problem}")))
    }

    /// A context that isn't the client's, with its files, and whether it is an archive.
    async fn remote_context(&self) -> Result<(Option<(Arc<dyn Files>, Digest)>, bool), Error> {
        let mut archive = false;
        match &self.asked.context {
            AskedContext::Local { .. } => return Ok((None, false)),
            AskedContext::Http(url) => {
                let http = Http { url: url.clone(), filename: Some(ONLY_FILE.to_owned()), ..Http::default() };
                let wanted = single(Op::Source(Source::Http(http)), "[internal] load remote build context")?;
                let head = self.gateway.solve(&wanted).await?.read(ONLY_FILE, Some((0, 1024))).await?;
                archive = is_archive(&head);
            }
            AskedContext::Git(..) | AskedContext::Input(_) => {}
        }
        let mut graph = Graph::default();
        let main = self.asked.context.main(archive, false, "");
        let output = main.add(&mut graph, &[], Vec::new()).map_err(|problem| problem.error(None))?;
        let wanted = Ref::new(Arc::new(graph), output)?;
        let files = self.gateway.solve(&wanted).await?;
        Ok((Some((files, digest(&wanted))), archive))
    }

    async fn local(&self, name: &str, follow: &[String], shown: &str) -> Result<Arc<dyn Files>, Error> {
        self.gateway.solve(&self.local_ref(name, follow, shown)?).await
    }

    fn local_ref(&self, name: &str, follow: &[String], shown: &str) -> Result<Ref, Error> {
        let local = Local {
            name: name.to_owned(),
            follow: follow.to_vec(),
            shared_key: format!("{name}-{}", follow.first().map(String::as_str).unwrap_or_default()),
            ..Local::default()
        };
        single(Op::Source(Source::Local(local)), shown)
    }
}

fn single(op: Op, name: &str) -> Result<Ref, Error> {
    let mut graph = Graph::default();
    let shown = Shown { name: name.to_owned(), ..Shown::default() };
    let output = graph.add(op, Vec::new(), None, shown)?.output();
    Ref::new(Arc::new(graph), Some(output))
}

fn digest(wanted: &Ref) -> Digest {
    match wanted.output {
        Some(output) => wanted.graph.get(output.vertex).digest().clone(),
        None => Digest::sha256(b""),
    }
}

/// `dockerfile` is read where there is no `Dockerfile`.
fn small_letters(filename: &str) -> Option<String> {
    let (folder, name) = filename.rsplit_once('/').map_or(("", filename), |(folder, name)| (folder, name));
    let lower = if folder.is_empty() { "dockerfile".to_owned() } else { format!("{folder}/dockerfile") };
    (name == "Dockerfile").then_some(lower)
}

/// Told by its first bytes: compressed by bzip2, gzip, xz or zstd, or a tar.
fn is_archive(head: &[u8]) -> bool {
    const STARTS: [&[u8]; 4] = [b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    STARTS.iter().any(|start| head.starts_with(start)) || head.get(257..262) == Some(b"ustar")
}

/// An image that nobody has, with what may have been meant.
fn unresolved(error: &Error, typed: &str, lines: (usize, usize), texts: &Texts) -> Error {
    const COMMON: [&str; 7] = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];
    let mut findings = Findings::default();
    let stages =
        dockerfile::parse(&texts.source.data, &mut findings).map(|file| file.stages).unwrap_or_default();
    let names = stages.iter().map(|stage| stage.name.as_str()).filter(|name| !name.is_empty());
    let meant = dockerfile::did_you_mean(typed, names.chain(COMMON));
    let lines = Lines { first: lines.0, last: lines.1 };
    Error::Language {
        message: format!("{typed}: {}{meant}", diag::chain(error)),
        class: diag::Explain::class(error),
        hint: diag::Explain::hint(error),
        positions: names::position(&texts.source, lines).into_iter().collect(),
    }
}

fn lines(error: &Error) -> Lines {
    let ranges = error.positions().first().map(|position| position.ranges.as_slice()).unwrap_or_default();
    let line = |number: Option<u32>| number.unwrap_or(0) as usize;
    Lines {
        first: line(ranges.first().map(|range| range.start.0)),
        last: line(ranges.last().map(|range| range.end.0)),
    }
}

impl Problem {
    /// For those who know builds and not Dockerfiles.
    fn error(self, source: Option<&Arc<SourceFile>>) -> Error {
        let positions = source.and_then(|source| names::position(source, self.lines)).into_iter().collect();
        Error::Language { message: self.message, class: self.class, hint: self.hint, positions }
    }
}

/// Where the Dockerfile is may be denied as well.
fn unread(error: Error) -> Error {
    match error {
        Error::Denied(why) => Error::Denied(format!("failed to read dockerfile: {why}")),
        other => other,
    }
}
