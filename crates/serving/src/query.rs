//! Paths and query parameters, decoded once.

/// Why an address isn't understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("invalid URL escape in {0:?}")]
    Escape(String),
    #[error("the URL is not UTF-8")]
    NotText,
    #[error("too many query parameters")]
    TooMany,
    #[error("invalid parameter {key}: {value:?} is not a whole number")]
    NotANumber { key: String, value: String },
}

/// The decoded parameters of one request, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

/// No real request has more; each is compared with each that a handler asks for.
const MAX_PARAMETERS: usize = 256;

impl Query {
    /// Decodes the part of an address after `?`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let pairs: Vec<_> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .take(MAX_PARAMETERS + 1)
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(key, Plus::IsSpace)?, decode(value, Plus::IsSpace)?))
            })
            .collect::<Result<_, QueryError>>()?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(QueryError::TooMany);
        }
        Ok(Self(pairs))
    }

    /// The first value, or the empty text.
    pub fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    /// Every value, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether it was given at all.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// dockerd's `BoolValue`: everything but these is true.
    pub fn flag(&self, key: &str) -> bool {
        let value = self.get(key).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A whole number, if there is a value.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, QueryError> {
        match self.get(key) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| QueryError::NotANumber { key: key.to_owned(), value: text.to_owned() }),
        }
    }

    /// What was sent and is not in `known`, for the log.
    pub fn unknown<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(key, _)| key.as_str()).filter(|key| !known.contains(key))
    }
}

/// What `+` means: a space in a query, itself in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    IsSpace,
    IsPlus,
}

/// Undoes percent-encoding. What isn't text afterwards is refused, not guessed at.
pub fn decode(text: &str, plus: Plus) -> Result<String, QueryError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => bytes.push((high * 16 + low).to_le_bytes()[0]),
                    _ => return Err(QueryError::Escape(text.to_owned())),
                }
            }
            b'+' if plus == Plus::IsSpace => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| QueryError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_repeatable() {
        let query = Query::parse("a=1&b=%7B%22x%22%3A1%7D&a=2&c&d=x+y").unwrap();
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
