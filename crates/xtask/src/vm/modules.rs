//! The kernel's modules with all that they need, in the order in which they can be loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Each module's name and content. What a kernel has built in has no file.
pub(super) fn with_needs(kernel: &Path, wanted: &[&str]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = BTreeMap::new();
    let folders = [kernel.join("lib/modules"), kernel.join("usr/lib/modules")];
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        collect(folder, &mut files)?;
    }
    let mut loaded = Vec::new();
    for name in wanted {
        load(name, &files, &mut loaded)?;
    }
    ensure!(!loaded.is_empty(), "a kernel without modules");
    Ok(loaded)
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.split_once(".ko") {
            _ if kind.is_dir() => collect(&path, files)?,
            Some((name, "" | ".xz")) => drop(files.insert(name.replace('-', "_"), path)),
            _ => {}
        }
    }
    Ok(())
}

fn load(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    loaded: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let Some(path) = files.get(&name.replace('-', "_")) else { return Ok(()) };
    if loaded.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let content = read(path)?;
    for need in needs(&content) {
        load(&need, files, loaded)?;
    }
    loaded.push((name.to_owned(), content));
    Ok(())
}

/// Unpacked: newer kernels have them compressed.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(fs::read(path)?);
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().context("xz")?;
    ensure!(output.status.success(), "xz -dc {}: {}", path.display(), output.status);
    Ok(output.stdout)
}

/// What a module says of itself: `depends=a,b`, with a zero at its end.
fn needs(content: &[u8]) -> Vec<String> {
    const START: &[u8] = b"\0depends=";
    let Some(at) = content.windows(START.len()).position(|window| window == START) else { return Vec::new() };
    let told = content[at + START.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(told).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
