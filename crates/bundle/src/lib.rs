//! `ketch runtime`: an OCI runtime that containerd, dockerd and podman can call, with runc's commands and flags.
//!
//! This crate owns its state directory; what happens inside a container is `runtime`'s.
//!
//! ```text
//! <root>/                 /run/ketch-runtime, 0700
//!   <id>/                 made by `create`, locked by whatever changes it
//!     container.json      what was asked for, before anything is done
//!     pid                 process 1 with its start time, once it exists
//!     start.sock          process 1 listens here until it is started
//! ```
//!
//! A status is never written down: it is what these files and the kernel say.

mod commands;
mod console;
mod container;
mod error;
mod files;
mod foreground;
mod log;
mod process;
mod protect;
mod signals;
mod store;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

use flags::{Matches, Outcome, Page};

use crate::error::Error;
use crate::log::Log;

/// Where state is kept unless `--root` says otherwise.
pub(crate) const ROOT: &str = "/run/ketch-runtime";

/// What a command is given besides its own flags.
pub(crate) struct Context {
    pub(crate) root: PathBuf,
    pub(crate) log: Log,
    pub(crate) systemd: bool,
}

/// What a command does; the number is the exit code.
pub(crate) type Action = fn(&Context, &Matches) -> Result<i32, Error>;

/// Runs with the words after the program's name; `program` is how help calls it. Returns the exit code.
pub fn main(program: &str, words: &[OsString]) -> i32 {
    let invocation = match flags::parse(program, &table::ROOT, words) {
        Ok(Outcome::Run(invocation)) => invocation,
        Ok(Outcome::Help(invocation)) => {
            if invocation.matches.given().any(|(flag, _)| flag.long == "version") {
                print(&version(program));
                return 0;
            }
            let path = &invocation.path;
            print(
                &Page { path, width: 80, extra: &[], defaults: &[], groups_only: false }
                    .render(invocation.command),
            );
            return 0;
        }
        Err(error) => {
            complain(&error.render());
            return 1;
        }
    };
    let globals = &invocation.outer[0];
    if globals.bool("version") {
        print(&version(program));
        return 0;
    }
    let log = Log::new(globals);
    let context = Context { root: globals.text("root").into(), log, systemd: globals.bool("systemd-cgroup") };
    match check_globals(globals).and_then(|()| (invocation.command.action)(&context, &invocation.matches)) {
        Ok(code) => code,
        Err(error) => {
            let text = diag::chain(&error);
            context.log.error(&text);
            complain(&diag::printable(&text));
            // As runc: a program that could not be executed is told from one that failed.
            if invocation.command.name == "exec" { 255 } else { 1 }
        }
    }
}

fn check_globals(globals: &Matches) -> Result<(), Error> {
    match globals.text("rootless") {
        "auto" | "false" => Ok(()),
        other => Err(Error::Unsupported(format!("--rootless {other}"))),
    }
}

fn version(program: &str) -> String {
    format!(
        "{program} version {}\ncommit: {}\nspec: {}\n",
        about::VERSION,
        about::COMMIT,
        commands::SPEC_VERSION
    )
}

pub(crate) fn print(text: &str) {
    // A reader that has gone is no error of ours.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

fn complain(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}
