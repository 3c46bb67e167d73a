//! `GET /images/{name}/history`: the steps that made an image, last first.

use serde_json::{Value, json};

use super::platform;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let wanted = platform::one(&call)?;
    let image = call.engine.images.get_on(call.name(), wanted.as_ref())?;
    let catalogue = call.engine.images.catalogue();
    let mut sizes = image.layer_sizes.iter();
    let mut entries: Vec<Value> = Vec::new();
    for step in &image.config.history {
        let size = if step.empty_layer { 0 } else { sizes.next().copied().unwrap_or_default() };
        entries.push(json!({
            "Id": "<missing>",
            "Created": seconds(step.created.as_deref()),
            "CreatedBy": step.created_by.as_deref().unwrap_or_default(),
            "Tags": null,
            "Size": size,
            "Comment": step.comment.as_deref().unwrap_or_default(),
        }));
    }
    // An image whose maker wrote no history still has layers.
    if entries.is_empty() {
        entries.extend(image.layer_sizes.iter().map(|size| {
            json!({ "Id": "<missing>", "Created": image.created(), "CreatedBy": "", "Tags": null,
                    "Size": size, "Comment": "" })
        }));
    }
    entries.reverse();
    if let Some(last) = entries.first_mut() {
        last["Id"] = json!(image.id.as_str());
        let names = catalogue.names_of(&image.id);
        last["Tags"] = if names.is_empty() { Value::Null } else { json!(names) };
    }
    Ok(reply::json(&entries))
}

fn seconds(text: Option<&str>) -> i64 {
    text.unwrap_or_default().parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
}
