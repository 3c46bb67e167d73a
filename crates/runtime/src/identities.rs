//! User namespaces: which users and groups of the host a container's are.

use std::fmt::Write;
use std::fs;
use std::os::fd::OwnedFd;

use oci_spec::runtime::{Linux, LinuxIdMapping};
use rustix::fs::{Mode, OFlags, open};

use crate::Error;
use crate::error::Doing;

/// The kernel takes no more lines.
const MOST: usize = 340;

/// Gives a new user namespace, the one that a process of ours has made, its users and groups.
pub(crate) fn map(pid: i32, linux: &Linux) -> Result<(), Error> {
    let users = table("linux.uidMappings", linux.uid_mappings().as_deref().unwrap_or_default())?;
    let groups = table("linux.gidMappings", linux.gid_mappings().as_deref().unwrap_or_default())?;
    write_tables(pid, &users, &groups)
}

/// Whom the host knows one of the container's users or groups as.
pub(crate) fn on_host(mappings: &[LinuxIdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id()).filter(|offset| *offset < mapping.size())?;
        mapping.host_id().checked_add(offset)
    })
}

/// The same of a container that runs, whose first process this is.
pub(crate) fn on_host_of(pid: i32, table: &str, id: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/{table}")).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u32>().ok());
        let (inside, host, count) = (fields.next()??, fields.next()??, fields.next()??);
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        host.checked_add(offset)
    })
}

fn write_tables(pid: i32, users: &str, groups: &str) -> Result<(), Error> {
    let set = |file: &str, table: &str| {
        fs::write(format!("/proc/{pid}/{file}"), table)
            .doing(&format!("set {file} to {:?}", table.trim_end()))
    };
    set("uid_map", users)?;
    set("gid_map", groups)
}

fn table(field: &'static str, mappings: &[LinuxIdMapping]) -> Result<String, Error> {
    if mappings.is_empty() {
        return Err(Error::Invalid { field, why: "is missing, and a user namespace is asked for".into() });
    }
    if mappings.len() > MOST {
        return Err(Error::Invalid { field, why: format!("has more than {MOST} entries") });
    }
    let mut text = String::new();
    for mapping in mappings {
        let _ = writeln!(text, "{} {} {}", mapping.container_id(), mapping.host_id(), mapping.size());
    }
    Ok(text)
}

/// A user namespace with these users and groups in which nobody is: a mount's owners are mapped by one.
pub(crate) fn namespace(users: &[LinuxIdMapping], groups: &[LinuxIdMapping]) -> Result<OwnedFd, Error> {
    let users = table("mounts.uidMappings", users)?;
    let groups = table("mounts.gidMappings", groups)?;
    let doing = "make a user namespace for a mount";
    let new = sys::Namespaces { user: true, ..sys::Namespaces::default() };
    match sys::clone3(new, None).doing(doing)? {
        sys::Cloned::Child => loop {
            // Until it is killed, or we are.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            rustix::event::pause();
        },
        sys::Cloned::Parent { pid, pidfd } => {
            let mapped = write_tables(pid, &users, &groups).and_then(|()| {
                open(format!("/proc/{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .doing(doing)
            });
            let _ = sys::send_signal(&pidfd, 9);
            let _ = sys::wait_for(&pidfd);
            mapped
        }
    }
}
