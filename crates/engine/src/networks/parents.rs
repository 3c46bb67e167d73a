//! The links that macvlan and ipvlan networks are parts of: the host's own, or, as with dockerd, made with the network where
//! the host has none: a VLAN of a link, or a link that leads nowhere.

use network::Links;
use serde::{Deserialize, Serialize};

use super::NetworkError;
use super::options;
use super::record::{Driver, Network};

/// A parent that is the engine's own, and goes with the last network that is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MadeParent {
    Vlan { of: String, id: u16 },
    Dummy,
}

impl MadeParent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Vlan { .. } => "vlan",
            Self::Dummy => "dummy",
        }
    }

    /// Makes it anew: also after the machine has been started anew.
    fn make(&self, links: &mut Links, name: &str) -> Result<u32, NetworkError> {
        let made = match self {
            Self::Vlan { of, id } => {
                let of = links.index(of)?.ok_or_else(|| NetworkError::NoSuchParent(of.clone()))?;
                links.make_vlan(name, of, *id)
            }
            Self::Dummy => links.make_dummy(name),
        };
        match made {
            Err(error) if error.errno() == Some(rustix::io::Errno::OPNOTSUPP) => {
                Err(NetworkError::NoSuchLinks { kind: self.kind() })
            }
            made => Ok(made?),
        }
    }
}

/// `eth0.10`: a link and a VLAN's number.
fn vlan(name: &str) -> Option<(&str, u16)> {
    let (of, id) = name.rsplit_once('.')?;
    let id = id.parse().ok().filter(|id| (1..=4094).contains(id))?;
    Some((of, id)).filter(|(of, _)| !of.is_empty())
}

impl Network {
    /// How the link is called that its containers' links are parts of.
    pub(super) fn parent(&self) -> Option<String> {
        match (&self.made_parent, self.options.get(options::PARENT)) {
            (_, Some(parent)) => Some(parent.clone()),
            (Some(_), None) => Some(format!("dm-{}", &self.id[..12])),
            (None, None) => None,
        }
    }

    /// Whether there is no way out of it, whatever its subnet has for a gateway.
    pub(super) fn leads_nowhere(&self) -> bool {
        self.internal || self.made_parent == Some(MadeParent::Dummy)
    }

    /// What has to be made for it on this host.
    pub(super) fn choose_parent(&mut self, links: &mut Links) -> Result<(), NetworkError> {
        if !matches!(self.driver, Driver::Macvlan | Driver::Ipvlan) {
            return Ok(());
        }
        let Some(name) = self.options.get(options::PARENT) else {
            self.made_parent = Some(MadeParent::Dummy);
            return Ok(());
        };
        if links.index(name)?.is_some() {
            return Ok(());
        }
        let (of, id) = vlan(name).ok_or_else(|| NetworkError::NoSuchParent(name.clone()))?;
        if links.index(of)?.is_none() {
            return Err(NetworkError::NoSuchParent(of.to_owned()));
        }
        self.made_parent = Some(MadeParent::Vlan { of: of.to_owned(), id });
        Ok(())
    }

    /// The parent's index; it is made if it is the engine's own and isn't there.
    pub(super) fn ensure_parent(&self, links: &mut Links) -> Result<Option<u32>, NetworkError> {
        let Some(name) = self.parent() else { return Ok(None) };
        match (links.index(&name)?, &self.made_parent) {
            (Some(index), _) => Ok(Some(index)),
            (None, Some(made)) => Ok(Some(made.make(links, &name)?)),
            (None, None) => Err(NetworkError::NoSuchParent(name)),
        }
    }

    /// Takes away what was made for it, unless another network is on it, too.
    pub(super) fn drop_parent(&self, others: &[Self]) -> Result<(), NetworkError> {
        let Some(name) = self.parent().filter(|_| self.made_parent.is_some()) else { return Ok(()) };
        if !others.iter().any(|other| other.id != self.id && other.parent().as_ref() == Some(&name)) {
            Links::open()?.remove(&name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_a_link_and_a_number() {
        assert_eq!(vlan("eth0.10"), Some(("eth0", 10)));
        assert_eq!(vlan("eth0.10.20"), Some(("eth0.10", 20)));
        for none in ["eth0", "eth0.", "eth0.0", "eth0.4095", ".5", "eth0.x"] {
            assert_eq!(vlan(none), None, "{none}");
        }
    }
}
