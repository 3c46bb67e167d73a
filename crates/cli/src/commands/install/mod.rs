//! `install` and `uninstall`: the program, the units of its engine, completions and man pages, put in place and taken
//! away again.
//!
//! What there is to put follows from the flags alone, so that nothing has to be remembered to take it away: a file of
//! that place is removed, a link only where it leads to us.

mod files;
mod units;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;
use files::{Content, Item};

/// Where things go.
struct Places {
    /// Before every path; nothing on the machine itself.
    root: PathBuf,
    prefix: PathBuf,
    /// The names that the program gets beside its own.
    names: Vec<&'static str>,
    start: bool,
}

impl Places {
    fn of(call: &Call) -> Result<Self, Error> {
        let flags = call.flags();
        let prefix = PathBuf::from(flags.text("prefix"));
        if !prefix.is_absolute() {
            return Err(Error::Usage(format!(
                "--prefix is an absolute path, not {:?}",
                flags.text("prefix")
            )));
        }
        let root = flags.find("root").map(PathBuf::from);
        let names = match flags.bool("docker") {
            true => vec!["docker", "docker-compose"],
            false => Vec::new(),
        };
        let start = root.is_none() && !flags.bool("no-start");
        Ok(Self { root: root.unwrap_or_default(), prefix, names, start })
    }

    /// A path of the installed machine as it is reached from here.
    fn here(&self, path: &Path) -> PathBuf {
        match self.root.as_os_str().is_empty() {
            true => path.to_owned(),
            false => self.root.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// A socket for a group that isn't there would not be opened at all.
    fn has_group(&self, name: &str) -> bool {
        let table = std::fs::read_to_string(self.here(Path::new("/etc/group"))).unwrap_or_default();
        table.lines().any(|line| line.split(':').next() == Some(name))
    }

    fn program(&self) -> PathBuf {
        self.prefix.join("bin/ketch")
    }

    /// Everything, in the order in which it is put.
    fn items(&self) -> Vec<Item> {
        let mut items = vec![Item::new(self.program(), Content::Program)];
        let names = self.names.iter();
        items.extend(names.map(|name| Item::new(self.prefix.join("bin").join(name), Content::LinkToProgram)));
        let group = self.has_group("docker").then_some("docker");
        items.extend(units::all(&self.prefix, &self.program(), !self.names.is_empty(), group));
        let programs =
            std::iter::once("ketch").chain(self.names.iter().copied().filter(|name| *name == "docker"));
        programs.for_each(|program| items.extend(files::completions(&self.prefix, program)));
        items.extend(files::manuals(&self.prefix));
        items
    }
}

/// `install`.
pub(crate) fn install(call: &Call) -> Outcome {
    let places = Places::of(call)?;
    let items = places.items();
    // Before anything is written: a docker of somebody else's stays what it is.
    items.iter().try_for_each(|item| item.check(&places.here(&item.path)))?;
    let program = places.here(&places.program());
    for item in &items {
        item.put(&places.here(&item.path), &program, &places.program())?;
    }
    tell(&items);
    if places.start && Path::new("/run/systemd/system").is_dir() {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--now", units::SOCKET, units::SERVICE])?;
    }
    Ok(0)
}

/// `uninstall`. Images, containers and volumes stay.
pub(crate) fn uninstall(call: &Call) -> Outcome {
    let mut places = Places::of(call)?;
    // Links of ours are found by where they lead, whether they are named again or not.
    places.names = vec!["docker", "docker-compose"];
    let unit = places.here(units::folder(&places.prefix)).join(units::SOCKET);
    if places.start && unit.exists() && Path::new("/run/systemd/system").is_dir() {
        systemctl(&["disable", "--now", units::SOCKET, units::SERVICE])?;
    }
    let mut gone = 0;
    for item in places.items().iter().rev() {
        gone += usize::from(item.remove(&places.here(&item.path), &places.program())?);
    }
    ui::out(&format!("{gone} files removed. Images, containers and volumes are still in /var/lib/ketch.\n"))?;
    Ok(0)
}

fn tell(items: &[Item]) {
    let manuals = items.iter().filter(|item| item.is_manual()).count();
    for item in items.iter().filter(|item| !item.is_manual()) {
        let _ = ui::out(&format!("{}\n", item.path.display()));
    }
    let _ = ui::out(&format!("{manuals} man pages\n"));
}

fn systemctl(arguments: &[&str]) -> Result<(), Error> {
    let line = format!("systemctl {}", arguments.join(" "));
    let status = Command::new("systemctl").args(arguments).status();
    match status.map_err(|error| Error::Io("call systemctl", error))?.success() {
        true => Ok(()),
        false => Err(Error::Usage(format!("`{line}` failed; what was installed is in place"))),
    }
}
