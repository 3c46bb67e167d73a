//! docker's help page, as its usage template and pflag's column wrapping lay it out.

use std::fmt::Write as _;

use crate::go::quote;
use crate::table::{Command, Flag, Kind};

/// What a help page depends on besides the command.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The full name of the command.
    pub path: &'a str,
    /// The terminal's columns.
    pub width: usize,
    /// Commands that are not in the tables (plugins): name and summary.
    pub extra: &'a [(String, String)],
    /// Defaults that are only known when the program runs, by flag.
    pub defaults: &'a [(&'a str, String)],
    /// Leave out the commands that a group has too (docker's `DOCKER_HIDE_LEGACY_COMMANDS`).
    pub groups_only: bool,
}

/// Examples as they are typed, a line for each.
pub(crate) fn examples(path: &str, rests: &str) -> String {
    let lines = rests.split('\n').map(|rest| format!("  {path} {rest}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

impl Page<'_> {
    /// The page of one command, with its last newline.
    pub fn render<A>(&self, command: &Command<A>) -> String {
        let root = !self.path.contains(' ');
        let group = !command.subcommands.is_empty();
        let flags = self.flag_table(command);
        let mut page = String::new();
        let options = if flags.is_empty() { "" } else { " [OPTIONS]" };
        let line =
            if group { format!("{}{options} COMMAND", self.path) } else { command.use_line(self.path) };
        let text = if command.long.is_empty() { command.short } else { command.long };
        let _ = write!(page, "Usage:  {line}\n\n{}", text.trim());
        if !command.also.is_empty() {
            let _ = write!(page, "\n\nAliases:\n  {}", self.also(command.also));
        }
        if !command.example.is_empty() {
            let _ = write!(page, "\n\nExamples:\n{}", examples(self.path, command.example));
        }
        if !root && !flags.is_empty() {
            let _ = write!(page, "\n\nOptions:\n{flags}");
        }
        self.command_lists(command, &mut page);
        if root && !flags.is_empty() {
            let _ = write!(page, "\n\nGlobal Options:\n{flags}");
        }
        if group {
            let _ = write!(page, "\n\nRun '{} COMMAND --help' for more information on a command.", self.path);
        }
        page.push('\n');
        page
    }

    /// The other names start with the program as it was called.
    fn also(&self, names: &str) -> String {
        let program = self.path.split(' ').next().unwrap_or_default();
        let names: Vec<String> = names.split(", ").map(|name| format!("{program} {name}")).collect();
        names.join(", ")
    }

    fn command_lists<A>(&self, command: &Command<A>, page: &mut String) {
        let shown = || command.subcommands.iter().filter(|c| !c.hidden);
        let longest = shown().map(|c| c.name.len()).max().unwrap_or(0);
        let padding =
            longest.max(self.extra.iter().map(|(name, _)| name.len()).max().unwrap_or(0)).max(11) + 1;
        let root = !self.path.contains(' ');
        let is_common = |c: &&&'static Command<A>| root && c.common > 0;
        let mut common: Vec<_> = shown().filter(is_common).collect();
        common.sort_unstable_by_key(|c| c.common);
        let row = |name: &str, short: &str| format!("\n  {name:<padding$}{short}");
        let rows = |list: &mut dyn Iterator<Item = &&'static Command<A>>| -> String {
            list.map(|c| row(c.name, c.short)).collect()
        };
        let extra: String = self.extra.iter().map(|(name, short)| row(&format!("{name}*"), short)).collect();
        let groups = rows(&mut shown().filter(|c| !is_common(c) && !c.subcommands.is_empty()));
        let sections = [
            ("Common Commands", rows(&mut common.into_iter())),
            ("Management Commands", groups + &extra),
            ("Commands", rows(&mut shown().filter(|c| !is_common(c) && c.subcommands.is_empty()))),
        ];
        let hidden = |title: &str| title == "Commands" && root && self.groups_only;
        for (title, list) in sections.iter().filter(|(title, list)| !list.is_empty() && !hidden(title)) {
            let _ = write!(page, "\n\n{title}:{list}");
        }
    }

    fn flag_table<A>(&self, command: &Command<A>) -> String {
        let flags = command.sorted_flags();
        let shown: Vec<_> = flags.into_iter().filter(|f| !f.hidden && f.deprecated.is_empty()).collect();
        let heads: Vec<String> = shown.iter().map(|flag| head(flag)).collect();
        let widest = heads.iter().map(String::len).max().unwrap_or(0);
        let mut table = String::new();
        for (flag, head) in shown.iter().zip(&heads) {
            let text = wrap(widest + 3, self.width.saturating_sub(1), &self.body(flag));
            let _ = writeln!(table, "{head:<widest$}   {text}");
        }
        table.trim_end().to_owned()
    }

    fn body(&self, flag: &Flag) -> String {
        let (_, mut body) = unquote(flag);
        let known = self.defaults.iter().find(|(name, _)| *name == flag.long);
        let default = known.map_or(flag.default, |(_, value)| value);
        if !default_is_zero(flag) {
            let shown = if matches!(flag.kind, Kind::String) { quote(default) } else { default.to_owned() };
            let _ = write!(body, " (default {shown})");
        }
        body
    }
}

/// `  -m, --memory bytes`.
pub(crate) fn head(flag: &Flag) -> String {
    let mut head = match flag.short {
        Some(letter) => format!("  -{letter}, --{}", flag.long),
        None => format!("      --{}", flag.long),
    };
    let (name, _) = unquote(flag);
    if !name.is_empty() {
        let _ = write!(head, " {name}");
    }
    match (flag.bare, flag.kind) {
        (Some(bare), Kind::String) => drop(write!(head, "[=\"{bare}\"]")),
        (Some("true"), Kind::Bool) | (None, _) => {}
        (Some(bare), _) => drop(write!(head, "[={bare}]")),
    }
    head
}

/// pflag's `UnquoteUsage`: a word in backquotes names the value, else the kind does.
pub(crate) fn unquote(flag: &Flag) -> (String, String) {
    let mut parts = flag.help.splitn(3, '`');
    if let (Some(before), Some(name), Some(after)) = (parts.next(), parts.next(), parts.next()) {
        return (name.to_owned(), format!("{before}{name}{after}"));
    }
    let name = match flag.kind {
        Kind::Bool => "",
        Kind::String => "string",
        Kind::Int | Kind::Int64 => "int",
        Kind::Uint(16) => "uint16",
        Kind::Uint(32) => "uint32",
        Kind::Uint(_) => "uint",
        Kind::Float => "float",
        Kind::Duration => "duration",
        Kind::Bytes => "bytes",
        Kind::List => "list",
        Kind::StringArray => "stringArray",
        Kind::Strings => "strings",
        Kind::Ip => "ip",
        Kind::Custom { name, .. } => name,
    };
    (name.to_owned(), flag.help.to_owned())
}

fn default_is_zero(flag: &Flag) -> bool {
    match flag.kind {
        Kind::Bool => matches!(flag.default, "" | "false"),
        Kind::Duration => matches!(flag.default, "" | "0" | "0s"),
        Kind::Int | Kind::Int64 | Kind::Uint(_) | Kind::Float => matches!(flag.default, "" | "0"),
        Kind::Ip => matches!(flag.default, "" | "<nil>"),
        Kind::Bytes => matches!(flag.default, "" | "0"),
        // docker's lists show no default of their own; where `[]` is stated, it is shown.
        Kind::List => flag.default.is_empty(),
        Kind::Custom { .. } => matches!(flag.default, "" | "0" | "false" | "<nil>"),
        _ => matches!(flag.default, "" | "[]"),
    }
}

/// pflag's `wrap`: `text` in a column that starts at `indent` and ends at `columns`.
fn wrap(mut indent: usize, columns: usize, text: &str) -> String {
    const SLOP: usize = 5;
    const NARROW: usize = 24;
    let mut out = String::new();
    if columns.saturating_sub(indent) < NARROW {
        indent = 16;
        out.push('\n');
        out.push_str(&" ".repeat(indent));
    }
    let room = columns.saturating_sub(indent);
    if room < NARROW {
        return text.to_owned();
    }
    let margin = format!("\n{}", " ".repeat(indent));
    let (line, mut rest) = split_line(room - SLOP, SLOP, text);
    out.push_str(&line.replace('\n', &margin));
    while !rest.is_empty() {
        let (line, tail) = split_line(room - SLOP, SLOP, rest);
        out.push_str(&margin);
        out.push_str(&line.replace('\n', &margin));
        rest = tail;
    }
    out
}

/// The part of `text` that goes on one line of `room` bytes (a few more, if that spares a last short line).
fn split_line(room: usize, slop: usize, text: &str) -> (&str, &str) {
    if room + slop > text.len() {
        return (text, "");
    }
    let head = &text[..text.floor_char_boundary(room)];
    let Some(space) = head.rfind([' ', '\t', '\n']).filter(|at| *at > 0) else {
        return (text, "");
    };
    let at = head.rfind('\n').filter(|newline| *newline > 0 && *newline < space).unwrap_or(space);
    (&text[..at], &text[at + 1..])
}
