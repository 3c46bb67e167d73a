//! The command line: docker's commands, flags, tables, templates, texts and exit codes, over the Engine API alone.
//!
//! A call goes through `tree` (which command, checked flags), `call` (what every command may ask: configuration,
//! engine, output), and one file of `commands`. Tables and templates of all listings are `listing`'s; `shape` turns
//! the flags of `create` and `run` into the API's JSON; `session` carries a container's input and output; `messages`
//! shows the progress of pulls and pushes; `prompt` asks whoever sits at the input; `interrupt` is Ctrl-C; `completion`
//! tells a shell what may come next.
//!
//! Invariant: an implemented command reads each of its flags, or its table says `.missing()` or `.refused()`, which
//! the parser answers by name.

mod builders;
mod call;
mod commands;
mod completion;
mod dump;
mod error;
mod headers;
mod interrupt;
mod listing;
mod messages;
mod plugins;
mod prompt;
mod refs;
mod session;
mod shape;
mod template;
mod tree;
mod ui;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use flags::Outcome;

use call::Call;
pub use dump::tree_json;
use error::Error;
use tree::{Action, ROOT};

/// Runs one command line and returns the exit code. Makes its runtime only when a command talks to an engine.
#[expect(clippy::needless_pass_by_value, reason = "the process' arguments, handed over for good")]
pub fn main(argv0: &OsStr, args: Vec<OsString>) -> i32 {
    let program = program_name(argv0);
    match args.first().and_then(|word| word.to_str()) {
        Some("__tree") => return ui::finish(program, ui::out(&format!("{}\n", tree_json())).map(|()| 0)),
        Some(name @ ("__complete" | "__completeNoDesc")) => {
            let words: Vec<_> = args[1..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
            return ui::finish(program, completion::complete(&words, name == "__complete"));
        }
        Some("__detach") => return ui::finish(program, commands::detach::exec_engine()),
        _ => {}
    }
    run(program, &args)
}

/// Runs a command line and returns the exit code.
fn run(program: &'static str, args: &[OsString]) -> i32 {
    match flags::parse(program, &ROOT, args) {
        Ok(outcome) => dispatch(program, outcome),
        Err(error) => {
            if let Some(code) = plugins::try_run(program, &error, args) {
                return ui::finish(program, code);
            }
            ui::err(&error.render());
            error.exit_code()
        }
    }
}

/// Whether this name is docker's; every other name of the file is `ketch`.
fn program_name(argv0: &OsStr) -> &'static str {
    match Path::new(argv0).file_name().and_then(OsStr::to_str) {
        Some("docker") => "docker",
        _ => "ketch",
    }
}

fn dispatch(program: &'static str, outcome: Outcome<Action>) -> i32 {
    let invocation = match outcome {
        Outcome::Help(invocation) => {
            let version = invocation.path == program && invocation.matches.bool("version");
            if version && !invocation.help_asked {
                return ui::finish(program, commands::version::short(program).map(|()| 0));
            }
            let call = Call::new(program, invocation);
            return ui::finish(program, call.print_help().map(|()| 0));
        }
        Outcome::Run(invocation) => invocation,
    };
    for warning in &invocation.warnings {
        ui::err(warning);
    }
    let action = invocation.command.action;
    let path = invocation.path.clone();
    let result = match action {
        Action::Run(handler) => {
            let call = Call::new(program, invocation);
            call.check_log_level().and_then(|()| handler(&call))
        }
        Action::Refused(reason) => Err(Error::Refused { path, reason }),
        Action::NotYet | Action::Group => Err(Error::NotYet { path }),
    };
    ui::finish(program, result)
}
