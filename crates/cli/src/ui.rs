//! The only place that prints: the output stream, the error stream, the rendering of errors, the terminal's size.

use std::io::{self, IsTerminal as _, Write as _};

use diag::Explain as _;

use crate::error::{Error, Outcome};

/// Writes to the output stream.
pub(crate) fn out(text: &str) -> Result<(), Error> {
    out_bytes(text.as_bytes())
}

/// Writes bytes to the output stream.
pub(crate) fn out_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut stream = io::stdout().lock();
    stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|e| Error::Io("write the output", e))
}

/// Writes one line to the error stream; there is nobody to tell if that fails.
pub(crate) fn err(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", diag::plain(line));
}

/// Where a page goes: asked for, it is output; shown instead of what was asked for, it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    Output,
    Errors,
}

impl Sink {
    /// Writes to the stream.
    pub(crate) fn write(self, text: &str) -> Result<(), Error> {
        match self {
            Self::Output => out(text),
            Self::Errors => err_bytes(text.as_bytes()),
        }
    }
}

impl Sink {
    /// Whether people read there.
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Errors => io::stderr().is_terminal(),
        }
    }

    /// Whether colours are wanted there: on a terminal, unless `NO_COLOR` says otherwise (https://no-color.org).
    pub(crate) fn is_coloured(self) -> bool {
        self.is_terminal() && client::resolve::process_env("NO_COLOR").is_none()
    }

    /// The columns of that terminal.
    pub(crate) fn columns(self) -> Option<usize> {
        let size = match self {
            Self::Output => rustix::termios::tcgetwinsize(io::stdout()),
            Self::Errors => rustix::termios::tcgetwinsize(io::stderr()),
        };
        size.ok().map(|size| usize::from(size.ws_col))
    }
}

/// docker's way to remark something: a header, and the following lines below its text.
pub(crate) fn note(header: &str, text: &str) -> String {
    let header = format!(" {header} -> ");
    let indent = " ".repeat(header.len());
    let lines: Vec<String> = text.split('\n').map(|line| format!("{line}\n")).collect();
    format!("\n{header}{}", lines.join(&indent))
}

/// Writes bytes to the error stream.
pub(crate) fn err_bytes(bytes: &[u8]) -> Result<(), Error> {
    io::stderr().lock().write_all(bytes).map_err(|e| Error::Io("write the error stream", e))
}

/// Whether people read the output.
pub(crate) fn out_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether people type the input.
pub(crate) fn in_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// The columns and rows of the terminal that is the error stream, or a small one's.
pub(crate) fn error_screen() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 10))
}

/// The columns of the terminal that is the input, where docker looks; 80 where there is none.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdin()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

/// Reports a command's failure in one rendering, and returns the exit code.
pub(crate) fn finish(program: &str, result: Outcome) -> i32 {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    let code = error.exit_code();
    if matches!(error, Error::Interrupted) || code == 141 {
        return code;
    }
    err(&rendered(program, &error));
    code
}

/// What went wrong and why, in one line.
pub(crate) fn sentence(error: &Error) -> String {
    match error {
        // docker's own sentence is complete; clients compare it.
        Error::Engine(client::Error::Unreachable { .. } | client::Error::Denied { .. }) => error.to_string(),
        _ => diag::chain(error),
    }
}

fn rendered(program: &str, error: &Error) -> String {
    let mut text = match error {
        Error::Run { message, .. } => format!("{program}: {message}"),
        _ => sentence(error),
    };
    if let Some(hint) = error.hint() {
        text = format!("{text}\nhint: {hint}");
    }
    if let Error::Run { path, .. } = error {
        text = format!("{text}\n\nRun '{path} --help' for more information");
    }
    diag::printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_failed_says_what_helps() {
        let hint = Some("run the command with sudo".to_owned());
        let failed = |hint| Error::Run { message: "no".into(), hint, code: 125, path: "ketch run".into() };
        let rest = "\n\nRun 'ketch run --help' for more information";
        assert_eq!(rendered("ketch", &failed(None)), format!("ketch: no{rest}"));
        let expected = format!("ketch: no\nhint: run the command with sudo{rest}");
        assert_eq!(rendered("ketch", &failed(hint)), expected);
    }
}
