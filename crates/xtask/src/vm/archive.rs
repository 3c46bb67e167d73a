//! A machine's first file system: what cpio calls `newc`, as the kernel unpacks it.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

#[derive(Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    pub(super) fn folder(&mut self, name: &str) -> anyhow::Result<()> {
        self.entry(name, FOLDER, &[])
    }

    pub(super) fn file(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        self.entry(name, PROGRAM, content)
    }

    pub(super) fn link(&mut self, name: &str, target: &str) -> anyhow::Result<()> {
        self.entry(name, LINK, target.as_bytes())
    }

    /// A folder of this machine's with all that is in it.
    pub(super) fn tree(&mut self, name: &str, folder: &Path) -> anyhow::Result<()> {
        self.folder(name)?;
        let mut entries: Vec<_> = fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<_, _>>)
            .with_context(|| folder.display().to_string())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = format!("{name}/{}", entry.file_name().to_str().context("a strange name")?);
            match () {
                () if kind.is_dir() => self.tree(&name, &path)?,
                () if kind.is_symlink() => {
                    self.entry(&name, LINK, fs::read_link(&path)?.as_os_str().as_bytes())?;
                }
                () => self.file(&name, &fs::read(&path).with_context(|| path.display().to_string())?)?,
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.0)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
        let out = &mut self.0;
        let (size, length) = (u32::try_from(content.len())?, name.len() + 1);
        // Inode (which makes no difference), mode, owner, links, time, size, devices, the name's length, no checksum.
        write!(out, "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{size:08X}", 0, 0, 0, 1, 0)?;
        write!(out, "{:08X}{:08X}{:08X}{:08X}{length:08X}{:08X}", 0, 0, 0, 0, 0)?;
        out.extend(name.bytes().chain([0]));
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
        Ok(())
    }
}
