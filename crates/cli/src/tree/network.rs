//! `docker network …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::{inspect, networks, prune};

use super::{Action, Command, GROUP, LEAF, kinds};

pub(crate) static NETWORK: Command = Command {
    name: "network",
    short: "Manage networks",
    subcommands: &[
        &NETWORK_CONNECT,
        &NETWORK_CREATE,
        &NETWORK_DISCONNECT,
        &NETWORK_INSPECT,
        &NETWORK_LS,
        &NETWORK_PRUNE,
        &NETWORK_RM,
    ],
    ..GROUP
};

const NETWORK_CONNECT_FLAGS: &[Flag] = &[
    Flag::new("alias", Kind::Strings, "Add network-scoped alias for the container"),
    Flag::new("driver-opt", Kind::Strings, "driver options for the network"),
    Flag::new(
        "gw-priority",
        Kind::Int,
        "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
    ),
    Flag::new("ip", Kind::String, "IPv4 address (e.g., \"172.30.100.104\")"),
    Flag::new("ip6", Kind::String, "IPv6 address (e.g., \"2001:db8::33\")"),
    Flag::new("link", kinds::LINK, "Add link to another container"),
    Flag::new("link-local-ip", Kind::Strings, "Add a link-local address for the container"),
];

pub(crate) static NETWORK_CONNECT: Command = Command {
    name: "connect",
    example: "shop web\n\
              --alias db --ip 10.9.0.7 backend postgres",
    usage: "[OPTIONS] NETWORK CONTAINER",
    short: "Connect a container to a network",
    flags: &[NETWORK_CONNECT_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(networks::connect),
    ..LEAF
};

const NETWORK_CREATE_FLAGS: &[Flag] = &[
    Flag::new("attachable", Kind::Bool, "Enable manual container attachment"),
    Flag::new("aux-address", kinds::MAP, "Auxiliary IPv4 or IPv6 addresses used by Network driver")
        .default("map[]"),
    Flag::new("config-from", Kind::String, "The network from which to copy the configuration"),
    Flag::new("config-only", Kind::Bool, "Create a configuration only network"),
    Flag::new("driver", Kind::String, "Driver to manage the Network").short('d').default("bridge"),
    Flag::new("gateway", Kind::Strings, "IPv4 or IPv6 Gateway for the master subnet"),
    Flag::new("ingress", Kind::Bool, "Create swarm routing-mesh network"),
    Flag::new("internal", Kind::Bool, "Restrict external access to the network"),
    Flag::new("ip-range", Kind::Strings, "Allocate container ip from a sub-range"),
    Flag::new("ipam-driver", Kind::String, "IP Address Management Driver").default("default"),
    Flag::new("ipam-opt", kinds::MAP, "Set IPAM driver specific options").default("map[]"),
    Flag::new("ipv4", Kind::Bool, "Enable or disable IPv4 address assignment").default("true"),
    Flag::new("ipv6", Kind::Bool, "Enable or disable IPv6 address assignment"),
    Flag::new("label", Kind::List, "Set metadata on a network"),
    Flag::new("opt", kinds::MAP, "Set driver specific options").short('o').default("map[]"),
    Flag::new("scope", Kind::String, "Control the network's scope"),
    Flag::new("subnet", Kind::Strings, "Subnet in CIDR format that represents a network segment"),
];

pub(crate) static NETWORK_CREATE: Command = Command {
    name: "create",
    example: "shop\n\
              --internal --subnet 10.9.0.0/24 --ipv6 backend\n\
              -o com.ketch.egress=192.0.2.10,*.debian.org build",
    usage: "[OPTIONS] NETWORK",
    short: "Create a network",
    flags: &[NETWORK_CREATE_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(networks::create),
    ..LEAF
};

const NETWORK_DISCONNECT_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force the container to disconnect from a network").short('f')];

pub(crate) static NETWORK_DISCONNECT: Command = Command {
    name: "disconnect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    short: "Disconnect a container from a network",
    flags: &[NETWORK_DISCONNECT_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(networks::disconnect),
    ..LEAF
};

const NETWORK_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("verbose", Kind::Bool, "Verbose output for diagnostics").short('v'),
];

pub(crate) static NETWORK_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    short: "Display detailed information on one or more networks",
    flags: &[NETWORK_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(inspect::network),
    ..LEAF
};

const NETWORK_LS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"driver=bridge\")").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate the output"),
    Flag::new("quiet", Kind::Bool, "Only display network IDs").short('q'),
];

pub(crate) static NETWORK_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List networks",
    also: "network ls, network list",
    flags: &[NETWORK_LS_FLAGS],
    args: Args::None,
    action: Action::Run(networks::list),
    ..LEAF
};

const NETWORK_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
];

pub(crate) static NETWORK_PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    short: "Remove all unused networks",
    flags: &[NETWORK_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(prune::networks),
    ..LEAF
};

const NETWORK_RM_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Do not error if the network does not exist").short('f')];

pub(crate) static NETWORK_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "NETWORK [NETWORK...]",
    short: "Remove one or more networks",
    also: "network rm, network remove",
    flags: &[NETWORK_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(networks::remove),
    ..LEAF
};
