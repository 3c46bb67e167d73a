//! What can be wrong with a network, in dockerd's words where there are any.

use std::net::IpAddr;

use diag::{Class, Explain};
use network::Subnet;
use network::firewall::Transport;

/// Why a network or a container's place in one isn't as asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("network {0} not found")]
    Unknown(String),
    #[error("network {0} is ambiguous ({1} matches found on name)")]
    Ambiguous(String, usize),
    #[error("network with name {0} already exists")]
    Exists(String),
    #[error("invalid name: name is empty")]
    NoName,
    #[error("operation is not permitted on predefined {0} network ")]
    Predefined(String),
    #[error("{0} is a pre-defined network and cannot be removed")]
    RemovePredefined(String),
    #[error("only one instance of \"{0}\" network is allowed")]
    OnlyOne(&'static str),
    #[error("plugin \"{0}\" not found")]
    NoSuchDriver(String),
    #[error("configuration network \"{0}\" does not exist")]
    NoSuchConfig(String),
    #[error("the parent {0} is no link of this host")]
    NoSuchParent(String),
    #[error("bridge device with non default name {0} must be created manually")]
    NoSuchBridge(String),
    #[error("invalid network config:\n{0}")]
    Config(String),
    #[error("{0}")]
    Invalid(String),
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlaps { subnet: Subnet, with: String },
    #[error("all predefined address pools have been fully subnetted")]
    Exhausted,
    #[error("error while removing network: network {name} has active endpoints ({users})")]
    InUse { name: String, users: String },
    #[error("no available IPv{version} addresses on this network's address pools: {name} ({id})")]
    Full { version: u8, name: String, id: String },
    #[error("Address already in use")]
    AddressTaken { ip: IpAddr, by: String },
    #[error("invalid endpoint settings:\n{0}")]
    Endpoint(String),
    /// The same before it is said which network is meant.
    #[error("{0}")]
    Settings(String),
    #[error("this kernel has no {kind} links")]
    NoSuchLinks { kind: &'static str },
    #[error("Bind for {address}:{port} failed: port is already allocated")]
    PortAllocated { address: IpAddr, port: u16, by: String },
    #[error(
        "failed to bind host port for {address}:{port}/{}: address already in use",
        transport.name()
    )]
    PortTaken { address: IpAddr, port: u16, transport: Transport, by: String },
    #[error("failed to bind host port {at}/{}", transport.name())]
    Door { at: std::net::SocketAddr, transport: Transport, source: std::io::Error },
    #[error("all ports from {first} to {last} are taken")]
    NoPort { first: u16, last: u16 },
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected { container: String, network: String },
    #[error("container {container} is not connected to network {network}")]
    NotConnected { container: String, network: String },
    #[error("{0}")]
    Forbidden(String),
    #[error("{feature} is not supported")]
    Unsupported { feature: String, instead: &'static str },
    #[error(transparent)]
    Kernel(#[from] network::Error),
}

impl Explain for NetworkError {
    fn class(&self) -> Class {
        match self {
            Self::Unknown(_) | Self::NoSuchDriver(_) | Self::NoSuchConfig(_) | Self::NoSuchBridge(_) => {
                Class::NotFound
            }
            Self::Exists(_) => Class::Conflict,
            Self::NoName
            | Self::Ambiguous(..)
            | Self::Config(_)
            | Self::Invalid(_)
            | Self::Endpoint(_)
            | Self::Settings(_)
            | Self::NoSuchParent(_) => Class::Invalid,
            Self::Predefined(_)
            | Self::RemovePredefined(_)
            | Self::OnlyOne(_)
            | Self::Overlaps { .. }
            | Self::InUse { .. }
            | Self::Forbidden(_)
            | Self::AddressTaken { .. }
            | Self::AlreadyConnected { .. } => Class::Forbidden,
            Self::Unsupported { .. } | Self::NoSuchLinks { .. } => Class::NotImplemented,
            Self::Exhausted
            | Self::Full { .. }
            | Self::PortAllocated { .. }
            | Self::PortTaken { .. }
            | Self::Door { .. }
            | Self::NoPort { .. }
            | Self::NotConnected { .. }
            | Self::Kernel(_) => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Overlaps { subnet, with } => {
                Some(format!("{subnet} overlaps {with}: choose another --subnet, or none for a free one"))
            }
            Self::PortAllocated { by, .. } | Self::PortTaken { by, .. } => {
                Some(format!("it is taken by {by}: stop that, or publish another port"))
            }
            Self::NoSuchLinks { kind } => {
                let option = if *kind == "vlan" { "VLAN_8021Q".to_owned() } else { kind.to_uppercase() };
                Some(format!("it was built without CONFIG_{option}"))
            }
            Self::AddressTaken { ip, by } => Some(format!("{by} has {ip}")),
            Self::Unsupported { instead, .. } => Some((*instead).to_owned()).filter(|text| !text.is_empty()),
            Self::Exhausted => {
                Some("remove networks that nobody needs, or set default-address-pools".to_owned())
            }
            _ => None,
        }
    }
}
