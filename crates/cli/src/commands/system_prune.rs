//! `system prune`: containers, networks, volumes if asked for, images and the build cache, in docker's order.

use client::Engine;
use http::Method;
use serde_json::Value;

use super::{filters, prune, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::{prompt, ui};

const VOLUMES: &str = "/volumes/prune";
const UNTIL: &str = "ERROR: The \"until\" filter is not supported with \"--volumes\"";

/// `system prune`.
pub(crate) fn prune(call: &Call) -> Outcome {
    let flags = call.flags();
    let (all, volumes, given) = (flags.bool("all"), flags.bool("volumes"), flags.list("filter"));
    if volumes && given.iter().any(|filter| filter.starts_with("until=")) {
        return Err(Error::Usage(UNTIL.into()));
    }
    let wanted = filters::for_prune(call);
    call.with_engine(|engine| async move {
        if !flags.bool("force") && !prompt::confirm(&question(all, volumes, &given)).await? {
            return Ok(0);
        }
        let mut freed = 0.0;
        for step in steps(all).into_iter().filter(|step| volumes || step.path != VOLUMES) {
            let (bytes, text) = step.take(&engine, &wanted).await?;
            freed += bytes;
            if !text.is_empty() {
                ui::out(&format!("{text}\n"))?;
            }
        }
        ui::out(&format!("Total reclaimed space: {}\n", units::size(freed, 4)))?;
        Ok(0)
    })
}

fn question(all: bool, volumes: bool, filters: &[String]) -> String {
    let (images, cache) = match all {
        true => ("all images without at least one container associated to them", "all build cache"),
        false => ("all dangling images", "unused build cache"),
    };
    let mut what = vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        what.push("all anonymous volumes not used by at least one container");
    }
    what.extend([images, cache]);
    let lines = |items: &mut dyn Iterator<Item = &str>| -> String {
        items.map(|item| format!("\n  - {item}")).collect()
    };
    let filtered = match filters.is_empty() {
        true => String::new(),
        false => format!(
            "\n  Items to be pruned will be filtered with:{}\n",
            lines(&mut filters.iter().map(String::as_str))
        ),
    };
    let removed = lines(&mut what.into_iter());
    format!("WARNING! This will remove:{removed}\n{filtered}\nAre you sure you want to continue?")
}

struct Step {
    path: &'static str,
    /// Said beside what the user asked for.
    filter: Option<String>,
    told: fn(&Value) -> String,
}

fn steps(all: bool) -> [Step; 5] {
    [
        Step { path: "/containers/prune", filter: None, told: prune::containers_gone },
        Step { path: "/networks/prune", filter: None, told: prune::networks_gone },
        Step { path: VOLUMES, filter: None, told: prune::volumes_gone },
        Step { path: "/images/prune", filter: Some(format!("dangling={}", !all)), told: prune::images_gone },
        Step {
            path: "/build/prune",
            filter: all.then(|| "all=true".to_owned()),
            told: |report| prune::list("Deleted build cache objects:", &report["CachesDeleted"]),
        },
    ]
}

impl Step {
    async fn take(&self, engine: &Engine, wanted: &[String]) -> Result<(f64, String), Error> {
        let mut filters = wanted.to_vec();
        let mut query = Vec::new();
        match &self.filter {
            // Of the build cache it is a parameter of its own.
            Some(all) if self.path == "/build/prune" => query.push(Some(all.clone())),
            more => filters.extend(more.clone()),
        }
        query.push(filters::parameter(&filters));
        let path = filters::with_query(self.path, &query);
        let report = match engine.call(Method::POST, &path, None).await {
            // An engine that doesn't build keeps nothing of builds.
            Err(error) if self.path == "/build/prune" && error.is_status(501) => {
                return Ok((0.0, String::new()));
            }
            report => report?.json()?,
        };
        Ok((report["SpaceReclaimed"].as_f64().unwrap_or_default(), (self.told)(&report)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_what_goes_and_by_which_filters() {
        let expected = "WARNING! This will remove:\n  - all stopped containers\n  \
            - all networks not used by at least one container\n  - all dangling images\n  - unused build cache\n\n\
            Are you sure you want to continue?";
        assert_eq!(question(false, false, &[]), expected);
        assert!(question(true, true, &["label=a".into()]).ends_with(
            "- all build cache\n\n  Items to be pruned will be filtered with:\n  - label=a\n\nAre you sure you want to continue?"
        ));
    }
}
