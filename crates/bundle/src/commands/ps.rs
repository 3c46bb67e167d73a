//! `ps`: the container's processes, as the host's `ps` shows them.

use std::process::Command;

use flags::Matches;

use crate::container::Container;
use crate::error::{Doing, Error};
use crate::{Context, print};

pub(crate) fn ps(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let container = Container::load(&context.root, &flags.args[0])?;
    let pids = container.cgroup()?.process_ids()?;
    match flags.text("format") {
        "json" => print(&format!("{}\n", serde_json::Value::from(pids))),
        "table" => print(&table(&flags.args[1..], &pids)?),
        other => return Err(Error::Invalid(format!("invalid format {other:?}: table and json there are"))),
    }
    Ok(0)
}

fn table(options: &[String], pids: &[i32]) -> Result<String, Error> {
    let options = if options.is_empty() { vec!["-ef".to_owned()] } else { options.to_vec() };
    let output = Command::new("ps").args(&options).output().doing("run ps")?;
    if !output.status.success() {
        return Err(Error::Invalid(format!(
            "ps: {}",
            diag::printable(&String::from_utf8_lossy(&output.stderr))
        )));
    }
    select(&String::from_utf8_lossy(&output.stdout), pids)
        .ok_or_else(|| Error::Invalid("couldn't find the field PID in what ps says".into()))
}

/// The title line, and the lines of these processes.
fn select(text: &str, pids: &[i32]) -> Option<String> {
    let mut lines = text.lines();
    let title = lines.next()?;
    let column = title.split_whitespace().position(|word| word == "PID")?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let chosen = std::iter::once(title).chain(lines.filter(ours));
    Some(chosen.fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_container_s_lines_stay() {
        let text = "UID  PID CMD\nroot 1 init\nroot 12 sh 1\n";
        assert_eq!(select(text, &[12]).unwrap(), "UID  PID CMD\nroot 12 sh 1\n");
        assert_eq!(select("CMD\nx\n", &[12]), None);
    }
}
