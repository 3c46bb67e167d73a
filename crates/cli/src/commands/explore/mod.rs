//! `image explore`: what each layer of an image added, changed and removed, and what is carried along for nobody.
//!
//! It reads what `save` gives, so that every engine can be asked.

mod archive;
mod changes;

use client::encode;
use http::Method;
use serde_json::json;

use super::{filters, pieces, platform, units};
use crate::call::Call;
use crate::commands::containers::ellipsis;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;
use archive::Layer;
use changes::{Image, Kind};

const LAYERS: Listing = Listing {
    fields: &[
        ("Layer", "LAYER"),
        ("Digest", "DIGEST"),
        ("Size", "SIZE"),
        ("Added", "ADDED"),
        ("Changed", "CHANGED"),
        ("Removed", "REMOVED"),
        ("Hidden", "HIDES"),
        ("CreatedBy", "CREATED BY"),
    ],
    table: "{{.Layer}}\t{{.Size}}\t{{.Added}}\t{{.Changed}}\t{{.Removed}}\t{{.Hidden}}\t{{.CreatedBy}}",
    quiet: "{{.Digest}}",
};
const CHANGES: Listing = Listing {
    fields: &[("Kind", "CHANGE"), ("Size", "SIZE"), ("Path", "PATH")],
    table: "{{.Kind}}\t{{.Size}}\t{{.Path}}",
    quiet: "{{.Path}}",
};
const WASTED: Listing = Listing {
    fields: &[("Wasted", "WASTED"), ("Times", "TIMES"), ("Path", "PATH")],
    table: "{{.Wasted}}\t{{.Times}}\t{{.Path}}",
    quiet: "{{.Path}}",
};
/// As much of an instruction as a table shows.
const INSTRUCTION: usize = 60;

/// `image explore`.
pub(crate) fn explore(call: &Call) -> Outcome {
    let flags = call.flags();
    let mut query = platform::parameter(flags)?;
    let name = call.args().first().map_or("", String::as_str);
    query.push(Some(format!("names={}", encode(name))));
    let path = filters::with_query("/images/get", &query);
    let layers = call.with_engine(|engine| async move {
        // Asked first: an archive of nothing is no answer.
        engine.get(&format!("/images/{}/json", encode(name))).await?;
        let body = engine.stream(Method::GET, &path, None).await?;
        Ok(pieces::read(body, archive::read).await?.0)
    })?;
    let listings: Vec<&changes::Listing> = layers.iter().map(|layer| &layer.listing).collect();
    let image = Image::of(&listings);
    let (format, quiet) = (flags.text("format"), flags.bool("quiet"));
    let text = match flags.find("layer").filter(|number| !number.is_empty()) {
        Some(number) => CHANGES.render(format, quiet, &changes_of(&image, number)?)?,
        None if flags.bool("wasted") => WASTED.render(format, quiet, &wasted(&image))?,
        None => {
            let text = LAYERS.render(format, quiet, &rows(&layers, &image, flags.bool("no-trunc")))?;
            if format.is_empty() && !quiet { text + &summary(&layers, &image) } else { text }
        }
    };
    ui::out(&text)?;
    Ok(0)
}

fn row(value: &serde_json::Value) -> Row {
    value.as_object().cloned().unwrap_or_default()
}

fn rows(layers: &[Layer], image: &Image, whole: bool) -> Vec<Row> {
    let rows = layers.iter().enumerate().map(|(number, layer)| {
        let count =
            |kind| image.layers[number].iter().filter(|change| change.kind == kind).count().to_string();
        let by = layer.created_by.replace(['\t', '\n'], " ");
        row(&json!({
            "Layer": (number + 1).to_string(),
            "Digest": layer.digest,
            "Size": size(layer.size),
            "Added": count(Kind::Added),
            "Changed": count(Kind::Changed),
            "Removed": count(Kind::Removed),
            "Hidden": size(image.hidden[number]),
            "CreatedBy": if whole { by } else { ellipsis(&by, INSTRUCTION) },
        }))
    });
    rows.collect()
}

fn changes_of(image: &Image, number: &str) -> Result<Vec<Row>, Error> {
    let known = number.parse::<usize>().ok().and_then(|number| image.layers.get(number.checked_sub(1)?));
    let changes = known.ok_or_else(|| {
        Error::Usage(format!("the image has the layers 1 to {}, not {number}", image.layers.len()))
    })?;
    let kind = |kind| match kind {
        Kind::Added => "A",
        Kind::Changed => "C",
        Kind::Removed => "D",
    };
    let rows = changes.iter().map(|change| {
        row(&json!({
            "Kind": kind(change.kind),
            "Size": size(change.size),
            "Path": diag::printable(&format!("/{}", change.path)),
        }))
    });
    Ok(rows.collect())
}

/// What wastes most comes first.
fn wasted(image: &Image) -> Vec<Row> {
    let mut all: Vec<_> = image.wasted.iter().filter(|(_, waste)| waste.bytes > 0).collect();
    all.sort_unstable_by(|(path, waste), (other, others)| (others.bytes, path).cmp(&(waste.bytes, other)));
    let rows = all.into_iter().map(|(path, waste)| {
        row(&json!({
            "Wasted": size(waste.bytes),
            "Times": waste.times.to_string(),
            "Path": diag::printable(&format!("/{path}")),
        }))
    });
    rows.collect()
}

fn summary(layers: &[Layer], image: &Image) -> String {
    let files = layers.iter().flat_map(|layer| layer.listing.entries.values());
    let all: u64 = files.map(|entry| entry.size).sum();
    let wasted: u64 = image.hidden.iter().sum();
    let part = if all == 0 { 0.0 } else { wasted as f64 * 100.0 / all as f64 };
    format!(
        "\n{} in files of {} layer{}; {} of it ({part:.1}%) is hidden by later layers.\n",
        size(all),
        layers.len(),
        if layers.len() == 1 { "" } else { "s" },
        size(wasted)
    )
}

fn size(bytes: u64) -> String {
    units::size(bytes as f64, 3)
}
