//! Compiled filters, kept: containers of one profile and the same capabilities share theirs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::runtime as rt;
use runtime::Filter;

use super::options::Seccomp;
use super::profile::{Invalid, Kernel, Profile, Target};
use super::seccomp::default_profile;
use crate::Error;
use crate::system::Host;

/// How many different ones are kept. Who has more profiles than this compiles now and then.
const KEPT: usize = 64;

/// The filters of this engine.
#[derive(Debug)]
pub(crate) struct Filters {
    /// Of the machine, as profiles name it.
    architecture: String,
    kernel: Kernel,
    /// For containers that don't say: the administrator's decision.
    default: Seccomp,
    kept: Mutex<HashMap<Key, Option<Arc<Filter>>>>,
}

/// What a filter depends on: the profile and, in their order, the capabilities.
type Key = (Seccomp, Vec<String>);

impl Filters {
    pub(crate) fn new(host: &Host, default: Seccomp) -> Self {
        Self {
            architecture: host.image_architecture().to_owned(),
            kernel: Kernel::running(&host.kernel_version),
            default,
            kept: Mutex::default(),
        }
    }

    /// The filter for a container; nothing where it runs without one.
    pub(crate) fn get(
        &self,
        asked: &Seccomp,
        bounding: &HashSet<rt::Capability>,
    ) -> Result<Option<Arc<Filter>>, Error> {
        let key = self.key(asked, bounding);
        if let Some(filter) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(filter.clone());
        }
        let profile = self.resolve(&key)?;
        let filter = profile.map(|profile| runtime::compile_seccomp(&profile)).transpose();
        let filter = filter.map_err(Error::SeccompProfile)?;
        let filter = filter.map(Arc::new);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, filter.clone());
        Ok(filter)
    }

    /// What the filter is compiled from.
    pub(crate) fn profile(
        &self,
        asked: &Seccomp,
        bounding: &HashSet<rt::Capability>,
    ) -> Result<Option<rt::LinuxSeccomp>, Error> {
        self.resolve(&self.key(asked, bounding))
    }

    fn key(&self, asked: &Seccomp, bounding: &HashSet<rt::Capability>) -> Key {
        let profile = match (asked, &self.default) {
            (Seccomp::Default, Seccomp::Default) => Seccomp::Builtin,
            (Seccomp::Default, default) => default.clone(),
            (asked, _) => asked.clone(),
        };
        let mut capabilities: Vec<String> = bounding.iter().map(|cap| format!("CAP_{cap}")).collect();
        capabilities.sort_unstable();
        (profile, capabilities)
    }

    fn resolve(&self, (profile, capabilities): &Key) -> Result<Option<rt::LinuxSeccomp>, Error> {
        let profile = match profile {
            Seccomp::Unconfined => return Ok(None),
            Seccomp::Default | Seccomp::Builtin => default_profile(),
            Seccomp::Profile(text) => Profile::parse(text)?,
        };
        let capabilities = capabilities.iter().cloned().collect();
        let architecture = &self.architecture;
        let target = Target { capabilities: &capabilities, architecture, kernel: self.kernel };
        Ok(profile.resolve(&target)?)
    }
}

/// Whether a profile can be used on this machine.
pub fn check(profile: &Seccomp) -> Result<(), Error> {
    let filters = Filters::new(&Host::read(), Seccomp::Default);
    filters.get(profile, &HashSet::new()).map(drop)
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn filters(kernel: &str) -> Filters {
        let mut host = Host::read();
        (host.machine, host.kernel_version) = ("x86_64".to_owned(), kernel.to_owned());
        Filters::new(&host, Seccomp::Default)
    }

    fn default_for(caps: &[&str], kernel: &str) -> rt::LinuxSeccomp {
        let caps = caps.iter().map(|cap| format!("CAP_{cap}")).collect();
        filters(kernel).resolve(&(Seccomp::Builtin, caps)).unwrap().unwrap()
    }

    /// Each rule for one call, as text.
    fn rules(profile: &rt::LinuxSeccomp) -> BTreeSet<String> {
        let one = |rule: &rt::LinuxSyscall, name: &String| {
            let mut rule = rule.clone();
            rule.set_names(vec![name.clone()]);
            serde_json::to_string(&rule).unwrap()
        };
        let all = profile.syscalls().iter().flatten();
        all.flat_map(|rule| rule.names().iter().map(|name| one(rule, name)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_default_is_docker_s_but_for_the_families_of_sockets() {
        let dockers = include_str!("../../../runtime/tests/seccomp/docker.json");
        let dockers: rt::LinuxSeccomp = serde_json::from_str(dockers).unwrap();
        let ours = default_for(&["SYS_CHROOT", "KILL"], "6.18.0");
        assert_eq!(ours.architectures(), dockers.architectures());
        assert_eq!(
            (ours.default_action(), ours.default_errno_ret()),
            (dockers.default_action(), dockers.default_errno_ret())
        );
        let (ours, dockers) = (rules(&ours), rules(&dockers));
        let differ: Vec<_> = ours.symmetric_difference(&dockers).collect();
        assert!(differ.iter().all(|rule| rule.contains(r#""names":["socket"]"#)), "{differ:?}");
        assert_eq!(differ.len(), 8);
    }

    #[test]
    fn what_a_capability_is_for_is_allowed_with_it() {
        let plain = rules(&default_for(&[], "6.18.0"));
        let added = |cap: &str| -> Vec<String> {
            let names =
                |rule: &String| serde_json::from_str::<rt::LinuxSyscall>(rule).unwrap().names()[0].clone();
            rules(&default_for(&[cap], "6.18.0")).difference(&plain).map(names).collect()
        };
        assert_eq!(added("SYS_BOOT"), ["reboot"]);
        assert_eq!(added("BPF"), ["bpf"]);
        assert_eq!(added("NET_ADMIN"), [""; 0]);
        assert_eq!(added("SYS_ADMIN").len(), 26);
        let administrator = rules(&default_for(&["SYS_ADMIN"], "6.18.0"));
        assert!(!administrator.iter().any(|rule| rule.contains("SCMP_CMP_MASKED_EQ")));
    }

    #[test]
    fn tracing_is_allowed_from_4_8_on() {
        let traces =
            |kernel| rules(&default_for(&[], kernel)).iter().any(|rule| rule.contains(r#"["ptrace"]"#));
        assert!(traces("4.8.0") && traces("6.1") && !traces("4.7.10"));
    }

    #[test]
    fn one_profile_is_compiled_once_for_each_set_of_capabilities() {
        let filters = filters("6.18.0");
        let none = HashSet::new();
        let get = |caps| filters.get(&Seccomp::Default, caps).unwrap().unwrap();
        assert!(Arc::ptr_eq(&get(&none), &get(&none)));
        assert_ne!(get(&none), get(&HashSet::from([rt::Capability::SysBoot])));
        assert_eq!(filters.get(&Seccomp::Unconfined, &none).unwrap(), None);
    }

    #[test]
    fn the_administrator_decides_for_those_who_don_t_say() {
        let filters = Filters::new(&Host::read(), Seccomp::Unconfined);
        assert_eq!(filters.get(&Seccomp::Default, &HashSet::new()).unwrap(), None);
        assert!(filters.get(&Seccomp::Builtin, &HashSet::new()).unwrap().is_some());
    }
}
