//! `DiskUsage` and `Prune`.

use std::time::Duration;

use grpc::{Call, Code, Status};

use super::engine::{Engine, Prune, Usage};
use super::news::time;
use crate::error::status;
use crate::proto::control::{DiskUsageRequest, DiskUsageResponse, PruneRequest, UsageRecord};

/// What is kept, and fits.
pub(super) async fn list(
    engine: &dyn Engine,
    question: DiskUsageRequest,
) -> Result<DiskUsageResponse, Status> {
    let filters = Filters::parse(&question.filter)?;
    let unused = Duration::from_nanos(u64::try_from(question.age_limit).unwrap_or(0));
    let kept = engine.usage().await.map_err(|e| status(&e))?;
    let fits = |usage: &Usage| filters.admit(usage) && is_unused_for(usage, unused);
    Ok(DiskUsageResponse { record: kept.into_iter().filter(fits).map(record).collect() })
}

fn is_unused_for(usage: &Usage, age: Duration) -> bool {
    age.is_zero() || usage.used.unwrap_or(usage.made).elapsed().is_ok_and(|since| since >= age)
}

/// Removes, and tells of each thing that went.
pub(super) async fn prune(engine: &dyn Engine, mut call: Call) -> Result<(), Status> {
    let Some(question) = call.receiver.next::<PruneRequest>().await? else {
        return Err(Status::new(Code::InvalidArgument, "nothing to prune"));
    };
    let filters = Filters::parse(&question.filter)?;
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let unused = Duration::from_nanos(number(question.keep_duration));
    let kept = engine.usage().await.map_err(|e| status(&e))?;
    let fits = |usage: &&Usage| filters.admit(usage) && is_unused_for(usage, unused);
    let wanted = Prune {
        all: question.all,
        keep: number(question.reserved_space),
        max_used: number(question.max_used_space),
        min_free: number(question.min_free_space),
        ids: kept.iter().filter(fits).map(|usage| usage.id.clone()).collect(),
    };
    for usage in engine.prune(wanted).await.map_err(|e| status(&e))? {
        call.sender.send(&record(usage)).await?;
    }
    Ok(())
}

/// What is meant, in containerd's language: any of several texts, each of comparisons that all have to hold.
struct Filters(Vec<Vec<Comparison>>);

struct Comparison {
    field: String,
    is: Is,
}

enum Is {
    There,
    Equal(String),
    Different(String),
    Matching(regex::Regex),
}

impl Filters {
    fn parse(texts: &[String]) -> Result<Self, Status> {
        // buildx says that it has no filter by an empty one.
        let given = texts.iter().filter(|text| !text.is_empty());
        let all = |text: &String| text.split(',').map(Comparison::parse).collect::<Result<Vec<_>, _>>();
        Ok(Self(given.map(all).collect::<Result<_, _>>()?))
    }

    fn admit(&self, usage: &Usage) -> bool {
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(|one| one.holds(usage)))
    }
}

impl Comparison {
    fn parse(text: &str) -> Result<Self, Status> {
        let invalid =
            |why: &str| Status::new(Code::InvalidArgument, format!("invalid filter {text:?}: {why}"));
        let split = ["==", "!=", "~="].iter().find_map(|sign| Some((text.split_once(sign)?, *sign)));
        let (field, is) = match split {
            None => (text, Is::There),
            Some(((field, value), sign)) => {
                let value = value.trim_matches('"').to_owned();
                let is = match sign {
                    "==" => Is::Equal(value),
                    "!=" => Is::Different(value),
                    _ => {
                        let built = regex::RegexBuilder::new(&value).size_limit(1 << 20).build();
                        Is::Matching(built.map_err(|e| invalid(&e.to_string()))?)
                    }
                };
                (field, is)
            }
        };
        let known =
            ["id", "parents", "description", "inuse", "mutable", "immutable", "type", "shared", "private"];
        match known.contains(&field) {
            true => Ok(Self { field: field.to_owned(), is }),
            false => Err(invalid("unknown field")),
        }
    }

    fn holds(&self, usage: &Usage) -> bool {
        let (value, there) = match self.field.as_str() {
            "id" => (usage.id.clone(), true),
            "parents" => (usage.parents.join(";"), !usage.parents.is_empty()),
            "description" => (usage.description.clone(), !usage.description.is_empty()),
            "type" => (usage.kind.clone(), !usage.kind.is_empty()),
            "inuse" => (usage.in_use.to_string(), usage.in_use),
            "mutable" => (usage.mutable.to_string(), usage.mutable),
            "immutable" => ((!usage.mutable).to_string(), !usage.mutable),
            "shared" => (usage.shared.to_string(), usage.shared),
            _ => ((!usage.shared).to_string(), !usage.shared),
        };
        match &self.is {
            Is::There => there,
            Is::Equal(wanted) => value == *wanted,
            Is::Different(unwanted) => value != *unwanted,
            Is::Matching(wanted) => wanted.is_match(&value),
        }
    }
}

fn record(usage: Usage) -> UsageRecord {
    UsageRecord {
        id: usage.id,
        mutable: usage.mutable,
        in_use: usage.in_use,
        size: i64::try_from(usage.size).unwrap_or(i64::MAX),
        created_at: Some(time(usage.made)),
        last_used_at: usage.used.map(time),
        usage_count: i64::try_from(usage.uses).unwrap_or(i64::MAX),
        description: usage.description,
        record_type: usage.kind,
        shared: usage.shared,
        parents: usage.parents,
        ..UsageRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn usage() -> Usage {
        Usage {
            id: "abc".into(),
            kind: "regular".into(),
            description: "[1/2] RUN make".into(),
            size: 1,
            in_use: false,
            shared: true,
            mutable: false,
            made: SystemTime::UNIX_EPOCH,
            used: None,
            uses: 1,
            parents: Vec::new(),
        }
    }

    #[test]
    fn what_is_kept_is_chosen_by_what_it_is() {
        for (texts, fits) in [
            (&[][..], true),
            (&[""], true),
            (&["id==abc"], true),
            (&["id~=^a", "type==none"], true),
            (&["type==regular,shared"], true),
            (&["type==regular,private"], false),
            (&["inuse"], false),
            (&["inuse==false"], true),
            (&["description~=RUN"], true),
            (&["parents"], false),
            (&["type!=regular"], false),
        ] {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            let parsed = Filters::parse(&texts).unwrap_or_else(|status| panic!("{status}"));
            assert_eq!(parsed.admit(&usage()), fits, "{texts:?}");
        }
        for wrong in ["color==red", "id~=("] {
            assert!(Filters::parse(&[wrong.to_owned()]).is_err());
        }
    }
}
