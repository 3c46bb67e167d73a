//! `GET /images/search`.

use engine::filters::Filters;

use super::create;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

const FILTER_KEYS: &[&str] = &["is-automated", "is-official", "stars"];
const MOST: u32 = 100;
const DEFAULT: u32 = 25;

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let limit = limit(call.query.get("limit"))?;
    let filters = Filters::parse(call.query.get("filters"), FILTER_KEYS).map_err(engine::Error::from)?;
    let flag = |key| filters.flag(key).map_err(|error| Error::from(engine::Error::from(error)));
    let (official, automated) = (flag("is-official")?, flag("is-automated")?);
    let stars = stars(&filters)?;
    let credentials = create::credentials(&call)?;
    let found = call.engine.search(call.query.get("term"), limit, credentials.as_ref()).await?;
    let admitted = found.into_iter().filter(|found| {
        official.is_none_or(|wanted| found.is_official == wanted)
            && automated.is_none_or(|wanted| found.is_automated == wanted)
            && found.star_count >= stars
    });
    Ok(reply::json(&admitted.collect::<Vec<_>>()))
}

fn limit(text: &str) -> Result<u32, Error> {
    if text.is_empty() {
        return Ok(DEFAULT);
    }
    let limit: i64 = text.parse().map_err(|_| {
        Error::invalid(format!("invalid limit specified: strconv.Atoi: parsing {text:?}: invalid syntax"))
    })?;
    match u32::try_from(limit) {
        Ok(0) => Ok(DEFAULT),
        Ok(limit) if limit <= MOST => Ok(limit),
        _ => Err(Error::invalid(format!("limit {limit} is outside the range of [1, {MOST}]"))),
    }
}

fn stars(filters: &Filters) -> Result<i64, Error> {
    let parse = |text: &str| {
        text.parse::<i64>().map_err(|_| {
            Error::invalid(format!(
                "invalid filter 'stars={text}': strconv.Atoi: parsing {text:?}: invalid syntax"
            ))
        })
    };
    let stars = filters.values("stars").map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(stars.into_iter().max().unwrap_or(0))
}
