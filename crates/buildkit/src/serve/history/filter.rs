//! Which builds somebody wants to hear of.
//!
//! `ref`, `status` and `repository` are compared (`==`, `!=`, `~=` with an expression), of which any may fit; times and
//! durations are compared by their order (`startedAt>2h`), and all have to fit.

use std::time::SystemTime;

use grpc::{Code, Status};
use regex::Regex;

use crate::proto::Timestamp;
use crate::proto::control::BuildHistoryRecord;

/// Expressions are strangers'.
const MAX_EXPRESSION: usize = 1 << 20;

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Filters {
    texts: Vec<Vec<Text>>,
    orders: Vec<Order>,
}

#[derive(Debug)]
struct Text {
    key: TextKey,
    is: Is,
}

#[derive(Debug, Clone, Copy)]
enum TextKey {
    Ref,
    Status,
    Repository,
}

#[derive(Debug)]
enum Is {
    Equal(String),
    Different(String),
    Matching(Regex),
}

#[derive(Debug)]
struct Order {
    key: OrderKey,
    sign: &'static str,
    /// Seconds for moments, nanoseconds for durations.
    than: i64,
}

#[derive(Debug, Clone, Copy)]
enum OrderKey {
    Started,
    Completed,
    Duration,
}

impl Filters {
    pub(super) fn parse(texts: &[String]) -> Result<Self, Status> {
        let mut filters = Self::default();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            match order(text)? {
                Some(order) => filters.orders.push(order),
                None => filters.texts.push(text.split(',').map(comparison).collect::<Result<_, _>>()?),
            }
        }
        Ok(filters)
    }

    pub(super) fn admit(&self, record: &BuildHistoryRecord) -> bool {
        let any =
            self.texts.is_empty() || self.texts.iter().any(|all| all.iter().all(|text| text.admits(record)));
        any && self.orders.iter().all(|order| order.admits(record))
    }
}

fn invalid(text: &str, why: &str) -> Status {
    Status::new(Code::InvalidArgument, format!("invalid filter {text:?}: {why}"))
}

fn order(text: &str) -> Result<Option<Order>, Status> {
    let named = [
        ("startedAt", OrderKey::Started),
        ("completedAt", OrderKey::Completed),
        ("duration", OrderKey::Duration),
    ];
    let Some((key, rest)) = named.iter().find_map(|(name, key)| Some((*key, text.strip_prefix(name)?)))
    else {
        return Ok(None);
    };
    let sign = [">=", "<=", ">", "<"].into_iter().find(|sign| rest.starts_with(sign));
    let sign = sign.ok_or_else(|| invalid(text, "it is compared by <, <=, > or >="))?;
    let value = &rest[sign.len()..];
    let duration = flags::go::parse_duration(value).ok();
    let than = match (key, duration) {
        (OrderKey::Duration, Some(duration)) => i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        (OrderKey::Duration, None) => return Err(invalid(text, "it is no duration")),
        (_, Some(ago)) => {
            let at = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
            super::news::time(at).seconds
        }
        (_, None) => {
            let at: jiff::Timestamp =
                value.parse().map_err(|_| invalid(text, "it is neither a duration nor a time"))?;
            at.as_second()
        }
    };
    Ok(Some(Order { key, sign, than }))
}

fn comparison(text: &str) -> Result<Text, Status> {
    let parts = ["==", "!=", "~="].iter().find_map(|sign| Some((text.split_once(sign)?, *sign)));
    let ((key, value), sign) = parts.ok_or_else(|| invalid(text, "it compares by ==, != or ~="))?;
    let key = match key {
        "ref" => TextKey::Ref,
        "status" => TextKey::Status,
        "repository" => TextKey::Repository,
        _ => return Err(invalid(text, "unknown field")),
    };
    let value = value.trim_matches('"');
    let is = match sign {
        "==" => Is::Equal(value.to_owned()),
        "!=" => Is::Different(value.to_owned()),
        _ => {
            let built = regex::RegexBuilder::new(value).size_limit(MAX_EXPRESSION).build();
            Is::Matching(built.map_err(|e| invalid(text, &e.to_string()))?)
        }
    };
    Ok(Text { key, is })
}

impl Text {
    fn admits(&self, record: &BuildHistoryRecord) -> bool {
        let attribute = |name: &str| record.frontend_attrs.get(name).map(String::as_str).unwrap_or_default();
        let value = match self.key {
            TextKey::Ref => record.r#ref.as_str(),
            TextKey::Status => status(record),
            TextKey::Repository => match attribute("vcs:source") {
                "" => attribute("context").split('#').next().unwrap_or_default(),
                source => source,
            },
        };
        match &self.is {
            Is::Equal(wanted) => value == wanted,
            Is::Different(unwanted) => value != unwanted,
            Is::Matching(wanted) => wanted.is_match(value),
        }
    }
}

impl Order {
    fn admits(&self, record: &BuildHistoryRecord) -> bool {
        let (started, completed) = (record.created_at.as_ref(), record.completed_at.as_ref());
        let value = match self.key {
            OrderKey::Started => started.map(|at| at.seconds),
            OrderKey::Completed => completed.map(|at| at.seconds),
            OrderKey::Duration => match (started, completed) {
                (Some(from), Some(to)) => Some(
                    (to.seconds - from.seconds).saturating_mul(1_000_000_000)
                        + i64::from(to.nanos - from.nanos),
                ),
                _ => None,
            },
        };
        value.is_some_and(|value| match self.sign {
            ">=" => value >= self.than,
            "<=" => value <= self.than,
            ">" => value > self.than,
            _ => value < self.than,
        })
    }
}

/// BuildKit's word for what became of it.
fn status(record: &BuildHistoryRecord) -> &'static str {
    match (&record.completed_at, &record.error) {
        (None, _) => "running",
        (Some(_), None) => "completed",
        (Some(_), Some(error)) if error.message.contains("context canceled") => "canceled",
        (Some(_), Some(_)) => "error",
    }
}

/// A moment, as far as it orders records.
pub(super) fn seconds(at: Option<&Timestamp>) -> i64 {
    at.map_or(0, |at| at.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, took: i64) -> BuildHistoryRecord {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let attributes = [("context".to_owned(), "https://example.com/a.git#main".to_owned())];
        BuildHistoryRecord {
            r#ref: id.to_owned(),
            created_at: at(1_700_000_000),
            completed_at: at(1_700_000_000 + took),
            frontend_attrs: attributes.into(),
            ..BuildHistoryRecord::default()
        }
    }

    #[test]
    fn builds_are_chosen_by_what_they_were() {
        for (filters, fits) in [
            (&["ref==abc"][..], true),
            (&["ref!=abc"], false),
            (&["ref~=^a.c$"], true),
            (&["status==completed"], true),
            (&["status==error", "ref==abc"], true),
            (&["status==error,ref==abc"], false),
            (&["repository==https://example.com/a.git"], true),
            (&["startedAt>=2023-11-14T22:13:20Z"], true),
            (&["startedAt>24h"], false),
            (&["completedAt<24h"], true),
            (&["duration>4s"], true),
            (&["duration>4s", "duration<5s"], false),
        ] {
            let texts: Vec<String> = filters.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(Filters::parse(&texts).unwrap().admit(&record("abc", 5)), fits, "{filters:?}");
        }
        for wrong in ["ref", "color==red", "ref~=(", "duration=5s", "startedAt>soon"] {
            assert_eq!(Filters::parse(&[wrong.to_owned()]).unwrap_err().code, Code::InvalidArgument);
        }
    }
}
