//! Text.

use flags::go::clean;
use regex::Regex;

use super::Arguments;
use crate::Error;
use crate::value::Value;

/// No text is made longer.
const MAX_TEXT: usize = 16 << 20;

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let text = |made: fn(&str) -> String| {
        of.count(1, 1)?;
        of.text(0).map(|text| Value::Text(made(&text)))
    };
    let value = match name {
        "chomp" => text(|text| text.trim_end_matches(['\n', '\r']).to_owned())?,
        "lower" => text(str::to_lowercase)?,
        "upper" => text(str::to_uppercase)?,
        "title" => text(title)?,
        "trimspace" => text(|text| text.trim().to_owned())?,
        "reverse" => text(|text| text.chars().rev().collect())?,
        "basename" => text(base)?,
        "dirname" => text(folder)?,
        "sanitize" => text(|text| {
            text.chars()
                .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
                .collect()
        })?,
        "homedir" => {
            of.count(0, 0)?;
            Value::text(std::env::var("HOME").unwrap_or_default())
        }
        "strlen" => {
            of.count(1, 1)?;
            Value::Number(of.text(0)?.chars().count() as f64)
        }
        "trim" => {
            of.count(2, 2)?;
            let set: Vec<char> = of.text(1)?.chars().collect();
            Value::text(of.text(0)?.trim_matches(set.as_slice()))
        }
        "trimprefix" | "trimsuffix" => {
            of.count(2, 2)?;
            let (text, part) = (of.text(0)?, of.text(1)?);
            let rest = if name == "trimprefix" { text.strip_prefix(&part) } else { text.strip_suffix(&part) };
            Value::text(rest.unwrap_or(&text))
        }
        "replace" => {
            of.count(3, 3)?;
            let (text, from, to) = (of.text(0)?, of.text(1)?, of.text(2)?);
            room(text.matches(&from).count(), to.len())?;
            limited(text.replace(&from, &to))?
        }
        "split" => {
            of.count(2, 2)?;
            Value::List(of.text(1)?.split(&of.text(0)?).map(Value::text).collect())
        }
        "join" => {
            of.count(2, usize::MAX)?;
            let lists = of.all()[1..].iter().map(Value::to_list).collect::<Result<Vec<_>, _>>()?;
            let texts = lists.concat().iter().map(Value::to_text).collect::<Result<Vec<_>, _>>()?;
            let between = of.text(0)?;
            room(texts.len(), between.len())?;
            limited(texts.join(&between))?
        }
        "indent" => {
            of.count(2, 2)?;
            let pad = " ".repeat(usize::try_from(of.index(0)?.clamp(0, 10_000)).unwrap_or(0));
            let text = of.text(1)?;
            room(text.matches('\n').count(), pad.len())?;
            limited(text.replace('\n', &format!("\n{pad}")))?
        }
        "substr" => substr(of)?,
        "regex" | "regexall" | "regex_replace" => expressions(name, of)?,
        "format" => {
            of.count(1, usize::MAX)?;
            Value::Text(format(&of.text(0)?, &of.all()[1..])?)
        }
        "formatlist" => formatlist(of)?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Refuses to make so many copies of something so long.
fn room(count: usize, length: usize) -> Result<(), Error> {
    match count.saturating_mul(length) > 16 * MAX_TEXT {
        true => Err(Error::wrong("it comes to too much text")),
        false => Ok(()),
    }
}

fn limited(text: String) -> Result<Value, Error> {
    match text.len() > MAX_TEXT {
        true => Err(Error::wrong("it comes to too much text")),
        false => Ok(Value::Text(text)),
    }
}

fn title(text: &str) -> String {
    let mut first = true;
    let mut made = String::new();
    for c in text.chars() {
        if first && c.is_alphanumeric() {
            made.extend(c.to_uppercase());
        } else {
            made.push(c);
        }
        first = !c.is_alphanumeric() && c != '_';
    }
    made
}

/// The last part of a path, as Go has it.
fn base(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".".into(),
        "" => "/".into(),
        path => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

/// All but the last part of a path, cleaned.
fn folder(path: &str) -> String {
    clean(path.rsplit_once('/').map_or("", |(folder, _)| if folder.is_empty() { "/" } else { folder }))
}

fn substr(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(3, 3)?;
    let chars: Vec<char> = of.text(0)?.chars().collect();
    let (offset, length) = (of.index(1)?, of.index(2)?);
    let count = chars.len() as i64;
    let from = if offset < 0 { (count + offset).max(0) } else { offset.min(count) };
    let to = if length < 0 { count } else { from.saturating_add(length).min(count) };
    let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
    Ok(Value::Text(chars[range].iter().collect()))
}

fn expression(text: &str) -> Result<Regex, Error> {
    let built = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
    built.map_err(|e| Error::wrong(format!("invalid expression: {e}")))
}

fn expressions(name: &str, of: &Arguments<'_>) -> Result<Value, Error> {
    if name == "regex_replace" {
        of.count(3, 3)?;
        let (text, to) = (of.text(0)?, of.text(2)?);
        // Each part may be named again in what takes its place.
        room(text.len() + 1, to.len().saturating_mul(text.len().max(1)))?;
        return limited(expression(&of.text(1)?)?.replace_all(&text, to.as_str()).into_owned());
    }
    of.count(2, 2)?;
    let (regex, text) = (expression(&of.text(0)?)?, of.text(1)?);
    let mut found = regex.captures_iter(&text).map(|captures| matched(&regex, &captures));
    match name {
        "regex" => found.next().ok_or_else(|| Error::wrong("the expression fits nowhere")),
        _ => Ok(Value::List(found.collect())),
    }
}

/// A whole match, or its groups: by their names where they have some.
fn matched(regex: &Regex, captures: &regex::Captures<'_>) -> Value {
    let group = |at: usize| captures.get(at).map_or(Value::Null, |found| Value::text(found.as_str()));
    let named: Vec<&str> = regex.capture_names().flatten().collect();
    if !named.is_empty() {
        let value =
            |name: &&str| captures.name(name).map_or(Value::Null, |found| Value::text(found.as_str()));
        return Value::Map(named.iter().map(|name| ((*name).to_owned(), value(name))).collect());
    }
    match captures.len() {
        1 => group(0),
        count => Value::List((1..count).map(group).collect()),
    }
}

/// A value as `%v` has it.
fn plain(value: &Value) -> String {
    match value {
        Value::List(_) | Value::Map(_) => value.to_json().to_string(),
        Value::Null => "null".into(),
        other => other.to_text().unwrap_or_default(),
    }
}

/// Go's verbs, as far as HCL has them.
fn format(pattern: &str, values: &[Value]) -> Result<String, Error> {
    let mut made = String::new();
    let mut used = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        made.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%');
        let end = end.ok_or_else(|| Error::wrong("a verb has no end"))?;
        let (flags, verb) = (&rest[..end], rest.as_bytes()[end]);
        rest = &rest[end + 1..];
        if verb == b'%' {
            made.push('%');
            continue;
        }
        let value = values.get(used).ok_or_else(|| Error::wrong("there are more verbs than values"))?;
        used += 1;
        made.push_str(&verb_of(flags, verb, value)?);
        if made.len() > MAX_TEXT {
            return Err(Error::wrong("it comes to too much text"));
        }
    }
    if used < values.len() {
        return Err(Error::wrong("there are more values than verbs"));
    }
    made.push_str(rest);
    Ok(made)
}

fn verb_of(flags: &str, verb: u8, value: &Value) -> Result<String, Error> {
    let bare = flags.trim_start_matches(['-', '+', ' ', '0', '#']);
    let signs = &flags[..flags.len() - bare.len()];
    let (width, precision) = bare.split_once('.').map_or((bare, None), |(width, after)| (width, Some(after)));
    let size = |text: &str| text.parse::<usize>().ok().filter(|size| *size <= 1000);
    let width = if width.is_empty() { Some(0) } else { size(width) };
    let width = width.ok_or_else(|| Error::wrong("a verb's width is no number"))?;
    let precision = precision.map(|text| size(text).unwrap_or(0));
    let whole = || value.to_index();
    let plus = |text: String, positive: bool| {
        if signs.contains('+') && positive { format!("+{text}") } else { text }
    };
    let text = match verb {
        b'v' => plain(value),
        b's' => {
            let text = value.to_text()?;
            precision.map_or(text.clone(), |most| text.chars().take(most).collect())
        }
        b'q' => serde_json::Value::String(value.to_text()?).to_string(),
        b'd' => plus(whole()?.to_string(), whole()? >= 0),
        b'b' => format!("{:b}", whole()?),
        b'o' => format!("{:o}", whole()?),
        b'x' => format!("{:x}", whole()?),
        b'X' => format!("{:X}", whole()?),
        b'f' => {
            let number = value.to_number()?;
            plus(format!("{number:.*}", precision.unwrap_or(6)), number >= 0.0)
        }
        b't' => value.to_bool()?.to_string(),
        other => return Err(Error::wrong(format!("the verb %{} is not supported", char::from(other)))),
    };
    let missing = width.saturating_sub(text.chars().count());
    Ok(
        match (
            signs.contains('-'),
            signs.contains('0') && matches!(verb, b'd' | b'f' | b'x' | b'X' | b'b' | b'o'),
        ) {
            (true, _) => text + &" ".repeat(missing),
            (false, true) => match text.strip_prefix(['-', '+']) {
                Some(digits) => format!("{}{}{digits}", &text[..1], "0".repeat(missing)),
                None => "0".repeat(missing) + &text,
            },
            (false, false) => " ".repeat(missing) + &text,
        },
    )
}

/// The same for every element of the lists among the values.
fn formatlist(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(1, usize::MAX)?;
    let (pattern, values) = (of.text(0)?, &of.all()[1..]);
    let lengths: Vec<usize> = values
        .iter()
        .filter_map(|value| if let Value::List(list) = value { Some(list.len()) } else { None })
        .collect();
    let count = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|length| *length != count) {
        return Err(Error::wrong("the lists have different lengths"));
    }
    let row = |at: usize| {
        let cell = |value: &Value| match value {
            Value::List(list) => list.get(at).cloned().unwrap_or(Value::Null),
            other => other.clone(),
        };
        format(&pattern, &values.iter().map(cell).collect::<Vec<_>>()).map(Value::Text)
    };
    (0..count).map(row).collect::<Result<_, _>>().map(Value::List)
}
