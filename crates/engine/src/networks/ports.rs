//! Published ports: what is asked for, and which ports of the host it becomes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use network::firewall::{Publication, Reach, Transport};
use network::{Door, Listener};
use serde_json::Value;

use super::runs::{self, Run};
use super::{BridgeSettings, NetworkError};
use crate::containers::config::{Config, HostConfig};

/// Where ports come from that nobody chose: those that the kernel gives to clients.
const EPHEMERAL: (u16, u16) = (32768, 60999);

/// A port of the container, or several in a row, and where at the host it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    inside: u16,
    /// More than one are the same ports on both sides.
    count: u16,
    transport: Transport,
    /// Nothing is the network's default.
    host: Option<IpAddr>,
    /// One of these; nothing is any.
    from: Option<(u16, u16)>,
}

impl Wanted {
    /// Whether it is open at whichever address the host has, unless its network says otherwise.
    pub(super) fn is_for_all_addresses(&self) -> bool {
        self.host.is_none_or(|host| host.is_unspecified())
    }

    pub(super) fn inside(&self) -> u16 {
        self.inside
    }

    /// The one port of the host that it can be, if it is just one.
    fn single(&self) -> Option<u16> {
        self.from.filter(|(first, last)| first == last && self.count == 1).map(|(first, _)| first)
    }

    fn has(&self, inside: u16) -> bool {
        inside.checked_sub(self.inside).is_some_and(|place| place < self.count)
    }
}

/// `80/tcp`, `80`.
pub(crate) fn parse_port(text: &str) -> Option<(u16, Transport)> {
    let (number, transport) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((number.parse().ok().filter(|number| *number > 0)?, Transport::parse(&transport.to_lowercase())?))
}

/// What a container asks to publish.
pub(crate) fn wanted(config: &Config, host: &HostConfig) -> Result<Vec<Wanted>, NetworkError> {
    let mut wanted = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        if let Some(run) = Run::parse(port) {
            wanted.extend(read_run(&run, bindings)?);
            continue;
        }
        let (inside, transport) = parse_port(port).ok_or_else(|| invalid(port))?;
        let bindings = bindings.as_array().cloned().unwrap_or_default();
        // A port without a place is one anywhere.
        let bindings = if bindings.is_empty() { vec![Value::Null] } else { bindings };
        for binding in bindings {
            wanted.push(read_binding(inside, transport, &binding)?);
        }
    }
    if host.publish_all_ports {
        let published = wanted.clone();
        let is_new = |(inside, transport): &(u16, Transport)| {
            !published.iter().any(|port| port.transport == *transport && port.has(*inside))
        };
        let exposed = config.exposed_ports.iter().flat_map(runs::keys).filter_map(|port| parse_port(&port));
        wanted.extend(exposed.filter(is_new).map(|(inside, transport)| Wanted {
            inside,
            count: 1,
            transport,
            host: None,
            from: None,
        }));
    }
    Ok(wanted)
}

fn invalid(port: &str) -> NetworkError {
    NetworkError::Invalid(format!("invalid port specification: \"{port}\""))
}

/// Several ports in a row, each with one place at the host: one for the kernel if they are the same there.
fn read_run(run: &Run<'_>, bindings: &Value) -> Result<Vec<Wanted>, NetworkError> {
    let transport = Transport::parse(run.transport).ok_or_else(|| invalid(run.transport))?;
    let one = |(inside, binding): (u16, Value)| read_binding(inside, transport, &binding[0]);
    let mut each = (*run).each(bindings).map(one);
    let first = each.next().transpose()?;
    match first {
        Some(same) if same.from == Some((same.inside, same.inside)) => {
            Ok(vec![Wanted { count: run.last - run.first + 1, ..same }])
        }
        first => first.map(Ok).into_iter().chain(each).collect(),
    }
}

fn read_binding(inside: u16, transport: Transport, binding: &Value) -> Result<Wanted, NetworkError> {
    let text = |key: &str| binding.get(key).and_then(Value::as_str).unwrap_or_default();
    let host = match text("HostIp") {
        "" => None,
        ip => Some(ip.parse().map_err(|_| NetworkError::Invalid(format!("invalid IP address: {ip}")))?),
    };
    let ports = text("HostPort");
    let invalid = || invalid(ports);
    let from = match ports.split_once('-') {
        None if ports.is_empty() => None,
        None => {
            let port: u16 = ports.parse().map_err(|_| invalid())?;
            Some((port, port)).filter(|_| port > 0)
        }
        Some((first, last)) => {
            let range: (u16, u16) =
                (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
            Some(range).filter(|(first, last)| *first > 0 && first <= last).map(Some).ok_or_else(invalid)?
        }
    };
    Ok(Wanted { inside, count: 1, transport, host, from })
}

/// So many ports are asked about one by one. Who asks about more has all sockets listed.
const FEW: usize = 32;

fn listeners_at(transport: Transport, port: Option<u16>) -> Vec<Listener> {
    network::listeners(transport, port).unwrap_or_default()
}

/// What is taken already.
pub(super) struct Taken<'a> {
    /// By containers, with whom.
    pub(super) published: &'a [(Publication, String)],
    /// Those of them that will be given up.
    pub(super) leaving: &'a [Publication],
    pub(super) tcp: Vec<Listener>,
    pub(super) udp: Vec<Listener>,
}

impl<'a> Taken<'a> {
    /// Looks at the host's sockets; where the kernel doesn't tell, only containers are asked.
    pub(super) fn look(
        published: &'a [(Publication, String)],
        wanted: &[Wanted],
        leaving: &'a [Publication],
    ) -> Self {
        let listening = |transport| -> Vec<Listener> {
            let wanted = wanted.iter().filter(|port| port.transport == transport);
            let single: Option<Vec<u16>> = wanted.map(Wanted::single).collect();
            match single.filter(|ports| ports.len() <= FEW) {
                Some(ports) => {
                    ports.into_iter().flat_map(|port| listeners_at(transport, Some(port))).collect()
                }
                None => listeners_at(transport, None),
            }
        };
        Self { published, leaving, tcp: listening(Transport::Tcp), udp: listening(Transport::Udp) }
    }

    fn by_container(&self, transport: Transport, host: IpAddr, port: u16) -> Option<&str> {
        let clash = |other: &Publication| {
            other.reach != Reach::Container
                && other.transport == transport
                && other.host.is_ipv4() == host.is_ipv4()
                && (other.host == host || other.host.is_unspecified() || host.is_unspecified())
                && (other.first..=other.last()).contains(&port)
                && !self.leaving.contains(other)
        };
        self.published.iter().find(|(other, _)| clash(other)).map(|(_, by)| by.as_str())
    }

    fn listeners(&self, transport: Transport) -> &[Listener] {
        match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
            Transport::Sctp => &[],
        }
    }

    fn by_socket(&self, transport: Transport, host: IpAddr, port: u16) -> Option<&Listener> {
        self.listeners(transport)
            .iter()
            .find(|listener| listener.takes(host, port) && !self.is_relay(transport, listener))
    }

    /// Whether it is a shim's, for another family than it looks: containers were asked already.
    fn is_relay(&self, transport: Transport, listener: &Listener) -> bool {
        self.published
            .iter()
            .flat_map(|(port, _)| port.door_at(listener.port))
            .any(|door| door.transport == transport && door.at.ip() == listener.ip)
    }

    /// The lowest of these ports that somebody may have.
    fn suspect(&self, transport: Transport, first: u16, last: u16) -> Option<u16> {
        let listening = self.listeners(transport).iter().map(|listener| listener.port);
        let published = self.published.iter().filter(|(other, _)| other.transport == transport);
        let published = published.filter(|(other, _)| other.last() >= first);
        let published = published.map(|(other, _)| other.first.max(first));
        listening.chain(published).filter(|port| (first..=last).contains(port)).min()
    }

    /// Whether all of these ports are free.
    fn check_all(
        &self,
        transport: Transport,
        address: IpAddr,
        mut first: u16,
        last: u16,
    ) -> Result<(), NetworkError> {
        while let Some(port) = self.suspect(transport, first, last) {
            self.check(transport, address, port)?;
            let Some(next) = port.checked_add(1) else { break };
            first = next;
        }
        Ok(())
    }

    fn check(&self, transport: Transport, address: IpAddr, port: u16) -> Result<(), NetworkError> {
        if let Some(by) = self.by_container(transport, address, port) {
            let by = format!("the container {by}");
            return Err(NetworkError::PortAllocated { address, port, by });
        }
        match self.by_socket(transport, address, port) {
            Some(listener) => {
                Err(NetworkError::PortTaken { address, port, transport, by: listener.holder() })
            }
            None => Ok(()),
        }
    }

    fn is_free(&self, transport: Transport, hosts: &[IpAddr], port: u16) -> bool {
        hosts.iter().all(|host| {
            self.by_container(transport, *host, port).is_none()
                && self.by_socket(transport, *host, port).is_none()
        })
    }
}

/// Where a container is reached.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    pub(super) ipv4: Option<IpAddr>,
    pub(super) ipv6: Option<IpAddr>,
    /// What an unspecified host address stands for.
    pub(super) binding: Option<IpAddr>,
    pub(super) reach_4: Reach,
    pub(super) reach_6: Reach,
    /// Whether the host has clients that come by IPv6, also to a container without it.
    pub(super) relays: bool,
}

impl Target {
    fn reach(self, host: IpAddr) -> Reach {
        if host.is_ipv4() || self.ipv6.is_none() { self.reach_4 } else { self.reach_6 }
    }

    /// Whose address of the container's stands behind one of the host's.
    fn container(self, host: IpAddr) -> Option<IpAddr> {
        match host {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6.or(self.relayed()),
        }
    }

    /// Where IPv6 leads in a container that has IPv4 alone.
    fn relayed(self) -> Option<IpAddr> {
        self.ipv4.filter(|_| self.relays && self.ipv6.is_none() && self.reach_4 != Reach::Container)
    }
}

/// Whether the host has the addresses that are asked for, or may be asked at others, too (`ip_nonlocal_bind`): the firewall, which does
/// what dockerd has a socket for, takes any.
pub(super) fn check_hosts(wanted: &[Wanted], target: Target) -> Result<(), NetworkError> {
    for port in wanted {
        let is_own = |host: &IpAddr| !host.is_unspecified() && target.reach(*host) != Reach::Container;
        let Some(host) = port.host.filter(is_own) else { continue };
        match std::net::UdpSocket::bind((host, 0)) {
            Err(source) if source.kind() == std::io::ErrorKind::AddrNotAvailable => {
                let at = (host, port.from.map_or(0, |(first, _)| first)).into();
                return Err(NetworkError::Door { at, transport: port.transport, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Chooses the host's ports. All or nothing.
pub(super) fn choose(
    wanted: &[Wanted],
    target: Target,
    taken: &Taken<'_>,
) -> Result<Vec<Publication>, NetworkError> {
    let mut chosen: Vec<Publication> = Vec::new();
    for port in wanted {
        if port.host == Some(Ipv6Addr::LOCALHOST.into()) && !target.relays {
            let feature = "publishing at ::1 without `userland-proxy` or IPv6".to_owned();
            return Err(NetworkError::Unsupported { feature, instead: "publish it at 127.0.0.1" });
        }
        let hosts = hosts(port.host, target);
        let at_container = |host: &IpAddr| target.reach(*host) == Reach::Container;
        let (routed, hosts): (Vec<IpAddr>, Vec<IpAddr>) = hosts.into_iter().partition(at_container);
        routed.into_iter().filter_map(|host| at_its_own(port, host, target)).for_each(|one| {
            if !chosen.iter().any(|known| known.covers(&one)) {
                join(&mut chosen, one);
            }
        });
        if hosts.is_empty() {
            continue;
        }
        let number = number(port, &hosts, &chosen, taken)?;
        for host in hosts {
            if let Some(one) = at_the_hosts(port, host, number, target)? {
                join(&mut chosen, one);
            }
        }
    }
    bound_doors(&mut chosen)?;
    Ok(chosen)
}

/// The first of the host's ports that a run gets at these addresses.
fn number(
    port: &Wanted,
    hosts: &[IpAddr],
    chosen: &[Publication],
    taken: &Taken<'_>,
) -> Result<u16, NetworkError> {
    // The lowest from there on, as long as the run is, that is this container's own.
    let own = |number: u16| {
        let last = number.saturating_add(port.count - 1);
        let others = chosen.iter().filter(|other| other.reach != Reach::Container);
        let others = others.filter(|other| other.transport == port.transport && hosts.contains(&other.host));
        let clashing = others.filter(|other| other.first <= last && other.last() >= number);
        clashing.map(|other| other.first.max(number)).min()
    };
    let (first, last) = port.from.unwrap_or(EPHEMERAL);
    if first != last {
        let free = |number: &u16| own(*number).is_none() && taken.is_free(port.transport, hosts, *number);
        return (first..=last).find(free).ok_or(NetworkError::NoPort { first, last });
    }
    for host in hosts {
        taken.check_all(port.transport, *host, first, first.saturating_add(port.count - 1))?;
    }
    if let Some(first) = own(first) {
        let by = "this container itself".to_owned();
        let address = hosts.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        return Err(NetworkError::PortAllocated { address, port: first, by });
    }
    Ok(first)
}

/// A run at one of the host's addresses; nothing where the container can't be reached from there and nobody named it.
fn at_the_hosts(
    port: &Wanted,
    host: IpAddr,
    number: u16,
    target: Target,
) -> Result<Option<Publication>, NetworkError> {
    let Some(container) = target.container(host) else { return Ok(None) };
    let reach = target.reach(host);
    if port.transport == Transport::Sctp && reach == Reach::Input {
        let feature = format!("publishing SCTP in a network with {}", super::options::INPUT);
        return Err(NetworkError::Unsupported { feature, instead: "" });
    }
    if host.is_ipv4() != container.is_ipv4() && port.transport == Transport::Sctp {
        let Some(host) = port.host else { return Ok(None) };
        let feature = format!("publishing SCTP at {host} for a container without IPv6");
        return Err(NetworkError::Unsupported { feature, instead: "" });
    }
    Ok(Some(Publication {
        host,
        transport: port.transport,
        first: number,
        count: port.count,
        container,
        container_port: port.inside,
        reach,
    }))
}

/// Sockets of one container's shim that are left.
struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(shim::MAX_RELAYS)
    }
}

impl Budget {
    /// All that a published port needs, or none.
    fn grants(&mut self, port: &Publication) -> bool {
        let rest = self.0.checked_sub(port.door_count());
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

/// So many sockets a container's shim has at most. A range that needs more is reached by IPv4 alone, if nobody asked for
/// more by an address.
fn bound_doors(chosen: &mut Vec<Publication>) -> Result<(), NetworkError> {
    let mut budget = Budget::default();
    let mut too_many = None;
    chosen.retain(|one| {
        if budget.grants(one) {
            return true;
        }
        if !one.host.is_unspecified() || one.reach == Reach::Input {
            too_many = Some((one.host, one.reach));
        }
        // To those who have IPv6 the kernel leads all but `::1`.
        !one.is_relayed()
    });
    match too_many {
        Some((host, reach)) => Err(NetworkError::Unsupported {
            feature: format!("publishing more than {} ports of a container at {host}", shim::MAX_RELAYS),
            instead: match reach {
                Reach::Input => "publish them in a network without `com.ketch.input`",
                _ => "publish them at 127.0.0.1, or in a network with IPv6 at the host's own address",
            },
        }),
        None => Ok(()),
    }
}

/// The sockets that a container's published ports need.
pub(crate) fn doors(ports: &[Publication], settings: &BridgeSettings) -> Vec<Door> {
    let mut budget = Budget::default();
    let relayed = ports.iter().filter(|port| settings.relays || port.reach == Reach::Input);
    relayed.filter(|port| budget.grants(port)).flat_map(Publication::doors).collect()
}

/// The same for its shim, those that another one lends among them.
pub(crate) fn open_doors(
    doors: Vec<Door>,
    mut lent: Vec<(Door, OwnedFd)>,
) -> Result<Vec<(shim::Relay, OwnedFd)>, NetworkError> {
    let opened = doors.into_iter().map(|door| {
        let carries = match door.transport {
            Transport::Udp => shim::Carries::Datagrams,
            Transport::Tcp | Transport::Sctp => shim::Carries::Streams,
        };
        let relay = shim::Relay { carries, to: door.to };
        let same = |(other, _): &(Door, OwnedFd)| other.at == door.at && other.transport == door.transport;
        let opened = match lent.iter().position(same) {
            Some(at) => Ok(lent.swap_remove(at).1),
            None => door.open(),
        };
        match opened {
            Ok(socket) => Ok((relay, socket)),
            Err(source) => Err(NetworkError::Door { at: door.at, transport: door.transport, source }),
        }
    });
    opened.collect()
}

/// A port that nothing is translated for: whatever was asked of the host means nothing.
fn at_its_own(port: &Wanted, host: IpAddr, target: Target) -> Option<Publication> {
    let any = if host.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Some(Publication {
        host: any,
        transport: port.transport,
        first: port.inside,
        count: port.count,
        container: if host.is_ipv4() { target.ipv4? } else { target.ipv6? },
        container_port: port.inside,
        reach: Reach::Container,
    })
}

/// The host's addresses that are meant.
fn hosts(asked: Option<IpAddr>, target: Target) -> Vec<IpAddr> {
    match asked {
        Some(host) => vec![host],
        None => {
            let v4 = target.binding.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let v6 = target.ipv6.or(target.relayed());
            let v6 = v6.filter(|_| target.binding.is_none_or(|ip| ip.is_unspecified()));
            [target.ipv4.map(|_| v4), v6.map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
                .into_iter()
                .flatten()
                .collect()
        }
    }
}

/// Ports that follow each other on both sides, and are the same there, are one entry for the kernel.
fn join(chosen: &mut Vec<Publication>, next: Publication) {
    let fits = |known: &&mut Publication| {
        known.host == next.host
            && known.reach == next.reach
            && known.transport == next.transport
            && known.container == next.container
            && known.first == known.container_port
            && next.first == next.container_port
            && known.last().checked_add(1) == Some(next.first)
    };
    match chosen.iter_mut().find(fits) {
        Some(known) => known.count += next.count,
        None => chosen.push(next),
    }
}

/// A container's ports as `inspect` shows them: each with where it leads to.
pub fn port_map(publications: &[Publication]) -> BTreeMap<String, Vec<(IpAddr, u16)>> {
    let mut map: BTreeMap<String, Vec<(IpAddr, u16)>> = BTreeMap::new();
    for publication in publications {
        for (host, inside) in publication.pairs() {
            let key = format!("{inside}/{}", publication.transport.name());
            // Of a port that is no port of the host's, dockerd says none.
            let shown = if publication.reach == Reach::Container { 0 } else { host };
            map.entry(key).or_default().push((publication.host, shown));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn publish(bindings: Value, published: &[(Publication, String)]) -> Result<Vec<Publication>, String> {
        let host =
            HostConfig { port_bindings: serde_json::from_value(bindings).unwrap(), ..HostConfig::default() };
        let wanted = wanted(&Config::default(), &host).map_err(|error| error.to_string())?;
        let target = Target { ipv4: Some(INSIDE), ..Target::default() };
        let taken = Taken { published, leaving: &[], tcp: Vec::new(), udp: Vec::new() };
        choose(&wanted, target, &taken).map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_ports_in_a_row_are_one_entry() {
        let bindings: serde_json::Map<String, Value> = (9000..9100)
            .map(|port| (format!("{port}/tcp"), json!([{"HostPort": port.to_string()}])))
            .collect();
        let chosen = publish(Value::Object(bindings), &[]).unwrap();
        assert_eq!(chosen.len(), 1);
        assert_eq!((chosen[0].first, chosen[0].count), (9000, 100));
        assert_eq!(port_map(&chosen).len(), 100);
        let moved = publish(json!({"80/tcp": [{"HostPort": "8080"}], "81/tcp": [{"HostPort": "8081"}]}), &[]);
        assert_eq!(moved.unwrap().len(), 2);
    }

    #[test]
    fn a_port_that_is_taken_is_told_and_one_of_a_range_is_chosen() {
        let first = publish(json!({"80/tcp": [{"HostPort": "8080"}]}), &[]).unwrap();
        let published = [(first[0].clone(), "web".to_owned())];
        let again = publish(json!({"80/tcp": [{"HostPort": "8080"}]}), &published).unwrap_err();
        assert!(again.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{again}");
        publish(json!({"80/udp": [{"HostPort": "8080"}]}), &published).unwrap();
        let other = publish(json!({"80/tcp": [{"HostPort": "8080-8082"}]}), &published).unwrap();
        assert_eq!(other[0].first, 8081);
        let any = publish(json!({"80/tcp": [{}], "81/tcp": null}), &[]).unwrap();
        assert_eq!(any.iter().map(|port| port.first).collect::<Vec<_>>(), [32768, 32769]);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for wrong in ["0/tcp", "x", "80/tls", "70000"] {
            let error = publish(json!({ wrong: [{"HostPort": "1"}] }), &[]).unwrap_err();
            assert_eq!(error, format!("invalid port specification: \"{wrong}\""));
        }
        for wrong in ["a", "9-8", "1-70000", "-"] {
            let error = publish(json!({ "80/tcp": [{ "HostPort": wrong }] }), &[]).unwrap_err();
            assert_eq!(error, format!("invalid port specification: \"{wrong}\""));
        }
    }
}
