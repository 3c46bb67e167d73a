//! `help [command]`, and every `--help`.

use std::path::Path;

use client::resolve::process_env;
use flags::Page;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::plugins;
use crate::tree::{Command, ROOT};
use crate::ui::{self, Sink};

/// `docker help run` is `docker run --help`.
pub(crate) fn help(call: &Call) -> Outcome {
    let mut command = &ROOT;
    let mut path = call.program.to_owned();
    for word in call.args() {
        let Some(found) = command.find(word) else {
            return Err(Error::Usage(format!("unknown help topic: {}", call.args().join(" "))));
        };
        command = found;
        path = format!("{path} {}", found.name);
    }
    print(&path, command, &call.config_dir(), Sink::Output)?;
    Ok(0)
}

/// Prints the help page of the command at `path`.
pub(crate) fn print(path: &str, command: &Command, config_dir: &Path, sink: Sink) -> Result<(), Error> {
    let width = ui::width();
    if path.contains(' ') {
        return sink
            .write(&Page { path, width, extra: &[], defaults: &[], groups_only: false }.render(command));
    }
    let groups_only = process_env("DOCKER_HIDE_LEGACY_COMMANDS").is_some();
    let extra = plugins::summaries(config_dir);
    let file = |name: &str| config_dir.join(name).to_string_lossy().into_owned();
    let defaults = [
        ("config", config_dir.to_string_lossy().into_owned()),
        ("tlscacert", file("ca.pem")),
        ("tlscert", file("cert.pem")),
        ("tlskey", file("key.pem")),
    ];
    let page = Page { path, width, extra: &extra, defaults: &defaults, groups_only }.render(command);
    sink.write(&format!(
        "{page}\nFor more help on how to use Docker, head to https://docs.docker.com/go/guides/\n"
    ))
}
