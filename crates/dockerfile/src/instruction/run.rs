//! RUN, and command lines in general.

use super::Expander;
use super::flags::{Flags, Takes};
use super::mount::{self, Mount};
use crate::error::Problem;
use crate::go;
use crate::source::{Arguments, Heredoc};
use crate::suggest::did_you_mean;

/// What is to be executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    pub words: Vec<String>,
    /// Whether a shell reads the words: they weren't JSON.
    pub shell: bool,
}

/// A here-document of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    pub name: String,
    pub content: String,
    pub chomp: bool,
}

/// RUN.
#[derive(Debug, Clone)]
pub struct Run {
    pub command: CommandLine,
    pub files: Vec<InlineFile>,
    pub network: Network,
    pub security: Security,
    pub devices: Vec<Device>,
    /// What `--mount`s say; after [`expand`](super::Instruction::expand) `mounts` has what it means.
    texts: Vec<String>,
    pub mounts: Vec<Mount>,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    #[default]
    Default,
    None,
    Host,
}

/// `--security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    #[default]
    Sandbox,
    Insecure,
}

/// `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    pub name: String,
    pub required: bool,
}

const FLAGS: [(&str, Takes); 4] =
    [("mount", Takes::Texts), ("network", Takes::Text), ("security", Takes::Text), ("device", Takes::Texts)];

pub(super) fn parse(given: &[String], arguments: Arguments, heredocs: Vec<Heredoc>) -> Result<Run, Problem> {
    let flags = Flags::read(given, &FLAGS)?;
    let texts: Vec<String> = flags.texts("mount").collect();
    // Those that can be seen to be wrong before any variable has a value.
    texts.iter().try_for_each(|text| mount::from(text).map(drop))?;
    let files = heredocs.into_iter().map(|document| InlineFile {
        name: document.name,
        content: document.content,
        chomp: document.chomp,
    });
    Ok(Run {
        command: command_line(arguments),
        files: files.collect(),
        network: network(&flags.texts("network").next().unwrap_or_else(|| "default".to_owned()))?,
        security: security(&flags.texts("security").next().unwrap_or_else(|| "sandbox".to_owned()))?,
        devices: flags.texts("device").map(|text| device(&text)).collect::<Result<_, _>>()?,
        texts,
        mounts: Vec::new(),
    })
}

pub(super) fn command_line(arguments: Arguments) -> CommandLine {
    match arguments {
        Arguments::Json(words) => CommandLine { words, shell: false },
        Arguments::Text(text) => CommandLine { words: vec![text], shell: true },
        _ => CommandLine { words: Vec::new(), shell: true },
    }
}

fn network(value: &str) -> Result<Network, Problem> {
    match value {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        other => Err(Problem::Network(other.to_owned())),
    }
}

fn security(value: &str) -> Result<Security, Problem> {
    match value {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        other => Err(Problem::Security(other.to_owned())),
    }
}

/// `vendor.com/class=name,required`: the first field is the name, whatever is in it.
fn device(text: &str) -> Result<Device, Problem> {
    let mut device = Device::default();
    for field in go::csv(text).map_err(Problem::DeviceCsv)? {
        match field.split_once('=') {
            None if field.eq_ignore_ascii_case("required") => device.required = true,
            None if device.name.is_empty() => device.name = field,
            None => return Err(Problem::Field(field)),
            Some((key, value)) => device.set(&key.to_ascii_lowercase(), value, &field)?,
        }
    }
    Ok(device)
}

impl Device {
    fn set(&mut self, key: &str, value: &str, field: &str) -> Result<(), Problem> {
        match key {
            "name" if !self.name.is_empty() => return Err(Problem::DeviceName(self.name.clone())),
            "name" => self.name = value.to_owned(),
            "required" => {
                let wrong = || Problem::FieldValue { key: key.to_owned(), value: value.to_owned() };
                self.required = go::boolean(value).ok_or_else(wrong)?;
            }
            _ if self.name.is_empty() => self.name = field.to_owned(),
            _ => {
                return Err(Problem::FieldKey {
                    key: key.to_owned(),
                    field: field.to_owned(),
                    suggestion: did_you_mean(key, ["name", "required"]),
                });
            }
        }
        Ok(())
    }
}

impl Run {
    /// What each mount is from, before variables are known: a stage, a context, an image, or nothing.
    pub fn mount_sources(&self) -> Vec<String> {
        self.texts.iter().map(|text| mount::from(text).unwrap_or_default()).collect()
    }

    pub(super) fn expand(&mut self, word: Expander<'_>) -> Result<(), Problem> {
        self.mounts = self.texts.iter().map(|text| mount::parse(text, word)).collect::<Result<_, _>>()?;
        Ok(())
    }
}
