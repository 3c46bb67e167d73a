//! What of an image is here for which platform: `manifests` of a listing and of an inspection, and the descriptor.
//!
//! dockerd answers it where it keeps images in containerd; its graph drivers, one platform a name, leave it out. Here a
//! name may have several platforms, so it is answered.

use engine::images::{Catalogue, Image};
use serde_json::{Value, json};

use crate::call::Call;

/// One entry for each platform of the image's names.
pub(crate) fn of(call: &Call, catalogue: &Catalogue, image: &Image) -> Value {
    let siblings = catalogue.siblings_of(&image.id);
    let all = std::iter::once(image).chain(siblings.iter().map(|sibling| &**sibling));
    all.filter_map(|image| summary(call, image)).collect()
}

/// The manifest that the image came with.
pub(crate) fn descriptor(image: &Image) -> Option<Value> {
    let manifest = image.manifest.as_ref()?;
    Some(json!({ "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size }))
}

fn summary(call: &Call, image: &Image) -> Option<Value> {
    let manifest = image.manifest.as_ref()?;
    let users = call.engine.containers.list();
    let users = users.iter().filter(|view| view.container.image == image.id);
    let containers: Vec<&str> = users.map(|view| view.container.id.as_str()).collect();
    // A layer that came uncompressed is there once, as it is unpacked.
    let received = manifest.layers.iter().zip(&image.config.rootfs.diff_ids);
    let received = received.filter(|(layer, diff_id)| layer.digest != **diff_id).map(|(layer, _)| layer.size);
    let content = manifest.size + received.sum::<u64>();
    let platform = json!(image.config.platform);
    let mut descriptor = descriptor(image)?;
    descriptor["platform"] = platform.clone();
    Some(json!({
        "ID": manifest.digest,
        "Descriptor": descriptor,
        "Available": true,
        "Size": { "Content": content, "Total": content + image.size() },
        "Kind": "image",
        "ImageData": {
            "Platform": platform,
            "Containers": containers,
            "Size": { "Unpacked": image.size() },
        },
    }))
}
