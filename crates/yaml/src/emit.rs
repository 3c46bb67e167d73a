//! From nodes to text, with the quotes, indents and block texts that docker's client writes, so that the two can be
//! compared line by line. Mappings are written in the order that they have.

use std::fmt::Write as _;

use super::{Map, Node, Value, float_text, plain};

/// One document.
pub fn emit(node: &Node) -> String {
    let mut text = String::new();
    match &node.value {
        Value::Map(map) if !map.is_empty() => mapping(&mut text, map, 0, false),
        Value::List(list) if !list.is_empty() => sequence(&mut text, list, 0),
        value => {
            inline(&mut text, value, 0);
            text.push('\n');
        }
    }
    text
}

/// `continued`: the first key stands where the cursor is, after a dash.
fn mapping(out: &mut String, map: &Map, indent: usize, continued: bool) {
    for (place, (key, value)) in map.iter().enumerate() {
        if place > 0 || !continued {
            pad(out, indent);
        }
        scalar(out, key, indent, true);
        out.push(':');
        below(out, value, indent);
    }
}

/// What stands after a colon.
fn below(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, indent + 2, false);
        }
        Value::List(list) if !list.is_empty() => {
            out.push('\n');
            sequence(out, list, indent + 2);
        }
        value => {
            out.push(' ');
            inline(out, value, indent);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, list: &[Node], indent: usize) {
    for node in list {
        pad(out, indent);
        item(out, node, indent);
    }
}

fn item(out: &mut String, node: &Node, indent: usize) {
    out.push_str("- ");
    match &node.value {
        Value::Map(map) if !map.is_empty() => mapping(out, map, indent + 2, true),
        Value::List(list) if !list.is_empty() => {
            for (place, node) in list.iter().enumerate() {
                if place > 0 {
                    pad(out, indent + 2);
                }
                item(out, node, indent + 2);
            }
        }
        value => {
            inline(out, value, indent);
            out.push('\n');
        }
    }
}

fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => out.push_str(&float_text(*number)),
        Value::Text(text) => scalar(out, text, indent, false),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// How a text can be written; the first that is allowed is taken.
struct Style {
    plain: bool,
    single: bool,
    block: bool,
}

fn scalar(out: &mut String, text: &str, indent: usize, key: bool) {
    let style = style(text);
    let is_text = matches!(plain(text), Value::Text(_))
        && !is_old_bool(text)
        && !is_sexagesimal(text)
        && !is_date(text);
    match (is_text, text.contains('\n')) {
        (true, false) if style.plain => out.push_str(text),
        (true, false) if style.single => {
            let _ = write!(out, "'{}'", text.replace('\'', "''"));
        }
        (true, true) if style.block && !key => block(out, text, indent),
        _ => quoted(out, text),
    }
}

fn style(text: &str) -> Style {
    let letters: Vec<char> = text.chars().collect();
    let space = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    let (mut indicator, mut special, mut tab, mut space_break) = (false, false, false, false);
    if text.starts_with("---") || text.starts_with("...") {
        indicator = true;
    }
    for (place, letter) in letters.iter().enumerate() {
        let followed = space(letters.get(place + 1));
        let preceded = place == 0 || space(letters.get(place - 1));
        indicator |= match letter {
            '#' if place > 0 => preceded,
            ':' => followed,
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => place == 0,
            '?' | '-' => place == 0 && followed,
            _ => false,
        };
        tab |= *letter == '\t';
        special |= *letter != '\t' && *letter != '\n' && !is_printable(*letter);
        space_break |= *letter == ' ' && letters.get(place + 1) == Some(&'\n');
    }
    let edge = |c: Option<&char>| matches!(c, Some(' ' | '\n'));
    let edges = edge(letters.first()) || edge(letters.last());
    let hard = space_break || tab || special;
    Style {
        plain: !indicator && !edges && !hard,
        single: !hard,
        block: !space_break && !special && letters.last() != Some(&' '),
    }
}

fn is_printable(letter: char) -> bool {
    matches!(letter, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && letter != '\u{feff}'
}

/// What YAML 1.1 took for a truth.
fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// What YAML 1.1 took for a number: `8080:80` is one to the base of sixty.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let mut count = 0;
    let small = parts.all(|part| {
        count += 1;
        let tens = part.len() < 2 || matches!(part.as_bytes()[0], b'0'..=b'5');
        (1..=2).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit()) && tens
    });
    first.starts_with(|c: char| c.is_ascii_digit()) && digits(first) && digits(fraction) && small && count > 0
}

/// What YAML 1.1 took for a day, with or without a time.
fn is_date(text: &str) -> bool {
    let (day, rest) = text.split_at(text.find(['T', 't', ' ']).unwrap_or(text.len()));
    let parts: Vec<_> = day.split('-').collect();
    let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let [year, month, day] = parts.as_slice() else { return false };
    let right = year.len() == 4 && [month, day].iter().all(|part| (1..=2).contains(&part.len()));
    let time = rest.trim_start_matches(['T', 't', ' ']);
    right
        && parts.iter().all(|part| digits(part))
        && (rest.is_empty() || time.starts_with(|c: char| c.is_ascii_digit()) && time.contains(':'))
}

fn block(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.strip_suffix('\n');
    match body {
        None => out.push('-'),
        Some(body) if body.ends_with('\n') || body.is_empty() => out.push('+'),
        Some(_) => {}
    }
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent + 2);
            out.push_str(line);
        }
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            letter if is_printable(letter) => out.push(letter),
            letter => {
                let number = letter as u32;
                let _ = match number {
                    0..=0xff => write!(out, "\\x{number:02X}"),
                    0x100..=0xffff => write!(out, "\\u{number:04X}"),
                    _ => write!(out, "\\U{number:08X}"),
                };
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::{FileId, parse};
    use super::*;

    fn one(text: &str) -> String {
        let mut out = String::new();
        scalar(&mut out, text, 0, false);
        out
    }

    #[test]
    fn texts_have_the_quotes_that_they_need() {
        let table = [
            ("", "\"\""),
            ("a b", "a b"),
            ("8080:80", "8080:80"),
            ("22:22", "\"22:22\""),
            ("1", "\"1\""),
            ("yes", "\"yes\""),
            ("null", "\"null\""),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("# no", "'# no'"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("*x", "'*x'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("it's", "it's"),
            ("'q'", "'''q'''"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\nb", "|-\n  a\n  b"),
            ("a \nb", "\"a \\nb\""),
            ("\u{1b}[1m", "\"\\e[1m\""),
            ("größe", "größe"),
            ("@x", "'@x'"),
            ("1.5", "\"1.5\""),
        ];
        for (text, written) in table {
            assert_eq!(one(text), written, "{text:?}");
        }
    }

    #[test]
    fn lists_and_mappings_are_indented() {
        let text = "a:\n  - b: 1\n    c: []\n  - - x\n    - z\nd: {}\ne: null\n";
        let node = parse(text, FileId(0)).unwrap().remove(0);
        assert_eq!(emit(&node), text);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(key in "\\PC{0,12}", value in "[ -~\n\t\u{e4}]{0,24}") {
            let mut map = Map::default();
            map.insert(key, Node::text(value, super::super::At::default()));
            let node = Node::map(map, super::super::At::default());
            let text = emit(&node);
            let read = parse(&text, FileId(0)).map_err(|e| proptest::test_runner::TestCaseError::fail(format!("{text:?} {}", e.what)))?;
            proptest::prop_assert_eq!(&read[0], &node, "{}", text);
        }
    }
}
