//! The engine as a process: `ketch daemon`, and `dockerd` for those who start one.
//!
//! This crate owns dockerd's command line and `daemon.json`, the listening sockets, the pid file, signals, and the
//! hand-over to a newer executable. What the engine does is the engine's; what clients see is the API's.

mod config;
mod error;
mod file;
mod flags;
mod groups;
mod handover;
mod listen;
mod log;
mod notify;
mod pidfile;
mod run;
mod settings;
mod tls;

use std::ffi::OsString;

use ::flags::{Matches, Outcome, Page};

use crate::config::Config;
use crate::error::Error;

pub use file::fuzz as fuzz_config_file;
pub use settings::dump as dump_settings;

/// Runs with the words after the program's name; `program` is how help calls it. Returns the exit code.
pub fn main(program: &str, words: Vec<OsString>) -> i32 {
    match ::flags::parse(program, &flags::COMMAND, &words) {
        Ok(Outcome::Run(invocation)) => start(&invocation.matches, words),
        Ok(Outcome::Help(_)) => {
            let page = Page { path: program, width: 80, extra: &[], defaults: &[], groups_only: false };
            print(&page.render(&flags::COMMAND));
            0
        }
        Err(error) => {
            complain(&error.render());
            error.exit_code()
        }
    }
}

fn start(matches: &Matches, words: Vec<OsString>) -> i32 {
    if matches.bool("version") {
        let (version, commit) = (about::VERSION, about::COMMIT);
        print(&format!("Ketch version {version}, build {commit}\n"));
        return 0;
    }
    let config = match Config::load(matches) {
        Ok(config) => config,
        Err(error) => {
            complain(&format!(
                "unable to configure the engine with file {}\n{}",
                matches.text("config-file"),
                diag::render(&error)
            ));
            return 1;
        }
    };
    if matches.bool("validate") {
        complain("configuration OK");
        return 0;
    }
    match serve(config, matches.clone(), words) {
        Ok(()) => 0,
        Err(error) => {
            let why = diag::render(&error);
            complain(&format!("failed to start daemon: {}", why.strip_prefix("error: ").unwrap_or(&why)));
            1
        }
    }
}

fn serve(config: Config, matches: Matches, words: Vec<OsString>) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4)))
        .max_blocking_threads(64)
        .enable_all()
        .build()
        .map_err(|source| Error::System { doing: "start the runtime", source })?;
    let result = runtime.block_on(run::run(config, matches, words));
    // A blocking task that reads from a client that never sends must not keep the process.
    runtime.shutdown_background();
    result
}

fn print(text: &str) {
    use std::io::Write as _;
    // Who closed our output doesn't read it.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
