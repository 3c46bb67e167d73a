//! What the corpus of command lines proves (`tests/e2e/command_lines.rs`): every flag of a line that is done as recorded,
//! and every field that `inspect` shows otherwise because of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// The rows of all files.
pub(crate) fn proven(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut rows = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let text = fs::read_to_string(entry?.path())?;
        for step in text.split("\n$ ").skip(usize::from(!text.starts_with("$ "))) {
            proven_by(step, &mut rows);
        }
    }
    Ok(rows)
}

fn proven_by(step: &str, rows: &mut BTreeSet<String>) {
    let mut lines = step.lines();
    let line = lines.next().unwrap_or_default();
    let expected: Vec<&str> = lines.collect();
    // What fails, or what Ketch refuses, proves its message alone; a program may end as it likes.
    let refused = expected.iter().any(|line| line.starts_with("~ "))
        || expected
            .iter()
            .any(|line| line.starts_with("  ! ") && (line.contains("docker: ") || line.contains("daemon: ")))
        || expected.iter().any(|line| line.starts_with("  ! invalid argument"));
    if refused {
        return;
    }
    let verb = line.split(' ').next().unwrap_or_default();
    let commands: &[&str] = match verb {
        "both" => &["create", "container create", "run", "container run"],
        "create" => &["create", "container create"],
        "run" => &["run", "container run"],
        other => &[other],
    };
    for command in commands {
        rows.insert(format!("cli docker {command}"));
        rows.extend(flags(line).map(|flag| format!("cli docker {command} {flag}")));
    }
    for field in expected.iter().filter_map(|line| line.strip_prefix("  . ")) {
        fields(field, rows);
    }
}

/// Those of the command itself: what follows the image is the container's.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    let own = line.split(' ').take_while(|word| !matches!(*word, "$I" | "$C"));
    own.filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.split('=').next().unwrap_or(word))
}

/// `HostConfig.Dns ["1.1.1.1"]`: the field, and what is in it where that is a list or a table.
fn fields(text: &str, rows: &mut BTreeSet<String>) {
    let (path, value) = text.split_once(' ').unwrap_or((text, ""));
    let (part, key) = path.split_once('.').unwrap_or((path, ""));
    let schemas: &[&str] = match part {
        "HostConfig" => &["HostConfig", "Resources"],
        "Config" => &["ContainerConfig"],
        _ => return,
    };
    for schema in schemas {
        rows.insert(format!("field {schema} {key}"));
        if value.starts_with('[') && value != "[]" {
            rows.insert(format!("field {schema} {key}[]"));
        }
        if value.starts_with('{') && value != "{}" {
            rows.insert(format!("field {schema} {key}.*"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(step: &str) -> Vec<String> {
        let mut rows = BTreeSet::new();
        proven_by(step, &mut rows);
        rows.into_iter().collect()
    }

    #[test]
    fn a_line_proves_its_flags_and_what_inspect_shows() {
        let step = "create --dns 1.1.1.1 $I sh --not-ours\n  . HostConfig.Dns [\"1.1.1.1\"]";
        assert_eq!(
            rows(step),
            [
                "cli docker container create",
                "cli docker container create --dns",
                "cli docker create",
                "cli docker create --dns",
                "field HostConfig Dns",
                "field HostConfig Dns[]",
                "field Resources Dns",
                "field Resources Dns[]",
            ]
        );
    }

    #[test]
    fn what_is_refused_proves_nothing() {
        assert_eq!(
            rows("create --dns x $I\n  = 1\n  ! Error response from daemon: no"),
            Vec::<String>::new()
        );
        assert_eq!(rows("create --gpus all $I\n~ not here\n  = 1"), Vec::<String>::new());
    }
}
