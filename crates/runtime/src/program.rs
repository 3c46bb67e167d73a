//! Finding the program inside the container, with the sentences that Docker says when it can't be.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;

use crate::Error;

/// Where Docker looks if the environment doesn't say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that can be executed by the user that we are.
pub(crate) struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// Looks it up: after the pivot, as the container's user, in its working directory. `home` is for an environment that
    /// has no `HOME`.
    pub(crate) fn find(process: &Process, home: &str) -> Result<Self, Error> {
        let args = strings("process.args", process.args().as_deref().unwrap_or_default())?;
        let variables = process.env().as_deref().unwrap_or_default();
        let mut env = strings("process.env", variables)?;
        if !variables.iter().any(|v| v.starts_with("HOME=")) {
            env.extend(strings("process.env", &[format!("HOME={home}")])?);
        }
        let name = process.args().as_ref().and_then(|a| a.first()).map(String::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(Error::Invalid { field: "process.args", why: "names no program".into() });
        }
        // Of two variables of one name, programs see the first; so do we.
        let path = variables.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let path = look_up(name, path)?;
        let path = strings("process.args", &[path.to_string_lossy().into_owned()])?.swap_remove(0);
        Ok(Self { path, args, env })
    }

    /// Returns only why it could not be executed.
    pub(crate) fn execute(&self) -> Error {
        let error = sys::exec_path(&self.path, &self.args, &self.env);
        let text =
            format!("exec {}: {}", self.path.to_string_lossy(), go_text(error.raw_os_error().unwrap_or(0)));
        match Errno::from_io_error(&error) {
            // The file was there: what is missing is the interpreter that it names.
            Some(Errno::NOENT) => Error::NotFound(text),
            _ => Error::NotExecutable(text),
        }
    }
}

fn strings(field: &'static str, texts: &[String]) -> Result<Vec<CString>, Error> {
    let convert = |text: &String| CString::new(text.as_str());
    texts
        .iter()
        .map(|text| convert(text).map_err(|_| Error::Invalid { field, why: "has a NUL byte in it".into() }))
        .collect()
}

fn look_up(name: &str, path: &str) -> Result<PathBuf, Error> {
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(Error::NotFound(format!("exec: \"{name}\": stat {name}: no such file or directory")))
            }
            Err(e) => Err(Error::NotExecutable(format!("exec: \"{name}\": {}", go_text(e.raw_os_error())))),
        };
    }
    // As a shell does: what can't be executed is passed over.
    let found =
        path.split(':').map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(name));
    found
        .into_iter()
        .find(|candidate| check(candidate).is_ok())
        .ok_or_else(|| Error::NotFound(format!("exec: \"{name}\": executable file not found in $PATH")))
}

fn check(path: &Path) -> Result<(), Errno> {
    match FileType::from_raw_mode(stat(path)?.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        _ => accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS),
    }
}

/// The words of Go's `syscall.Errno`, which are in the messages that clients compare.
fn go_text(errno: i32) -> String {
    match Errno::from_raw_os_error(errno) {
        Errno::ACCESS => "permission denied".into(),
        Errno::ISDIR => "is a directory: permission denied".into(),
        Errno::NOENT => "no such file or directory".into(),
        Errno::NOEXEC => "exec format error".into(),
        Errno::TOOBIG => "argument list too long".into(),
        _ => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}
