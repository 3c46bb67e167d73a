//! `pause` and `resume`.

use std::time::Duration;

use flags::Matches;

use crate::Context;
use crate::container::{Container, Status};
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn pause(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let (container, _lock) = Container::lock(&context.root, &flags.args[0])?;
    container.require("pause", &[Status::Running, Status::Created])?;
    container.cgroup()?.set_frozen(true, PATIENCE)?;
    Ok(0)
}

pub(crate) fn resume(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let (container, _lock) = Container::lock(&context.root, &flags.args[0])?;
    container.require("resume", &[Status::Paused])?;
    container.cgroup()?.set_frozen(false, PATIENCE)?;
    Ok(0)
}
