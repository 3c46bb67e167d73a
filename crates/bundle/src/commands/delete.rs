//! `delete`.

use flags::Matches;

use crate::Context;
use crate::container::{Container, Status};
use crate::error::Error;
use crate::store::Folder;

pub(crate) fn delete(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let (id, force) = (&flags.args[0], flags.bool("force"));
    let (container, _lock) = match Container::lock(&context.root, id) {
        Ok(found) => found,
        Err(Error::NotFound(_)) if force => return Ok(0),
        // Somebody was killed before there was anything but the folder.
        Err(Error::Io { .. } | Error::Parse { .. }) if force => {
            Folder::find(&context.root, id)?.remove()?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    match container.status()? {
        Status::Stopped => {}
        // Nothing of a user's runs yet.
        Status::Created => container.kill()?,
        _ if force => container.kill()?,
        status => return Err(Error::Status { doing: "delete", id: id.clone(), status }),
    }
    container.remove(&|warning| context.log.warning(warning))?;
    Ok(0)
}
