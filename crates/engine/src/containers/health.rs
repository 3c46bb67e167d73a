//! Health checks: a program that is run in the container again and again, and what its exit codes say.
//!
//! One task runs the checks of one run of a container, each as a process that joins it; the container's own task is told
//! of every result and alone decides what it means ([`Health::take`]). What is known of a container's health begins anew
//! with every run and every engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oci::image::Healthcheck;
use shim::protocol::{FromShim, ToShim};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::config::Config;
use super::exec::{self, Exec, ExecConfig};
use super::handle::Handle;
use super::state::State;
use super::{Shared, link};
use crate::Error;

const INTERVAL: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// As much of a check's output is kept.
const OUTPUT: usize = 4096;
/// So many results are.
const RESULTS: usize = 5;
/// Who sets this label to `true` has a container restarted that becomes unhealthy. No policy of docker's does that.
pub const RESTART_LABEL: &str = "ketch.restart-on-unhealthy";

/// Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Starting,
    Healthy,
    Unhealthy,
}

impl Status {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub start: SystemTime,
    pub end: SystemTime,
    pub code: i32,
    pub output: String,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub status: Status,
    pub streak: u32,
    pub log: VecDeque<Probe>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { status: Status::Starting, streak: 0, log: VecDeque::new() }
    }

    /// Takes a result in. A container that starts may fail for a while without its being held against it.
    pub(super) fn take(&mut self, check: &Healthcheck, probe: Probe, since: SystemTime) {
        let starting = self.status == Status::Starting && is_within(check, since, probe.start);
        match probe.code {
            0 => (self.streak, self.status) = (0, Status::Healthy),
            _ if starting => {}
            _ => {
                self.streak += 1;
                if self.streak >= retries(check) {
                    self.status = Status::Unhealthy;
                }
            }
        }
        if self.log.len() == RESULTS {
            self.log.pop_front();
        }
        self.log.push_back(probe);
    }
}

fn is_within(check: &Healthcheck, since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).unwrap_or_default() < time(check.start_period, Duration::ZERO)
}

fn time(nanoseconds: Option<i64>, default: Duration) -> Duration {
    let given = nanoseconds.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    given.map_or(default, Duration::from_nanos)
}

fn retries(check: &Healthcheck) -> u32 {
    let given = check.retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    given.unwrap_or(RETRIES)
}

/// Refuses times that can't be meant, in dockerd's words.
pub(super) fn check(check: &Healthcheck) -> Result<(), Error> {
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if value.is_some_and(|value| value != 0 && value < 1_000_000) {
            return Err(Error::Invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries.is_some_and(|retries| retries < 0) {
        return Err(Error::Invalid("Retries in Healthcheck cannot be negative".into()));
    }
    Ok(())
}

/// What the client leaves open, the image says.
pub(super) fn merge(own: Option<Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(mut own), Some(image)) = (own.clone(), image) else { return own.or_else(|| image.cloned()) };
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    let fill = |field: &mut Option<i64>, value: Option<i64>| {
        *field = field.filter(|value| *value != 0).or(value);
    };
    fill(&mut own.interval, image.interval);
    fill(&mut own.timeout, image.timeout);
    fill(&mut own.start_period, image.start_period);
    fill(&mut own.start_interval, image.start_interval);
    fill(&mut own.retries, image.retries);
    Some(own)
}

/// What is run, if anything is.
pub(super) fn command(config: &Config) -> Option<Vec<String>> {
    let test = &config.healthcheck.as_ref()?.test;
    let shell = || match &config.shell {
        Some(words) if !words.is_empty() => words.clone(),
        _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
    };
    match test.split_first()? {
        (kind, rest) if kind == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
        (kind, rest) if kind == "CMD-SHELL" && !rest.is_empty() => Some([shell(), rest.to_vec()].concat()),
        _ => None,
    }
}

/// The task that runs the checks; it ends with this.
#[derive(Debug)]
pub(super) struct Monitor(tokio::task::AbortHandle);

impl Drop for Monitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to check a container that runs, if it has anything to be checked by.
pub(super) fn watch(shared: &Arc<Shared>, handle: Handle) -> Option<Monitor> {
    let view = handle.view();
    let config = &view.container.config;
    let (command, check) = (command(config)?, config.healthcheck.clone()?);
    let task = tasks::spawn(run(shared.clone(), handle, command, check));
    Some(Monitor(task.abort_handle()))
}

async fn run(shared: Arc<Shared>, handle: Handle, command: Vec<String>, check: Healthcheck) {
    loop {
        tokio::time::sleep(pause(&handle, &check)).await;
        let view = handle.view();
        // What is held still can't answer, which is no illness.
        if !matches!(view.container.state, State::Running(_)) {
            continue;
        }
        let probe = probe(&shared, &handle, &command, &check).await;
        if handle.probed(probe).await.is_err() {
            return;
        }
    }
}

fn pause(handle: &Handle, check: &Healthcheck) -> Duration {
    let view = handle.view();
    let since = view.container.state.live().map_or_else(SystemTime::now, |live| live.since);
    let starting = view.health.as_ref().is_some_and(|health| health.status == Status::Starting);
    if starting && is_within(check, since, SystemTime::now()) {
        return time(check.start_interval, START_INTERVAL);
    }
    time(check.interval, INTERVAL)
}

async fn probe(shared: &Arc<Shared>, handle: &Handle, command: &[String], check: &Healthcheck) -> Probe {
    let start = SystemTime::now();
    let config = ExecConfig {
        attach_stdout: true,
        attach_stderr: true,
        cmd: Some(command.to_vec()),
        ..ExecConfig::default()
    };
    let exec = Exec::new(handle.id(), config);
    let patience = time(check.timeout, INTERVAL);
    let (code, output) = match exec::run_unlisted(shared, handle, &exec).await {
        Ok((stream, mut control)) => {
            match tokio::time::timeout(patience, ended(stream, &mut control)).await {
                Ok(ended) => ended,
                Err(_) => {
                    // It may end by itself in this moment; and it ends with the container at the latest.
                    let _ = link::send(&mut control, &ToShim::Signal { signal: 9 }).await;
                    (-1, format!("Health check exceeded timeout ({})", shown(patience)))
                }
            }
        }
        Err(error) => (-1, diag::chain(&error)),
    };
    exec::tell_of(shared, handle, &exec, "exec_die", &[("exitCode", code.to_string())]);
    Probe { start, end: SystemTime::now(), code, output }
}

/// Go's way with whole seconds and milliseconds, which is what people set.
fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 if time.as_secs() >= 60 => format!("{}m{}s", time.as_secs() / 60, time.as_secs() % 60),
        0 => format!("{}s", time.as_secs()),
        millis if time.as_secs() == 0 => format!("{millis}ms"),
        _ => format!("{}s", time.as_secs_f64()),
    }
}

/// Its exit code and the beginning of what it wrote.
async fn ended(mut stream: UnixStream, control: &mut UnixStream) -> (i32, String) {
    let (mut output, mut whole) = (Vec::new(), true);
    let mut head = [0; 8];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let mut text = vec![0; length.min(1 << 20)];
        if stream.read_exact(&mut text).await.is_err() {
            break;
        }
        let room = OUTPUT - output.len();
        whole &= text.len() <= room;
        output.extend_from_slice(&text[..text.len().min(room)]);
    }
    let mut output = String::from_utf8_lossy(&output).into_owned();
    if !whole {
        output.push_str("...");
    }
    loop {
        match link::receive::<FromShim>(control).await {
            Ok(FromShim::Exited(exit)) => return (exit.code, output),
            Ok(_) => {}
            Err(_) => return (-1, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(code: i32, second: u64) -> Probe {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Probe { start: at, end: at, code, output: String::new() }
    }

    #[test]
    fn failures_count_after_the_start_period_or_the_first_success() {
        let check =
            Healthcheck { start_period: Some(10_000_000_000), retries: Some(2), ..Healthcheck::default() };
        let mut health = Health::new();
        let mut after = |code, second| {
            health.take(&check, probe(code, second), SystemTime::UNIX_EPOCH);
            (health.status, health.streak)
        };
        assert_eq!(after(1, 1), (Status::Starting, 0));
        assert_eq!(after(1, 11), (Status::Starting, 1));
        assert_eq!(after(1, 12), (Status::Unhealthy, 2));
        assert_eq!(after(0, 13), (Status::Healthy, 0));
        assert_eq!(after(1, 14), (Status::Healthy, 1));
        assert_eq!(after(-1, 15), (Status::Unhealthy, 2));
        assert_eq!(health.log.len(), 5);
    }

    #[test]
    fn the_image_says_what_the_client_leaves_open() {
        let own = Healthcheck { interval: Some(0), retries: Some(7), ..Healthcheck::default() };
        let image =
            Healthcheck { test: vec!["CMD".into(), "t".into()], interval: Some(5), ..Healthcheck::default() };
        let merged = merge(Some(own), Some(&image)).unwrap();
        assert_eq!((merged.test.len(), merged.interval, merged.retries), (2, Some(5), Some(7)));
        assert_eq!(merge(None, Some(&image)), Some(image));
        assert_eq!(merge(None, None), None);
    }

    #[test]
    fn only_a_command_is_run() {
        let with = |test: &[&str]| {
            let test = test.iter().map(|&word| word.to_owned()).collect();
            command(&Config {
                healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }),
                ..Config::default()
            })
        };
        assert_eq!(with(&["CMD", "a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(with(&["CMD-SHELL", "a b"]).unwrap(), ["/bin/sh", "-c", "a b"]);
        assert_eq!((with(&["NONE"]), with(&[]), with(&["CMD"])), (None, None, None));
    }
}
