//! The labels by which a project's containers, networks and volumes are known: docker's own, so that either tool takes
//! over what the other one started.

pub const PROJECT: &str = "com.docker.compose.project";
pub const SERVICE: &str = "com.docker.compose.service";
pub const NUMBER: &str = "com.docker.compose.container-number";
pub const HASH: &str = "com.docker.compose.config-hash";
pub const IMAGE: &str = "com.docker.compose.image";
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
pub const SLUG: &str = "com.docker.compose.slug";
pub const FILES: &str = "com.docker.compose.project.config_files";
pub const ENV_FILES: &str = "com.docker.compose.project.environment_file";
pub const FOLDER: &str = "com.docker.compose.project.working_dir";
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub const REPLACES: &str = "com.docker.compose.replace";
pub const VERSION: &str = "com.docker.compose.version";
pub const NETWORK: &str = "com.docker.compose.network";
pub const VOLUME: &str = "com.docker.compose.volume";
/// Ours: what configurations and secrets said when a container was made.
pub const CONTENTS: &str = "ketch.compose.contents";
/// Ours: the hashes of a service's keys, so that what changed can be named.
pub const FIELDS: &str = "ketch.compose.fields";
/// The client whose labels these are.
pub const VERSION_VALUE: &str = "2.40.3";
