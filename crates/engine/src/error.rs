use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};

/// Why the engine did not do what was asked. The sentences of the first group are dockerd's: clients match on them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    #[error("No such image: {0}")]
    NoSuchImage(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    AmbiguousPrefix(String),
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove \
         (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, holder: String },
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    #[error(transparent)]
    InvalidReference(oci::ReferenceError),
    #[error("config cannot be empty in order to create a container")]
    EmptyConfig,
    #[error("no command specified")]
    NoCommand,
    #[error("{0}")]
    Filter(#[from] crate::filters::Error),
    #[error(
        "cannot remove container \"{name}\": container is {state}: stop the container before removing or force remove"
    )]
    RemoveRunning { name: String, state: &'static str },
    #[error("cannot remove container \"{0}\": container is paused and must be unpaused first")]
    RemovePaused(String),
    #[error("Container {0} is already paused")]
    AlreadyPaused(String),
    #[error("Container {0} is not paused")]
    NotPaused(String),
    #[error("Container {name} is paused, unpause the container before {what}")]
    PausedFor { name: String, what: &'static str },
    #[error("container {0} is paused, unpause the container before attach")]
    AttachPaused(String),
    #[error("container {0} is restarting, wait until the container is running")]
    AttachRestarting(String),
    #[error("cannot start a paused container, try unpause instead")]
    StartPaused,
    #[error("Container {0} is restarting, wait until the container is running")]
    IsRestarting(String),
    #[error("Neither old nor new names may be empty")]
    EmptyName,
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("Error when allocating new name")]
    Rename(#[source] Box<Error>),
    #[error("Cannot update container {id}: {why}")]
    Update { id: String, why: String },
    #[error("Cannot update container {id}: {why}")]
    UpdateFailed { id: String, why: String },
    /// What `ps` says, or what can't be asked of it.
    #[error("{0}")]
    Ps(String),
    #[error("{0}")]
    Join(String),
    #[error("{0}")]
    Device(String),
    #[error("{0}")]
    NotLinked(String),
    #[error("Conflict, cannot remove the default link name of the container")]
    DefaultLink,
    #[error("the shim of container {id} refused: {message}")]
    ShimRefused { id: String, message: String },
    #[error(
        "conflict: unable to remove repository reference \"{reference}\" (must force) - container {container} is using its referenced image {image}"
    )]
    ImageInUse { reference: String, container: String, image: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {container}"
    )]
    ImageRunning { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
    )]
    ImageStopped { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
    )]
    ImageNamed { image: String },
    #[error("Could not find the file {path} in container {container}")]
    NoSuchFile { path: String, container: String },
    /// The kernel's word on a path in a container, as Go would say it.
    #[error("{0}")]
    Path(String),
    #[error("files are being copied into container {0}: start it when that is done")]
    BeingWritten(String),
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    #[error("exec command {0} is already running")]
    ExecRunning(String),
    #[error("exec command {0} has already run")]
    ExecEnded(String),
    #[error(
        "{0} processes that joined containers are remembered already; those that ended are forgotten after five minutes"
    )]
    TooManyExecs(usize),
    #[error("exec failed: {message}")]
    Exec { message: String, kind: shim::protocol::FailureKind },
    #[error("container {0} is not running")]
    KillNotRunning(String),
    #[error("removal of container {0} is already in progress")]
    RemovalInProgress(String),
    #[error("container is marked for removal and cannot be {0}")]
    MarkedForRemoval(&'static str),
    #[error("invalid signal: {0}")]
    InvalidSignal(String),
    #[error("container {0} is already as asked")]
    NotModified(String),

    #[error("{feature} is not supported")]
    Unsupported { feature: String, instead: Option<String> },
    #[error("{0}")]
    Invalid(String),
    #[error("cannot read the image archive: {0}")]
    Archive(String),
    #[error("An image does not exist locally with the tag: {0}")]
    NothingToPush(String),
    #[error("tag does not exist: {0}")]
    NoSuchTag(String),
    #[error("cannot push a digest reference")]
    PushDigest,
    #[error("the archive has no image for {wanted}: it has {offered}")]
    ArchivePlatform { wanted: String, offered: String },
    #[error("{0} was removed meanwhile; try again")]
    RemovedMeanwhile(oci::Digest),
    #[error("docker's media types have none for layers packed with zstd: leave oci-mediatypes=false out")]
    NoDockerWord,
    #[error("{image} is {kind}, not an image that can be run")]
    NotAnImage { image: String, kind: String },
    #[error(
        "image with reference {image} was found but its platform ({offered}) does not match the specified platform \
         ({wanted})"
    )]
    OtherPlatform { image: String, wanted: String, offered: String },
    #[error("cannot take in layer {layer} of {image}")]
    Layer { image: String, layer: oci::Digest, source: Box<Error> },
    #[error("cannot read a layer")]
    ReadLayer { source: io::Error },
    #[error("{0}")]
    Credentials(&'static str),
    #[error(transparent)]
    Registry(#[from] distribution::Error),
    #[error("cannot {} container {id}: {}", place(step), because(step, message))]
    Start { id: String, step: String, message: String, kind: shim::protocol::FailureKind },
    #[error("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")]
    NoQuotaForRoots(crate::quota::Missing),
    #[error("storage option overlay2.size")]
    NoQuotaForDefault(#[source] crate::quota::Missing),
    #[error(transparent)]
    Quota(#[from] crate::quota::QuotaError),
    #[error("the engine is shutting down")]
    ShuttingDown,
    #[error("the shim of container {0} was lost")]
    ShimLost(String),

    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {doing}")]
    System { doing: &'static str, source: io::Error },
    #[error(transparent)]
    Build(Box<build::Error>),
    #[error(transparent)]
    Volume(#[from] crate::volumes::VolumeError),
    #[error(transparent)]
    Network(#[from] crate::networks::NetworkError),
    #[error("failed to set up container networking")]
    Networking(#[source] crate::networks::NetworkError),
    #[error(transparent)]
    State(#[from] state::Error),
    #[error(transparent)]
    Content(#[from] content::Error),
    #[error(transparent)]
    Layers(#[from] layers::Error),
    #[error(transparent)]
    Shim(#[from] shim::Error),
    #[error("cannot use the cgroup driver {driver}")]
    CgroupDriver { driver: &'static str, source: runtime::Error },
    #[error("cannot use the seccomp profile")]
    SeccompProfile(#[source] runtime::Error),
    #[error("image {image} has a config that is not valid JSON for an image")]
    ImageConfig { image: String, source: serde_json::Error },
}

/// What could not be done, to the word before the container's.
fn place(step: &str) -> String {
    step.strip_suffix(" the container").map_or_else(|| format!("{step} for"), str::to_owned)
}

/// Why a step failed, without the step, with which the shim's message may begin.
fn because<'m>(step: &str, message: &'m str) -> &'m str {
    let why = message.strip_prefix("cannot ").and_then(|rest| rest.strip_prefix(step)?.strip_prefix(": "));
    why.unwrap_or(message)
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoSuchContainer(_)
            | Self::NoSuchExec(_)
            | Self::NoSuchFile { .. }
            | Self::NoSuchImage(_)
            | Self::NothingToPush(_)
            | Self::NoSuchTag(_) => Class::NotFound,
            Self::NameTaken { .. }
            | Self::RemoveRunning { .. }
            | Self::ImageInUse { .. }
            | Self::ImageRunning { .. }
            | Self::ImageStopped { .. }
            | Self::ImageNamed { .. }
            | Self::RemovePaused(_)
            | Self::AlreadyPaused(_)
            | Self::PausedFor { .. }
            | Self::AttachPaused(_)
            | Self::AttachRestarting(_)
            | Self::StartPaused
            | Self::IsRestarting(_)
            | Self::Update { .. }
            | Self::NotRunning(_)
            | Self::BeingWritten(_)
            | Self::ExecRunning(_)
            | Self::ExecEnded(_)
            | Self::TooManyExecs(_)
            | Self::KillNotRunning(_)
            | Self::RemovalInProgress(_)
            | Self::MarkedForRemoval(_) => Class::Conflict,
            Self::AmbiguousPrefix(_)
            | Self::InvalidName(_)
            | Self::InvalidReference(_)
            | Self::EmptyConfig
            | Self::EmptyName
            | Self::SameName
            | Self::NoCommand
            | Self::Filter(_)
            | Self::InvalidSignal(_)
            | Self::PushDigest
            | Self::Invalid(_) => Class::Invalid,
            // What docker has and this engine doesn't is refused by name, never ignored.
            Self::Unsupported { .. } | Self::NoQuotaForDefault(_) => Class::NotImplemented,
            Self::Build(error) => error.class(),
            Self::NotModified(_) => Class::NotModified,
            Self::ShuttingDown => Class::Unavailable,
            // 400, as dockerd answers when the program is missing or can't be executed; the client makes 127 or 126
            // of it.
            Self::Start { kind, .. } | Self::Exec { kind, .. } => match kind {
                shim::protocol::FailureKind::NotFound | shim::protocol::FailureKind::NotExecutable => {
                    Class::Invalid
                }
                shim::protocol::FailureKind::Setup => Class::Internal,
            },
            Self::Archive(_)
            | Self::NotAnImage { .. }
            | Self::ImageConfig { .. }
            | Self::Credentials(_)
            | Self::NoDockerWord
            | Self::ReadLayer { .. } => Class::Invalid,
            Self::RemovedMeanwhile(_) => Class::Conflict,
            Self::OtherPlatform { .. } | Self::ArchivePlatform { .. } => Class::NotFound,
            Self::Layer { source, .. } | Self::Rename(source) => source.class(),
            Self::Registry(error) => error.class(),
            // 500, as dockerd.
            Self::Join(_) => Class::Conflict,
            Self::Device(_)
            | Self::NotLinked(_)
            | Self::DefaultLink
            | Self::NotPaused(_)
            | Self::Ps(_)
            | Self::UpdateFailed { .. }
            | Self::NoQuotaForRoots(_)
            | Self::ShimRefused { .. } => Class::Internal,
            Self::Quota(crate::quota::QuotaError::Missing(_)) => Class::NotImplemented,
            Self::Quota(_) | Self::Path(_) | Self::ShimLost(_) | Self::File { .. } | Self::System { .. } => {
                Class::Internal
            }
            Self::Volume(error) => error.class(),
            Self::Network(error) | Self::Networking(error) => error.class(),
            Self::State(error) => error.class(),
            Self::Content(error) => error.class(),
            Self::Layers(error) => error.class(),
            Self::Shim(error) => error.class(),
            Self::SeccompProfile(error) | Self::CgroupDriver { source: error, .. } => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { instead, .. } => instead.clone(),
            Self::NoQuotaForRoots(missing) => Some(format!(
                "{missing}; or let the container write to memory of a size, --read-only with --tmpfs PATH:size=…"
            )),
            Self::Volume(error) => error.hint(),
            Self::Network(error) | Self::Networking(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Content(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Layer { source, .. } => source.hint(),
            Self::Layers(error) => error.hint(),
            Self::Shim(error) => error.hint(),
            _ => None,
        }
    }
}
