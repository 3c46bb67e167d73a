//! `--platform`: containerd's grammar, as the API wants it.

use client::encode;
use distribution::Wanted;
use flags::Matches;
use serde_json::json;

use crate::error::Error;

/// The `platform` parameters of a command: one for each that was asked for.
pub(crate) fn parameter(flags: &Matches) -> Result<Vec<Option<String>>, Error> {
    let asked = flags.list("platform");
    let asked = asked.iter().filter(|typed| !typed.is_empty());
    let asked = asked.map(|typed| {
        let platform = parse(typed).map_err(|error| Error::Usage(format!("invalid platform: {error}")))?;
        Ok(Some(format!("platform={}", encode(&platform))))
    });
    asked.collect()
}

/// `linux/arm64/v8`, `arm64` or `linux` as JSON.
pub(crate) fn parse(text: &str) -> Result<String, Error> {
    let wanted = Wanted::parse(text)?;
    let platform = wanted.platform();
    let mut json = json!({ "os": platform.os, "architecture": platform.architecture });
    if let Some(variant) = &platform.variant {
        json["variant"] = variant.as_str().into();
    }
    Ok(json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_sent_as_json() {
        for (text, expected) in [
            ("linux/ARM64/v8", r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            ("s390x", r#"{"os":"linux","architecture":"s390x"}"#),
            ("windows/amd64", r#"{"os":"windows","architecture":"amd64"}"#),
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        for wrong in ["", "foo", "linux/", "a//b", "a/b/c/d", "linux/am d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
