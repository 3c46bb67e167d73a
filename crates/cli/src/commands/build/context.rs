//! What is built from: a directory, the standard input, an address; and where its Dockerfile is.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use buildkit::attach::{Offer, upload_address};

use super::folders;
use crate::call::Call;
use crate::error::Error;

/// The largest Dockerfile that is read from the standard input.
const MAX_DOCKERFILE: u64 = 16 << 20;
/// As much of an archive as tells that it is one.
const HEAD: u64 = 1024;

/// What a context brings along beside attributes and offers.
#[derive(Default)]
pub(super) struct Context {
    /// What tells later builds of the same directory.
    pub(super) shared_key: String,
    /// Folders that go when the build has ended.
    folders: Vec<Folder>,
}

/// A folder of ours below the temporary one.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to be told, and the temporary folder is swept anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> Result<Self, Error> {
        let name = buildkit::identity().map_err(|e| Error::Usage(e.to_string()))?;
        let path = std::env::temp_dir().join(format!("ketch-build-{name}"));
        let made = rustix::fs::mkdir(&path, rustix::fs::Mode::from_raw_mode(0o700));
        made.map_err(|e| Error::Io("make a temporary folder", e.into()))?;
        Ok(Self(path))
    }
}

/// Reads the positional argument, `--file` and `--build-context`.
pub(super) fn read(
    call: &Call,
    attributes: &mut BTreeMap<String, String>,
    offer: &mut Offer,
) -> Result<Context, Error> {
    let path = call.args().first().map_or("", String::as_str);
    let file = call.flags().text("file");
    let mut reading = Reading { context: Context::default(), attributes, offer };
    match path {
        "-" if file == "-" => {
            return Err(usage("invalid argument: can't use stdin for both build context and dockerfile"));
        }
        "-" => reading.input(file)?,
        url if is_remote(url) => reading.address(url, file)?,
        path if Path::new(path).is_dir() => reading.directory(path, file)?,
        path => return Err(usage(&format!("unable to prepare context: path {path:?} not found"))),
    }
    for named in call.flags().list("build-context") {
        reading.named(&named)?;
    }
    Ok(reading.context)
}

/// The path of the Dockerfile, as people would say it.
pub(super) fn dockerfile(call: &Call) -> String {
    let context = call.args().first().map_or("", String::as_str);
    match call.flags().text("file") {
        "" if context == "." => "Dockerfile".into(),
        "" => Path::new(context).join("Dockerfile").display().to_string(),
        file => file.to_owned(),
    }
}

struct Reading<'a> {
    context: Context,
    attributes: &'a mut BTreeMap<String, String>,
    offer: &'a mut Offer,
}

impl Reading<'_> {
    fn attribute(&mut self, key: &str, value: &str) {
        self.attributes.insert(key.to_owned(), value.to_owned());
    }

    fn offered(&mut self, name: &str, folder: impl Into<PathBuf>) {
        self.offer.directories.insert(name.to_owned(), folder.into());
    }

    fn directory(&mut self, path: &str, file: &str) -> Result<(), Error> {
        self.offered("context", path);
        let absolute = std::path::absolute(path).map_err(|e| Error::Io("find the context", e))?;
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        self.context.shared_key = name.unwrap_or_default();
        match file {
            "-" => self.dockerfile_from(&mut std::io::stdin()),
            "" => self.dockerfile_at(Path::new(path), "Dockerfile"),
            url if is_http(url) => {
                Err(usage("a Dockerfile from an address is not supported: fetch it first"))
            }
            file => self.dockerfile_file(file),
        }
    }

    fn dockerfile_file(&mut self, file: &str) -> Result<(), Error> {
        let path = Path::new(file);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(usage(&format!("unable to prepare context: invalid Dockerfile path {file:?}")));
        };
        if !folder.is_dir() {
            let folder = folder.display();
            return Err(usage(&format!(
                "failed to read dockerfile: open {folder}: no such file or directory"
            )));
        }
        self.dockerfile_at(folder, name)
    }

    fn dockerfile_at(&mut self, folder: &Path, name: &str) -> Result<(), Error> {
        self.offered("dockerfile", folder);
        // Where only the lower-case name is there, it is meant.
        let lower = name == "Dockerfile"
            && folder.join("dockerfile").is_file()
            && !std::fs::read_dir(folder)
                .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| e.file_name() == name)));
        self.attribute("filename", if lower { "dockerfile" } else { name });
        Ok(())
    }

    fn dockerfile_from(&mut self, input: &mut dyn Read) -> Result<(), Error> {
        let mut text = Vec::new();
        let read = input.take(MAX_DOCKERFILE + 1).read_to_end(&mut text);
        read.map_err(|e| Error::Io("read the standard input", e))?;
        if text.len() as u64 > MAX_DOCKERFILE {
            return Err(usage("the Dockerfile from the standard input is larger than 16 MiB"));
        }
        let folder = Folder::new()?;
        let written = std::fs::write(folder.0.join("Dockerfile"), text);
        written.map_err(|e| Error::Io("write a temporary file", e))?;
        self.attribute("dockerfilekey", "dockerfile");
        self.dockerfile_at(&folder.0.clone(), "Dockerfile")?;
        self.context.folders.push(folder);
        Ok(())
    }

    /// The standard input is an archive that is the context, or a Dockerfile without one.
    fn input(&mut self, file: &str) -> Result<(), Error> {
        let mut head = Vec::new();
        let read = std::io::stdin().lock().take(HEAD).read_to_end(&mut head);
        read.map_err(|e| usage(&format!("failed to peek context header from STDIN: {e}")))?;
        if is_archive(&head) {
            let name = buildkit::identity().map_err(|e| Error::Usage(e.to_string()))?;
            self.attribute("context", &upload_address(&name));
            let input: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(std::io::stdin()));
            if let Ok(mut uploads) = self.offer.uploads.lock() {
                uploads.insert(name, input);
            }
            self.attribute("filename", if file.is_empty() { "Dockerfile" } else { file });
            return Ok(());
        }
        if !file.is_empty() {
            return Err(usage("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"));
        }
        self.dockerfile_from(&mut Cursor::new(head).chain(std::io::stdin()))?;
        let empty = Folder::new()?;
        self.offered("context", &empty.0);
        self.context.folders.push(empty);
        Ok(())
    }

    fn address(&mut self, url: &str, file: &str) -> Result<(), Error> {
        self.attribute("context", url);
        match file {
            "-" => self.dockerfile_from(&mut std::io::stdin()),
            file if Path::new(file).is_absolute() => {
                self.attribute("dockerfilekey", "dockerfile");
                self.dockerfile_file(file)
            }
            "" => {
                self.attribute("filename", "Dockerfile");
                Ok(())
            }
            file => {
                self.attribute("filename", file);
                Ok(())
            }
        }
    }

    /// `--build-context name=…`.
    fn named(&mut self, text: &str) -> Result<(), Error> {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(usage(&format!("invalid context value: {text}, expected key=value")));
        };
        self.attribute("frontend.caps", "moby.buildkit.frontend.contexts+forward");
        let key = format!("context:{name}");
        if let Some(layout) = value.strip_prefix("oci-layout://") {
            let (folder, digest) = folders::image(layout)?;
            let store = buildkit::identity().map_err(|e| Error::Usage(e.to_string()))?;
            self.attribute(&key, &format!("oci-layout://{store}@{digest}"));
            self.offer.stores.insert(format!("oci:{store}"), folder);
            return Ok(());
        }
        if is_remote(value) || value.starts_with("docker-image://") || value.starts_with("target:") {
            self.attribute(&key, value);
            return Ok(());
        }
        if !Path::new(value).is_dir() {
            let why = if Path::new(value).exists() { "not a directory" } else { "no such file or directory" };
            return Err(usage(&format!("failed to get build context {name}: stat {value}: {why}")));
        }
        // These two are ours.
        let local =
            if matches!(name, "context" | "dockerfile") { format!("_{name}") } else { name.to_owned() };
        self.attribute(&key, &format!("local:{local}"));
        self.offered(&local, value);
        Ok(())
    }
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}

fn is_http(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// An address that the engine fetches: a file's, an archive's, a repository's.
pub(crate) fn is_remote(text: &str) -> bool {
    let scheme = ["git://", "github.com/"].iter().any(|start| text.starts_with(start));
    is_http(text) || scheme || is_ssh(text)
}

/// `ssh://…`, or `user@host:path` as git has it.
pub(super) fn is_ssh(text: &str) -> bool {
    let scp = text.split_once('@').is_some_and(|(user, rest)| {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        plain(user) && rest.split_once(':').is_some_and(|(host, path)| plain(host) && !path.is_empty())
    });
    scp || text.starts_with("ssh://")
}

fn is_archive(head: &[u8]) -> bool {
    let packed: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    packed.iter().any(|magic| head.starts_with(magic))
        || head.get(257..262) == Some(b"ustar")
        || old_tar(head)
}

/// A tar from before there was a magic word: its header adds up.
fn old_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512).filter(|block| block[0] != 0) else { return false };
    let field = block[148..156].iter().copied().skip_while(|byte| *byte == b' ');
    let digits = field.take_while(u8::is_ascii_digit).collect::<Vec<_>>();
    let said = std::str::from_utf8(&digits).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    let sum = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    said == Some(block.iter().enumerate().map(sum).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for url in
            ["https://h/x.tar", "git@github.com:a/b.git", "github.com/a/b", "ssh://h/x", "git://h/r#main:dir"]
        {
            assert!(is_remote(url), "{url}");
        }
        for path in [".", "dir", "a@b", "./github.com", "x:y", "ftp"] {
            assert!(!is_remote(path), "{path}");
        }
    }

    #[test]
    fn an_archive_is_known_by_its_beginning() {
        assert!(is_archive(b"\x1f\x8b\x08rest"));
        assert!(!is_archive(b"FROM busybox\n"));
        let mut header = tar::Header::new_old();
        header.set_path("x").unwrap();
        header.set_size(0);
        header.set_cksum();
        assert!(is_archive(header.as_bytes()));
    }
}
