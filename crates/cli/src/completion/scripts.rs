//! The scripts that a shell reads once. They know nothing of our commands: each asks the program.

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

const BASH: &str = include_str!("ketch.bash");
const ZSH: &str = include_str!("ketch.zsh");
const FISH: &str = include_str!("ketch.fish");

/// `completion SHELL`, for the program by the name that it was called by.
pub(crate) fn print(call: &Call) -> Outcome {
    let shell = call.args().first().map_or("", String::as_str);
    ui::out(&script(shell, call.program)?)?;
    Ok(0)
}

/// What this shell reads for a program of this name.
pub(crate) fn script(shell: &str, program: &str) -> Result<String, Error> {
    let template = match shell {
        "bash" => BASH,
        "zsh" => ZSH,
        "fish" => FISH,
        other => {
            return Err(Error::Usage(format!(
                "there is no script for the shell {other:?}, but for bash, zsh and fish"
            )));
        }
    };
    Ok(template.replace("PROGRAM", program))
}
