//! What an engine left behind: processes, mounts, cgroups, files. Interfaces and rules: see `netfilter`.
//!
//! Everything of an engine carries its scratch path (command lines, environments, mounts) or the id of one of its
//! containers (cgroups), so a look at the whole machine finds this engine's leftovers and nobody else's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Processes that belong to `scratch`: by command line, environment, working directory or root.
pub fn processes(scratch: &Path) -> Vec<(i32, String)> {
    let own = std::process::id().cast_signed();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| belongs(pid, scratch).map(|how| (pid, how))).collect()
}

fn belongs(pid: i32, scratch: &Path) -> Option<String> {
    let needle = scratch.to_str()?;
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let command = fs::read(folder.join("cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let environment = fs::read(folder.join("environ")).unwrap_or_default();
    let by_link = ["cwd", "root", "exe"]
        .iter()
        .any(|link| fs::read_link(folder.join(link)).is_ok_and(|target| target.starts_with(scratch)));
    let found = has(&command, needle) || has(&String::from_utf8_lossy(&environment), needle) || by_link;
    found.then(|| format!("process {pid}: {command}"))
}

/// `/tmp/kt-1-1` must not find `/tmp/kt-1-12`.
fn has(text: &str, path: &str) -> bool {
    text.match_indices(path)
        .any(|(at, _)| !text[at + path.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Mounts below `scratch`, in our mount namespace.
pub fn mounts(scratch: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let needle = scratch.to_string_lossy().into_owned();
    table.lines().filter(|line| has(line, &needle)).map(|line| format!("mount: {line}")).collect()
}

/// Cgroups, in any hierarchy, with the id of one of these containers in their name.
pub fn cgroups(ids: &BTreeSet<String>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        let children = fs::read_dir(&folder).into_iter().flatten().flatten();
        for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = child.file_name().to_string_lossy().into_owned();
            if ids.iter().any(|id| name.contains(id.as_str())) {
                found.push(child.path());
            }
            folders.push(child.path());
        }
    }
    found
}

/// Ids of containers that the engine's folders know.
pub fn container_ids(folders: &[PathBuf]) -> BTreeSet<String> {
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder.join("containers")).into_iter().flatten().flatten());
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).collect()
}

/// Sockets, pids and shim state that a stopped engine without containers should have taken away.
pub fn run_files(run: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![run.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                // A lock file stays: taking it away would let two engines lock two files of one name.
                _ if entry.path().extension().is_some_and(|extension| extension == "lock") => {}
                _ => found.push(format!("file: {}", entry.path().display())),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::Scratch;

    #[test]
    fn a_process_is_found_by_its_environment_and_by_its_folder() {
        let scratch = Scratch::create();
        let start = |command: &mut Command| command.arg("60").stdin(Stdio::null()).spawn().unwrap();
        let mut children = [
            start(Command::new("sleep").env("SOME_PLACE", scratch.join("run"))),
            start(Command::new("sleep").current_dir(scratch.path())),
        ];
        crate::eventually(crate::DEADLINE, || match processes(scratch.path()).len() {
            2 => Ok(()),
            other => Err(other),
        });
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(processes(scratch.path()), []);
        scratch.remove();
    }

    #[test]
    fn a_neighbours_longer_name_is_not_ours() {
        assert!(has("ketch --data-root /tmp/kt-1-1/data", "/tmp/kt-1-1"));
        assert!(!has("ketch --data-root /tmp/kt-1-12/data", "/tmp/kt-1-1"));
    }

    #[test]
    fn files_left_in_the_run_directory_are_named_and_locks_stay() {
        let scratch = Scratch::create();
        scratch.write("run/a/ketch.sock", "");
        scratch.write("run/ketch.lock", "");
        assert_eq!(
            run_files(&scratch.join("run")),
            [format!("file: {}", scratch.join("run/a/ketch.sock").display())]
        );
        scratch.remove();
    }
}
