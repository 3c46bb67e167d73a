//! `images`, `rmi`.

use client::encode;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::containers::short_id;
use super::each::unless_fatal;
use super::{filters, image_tree, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const IMAGES: Listing = Listing {
    fields: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    quiet: "{{.ID}}",
};

const WITH_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

/// `images`, `image ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let mut wanted = flags.list("filter");
    wanted.extend(call.args().first().map(|reference| format!("reference={reference}")));
    if flags.bool("tree") {
        return tree(call, &wanted);
    }
    let configured = call.config().text("imagesFormat").unwrap_or_default();
    let format = if flags.changed("format") { flags.text("format") } else { configured };
    let path = filters::with_query(
        "/images/json",
        &[flags.bool("all").then(|| "all=1".to_owned()), filters::parameter(&wanted)],
    );
    let answer =
        call.with_engine(|engine| async move { Ok(engine.call(Method::GET, &path, None).await?) })?;
    let images: Vec<Summary> = answer.parse()?;
    let digests = match flags.bool("digests") {
        true => Digests::Listed,
        false if format.contains(".Digest") => Digests::Named,
        false => Digests::Hidden,
    };
    let full = flags.bool("no-trunc");
    let look = if matches!(format, "" | "table") { Look::Table } else { Look::Whole };
    let rows: Vec<Row> = images.iter().flat_map(|image| rows(image, full, digests, look)).collect();
    let format = if flags.bool("digests") && matches!(format, "" | "table") { WITH_DIGESTS } else { format };
    ui::out(&IMAGES.render(if flags.bool("quiet") { "" } else { format }, flags.bool("quiet"), &rows)?)?;
    Ok(0)
}

/// `--tree`.
fn tree(call: &Call, wanted: &[String]) -> Outcome {
    let flags = call.flags();
    let others = [("quiet", "--quiet"), ("no-trunc", "--no-trunc"), ("digests", "--show-digest")];
    let other = others.into_iter().find(|(name, _)| flags.bool(name)).map(|(_, shown)| shown);
    let other = other.or((!flags.text("format").is_empty()).then_some("--format"));
    if let Some(shown) = other {
        return Err(Error::Usage(format!("{shown} is not yet supported with --tree")));
    }
    let all = flags.bool("all");
    let parameters =
        [all.then(|| "all=1".to_owned()), filters::parameter(wanted), Some("manifests=1".to_owned())];
    let path = filters::with_query("/images/json", &parameters);
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let dangling = wanted.iter().any(|filter| matches!(filter.as_str(), "dangling=true" | "dangling=1"));
    ui::out(&image_tree::tree(&answer, all || dangling))?;
    Ok(0)
}

/// What a row shows of the engine's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Summary {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: i64,
    size: f64,
    shared_size: Option<f64>,
    containers: Option<i64>,
}

/// Which cells somebody will look at: a local time for each of a thousand images is work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Those of the table that is shown by itself.
    Table,
    Whole,
}

/// How digests are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digests {
    Hidden,
    /// A format names them: each beside its tag.
    Named,
    /// `--digests`: also those without a tag have a row each.
    Listed,
}

/// One row for each name of an image: its tags, and the repositories that it is known in by digest only; or one for an
/// image without any.
pub(crate) fn rows(image: &Summary, full: bool, digests: Digests, look: Look) -> Vec<Row> {
    let tags = image.repo_tags.iter().flatten().filter_map(|name| name.rsplit_once(':'));
    let tags: Vec<_> = tags.filter(|(name, _)| *name != "<none>").collect();
    let known = image.repo_digests.iter().flatten().filter_map(|name| name.split_once('@'));
    let known: Vec<_> = known.filter(|(name, _)| *name != "<none>").collect();
    let mut names = Vec::new();
    for (name, tag) in &tags {
        let mut beside: Vec<_> = known.iter().filter(|(other, _)| other == name).map(|(_, d)| *d).collect();
        if digests == Digests::Hidden || beside.is_empty() {
            beside = vec!["<none>"];
        }
        names.extend(beside.into_iter().map(|digest| (*name, *tag, digest)));
    }
    for (name, digest) in known.iter().filter(|(name, _)| tags.iter().all(|(other, _)| other != name)) {
        match digests {
            Digests::Listed => names.push((name, "<none>", digest)),
            _ if names.last().is_some_and(|(last, ..)| last == name) => {}
            _ => names.push((name, "<none>", "")),
        }
    }
    if names.is_empty() {
        names.push(("<none>", "<none>", "<none>"));
    }
    names.into_iter().map(|name| row(image, (full, look), name)).collect()
}

fn row(image: &Summary, (full, look): (bool, Look), (repository, tag, digest): (&str, &str, &str)) -> Row {
    let (id, created, size) = (image.id.as_str(), image.created, image.size);
    let shared = image.shared_size.filter(|shared| *shared >= 0.0);
    let containers = image.containers.filter(|count| *count >= 0);
    let mut row = Row::new();
    let mut cell = |name: &str, text: String| row.insert(name.to_owned(), text.into());
    cell("ID", if full { id.to_owned() } else { short_id(id).to_owned() });
    cell("Repository", repository.to_owned());
    cell("Tag", tag.to_owned());
    cell("Digest", digest.to_owned());
    cell("CreatedSince", if created > 0 { units::ago(created) } else { "N/A".into() });
    cell("Size", units::size(size, 3));
    if look == Look::Whole {
        cell("CreatedAt", units::local(created));
        cell("VirtualSize", units::size(size, 4));
        cell("SharedSize", shared.map_or("N/A".into(), |shared| units::size(shared, 4)));
        cell("UniqueSize", shared.map_or("N/A".into(), |shared| units::size(size - shared, 4)));
        cell("Containers", containers.map_or("N/A".into(), |count| count.to_string()));
    }
    row
}

/// `rmi`, `image rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let flags = call.flags();
    let mut query = vec![
        flags.bool("force").then(|| "force=1".to_owned()),
        flags.bool("no-prune").then(|| "noprune=1".to_owned()),
    ];
    for platform in flags.list("platform") {
        query.push(Some(format!("platforms={}", encode(&super::platform::parse(&platform)?))));
    }
    let force = flags.bool("force");
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            let path = filters::with_query(&format!("/images/{}", encode(name)), &query);
            match engine.call(Method::DELETE, &path, None).await {
                Ok(reply) => ui::out(&removed(&reply.json()?))?,
                Err(error) if force && error.is_status(404) => ui::err(&error.to_string()),
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        if failures.is_empty() { Ok(0) } else { Err(Error::Several(failures.join("\n"))) }
    })
}

fn removed(answer: &Value) -> String {
    let line = |item: &Value| match (item["Deleted"].as_str(), item["Untagged"].as_str()) {
        (Some(id), _) => format!("Deleted: {id}\n"),
        (None, name) => format!("Untagged: {}\n", name.unwrap_or_default()),
    };
    answer.as_array().into_iter().flatten().map(line).collect()
}
