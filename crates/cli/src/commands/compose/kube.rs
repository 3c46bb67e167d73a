//! `kube`: the project as Kubernetes objects, written down or handed to kubectl.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::project;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// `compose kube`.
pub(crate) fn kube(call: &Call) -> Outcome {
    let flags = call.flags();
    let project = project::load(call, call.args())?;
    let project = if call.args().is_empty() { project } else { project.only(call.args())? };
    let namespace = flags.find("namespace").filter(|name| !name.is_empty());
    let objects = compose::kube::objects(&project, namespace).map_err(Error::Usage)?;
    if !flags.bool("quiet") {
        objects.told.iter().for_each(|line| ui::err(&diag::printable(&format!("WARNING: {line}"))));
    }
    let text = objects.yaml();
    match flags.find("output").filter(|path| !path.is_empty()) {
        Some(path) => std::fs::write(path, &text).map_err(|error| Error::Io("write the objects", error))?,
        None if flags.bool("apply") => {}
        None => ui::out(&text)?,
    }
    if flags.bool("apply") {
        apply(&text)?;
    }
    Ok(0)
}

/// kubectl knows the cluster, the user and how objects that are there are changed.
fn apply(text: &str) -> Result<(), Error> {
    let spawned = Command::new("kubectl").args(["apply", "--filename", "-"]).stdin(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| Error::Io("call kubectl", error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(|error| Error::Io("write to kubectl", error))?;
    }
    match child.wait().map_err(|error| Error::Io("wait for kubectl", error))?.success() {
        true => Ok(()),
        false => Err(Error::Usage("kubectl refused the objects".into())),
    }
}
