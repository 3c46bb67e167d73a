//! `events`: statistics, once or again and again, and the kernel's killing for want of memory.

use std::time::Duration;

use flags::Matches;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::container::{Container, Status};
use crate::error::{Doing, Error};
use crate::{Context, print};

pub(crate) fn events(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let container = Container::load(&context.root, &flags.args[0])?;
    let interval = flags.duration("interval");
    if interval.is_zero() {
        return Err(Error::Invalid("duration interval must be greater than 0".into()));
    }
    container.require("watch", &[Status::Created, Status::Running, Status::Paused])?;
    let pidfd = container.pidfd()?;
    let cgroup = container.cgroup()?;
    let id = &container.record.id;
    let mut killed = cgroup.oom_killed();
    loop {
        print(&format!("{}\n", json!({"type": "stats", "id": id, "data": cgroup.stats()?})));
        if flags.bool("stats") {
            return Ok(0);
        }
        if wait(&pidfd, interval)? {
            return Ok(0);
        }
        if cgroup.oom_killed() && !std::mem::replace(&mut killed, true) {
            print(&format!("{}\n", json!({"type": "oom", "id": id})));
        }
    }
}

/// Whether the container has ended.
fn wait(pidfd: &std::os::fd::OwnedFd, interval: Duration) -> Result<bool, Error> {
    let timeout = Timespec::try_from(interval).ok();
    match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        other => Ok(other.doing("wait for the container")? > 0),
    }
}
