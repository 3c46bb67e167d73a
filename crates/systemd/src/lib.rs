//! systemd as the keeper of cgroups: the few questions of its D-Bus interface that a runtime asks.
//!
//! They go over systemd's private socket, which root may use and which is there whenever systemd runs: no bus daemon is
//! asked, and none need be there. [`wire`] is D-Bus' format, as far as these questions and their answers use it.
//!
//! ```text
//! connect ── AUTH EXTERNAL … BEGIN
//! call ───── a method, its answer; signals that come in between are kept
//! job ────── a call whose answer names a job; it is done when `JobRemoved` says so
//! ```
//!
//! What comes is bounded (a message of a megabyte, thirty seconds of silence), though it comes from process 1.

mod wire;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use wire::{Call, Kind, Message};
pub use wire::{Property, Value};

const SOCKET: &str = "/run/systemd/private";
/// A job may wait for others; a manager that says nothing for so long doesn't answer any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Larger than any answer to what we ask.
const MAX_MESSAGE: usize = 1 << 20;
/// An answer comes after at most so many messages about something else.
const MAX_SIGNALS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("systemd does not run on this host")]
    Absent,
    #[error("cannot {doing} systemd")]
    Talk { doing: &'static str, source: io::Error },
    #[error("systemd refuses {what}: {text} ({name})")]
    Refused { what: String, name: String, text: String },
    #[error("systemd's job for {unit} ended as {result:?}")]
    Job { unit: String, result: String },
}

impl Error {
    /// Whether the unit that was asked about isn't there.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit")
    }
}

/// Whether systemd is this host's init, by its own test.
pub fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A connection to the manager.
#[derive(Debug)]
pub struct Manager {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Message>,
}

impl Manager {
    pub fn connect() -> Result<Self, Error> {
        if !runs() {
            return Err(Error::Absent);
        }
        let talk = |source| Error::Talk { doing: "reach", source };
        let stream = UnixStream::connect(SOCKET).map_err(talk)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(talk)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(talk)?;
        let mut manager = Self { stream, serial: 0, signals: VecDeque::new() };
        manager.authenticate().map_err(talk)?;
        Ok(manager)
    }

    /// Starts a scope around a process and returns when it is there, with the process in its cgroup.
    pub fn start_scope(&mut self, name: &str, process: u32, properties: &[Property]) -> Result<(), Error> {
        let mut all = vec![Property::new("PIDs", Value::Numbers(vec![process]))];
        all.extend_from_slice(properties);
        let call = Call::manager("StartTransientUnit")
            .text(name)
            .text("fail")
            .properties(&all)
            // Further units that are to be made with it: none.
            .properties_of_units();
        self.job(name, &call)
    }

    /// Changes a unit until it or the machine is restarted.
    pub fn set_properties(&mut self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let call = Call::manager("SetUnitProperties").text(name).flag(true).properties(properties);
        self.call(name, &call).map(drop)
    }

    /// Ends a unit; one that isn't there has ended.
    pub fn stop(&mut self, name: &str) -> Result<(), Error> {
        match self.job(name, &Call::manager("StopUnit").text(name).text("replace")) {
            Err(error) if error.is_no_such_unit() => Ok(()),
            other => other,
        }
    }

    fn job(&mut self, unit: &str, call: &Call) -> Result<(), Error> {
        // Older ones are about other jobs: a job's end is told after the call that made it was read.
        self.signals.clear();
        let answer = self.call(unit, call)?;
        let path = answer.body().text().ok_or_else(|| garbled("understand"))?;
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.receive()?,
            };
            if signal.member.as_deref() != Some("JobRemoved") {
                continue;
            }
            let mut body = signal.body();
            let (Some(_), Some(job), Some(_), Some(result)) =
                (body.number(), body.text(), body.text(), body.text())
            else {
                continue;
            };
            match (job == path, result.as_str()) {
                (false, _) => {}
                (true, "done") => return Ok(()),
                (true, _) => return Err(Error::Job { unit: unit.to_owned(), result }),
            }
        }
    }

    fn call(&mut self, what: &str, call: &Call) -> Result<Message, Error> {
        self.serial += 1;
        let bytes = call.encode(self.serial);
        self.stream.write_all(&bytes).map_err(|source| Error::Talk { doing: "write to", source })?;
        for _ in 0..MAX_SIGNALS {
            let message = self.receive()?;
            match message.kind {
                Kind::Answer if message.answers == Some(self.serial) => return Ok(message),
                Kind::Error if message.answers == Some(self.serial) => {
                    let text = message.body().text().unwrap_or_default();
                    let name = message.error.unwrap_or_default();
                    return Err(Error::Refused { what: format!("{} of {what}", call.member()), name, text });
                }
                Kind::Signal => self.signals.push_back(message),
                _ => {}
            }
        }
        Err(garbled("hear an answer from"))
    }

    fn receive(&mut self) -> Result<Message, Error> {
        let failed = |source| Error::Talk { doing: "read from", source };
        let mut start = [0; wire::START];
        self.stream.read_exact(&mut start).map_err(failed)?;
        let rest = wire::length_after_start(&start).filter(|length| *length <= MAX_MESSAGE);
        let mut bytes = start.to_vec();
        bytes.resize(wire::START + rest.ok_or_else(|| garbled("understand"))?, 0);
        self.stream.read_exact(&mut bytes[wire::START..]).map_err(failed)?;
        Message::decode(&bytes).ok_or_else(|| garbled("understand"))
    }

    /// Says who we are; the socket's other end knows already. In one piece with `BEGIN`: what comes together with it but
    /// after it, systemd leaves lying until more comes.
    fn authenticate(&mut self) -> io::Result<()> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let hex: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        // Byte by byte: what comes after the line is a message.
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 256 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        match line.starts_with(b"OK ") {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

fn garbled(doing: &'static str) -> Error {
    Error::Talk { doing, source: io::ErrorKind::InvalidData.into() }
}
