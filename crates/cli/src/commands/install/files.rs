//! Single files: put whole or not at all, removed where they are ours.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::completion;
use crate::error::Error;
use crate::tree::{Action, Command, ROOT};

/// Something that is put somewhere.
pub(super) struct Item {
    /// On the installed machine.
    pub(super) path: PathBuf,
    content: Content,
}

pub(super) enum Content {
    /// This very executable.
    Program,
    LinkToProgram,
    Text(String),
}

impl Item {
    pub(super) fn new(path: PathBuf, content: Content) -> Self {
        Self { path, content }
    }

    pub(super) fn is_manual(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "1")
    }

    /// Refuses to take the place of somebody else's program.
    pub(super) fn check(&self, here: &Path) -> Result<(), Error> {
        let is_ours = |target: PathBuf| target.file_name().is_some_and(|name| name == "ketch");
        match (&self.content, fs::symlink_metadata(here)) {
            (Content::LinkToProgram, Ok(meta))
                if !meta.is_symlink() || !fs::read_link(here).is_ok_and(is_ours) =>
            {
                Err(Error::Usage(format!(
                    "{} is there and isn't ours: move it away, or leave --docker out",
                    here.display()
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn put(&self, here: &Path, program: &Path, target: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| {
            let help = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "\nhint: run the command with sudo, or give --root a folder of your own"
                }
                _ => "",
            };
            Error::Usage(format!("cannot write {}: {error}{help}", here.display()))
        };
        let folder = here.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(failed)?;
        let name = here.file_name().unwrap_or_default().to_string_lossy();
        // Beside its place and then moved there: a program that runs can't be written over.
        let new = folder.join(format!(".{name}.{}", std::process::id()));
        let written = match &self.content {
            Content::Program => copy(Path::new("/proc/self/exe"), &new, program),
            Content::LinkToProgram => symlink(target, &new),
            Content::Text(text) => fs::write(&new, text),
        };
        let moved = written.and_then(|()| fs::rename(&new, here));
        moved.map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(error)
        })
    }

    /// Whether there was something of ours.
    pub(super) fn remove(&self, here: &Path, target: &Path) -> Result<bool, Error> {
        if matches!(self.content, Content::LinkToProgram)
            && !fs::read_link(here).is_ok_and(|leads| leads == target)
        {
            return Ok(false);
        }
        match fs::remove_file(here) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::Usage(format!("cannot remove {}: {error}", here.display()))),
        }
    }
}

/// The executable itself, unless it is in its place already.
fn copy(from: &Path, new: &Path, program: &Path) -> io::Result<()> {
    let from = match fs::canonicalize(from) {
        Ok(path) if fs::canonicalize(program).is_ok_and(|there| there == path) => path,
        _ => from.to_owned(),
    };
    io::copy(&mut File::open(from)?, &mut File::create(new)?)?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o755))?;
    File::open(new)?.sync_all()
}

/// What each shell reads for a program of this name.
pub(super) fn completions(prefix: &Path, program: &str) -> Vec<Item> {
    let share = prefix.join("share");
    let places = [
        ("bash", share.join("bash-completion/completions").join(program)),
        ("zsh", share.join("zsh/site-functions").join(format!("_{program}"))),
        ("fish", share.join("fish/vendor_completions.d").join(format!("{program}.fish"))),
    ];
    let script =
        |(shell, path)| Some(Item::new(path, Content::Text(completion::script(shell, program).ok()?)));
    places.into_iter().filter_map(script).collect()
}

/// A page for each command that does something.
pub(super) fn manuals(prefix: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    add(&ROOT, "ketch", &prefix.join("share/man/man1"), &mut items);
    items
}

fn add(command: &Command, path: &str, folder: &Path, items: &mut Vec<Item>) {
    let does_something = match command.action {
        Action::Run(_) => true,
        Action::Group => command.subcommands.iter().any(|one| !matches!(one.action, Action::Refused(_))),
        Action::Refused(_) | Action::NotYet => false,
    };
    if !does_something || command.hidden {
        return;
    }
    let place = folder.join(format!("{}.1", path.replace(' ', "-")));
    items.push(Item::new(place, Content::Text(flags::manual(path, command))));
    for one in command.subcommands {
        add(one, &format!("{path} {}", one.name), folder, items);
    }
}
