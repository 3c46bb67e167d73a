//! Which language a file says that it is in.

use crate::source;

/// A directive's value up to the first blank.
pub fn directive_value(text: &[u8], name: &str) -> Option<String> {
    let directive = source::directive(text, name, "#")?;
    Some(directive.value.split(' ').next().unwrap_or_default().to_owned())
}

/// What `syntax` says: as a directive, as one behind `//`, or as a key of a JSON object. Its first word names an image.
pub fn syntax(text: &[u8]) -> Option<String> {
    let directive = |sign| source::directive(text, "syntax", sign).map(|directive| directive.value);
    directive("#").or_else(|| directive("//")).or_else(|| {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
        object.get("syntax")?.as_str().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: dockerfile directive-rule syntax forms # syntax=IMAGE ; also // syntax= after a #! line, or a JSON object with a syntax key
    #[test]
    fn a_language_is_named_in_several_ways() {
        for (text, expected) in [
            ("# syntax = docker/dockerfile:1 and more\nFROM a", Some("docker/dockerfile:1 and more")),
            ("# escape=`\n# syntax=b\n", Some("b")),
            ("#!/bin/x\n# syntax=b\n", Some("b")),
            ("#!/bin/x\n// syntax=b\n", Some("b")),
            ("{\"syntax\": \"b\"}", Some("b")),
            ("FROM a\n# syntax=b\n", None),
            ("# a comment\n# syntax=b\n", None),
            ("{\"syntax\": 1}", None),
        ] {
            assert_eq!(syntax(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
