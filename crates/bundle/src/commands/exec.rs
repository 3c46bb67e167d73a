//! `exec`.

use std::os::fd::AsFd;

use flags::Matches;
use runtime::{Joining, Manner};

use crate::commands::create::{check_terminal, manner, preserved, streams, tell};
use crate::container::{Container, Status};
use crate::error::Error;
use crate::{Context, foreground, process, protect};

pub(crate) fn exec(context: &Context, flags: &Matches) -> Result<i32, Error> {
    protect::ensure()?;
    let preserved = preserved(flags)?;
    let container = Container::load(&context.root, &flags.args[0])?;
    let process = process::of(flags, &container.record.spec, &flags.args[1..])?;
    let status = container.require("exec in", &[Status::Created, Status::Running, Status::Paused])?;
    if status == Status::Paused && !flags.bool("ignore-paused") {
        return Err(Error::Invalid(
            "cannot exec in a paused container (use --ignore-paused to override)".into(),
        ));
    }
    let detach = flags.bool("detach");
    check_terminal(process.terminal() == Some(true), detach, flags.find("console-socket").is_some())?;
    let signals = if detach { None } else { Some(foreground::take_signals()?) };
    let cgroup = container.cgroup()?;
    let init = container.pidfd()?;
    let mut waiting = runtime::join(Joining {
        process: &process,
        seccomp: container.record.seccomp.as_ref(),
        init: init.as_fd(),
        cgroup: &cgroup,
        stdio: streams()?,
        linux: container.record.spec.linux().as_ref(),
        state: Some(container.hook_state(status_word(status), container.pid())),
        manner: Manner { preserved, ..manner(flags) },
    })?;
    let mut terminal = waiting.console.take();
    let started = tell(flags, &waiting, &mut terminal).and_then(|()| Ok(waiting.start()?));
    if let Err(error) = started {
        let _ = sys::send_signal(&waiting.pidfd, 9);
        let _ = sys::wait_for(&waiting.pidfd);
        return Err(error);
    }
    match signals {
        None => Ok(0),
        Some(signals) => foreground::wait(&waiting.pidfd, terminal, &signals),
    }
}

fn status_word(status: Status) -> &'static str {
    if status == Status::Created { "created" } else { "running" }
}
