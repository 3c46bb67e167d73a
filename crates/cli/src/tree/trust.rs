//! `docker trust …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, NO_TRUST};

pub(crate) static TRUST: Command = Command {
    name: "trust",
    hidden: true,
    short: "Manage trust on Docker images",
    subcommands: &[&TRUST_INSPECT, &TRUST_KEY, &TRUST_REVOKE, &TRUST_SIGN, &TRUST_SIGNER],
    ..GROUP
};

const TRUST_INSPECT_FLAGS: &[Flag] =
    &[Flag::new("pretty", Kind::Bool, "Print the information in a human friendly format")];

pub(crate) static TRUST_INSPECT: Command = Command {
    name: "inspect",
    usage: "IMAGE[:TAG] [IMAGE[:TAG]...]",
    short: "Return low-level information about keys and signatures",
    flags: &[TRUST_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

pub(crate) static TRUST_KEY: Command = Command {
    name: "key",
    short: "Manage keys for signing Docker images",
    subcommands: &[&TRUST_KEY_GENERATE, &TRUST_KEY_LOAD],
    ..GROUP
};

const TRUST_KEY_GENERATE_FLAGS: &[Flag] =
    &[Flag::new("dir", Kind::String, "Directory to generate key in, defaults to current directory")];

pub(crate) static TRUST_KEY_GENERATE: Command = Command {
    name: "generate",
    usage: "NAME",
    short: "Generate and load a signing key-pair",
    flags: &[TRUST_KEY_GENERATE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

const TRUST_KEY_LOAD_FLAGS: &[Flag] =
    &[Flag::new("name", Kind::String, "Name for the loaded key").default("signer")];

pub(crate) static TRUST_KEY_LOAD: Command = Command {
    name: "load",
    usage: "[OPTIONS] KEYFILE",
    short: "Load a private key file for signing",
    flags: &[TRUST_KEY_LOAD_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

const TRUST_REVOKE_FLAGS: &[Flag] =
    &[Flag::new("yes", Kind::Bool, "Do not prompt for confirmation").short('y')];

pub(crate) static TRUST_REVOKE: Command = Command {
    name: "revoke",
    usage: "[OPTIONS] IMAGE[:TAG]",
    short: "Remove trust for an image",
    flags: &[TRUST_REVOKE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

const TRUST_SIGN_FLAGS: &[Flag] = &[Flag::new("local", Kind::Bool, "Sign a locally tagged image")];

pub(crate) static TRUST_SIGN: Command = Command {
    name: "sign",
    usage: "IMAGE:TAG",
    short: "Sign an image",
    flags: &[TRUST_SIGN_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

pub(crate) static TRUST_SIGNER: Command = Command {
    name: "signer",
    short: "Manage entities who can sign Docker images",
    subcommands: &[&TRUST_SIGNER_ADD, &TRUST_SIGNER_REMOVE],
    ..GROUP
};

const TRUST_SIGNER_ADD_FLAGS: &[Flag] =
    &[Flag::new("key", Kind::List, "Path to the signer's public key file")];

pub(crate) static TRUST_SIGNER_ADD: Command = Command {
    name: "add",
    usage: "OPTIONS NAME REPOSITORY [REPOSITORY...] ",
    short: "Add a signer",
    flags: &[TRUST_SIGNER_ADD_FLAGS],
    args: Args::AtLeast(2),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};

const TRUST_SIGNER_REMOVE_FLAGS: &[Flag] = &[Flag::new(
    "force",
    Kind::Bool,
    "Do not prompt for confirmation before removing the most recent signer",
)
.short('f')];

pub(crate) static TRUST_SIGNER_REMOVE: Command = Command {
    name: "remove",
    usage: "[OPTIONS] NAME REPOSITORY [REPOSITORY...]",
    short: "Remove a signer",
    flags: &[TRUST_SIGNER_REMOVE_FLAGS],
    args: Args::AtLeast(2),
    action: Action::Refused(NO_TRUST),
    ..LEAF
};
