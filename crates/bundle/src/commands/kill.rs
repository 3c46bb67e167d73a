//! `kill`.

use std::time::Duration;

use flags::Matches;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::container::{Container, Status};
use crate::error::{Doing, Error};
use crate::{Context, signals};

const KILL: i32 = 9;

pub(crate) fn kill(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let signal = signals::parse(flags.args.get(1).map_or("TERM", String::as_str))?;
    let container = Container::load(&context.root, &flags.args[0])?;
    let all = flags.bool("all");
    if all {
        signal_all(&container, signal)?;
    } else {
        let pidfd = container.pidfd()?;
        sys::send_signal(&pidfd, signal).map_err(|_| Error::NotRunning)?;
    }
    if signal == KILL {
        // A frozen process can't even die.
        let cgroup = container.cgroup()?;
        if cgroup.is_frozen() {
            cgroup.set_frozen(false, Duration::from_secs(10))?;
        }
        if !all && !container.has_own_processes() {
            // Nobody ends the others with it.
            signal_all(&container, signal)?;
        }
    }
    Ok(0)
}

fn signal_all(container: &Container, signal: i32) -> Result<(), Error> {
    let cgroup = container.cgroup()?;
    let frozen_by_us = signal == KILL && container.status()? == Status::Running;
    if frozen_by_us {
        // So that none is missed that is just being born. Without a freezer some may be.
        let _ = cgroup.set_frozen(true, Duration::from_secs(2));
    }
    for pid in cgroup.process_ids()? {
        let Some(pid) = Pid::from_raw(pid) else { continue };
        // Those that end meanwhile are as they should be.
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = sys::send_signal(&pidfd, signal);
        }
    }
    if frozen_by_us {
        cgroup.set_frozen(false, Duration::from_secs(2)).map_err(Error::from)?;
    }
    Ok::<(), std::io::Error>(()).doing("signal the container")
}
