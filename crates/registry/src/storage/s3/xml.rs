//! As much of XML as a store's answers need: what stands between the tags of a name, one after the other.
//!
//! The answers are flat and short. Nothing is resolved but the five entities and characters by number, nothing nests.

/// What is between `<name>` and `</name>`, each time.
pub(crate) fn each<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let after = rest.get(rest.find(&open)? + open.len()..)?;
            // `<Key` begins `<KeyCount>` as well.
            let (head, body) = after.split_once('>')?;
            rest = body;
            if !head.is_empty() && !head.starts_with([' ', '\n', '\t', '\r', '/']) {
                continue;
            }
            if head.ends_with('/') {
                return Some("");
            }
            let (inside, behind) = body.split_once(&close)?;
            rest = behind;
            return Some(inside);
        }
    })
}

/// The text of the first element of this name.
pub(crate) fn text(of: &str, name: &str) -> Option<String> {
    each(of, name).next().map(unescape)
}

/// Text with its entities resolved. What is no entity stays as it is.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let found = after.split_once(';').and_then(|(entity, behind)| Some((entity_of(entity)?, behind)));
        match found {
            Some((character, behind)) => {
                plain.push(character);
                rest = behind;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn entity_of(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_lists_is_read() {
        let answer = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><KeyCount>2</KeyCount><Contents><Key>a&amp;b</Key>\
                      </Contents><Contents><Key >c&#x64;&#101;&no;&</Key></Contents><Empty/><Open>";
        let keys: Vec<_> = each(answer, "Contents").map(|one| text(one, "Key").unwrap()).collect();
        assert_eq!(keys, ["a&b", "cde&no;&"]);
        assert_eq!(text(answer, "Empty").as_deref(), Some(""));
        assert_eq!(text(answer, "Open"), None);
        assert_eq!(text(answer, "Nothing"), None);
    }
}
