//! Another name.

use super::super::create;
use super::Actor;
use crate::Error;

impl Actor {
    /// Takes another name, as it was `asked` for.
    pub(super) fn rename(&mut self, asked: &str) -> Result<(), Error> {
        let (old, new) = (self.container().name.clone(), asked.strip_prefix('/').unwrap_or(asked).to_owned());
        if new.is_empty() {
            return Err(Error::EmptyName);
        }
        if new == old {
            return Err(Error::SameName);
        }
        let id = self.container().id.clone();
        let claimed = create::check_name(&new, &format!("/{new}")).and_then(|()| self.index.claim(&new, &id));
        claimed.map_err(|error| Error::Rename(Box::new(error)))?;
        self.edit().container.name.clone_from(&new);
        if let Err(error) = self.record() {
            self.index.release(&new);
            self.edit().container.name = old;
            return Err(error);
        }
        self.index.release(&old);
        self.shared.emit(self.container(), "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
