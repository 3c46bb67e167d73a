//! Changing files.

use build::Error;
use build::graph::{Action, Change, Copy, File, Id, Mkdir, Mkfile, Mode, Op, Owner, Place, Remove, Symlink};

use super::{index, input_at};
use crate::proto::pb;
use crate::proto::pb::file_action::Action as Kind;

pub(super) fn decode(file: pb::FileOp, inputs: usize) -> Result<(Op, String), Error> {
    let mut names = Vec::new();
    let mut actions = Vec::new();
    for action in file.actions {
        let (change, name) = change(action.action, action.secondary_input, inputs)?;
        let output = if action.output == -1 { None } else { Some(index(action.output)?) };
        actions.push(Action { base: place(action.input, inputs)?, change, output });
        names.push(name);
    }
    Ok((Op::File(File { actions }), names.join(", ")))
}

/// Inputs come first, then what earlier actions left; -1 is nothing.
fn place(number: i64, inputs: usize) -> Result<Place, Error> {
    if number == -1 {
        return Ok(Place::Scratch);
    }
    let input = input_at(number)?;
    match (input.0 as usize).checked_sub(inputs) {
        None => Ok(Place::Input(input)),
        Some(action) => Ok(Place::Action(action as u32)),
    }
}

fn change(kind: Option<Kind>, secondary: i64, inputs: usize) -> Result<(Change, String), Error> {
    let owner = |owner: Option<pb::ChownOpt>| owner.map(|owner| self::owner(owner, inputs)).transpose();
    Ok(match kind {
        None => return Err(Error::Unsupported { what: "an unknown change of files".into() }),
        Some(Kind::Copy(copy)) => {
            let name = format!("copy {} {}", copy.src, copy.dest);
            (Change::Copy(Box::new(self::copy(copy, place(secondary, inputs)?, inputs)?)), name)
        }
        Some(Kind::Mkfile(file)) => {
            let name = format!("mkfile {}", file.path);
            let (mode, time) = (bits(file.mode)?, time(file.timestamp));
            let owner = owner(file.owner)?;
            (Change::Mkfile(Mkfile { path: file.path, data: file.data, mode, owner, time }), name)
        }
        Some(Kind::Mkdir(directory)) => {
            let name = format!("mkdir {}", directory.path);
            let (mode, time) = (bits(directory.mode)?, time(directory.timestamp));
            let (parents, owner) = (directory.make_parents, owner(directory.owner)?);
            (Change::Mkdir(Mkdir { path: directory.path, mode, parents, owner, time }), name)
        }
        Some(Kind::Rm(remove)) => {
            let name = format!("rm {}", remove.path);
            let (allow_missing, wildcard) = (remove.allow_not_found, remove.allow_wildcard);
            (Change::Remove(Remove { path: remove.path, allow_missing, wildcard }), name)
        }
        Some(Kind::Symlink(link)) => {
            let name = format!("symlink {} -> {}", link.newpath, link.oldpath);
            let (owner, time) = (owner(link.owner)?, time(link.timestamp));
            (Change::Symlink(Symlink { old: link.oldpath, new: link.newpath, owner, time }), name)
        }
    })
}

fn copy(copy: pb::FileActionCopy, from: Place, inputs: usize) -> Result<Copy, Error> {
    let mode = match (copy.mode_str.as_str(), copy.mode) {
        ("", -1) => None,
        ("", mode) => Some(Mode::Bits(bits(mode)?)),
        (text, _) => Some(match u32::from_str_radix(text, 8) {
            Ok(mode) => Mode::Bits(mode & 0o7777),
            Err(_) => Mode::Symbolic(text.to_owned()),
        }),
    };
    Ok(Copy {
        owner: copy.owner.map(|owner| self::owner(owner, inputs)).transpose()?,
        mode,
        follow_symlinks: copy.follow_symlink,
        contents_only: copy.dir_copy_contents,
        unpack: copy.attempt_unpack_docker_compatibility,
        create_target_path: copy.create_dest_path,
        wildcard: copy.allow_wildcard,
        allow_empty_wildcard: copy.allow_empty_wildcard,
        include: copy.include_patterns,
        exclude: copy.exclude_patterns,
        replace_existing: copy.always_replace_existing_dest_paths,
        required: copy.required_paths,
        time: time(copy.timestamp),
        ..Copy::new(from, copy.src, copy.dest)
    })
}

/// -1 is no time at all.
fn time(timestamp: i64) -> Option<i64> {
    (timestamp != -1).then_some(timestamp)
}

fn bits(mode: i32) -> Result<u32, Error> {
    let mode = u32::try_from(mode).map_err(|_| Error::Invalid("a file's mode is negative".into()))?;
    Ok(mode & 0o7777)
}

fn owner(owner: pb::ChownOpt, inputs: usize) -> Result<Owner, Error> {
    let id = |user: Option<pb::UserOpt>| match user.and_then(|user| user.user) {
        None => Ok(None),
        Some(pb::user_opt::User::ById(number)) => Ok(Some(Id::Number(number))),
        Some(pb::user_opt::User::ByName(named)) => {
            Ok(Some(Id::Name { name: named.name, within: place(named.input, inputs)? }))
        }
    };
    Ok(Owner { user: id(owner.user)?, group: id(owner.group)? })
}
