//! Names: giving an image another one.

use std::sync::PoisonError;
use std::time::SystemTime;

use oci::Reference;
use state::Durability;

use super::{IMAGE, Images, Tag};
use crate::Error;

impl Images {
    /// Gives an image a name, which another image may have had. Blocking.
    pub fn tag(&self, typed: &str, target: &Reference) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let image = self.get(typed)?;
        let name = target.familiar();
        self.db.write(Durability::Power, |tx| {
            // Lets go of the image that had the name.
            tx.delete::<Tag>(&name)?;
            tx.put(&Tag { name: name.clone(), image: image.id.clone(), at: SystemTime::now() })?;
            tx.hold::<Tag>(&name, IMAGE, image.id.as_str())?;
            Ok::<_, Error>(())
        })?;
        self.publish()?;
        self.emit("tag", image.id.as_str(), &name);
        Ok(())
    }
}
