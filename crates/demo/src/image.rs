//! An image with one layer and one file: this executable.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

/// What the image is called.
pub(crate) const NAME: &str = "ketch-demo:latest";

/// Writes an archive as `docker save` does.
pub(crate) fn write(executable: &Path, archive: &Path) -> io::Result<()> {
    let layer = layer(executable)?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Entrypoint": ["/ketch", "__demo"], "Env": ["PATH=/"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))] },
        "history": [{ "created_by": "ketch demo" }],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    let mut tar = tar::Builder::new(File::create(archive)?);
    for (name, bytes) in [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        append(&mut tar, name, 0o644, &bytes)?;
    }
    tar.into_inner()?.flush()
}

fn layer(executable: &Path) -> io::Result<Vec<u8>> {
    let mut program = Vec::new();
    File::open(executable)?.read_to_end(&mut program)?;
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "ketch", 0o755, &program)?;
    tar.into_inner()
}

/// Times are zero: the same executable makes the same image.
fn append(tar: &mut tar::Builder<impl Write>, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, bytes)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
