//! Man pages from the tables that help is made from.

use std::fmt::Write as _;

use crate::help::{examples, head, unquote};
use crate::table::{Command, Flag, Support};

/// The page of the command at `path` (`ketch container ls`), in section 1.
pub fn manual<A>(path: &str, command: &Command<A>) -> String {
    let name = path.replace(' ', "-");
    let text = if command.long.is_empty() { command.short } else { command.long };
    let mut page = format!(".TH \"{}\" 1\n.SH NAME\n", escape(&name.to_uppercase()));
    let _ = writeln!(page, "{} \\- {}", escape(&name), escape(command.short));
    let line = match command.subcommands.is_empty() {
        true => command.use_line(path),
        false => format!("{path} [OPTIONS] COMMAND"),
    };
    let _ = writeln!(page, ".SH SYNOPSIS\n.B {}", escape(&line));
    let _ = writeln!(page, ".SH DESCRIPTION\n{}", paragraphs(text.trim()));
    commands(path, command, &mut page);
    options(command, &mut page);
    if !command.example.is_empty() {
        let _ = writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", escape(&examples(path, command.example)));
    }
    related(path, command, &mut page);
    page
}

fn commands<A>(path: &str, command: &Command<A>, page: &mut String) {
    let shown: Vec<_> = command.subcommands.iter().filter(|one| !one.hidden).collect();
    if shown.is_empty() {
        return;
    }
    page.push_str(".SH COMMANDS\n");
    for one in shown {
        let name = format!("{}-{}", path.replace(' ', "-"), one.name);
        let _ = writeln!(page, ".TP\n.BR {} (1)\n{}", escape(&name), escape(one.short));
    }
}

fn options<A>(command: &Command<A>, page: &mut String) {
    let is_shown = |flag: &&Flag| !flag.hidden && flag.deprecated.is_empty() && flag.support == Support::Done;
    let shown: Vec<&Flag> = command.sorted_flags().into_iter().filter(is_shown).collect();
    if shown.is_empty() {
        return;
    }
    page.push_str(".SH OPTIONS\n");
    for flag in shown {
        let (_, help) = unquote(flag);
        let _ = writeln!(page, ".TP\n.B {}\n{}", escape(head(flag).trim()), paragraphs(&help));
        if !flag.default.is_empty() && !matches!(flag.default, "0" | "false" | "map[]" | "[]") {
            let _ = writeln!(page, "The default is {}.", escape(flag.default));
        }
    }
}

fn related<A>(path: &str, command: &Command<A>, page: &mut String) {
    let Some((above, _)) = path.rsplit_once(' ') else { return };
    let _ = write!(page, ".SH SEE ALSO\n.BR {} (1)", escape(&above.replace(' ', "-")));
    let program = path.split(' ').next().unwrap_or_default();
    for other in command.also.split(", ").filter(|other| !other.is_empty()) {
        let other = format!("{program} {other}");
        if other != path {
            let _ = write!(page, ",\n.BR {} (1)", escape(&other.replace(' ', "-")));
        }
    }
    page.push('\n');
}

/// Lines stay lines: help's lists are laid out by them.
fn paragraphs(text: &str) -> String {
    text.lines().map(|line| escape(line.trim())).collect::<Vec<_>>().join("\n.br\n")
}

/// What roff would take for its own.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
