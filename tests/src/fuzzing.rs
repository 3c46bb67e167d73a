//! Readers of bytes that strangers wrote, as functions of those bytes alone.
//!
//! `fuzz/` drives them with libFuzzer; `e2e/corpus.rs` replays the committed corpus as an ordinary test. None may panic,
//! hang or use memory without a bound, and what is accepted must survive being written and read again.

/// Feeds one reader.
pub type Target = fn(&[u8]);

/// Every reader, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("daemon_json", daemon::fuzz_config_file),
    ("digest", digest),
    ("flag_values", flag_values),
    ("image_changes", image_changes),
    ("layer_tar", layer_tar),
    ("manifest", distribution::fuzz_manifest),
    ("reference", reference),
    ("shim_frames", shim_frames),
];

/// Runs the reader called `name`.
pub fn feed(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
    target.unwrap_or_else(|| panic!("no target {name}"))(bytes);
}

fn digest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(digest) = text.parse::<oci::Digest>()
    {
        assert_eq!(digest.to_string().parse::<oci::Digest>().ok(), Some(digest));
    }
}

fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for parse in [oci::Reference::parse, oci::Reference::parse_as_typed] {
        let Ok(written) = parse(text).map(|parsed| parsed.to_string()) else { continue };
        let again = parse(&written).map(|again| again.to_string());
        assert_eq!(again.ok(), Some(written), "{text:?} is written as something else");
    }
}

fn flag_values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = flags::go::parse_bool(text);
    let _ = flags::go::parse_int(text);
    let _ = flags::go::parse_uint(text, 16);
    let _ = flags::go::parse_float(text);
    let _ = flags::go::parse_duration(text);
    let _ = flags::go::parse_bytes(text);
    let _ = flags::go::split_csv(text);
    let _ = flags::go::quote(text);
}

/// Dockerfile instructions for an image's configuration: what they make of it can be written and read again.
fn image_changes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut config = oci::image::ContainerConfig::default();
    let changes: Vec<String> = text.split('\0').map(str::to_owned).collect();
    if engine::images::changes::apply(&mut config, &changes).is_ok() {
        let written = serde_json::to_vec(&config).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<oci::image::ContainerConfig>(&written).ok(), Some(config));
    }
}

/// A layer from a stranger, kept by either driver in a folder of its own: nothing may appear beside that folder, both
/// drivers take the same layers, and what the index's writer wrote the kernel mounts.
fn layer_tar(bytes: &[u8]) {
    let Ok(scratch) = tempfile::tempdir() else { return };
    let root = scratch.path().join("root");
    let taken = [layers::Choice::Overlay, layers::Choice::Erofs].map(|choice| {
        let store =
            layers::LayerStore::open(&root.join(format!("{choice:?}")), choice, layers::Limits::default())
                .ok()?;
        let layer = store.apply(bytes, None).ok();
        if let Some(layer) = &layer {
            let mounted = store.mount_read_only(std::slice::from_ref(&layer.diff_id));
            assert!(mounted.is_ok(), "{choice:?} took a layer that can't be mounted: {mounted:?}");
        }
        layer
    });
    assert_eq!(taken[0], taken[1], "the drivers disagree");
    let beside = std::fs::read_dir(scratch.path()).into_iter().flatten().flatten();
    // Where the corpus' links and absolute names point.
    assert!(!std::path::Path::new("/tmp/kt-escape").exists(), "a layer wrote to the host");
    assert!(beside.map(|entry| entry.path()).all(|path| path == root), "a layer escaped its folder");
}

fn shim_frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((message, taken))) = shim::protocol::decode::<shim::protocol::FromShim>(rest) {
        let again = shim::protocol::encode(&message).and_then(|frame| shim::protocol::decode(&frame));
        assert!(again.is_ok_and(|again| again.is_some_and(|(same, _)| message == same)));
        rest = rest.get(taken..).unwrap_or_default();
    }
    let _ = shim::protocol::receive::<shim::protocol::ToShim>(bytes);
}
