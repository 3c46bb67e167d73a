//! `compose …`: a project's file against an engine, over its API like every other command.
//!
//! [`project`] reads the file, [`observe`] asks the engine what is there, the plan between the two is the `compose`
//! crate's, and [`act`] carries it out. What one service's container is asked for (`exec`, `cp`, `top` …) is handed to
//! the command of that name.

mod act;
mod board;
mod build;
mod changes;
mod config;
mod create;
mod down;
mod each;
mod events;
mod follow;
mod images;
mod init;
pub(super) mod inject;
mod kube;
mod logs;
mod ls;
mod menu;
mod observe;
mod one;
mod order;
mod project;
mod provider;
mod ps;
mod publish;
mod pull;
mod remote;
mod report;
mod resources;
mod roll;
mod run;
mod up;
mod wait;
mod watch;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

pub(crate) use build::{build, push};
pub(crate) use config::config;
pub(crate) use create::{create, scale};
pub(crate) use down::down;
pub(crate) use each::{kill, pause, restart, rm, start, stop, unpause};
pub(crate) use events::events;
pub(crate) use images::{images, volumes};
pub(crate) use kube::kube;
pub(crate) use logs::logs;
pub(crate) use ls::ls;
pub(crate) use one::{attach, commit, cp, exec, export, port, stats, top};
pub(crate) use project::load as load_project;
pub(crate) use ps::ps;
pub(super) use publish::is_insecure;
pub(crate) use publish::publish;
pub(crate) use pull::pull;
pub(crate) use run::run;
pub(crate) use up::{plan, up};
pub(crate) use wait::wait;
pub(crate) use watch::watch;

/// The release whose behaviour this is, with our own version behind it: tools compare it with those they know.
const VERSION: &str = concat!("2.40.3+ketch.", env!("CARGO_PKG_VERSION"));

/// `compose version`.
pub(crate) fn version(call: &Call) -> Outcome {
    let flags = call.flags();
    let version = VERSION;
    match (flags.bool("short"), flags.text("format")) {
        (true, _) => ui::out(&format!("{version}\n"))?,
        (false, "json") => ui::out(&format!("{{\"version\":\"{version}\"}}\n"))?,
        (false, "" | "pretty") => ui::out(&format!("Docker Compose version {version}\n"))?,
        (false, other) => {
            return Err(Error::Usage(format!("unsupported format {other:?}: there are pretty and json")));
        }
    }
    Ok(0)
}
