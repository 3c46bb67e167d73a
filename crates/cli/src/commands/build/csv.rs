//! `key=value,key=value`, as most of the builder's options are written.

use std::collections::BTreeMap;

use crate::error::Error;

/// The fields of one option. `option` names it in errors.
pub(super) fn fields(option: &str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let bad = |why: String| Error::Usage(format!("invalid {option} {text:?}: {why}"));
    let parts = flags::go::split_csv(text).map_err(bad)?;
    let field = |part: &String| match part.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.to_owned())),
        None => Err(Error::Usage(format!("invalid value {part}"))),
    };
    parts.iter().map(field).collect()
}

/// The same as a table, the type apart.
pub(super) fn typed(option: &str, text: &str) -> Result<(String, BTreeMap<String, String>), Error> {
    let mut table: BTreeMap<String, String> = fields(option, text)?.into_iter().collect();
    let kind = table.remove("type");
    let kind = kind.filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| Error::Usage(format!("type required form> {text:?}")))?;
    Ok((kind, table))
}
