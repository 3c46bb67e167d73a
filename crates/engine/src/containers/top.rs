//! The processes of a container, as the host's `ps` shows them.

use std::process::Command;

use shim::protocol::{FromShim, ToShim};

use super::state::State;
use super::{Containers, link};
use crate::Error;

/// What `ps` says, cut into columns.
#[derive(Debug, PartialEq, Eq)]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

impl Containers {
    /// Asks `ps` with these options, and leaves of its answer what is the container's.
    pub async fn top(&self, container: &str, options: &str) -> Result<Top, Error> {
        check(options).map_err(Error::Ps)?;
        let handle = self.get(container)?;
        let view = handle.view();
        match *view.container.state.shown() {
            State::Running(_) | State::Paused(_) => {}
            State::Restarting { .. } => return Err(Error::IsRestarting(handle.id().to_owned())),
            _ => return Err(Error::NotRunning(handle.id().to_owned())),
        }
        let folder = self.places(handle.id()).volatile;
        let asked = link::ask(folder, handle.id(), &ToShim::Processes).await;
        let asked = asked.map_err(|error| match error {
            // It ended, and the news of it is still on its way.
            Error::ShimLost(id) => Error::NotRunning(id),
            error => error,
        });
        let FromShim::Processes { pids } = asked? else {
            return Err(Error::ShimLost(handle.id().to_owned()));
        };
        let options = options.to_owned();
        let asked = tasks::blocking(move || ask_ps(&options, &pids)).await;
        let top = asked.map_err(|source| Error::System { doing: "finish a task", source: source.into() })?;
        let top = top.map_err(Error::Ps)?;
        self.shared.emit(&view.container, "top", &[]);
        Ok(top)
    }
}

/// Another column may not call itself PID: it would be taken for the process' number.
fn check(options: &str) -> Result<(), String> {
    let words: Vec<&str> = options.split_ascii_whitespace().collect();
    for (at, word) in words.iter().enumerate().skip(1) {
        let Some((name, title)) = word.split_once('=') else { continue };
        let title = if title.is_empty() { words.get(at + 1).copied().unwrap_or_default() } else { title };
        if title.starts_with("PID") && name != "pid" {
            return Err(format!("specifying \"{name}={title}\" is not allowed"));
        }
    }
    Ok(())
}

fn ask_ps(options: &str, pids: &[i32]) -> Result<Top, String> {
    let options: Vec<&str> = options.split(' ').collect();
    let list: Vec<String> = pids.iter().map(i32::to_string).collect();
    let only = format!("-q{}", list.join(","));
    // Some options can't be used together with a list of processes.
    let text = match ps(&[&options[..], &[only.as_str()]].concat()) {
        Ok(text) => text,
        Err(_) => ps(&options)?,
    };
    parse(&text, pids)
}

fn ps(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ps").args(arguments).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "ps: executable file not found in $PATH".to_owned(),
        _ => format!("ps: {error}"),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let first = told.lines().next().filter(|line| !line.is_empty());
    Err(first.map_or_else(|| format!("ps: {}", output.status), str::to_owned))
}

fn parse(text: &str, pids: &[i32]) -> Result<Top, String> {
    let mut lines = text.lines();
    let words = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let titles = words(lines.next().unwrap_or_default());
    let Some(column) = titles.iter().position(|title| title == "PID") else {
        return Err("Couldn't find PID field in ps output".into());
    };
    let mut processes = Vec::new();
    let mut before_is_ours = false;
    for line in lines {
        let fields = words(line);
        let Some(pid) = fields.get(column) else { continue };
        // A thread of the process before it.
        if pid != "-" {
            let number: i32 = pid.parse().map_err(|_| format!("Unexpected pid '{pid}'"))?;
            before_is_ours = pids.contains(&number);
        }
        if before_is_ours && fields.len() >= titles.len() {
            let (columns, rest) = fields.split_at(titles.len() - 1);
            // The last column, the command, has blanks of its own.
            processes.push([columns, &[rest.join(" ")]].concat());
        }
    }
    Ok(Top { titles, processes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_and_their_threads_are_left() {
        let text = "UID PID CMD\nroot 1 init\nroot 7 sh -c  true\nroot - thread\nroot 8 other\nroot - its\n";
        let row = |fields: [&str; 3]| fields.map(str::to_owned).to_vec();
        let top = parse(text, &[7]).unwrap();
        assert_eq!(top.titles, row(["UID", "PID", "CMD"]));
        assert_eq!(top.processes, [row(["root", "7", "sh -c true"]), row(["root", "-", "thread"])]);
        assert_eq!(parse("COMMAND\nsh\n", &[7]).unwrap_err(), "Couldn't find PID field in ps output");
        assert_eq!(parse("PID\nx\n", &[7]).unwrap_err(), "Unexpected pid 'x'");
    }

    #[test]
    fn no_other_column_may_be_called_pid() {
        for good in ["-ef", "aux", "-o pid=PID", "-o pid,comm"] {
            check(good).unwrap();
        }
        for bad in ["-o uid=PID", "-o uid= PID", "ax -o comm=PIDX"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
