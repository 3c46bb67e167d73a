//! The process that `exec` is to run: from a file, or the container's own with what the flags change.

use std::path::Path;

use flags::Matches;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process, Spec};

use crate::error::Error;
use crate::files::read_json;

pub(crate) fn of(flags: &Matches, spec: &Spec, args: &[String]) -> Result<Process, Error> {
    if let Some(path) = flags.find("process") {
        return read_json(Path::new(path));
    }
    let missing = || Error::Invalid("the container's specification has no process".into());
    let mut process = spec.process().clone().ok_or_else(missing)?;
    if args.is_empty() {
        return Err(Error::Invalid("process args cannot be empty".into()));
    }
    process.set_args(Some(args.to_vec())).set_terminal(Some(flags.bool("tty")));
    if let Some(cwd) = flags.find("cwd") {
        process.set_cwd(cwd.into());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(flags.list("env"));
    process.set_env(Some(env));
    if flags.changed("no-new-privs") {
        process.set_no_new_privileges(Some(flags.bool("no-new-privs")));
    }
    if let Some(profile) = flags.find("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    if let Some(label) = flags.find("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    set_user(&mut process, flags)?;
    add_capabilities(&mut process, &flags.list("cap"))?;
    Ok(process)
}

fn set_user(process: &mut Process, flags: &Matches) -> Result<(), Error> {
    let mut user = process.user().clone();
    if let Some(wanted) = flags.find("user") {
        let (uid, gid) = wanted.split_once(':').map_or((wanted, None), |(uid, gid)| (uid, Some(gid)));
        user.set_uid(number("user", uid)?);
        if let Some(gid) = gid {
            user.set_gid(number("user", gid)?);
        }
    }
    let groups = flags.list("additional-gids");
    if !groups.is_empty() {
        let groups =
            groups.iter().map(|gid| number("additional-gids", gid)).collect::<Result<Vec<_>, _>>()?;
        let mut all = user.additional_gids().clone().unwrap_or_default();
        all.extend(groups);
        user.set_additional_gids(Some(all));
    }
    process.set_user(user);
    Ok(())
}

fn number(flag: &str, text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| Error::Invalid(format!("--{flag}: {text:?} is no number of a user or group")))
}

fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let added = names.iter().map(|name| {
        serde_json::from_value::<Capability>(name.as_str().into())
            .map_err(|_| Error::Invalid(format!("--cap: unknown capability {name:?}")))
    });
    let added = added.collect::<Result<Capabilities, _>>()?;
    // The type's own default has some in it.
    let none = || serde_json::from_slice::<LinuxCapabilities>(b"{}").unwrap_or_default();
    let mut sets = process.capabilities().clone().unwrap_or_else(none);
    let with = |set: &Option<Capabilities>| Some(set.iter().flatten().chain(&added).copied().collect());
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    process.set_capabilities(Some(sets));
    Ok(())
}
