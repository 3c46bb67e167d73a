//! A Dockerfile's words: quotes, backslashes and variables.

/// Splits at white space that isn't quoted or behind a backslash. Quotes stay.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.push(c);
                word.extend(characters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Takes quotes away and puts variables in.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut quoted = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' if !quoted => {
                let end = rest
                    .find('\'')
                    .ok_or("unexpected end of statement while looking for matching single-quote")?;
                out.push_str(&rest[..end]);
                rest = &rest[end + 1..];
            }
            '"' => quoted = !quoted,
            '\\' => {
                let next = rest.chars().next();
                // Inside double quotes only these are special.
                if quoted && !matches!(next, Some('"' | '$' | '\\')) {
                    out.push('\\');
                }
                out.extend(next);
                rest = &rest[next.map_or(0, char::len_utf8)..];
            }
            '$' => rest = dollar(rest, &mut out, variable)?,
            c => out.push(c),
        }
    }
    match quoted {
        true => Err("unexpected end of statement while looking for matching double-quote".to_owned()),
        false => Ok(out),
    }
}

/// Puts in the variable that `rest` begins with, and returns what follows it.
fn dollar<'a>(
    rest: &'a str,
    out: &mut String,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<&'a str, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let Some(braced) = rest.strip_prefix('{') else {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        match end {
            0 => out.push('$'),
            end => out.push_str(&variable(&rest[..end]).unwrap_or_default()),
        }
        return Ok(&rest[end..]);
    };
    let end = braced.find('}').ok_or("syntax error: missing '}'")?;
    let (inside, after) = (&braced[..end], &braced[end + 1..]);
    let name_end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
    let (name, modifier) = inside.split_at(name_end);
    let value = variable(name).filter(|value| !value.is_empty());
    match (name, modifier.get(..2), modifier) {
        ("", ..) => return Err("syntax error: bad substitution".to_owned()),
        (_, _, "") => out.push_str(&value.unwrap_or_default()),
        (_, Some(":-"), _) => out.push_str(&value.unwrap_or_else(|| modifier[2..].to_owned())),
        (_, Some(":+"), _) => out.push_str(if value.is_some() { &modifier[2..] } else { "" }),
        _ => return Err(format!("unsupported modifier ({modifier}) in substitution")),
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let variable = |name: &str| (name == "A").then(|| "a b".to_owned());
        split(text).iter().map(|word| expand(word, &variable).unwrap()).collect()
    }

    #[test]
    fn words_are_split_and_put_together_as_a_shell_would() {
        assert_eq!(words(r#"a "b c" 'd $A' e\ f "\$x\y""#), ["a", "b c", "d $A", "e f", r"$x\y"]);
        assert_eq!(words("$A ${A} ${A:+x} ${B:-y} ${B} $ $."), ["a b", "a b", "x", "y", "", "$", "$."]);
        assert!(expand("'a", &|_| None).is_err() && expand("${A", &|_| None).is_err());
        assert!(expand("\"a", &|_| None).is_err() && expand("${A:é}", &|_| None).is_err());
    }
}
