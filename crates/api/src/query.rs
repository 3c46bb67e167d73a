//! Query parameters, read as dockerd reads them.

use crate::error::Error;

/// The decoded parameters of one request, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// No real request has more; each is compared with each that a handler asks for.
const MAX_PARAMETERS: usize = 256;

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let pairs: Vec<_> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .take(MAX_PARAMETERS + 1)
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(key, Plus::IsSpace)?, decode(value, Plus::IsSpace)?))
            })
            .collect::<Result<_, Error>>()?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(Error::invalid("too many query parameters"));
        }
        Ok(Self(pairs))
    }

    /// The first value, or the empty text.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// dockerd's `BoolValue`: everything but these is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.get(key).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Error> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::invalid(format!("invalid parameter {key}: {text:?} is not a whole number"))
            }),
        }
    }

    /// What was sent and is not in `known`, for the log.
    pub(crate) fn unknown<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(key, _)| key.as_str()).filter(|key| !known.contains(key))
    }
}

/// What `+` means: a space in a query, itself in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    IsSpace,
    IsPlus,
}

/// Undoes percent-encoding. What isn't text afterwards is refused, not guessed at.
pub(crate) fn decode(text: &str, plus: Plus) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => bytes.push((high * 16 + low).to_le_bytes()[0]),
                    _ => return Err(Error::invalid(format!("invalid URL escape in {text:?}"))),
                }
            }
            b'+' if plus == Plus::IsSpace => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("the URL is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_repeatable() {
        let query = Query::parse("a=1&b=%7B%22x%22%3A1%7D&a=2&c&d=x+y").ok().unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), "{\"x\":1}");
        assert_eq!(query.get("d"), "x y");
        assert!(!query.flag("c"));
        assert!(query.flag("a"));
    }

    #[test]
    fn broken_escapes_are_refused() {
        for wrong in ["a=%", "a=%4", "a=%zz", "%ff=1"] {
            assert!(Query::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        assert!(Query::parse(&"a=1&".repeat(MAX_PARAMETERS + 1)).is_err());
    }
}
