//! EXPOSE's words: `80`, `80/udp`, `8000-8010/tcp`, and with a host's part that says nothing.

use super::problem::Problem;

/// `port/protocol`s.
pub(super) fn parse(word: &str) -> Result<Vec<String>, Problem> {
    let (host, container) = word.rsplit_once(':').map_or((None, word), |(host, port)| (Some(host), port));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let wrong = |why: String| Err(Problem::new(why));
    if ports.is_empty() {
        return wrong(format!(
            "invalid port: {}: no port specified: {container}<empty>",
            dockerfile::quote(word)
        ));
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        other => return wrong(format!("invalid port: {}: invalid proto: {other}", dockerfile::quote(word))),
    };
    let Some((first, last)) = range(ports) else { return wrong(format!("invalid containerPort: {ports}")) };
    if let Some(host) = host {
        check_host(host, first, last, ports)?;
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// What stands before the container's ports has no meaning, and still has to make sense.
fn check_host(host: &str, first: u16, last: u16, container: &str) -> Result<(), Problem> {
    let (address, ports) = host.rsplit_once(':').map_or(("", host), |(address, ports)| (address, ports));
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(Problem::new(format!("invalid IP address: {address}")));
    }
    if ports.is_empty() {
        return Ok(());
    }
    let Some((from, to)) = range(ports) else {
        return Err(Problem::new(format!("invalid hostPort: {ports}")));
    };
    if last - first != to - from && first != last {
        let message =
            format!("invalid ranges specified for container and host Ports: {container} and {ports}");
        return Err(Problem::new(message));
    }
    Ok(())
}

fn range(ports: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    match ports.split_once('-') {
        None => number(ports).map(|port| (port, port)),
        Some((first, last)) => Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_protocols_and_ranges() {
        for (word, expected) in [
            ("80", "80/tcp"),
            ("80/UDP", "80/udp"),
            ("1-3/sctp", "1/sctp 2/sctp 3/sctp"),
            ("127.0.0.1:80:90", "90/tcp"),
            ("[::1]:80:90/udp", "90/udp"),
            ("5000-5001:5000-5001", "5000/tcp 5001/tcp"),
        ] {
            assert_eq!(parse(word).map(|ports| ports.join(" ")).as_deref(), Ok(expected), "{word}");
        }
        for (word, why) in [
            ("abc", "invalid containerPort: abc"),
            ("90-80", "invalid containerPort: 90-80"),
            ("70000", "invalid containerPort: 70000"),
            ("80/foo", "invalid port: \"80/foo\": invalid proto: foo"),
            ("x:80", "invalid hostPort: x"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("1-3:5-6", "invalid ranges specified for container and host Ports: 5-6 and 1-3"),
        ] {
            assert_eq!(parse(word).map_err(|problem| problem.message), Err(why.to_owned()));
        }
    }
}
