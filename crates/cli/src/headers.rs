//! `DOCKER_CUSTOM_HEADERS`: headers for every request, instead of the configuration's `HttpHeaders`.

use client::resolve::Env;
use flags::go;

use crate::error::Error;

const NAME: &str = "DOCKER_CUSTOM_HEADERS";

/// The headers that the variable asks for; `None` where it isn't set. The texts are docker's.
pub(crate) fn of_environment(env: Env) -> Result<Option<Vec<(String, String)>>, Error> {
    let Some(text) = env(NAME) else { return Ok(None) };
    let fail = |action: &str, why: &str| {
        Error::Usage(format!("failed to {action} {NAME} environment variable: {why}"))
    };
    let pairs = go::split_csv(&text).map_err(|_| {
        fail("parse custom headers from", "value must be formatted as comma-separated key=value pairs")
    })?;
    let header = |pair: String| {
        let (name, value) =
            pair.split_once('=').map_or((pair.as_str(), None), |(name, value)| (name, Some(value)));
        if name.trim().is_empty() {
            let why = format!("value contains a key=value pair with an empty key: '{pair}'");
            return Err(fail("set custom headers from", &why));
        }
        match value {
            Some(value) => Ok((name.trim().to_owned(), value.to_owned())),
            None => {
                Err(fail("set custom headers from", &format!("missing \"=\" in key=value pair: '{pair}'")))
            }
        }
    };
    pairs.into_iter().map(header).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        of_environment(&|_| Some(text.into()))
            .map(Option::unwrap_or_default)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_are_split_as_docker_splits_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("A=1,B=x=y").unwrap(), [pair("A", "1"), pair("B", "x=y")]);
        assert_eq!(read("\"A=1,2\", B=").unwrap(), [pair("A", "1,2"), pair("B", "")]);
        assert!(of_environment(&|_| None).unwrap().is_none());
    }

    #[test]
    fn mistakes_are_told_in_dockers_words() {
        let told = "failed to set custom headers from DOCKER_CUSTOM_HEADERS environment variable: ";
        assert_eq!(read("a").unwrap_err(), format!("{told}missing \"=\" in key=value pair: 'a'"));
        assert_eq!(
            read("=x").unwrap_err(),
            format!("{told}value contains a key=value pair with an empty key: '=x'")
        );
        assert!(read("a=\"b").unwrap_err().ends_with("must be formatted as comma-separated key=value pairs"));
    }
}
