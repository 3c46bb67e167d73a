//! `cp`: files between a container and this host, always as a tar.
//!
//! What goes where is decided by docker's rules ([`names`]), with what is here ([`local`]) and what the engine says is
//! there.

use std::io::{self, Read};
use std::path::PathBuf;

use base64::Engine as _;
use client::{Engine, encode};
use http::Method;
use serde_json::{Value, json};

use super::load::streamed;
use super::{pieces, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

mod local;
mod names;

use names::{Source, Target, place};

const STAT: &str = "x-docker-container-path-stat";
const DIRECTORY: u64 = 1 << 31;
const SYMLINK: u64 = 1 << 27;
const DEVICE: u64 = 1 << 26;
const IRREGULAR: u64 = 1 << 19;

/// What the flags and arguments say.
struct Copy {
    whose: Whose,
    container: String,
    source: String,
    target: String,
    follow: bool,
    archive: bool,
    quiet: bool,
}

/// Whose files are copied, as the API's paths call them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Containers,
    Volumes,
}

impl Whose {
    fn path(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Volumes => "volumes",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Containers => "container",
            Self::Volumes => "volume",
        }
    }
}

/// `cp`, `container cp`.
pub(crate) fn cp(call: &Call) -> Outcome {
    copy(call, Whose::Containers, call.flags().bool("archive"))
}

/// `volume cp`. Owners stay: a volume has no user whose everything could become.
pub(crate) fn of_volumes(call: &Call) -> Outcome {
    copy(call, Whose::Volumes, false)
}

fn copy(call: &Call, whose: Whose, archive: bool) -> Outcome {
    let flags = call.flags();
    let [source, target] = call.args() else { return Ok(1) };
    let refused = |text: &str| Err(Error::Usage(text.into()));
    if source.is_empty() {
        return refused("source can not be empty");
    }
    if target.is_empty() {
        return refused("destination can not be empty");
    }
    let ((from, source), (to, target)) = (split(source), split(target));
    let copy = |container: &str| Copy {
        whose,
        container: container.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        follow: flags.bool("follow-link"),
        archive,
        quiet: if flags.changed("quiet") { flags.bool("quiet") } else { !ui::Sink::Errors.is_terminal() },
    };
    match (from, to) {
        ("", "") => refused(&format!("must specify at least one {} source", whose.one())),
        (from, "") => out_of(call, copy(from)),
        ("", to) => into(call, copy(to)),
        (from, to) if whose == Whose::Volumes => between(call, copy(from), copy(to)),
        _ => refused("copying between containers is not supported"),
    }
}

/// `CONTAINER:PATH`, or a path here: one from the root, and one that begins with a dot, may have colons.
fn split(argument: &str) -> (&str, &str) {
    match argument.split_once(':') {
        Some((container, path)) if !argument.starts_with('/') && !container.starts_with('.') => {
            (container, path)
        }
        _ => ("", argument),
    }
}

/// What the engine says is at a path.
struct Seen {
    mode: u64,
    link: String,
}

impl Seen {
    fn is_link(&self) -> bool {
        self.mode & SYMLINK != 0
    }

    fn is_directory(&self) -> bool {
        self.mode & DIRECTORY != 0
    }
}

fn archive_path(copy: &Copy, path: &str) -> String {
    format!("/{}/{}/archive?path={}", copy.whose.path(), encode(&copy.container), encode(path))
}

async fn look(engine: &Engine, copy: &Copy, path: &str) -> Result<Seen, Error> {
    let answer = engine.stream(Method::HEAD, &archive_path(copy, path), None).await?;
    seen(&answer.headers)
}

fn seen(headers: &http::HeaderMap) -> Result<Seen, Error> {
    let unknown = || Error::Usage("unable to decode container path stat header".into());
    let packed = headers.get(STAT).ok_or_else(unknown)?;
    let text = base64::engine::general_purpose::STANDARD.decode(packed).map_err(|_| unknown())?;
    let stat: Value = serde_json::from_slice(&text).map_err(|_| unknown())?;
    let link = stat["linkTarget"].as_str().unwrap_or_default().to_owned();
    Ok(Seen { mode: stat["mode"].as_u64().unwrap_or_default(), link })
}

/// A link's target from the root, where the engine didn't say so.
fn absolute(link: &str, path: &str) -> String {
    match link.starts_with('/') {
        true => link.to_owned(),
        false => names::join(&names::split(path).0, link),
    }
}

fn out_of(call: &Call, copy: Copy) -> Outcome {
    let to_output = copy.target == "-";
    let target = if to_output { String::new() } else { names::from_here(&copy.target)? };
    if !to_output {
        local::check_output(&target)?;
    }
    call.with_engine(|engine| async move {
        let (mut path, mut rebased) = (copy.source.clone(), None);
        if copy.follow
            && let Ok(there) = look(&engine, &copy, &path).await
            && there.is_link()
        {
            (path, rebased) = names::rebased(&copy.source, &absolute(&there.link, &copy.source));
        }
        let mut body = engine.stream(Method::GET, &archive_path(&copy, &path), None).await?;
        let there = seen(&body.headers)?;
        if to_output {
            while let Some(bytes) = body.next().await? {
                ui::out_bytes(&bytes)?;
            }
            return Ok(0);
        }
        let source = Source { is_directory: there.is_directory(), rebased, path };
        let plan = local::target(&target).and_then(|known| place(&source, &known))?;
        let ((), size) = pieces::read(body, move |pieces| local::extract(pieces, &plan)).await?;
        say(&copy, size as f64, &target);
        Ok(0)
    })
}

fn into(call: &Call, copy: Copy) -> Outcome {
    let from_input = copy.source == "-";
    let source = if from_input { String::new() } else { names::from_here(&copy.source)? };
    call.with_engine(|engine| async move {
        let mut path = copy.target.clone();
        let mut there = look(&engine, &copy, &path).await.ok();
        if let Some(link) = there.as_ref().filter(|there| there.is_link()) {
            path = absolute(&link.link, &copy.target);
            there = look(&engine, &copy, &path).await.ok();
        }
        let shown = format!("{}:{}", copy.container, copy.target);
        if there.as_ref().is_some_and(|there| there.mode & (DEVICE | IRREGULAR) != 0) {
            let message = format!("destination \"{shown}\" must be a directory or a regular file");
            return Err(Error::Usage(message));
        }
        let is_directory = there.as_ref().map(Seen::is_directory);
        let (folder, content): (String, Box<dyn Read + Send>) = match from_input {
            true if is_directory == Some(true) => (path, Box::new(io::stdin())),
            true => return Err(Error::Usage(format!("destination \"{shown}\" must be a directory"))),
            false => {
                let source = local::source(&source, copy.follow)?;
                let plan = place(&source, &Target { path, is_directory })?;
                (plan.folder.clone(), Box::new(local::pack(&source, &plan)?))
            }
        };
        let counted = Counted::default();
        let content = Box::new(Metered { inner: content, counted: counted.clone() });
        let mut request = archive_path(&copy, &folder) + "&noOverwriteDirNonDir=true";
        if copy.archive {
            request.push_str("&copyUIDGID=true");
        }
        let mut answer = engine.stream_from(Method::PUT, &request, streamed(content)).await?;
        while answer.next().await?.is_some() {}
        say(&copy, counted.get() as f64, &shown);
        Ok(0)
    })
}

/// From one volume to another one: nothing of it comes through here.
fn between(call: &Call, from: Copy, to: Copy) -> Outcome {
    call.with_engine(|engine| async move {
        let mut path = from.source.clone();
        // What isn't there the engine says when it is asked for it: an answer to HEAD has no words.
        let mut there = look(&engine, &from, &path).await.ok();
        if let Some(link) = there.as_ref().filter(|there| from.follow && there.is_link()) {
            path = absolute(&link.link, &from.source);
            there = look(&engine, &from, &path).await.ok();
        }
        let is_directory = there.is_some_and(|there| there.is_directory());
        let source = Source { is_directory, rebased: None, path };
        let known = look(&engine, &to, &to.target).await.ok();
        let target =
            Target { path: to.target.clone(), is_directory: known.map(|known| known.is_directory()) };
        let plan = place(&source, &target)?;
        let name = plan.rename.map(|(_, name)| name).unwrap_or_default();
        let body =
            json!({ "From": from.container, "FromPath": source.path, "Path": plan.folder, "Name": name });
        let path = format!("/volumes/{}/copy", encode(&to.container));
        let answer = engine.stream(Method::POST, &path, Some(&body)).await?;
        super::volume_content::follow(answer).await?;
        Ok(0)
    })
}

fn say(copy: &Copy, size: f64, to: &str) {
    if !copy.quiet {
        ui::err(&diag::printable(&format!("Successfully copied {} to {to}", units::size(size, 3))));
    }
}

#[derive(Clone, Default)]
struct Counted(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Counted {
    fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct Metered {
    inner: Box<dyn Read + Send>,
    counted: Counted,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.counted.0.fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(count)
    }
}

/// Where a copy goes and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    folder: String,
    /// What the archive's first component is, and what it is to be.
    rename: Option<(String, String)>,
}

impl Plan {
    fn folder(&self) -> PathBuf {
        PathBuf::from(&self.folder)
    }
}
