//! A container's log: where its lines go as it was asked for ([`configure`]), what is kept of them, and reading that
//! ([`read`](self::read())).
//!
//! Two drivers keep files that `logs` reads. The lines of all others are kept beside, in a bounded file of `local`'s format,
//! unless that is switched off: whatever the driver, `logs` shows them.

mod about;
pub(crate) mod budget;
mod growth;
mod local;
mod options;
mod read;
mod servers;

use std::path::PathBuf;

pub use growth::Growth;
pub use options::check;
pub(crate) use options::size;
pub use read::{Line, Position, Stamp, Stream, Wanted, read};

use super::config::LogConfig;
use super::record::{Container, Places};
use crate::Error;
use options::Options;

/// How lines are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Local,
}

/// Where the newest of a container's log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    pub format: Format,
}

/// What can be read of a container's log; nothing if it keeps none.
pub fn kept(config: &LogConfig, places: &Places) -> Option<Kept> {
    let options = Options::new(config);
    match config.r#type.as_str() {
        "none" => None,
        "json-file" => Some(Kept { path: places.log(), format: Format::Json }),
        "local" => Some(Kept { path: places.local_log(), format: Format::Local }),
        _ if matches!(options.flag("cache-disabled"), Ok(Some(true))) => None,
        _ => Some(Kept { path: places.cached_log(), format: Format::Local }),
    }
}

/// What the container's shim is told about its log. Names of servers are looked up.
pub(super) async fn configure(container: &Container, places: &Places) -> Result<shim::LogConfig, Error> {
    let config = &container.host.log_config;
    let options = Options::new(config);
    let file = kept(config, places).map(|kept| file(kept, container, &options)).transpose()?;
    let forward = match config.r#type.as_str() {
        "none" | "json-file" | "local" => None,
        driver => Some(servers::forward(driver, container, &options).await?),
    };
    Ok(shim::LogConfig { file, forward })
}

fn file(kept: Kept, container: &Container, options: &Options<'_>) -> Result<shim::LogFile, Error> {
    let (is_json, is_local) = (options.driver == "json-file", options.driver == "local");
    let format = match kept.format {
        Format::Json => shim::LogFormat::Json { attributes: about::attributes(container, options)? },
        Format::Local => shim::LogFormat::Local,
    };
    let keys = match is_json || is_local {
        true => ["max-size", "max-file", "compress"],
        false => ["cache-max-size", "cache-max-file", "cache-compress"],
    };
    let mut file = shim::LogFile::bounded(kept.path, format);
    file.max_size = options.size(keys[0])?.unwrap_or(file.max_size);
    file.max_files = options.count(keys[1])?.unwrap_or(file.max_files);
    // Compressed unless there is nothing to compress or it is said otherwise, but for `json-file`, as docker has it.
    file.compress = options.flag(keys[2])?.unwrap_or(!is_json && file.max_files > 1);
    // Beside a server it is the server's buffer that is meant.
    file.buffer = if is_json || is_local { options.file_buffer()? } else { None };
    Ok(file)
}
