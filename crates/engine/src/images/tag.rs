//! Names: giving an image another one.

use std::sync::PoisonError;
use std::time::SystemTime;

use oci::{Digest, Reference};
use state::Durability;

use super::{Images, Tag, Written};
use crate::Error;

impl Images {
    /// Gives an image a name, which another image may have had. Blocking.
    pub fn tag(&self, typed: &str, target: &Reference) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.look_up(typed)?;
        let ids = found.all.iter().map(|image| image.id.clone()).collect();
        let catalogue = self.catalogue();
        let meant = found.name.as_ref().and_then(|name| catalogue.tags.get(name));
        let written = meant.and_then(|tag| tag.written.clone());
        let name = target.familiar();
        let Some(image) = self.write_name(ids, &name, written)? else {
            return Err(Error::NoSuchImage(typed.to_owned()));
        };
        self.emit("tag", image.as_str(), &name);
        Ok(())
    }

    /// Gives images a name, those of them that are still here. Blocking.
    pub(super) fn name(&self, ids: Vec<Digest>, name: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_name(ids, name, None).map(drop)
    }

    /// Returns the image that the name now means first.
    fn write_name(
        &self,
        ids: Vec<Digest>,
        name: &str,
        written: Option<Box<Written>>,
    ) -> Result<Option<Digest>, Error> {
        let catalogue = self.catalogue();
        let mut here = ids.into_iter().filter(|id| catalogue.images.contains_key(id));
        let Some(image) = here.next() else { return Ok(None) };
        let tag =
            Tag { name: name.to_owned(), image, others: here.collect(), at: SystemTime::now(), written };
        self.db.write(Durability::Power, |tx| tag.write(tx).map_err(Error::from))?;
        self.publish()?;
        Ok(Some(tag.image))
    }
}
