//! The Dockerfile instructions that `import --change` and `commit --change` take, and what they do to a configuration.

use std::time::Duration;

use oci::image::{ContainerConfig, Empty, Healthcheck};

use crate::Error;

mod words;

use words::{expand, split};

/// More than any image has, and little enough to read at once.
const MAX_TEXT: usize = 1 << 20;
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Applies instructions to a configuration, in order.
pub fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let text = changes.join("\n");
    if text.len() > MAX_TEXT {
        return Err(invalid(format!("the changes are longer than {MAX_TEXT} bytes")));
    }
    let instructions = instructions(&text);
    if instructions.is_empty() {
        return Err(invalid("file with no instructions"));
    }
    let mut change = Change { config, has_command: false };
    for instruction in &instructions {
        let (name, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
        change.instruction(&name.to_uppercase(), rest.trim())?;
    }
    Ok(())
}

/// Lines, with those joined that end in a backslash, without comments and empty ones.
fn instructions(text: &str) -> Vec<String> {
    let mut instructions = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => instructions.push(std::mem::take(&mut open) + line),
        }
    }
    instructions.extend((!open.is_empty()).then_some(open));
    instructions
}

struct Change<'a> {
    config: &'a mut ContainerConfig,
    /// An entry point without a command of its own makes an inherited one meaningless.
    has_command: bool,
}

impl Change<'_> {
    fn instruction(&mut self, name: &str, rest: &str) -> Result<(), Error> {
        let known = [
            "CMD",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "HEALTHCHECK",
            "LABEL",
            "ONBUILD",
            "STOPSIGNAL",
            "USER",
            "VOLUME",
            "WORKDIR",
        ];
        if !known.contains(&name) {
            return Err(invalid(format!("{name} is not a valid change command")));
        }
        if rest.is_empty() && !matches!(name, "CMD" | "ENTRYPOINT") {
            let needs = match name {
                "USER" | "WORKDIR" | "STOPSIGNAL" => "exactly one argument",
                _ => "at least one argument",
            };
            return Err(invalid(format!("{name} requires {needs}")));
        }
        match name {
            "CMD" => {
                self.config.cmd = Some(command(rest));
                self.has_command = true;
            }
            "ENTRYPOINT" => {
                self.config.entrypoint = Some(command(rest)).filter(|command| !command.is_empty());
                if !self.has_command {
                    self.config.cmd = None;
                }
            }
            "ENV" => self.environment(rest)?,
            "LABEL" => {
                for (key, value) in self.pairs("LABEL", rest)? {
                    self.config.labels.insert(key, value);
                }
            }
            "EXPOSE" => self.expose(rest)?,
            "VOLUME" => self.volumes(rest)?,
            "USER" => self.config.user = self.expand(rest)?,
            "WORKDIR" => self.config.working_dir = below(&self.config.working_dir, &self.expand(rest)?),
            "STOPSIGNAL" => {
                let signal = self.expand(rest)?;
                crate::signal::parse(&signal)?;
                self.config.stop_signal = signal;
            }
            "HEALTHCHECK" => self.config.healthcheck = Some(healthcheck(rest)?),
            _ => self.on_build(rest)?,
        }
        Ok(())
    }

    fn expand(&self, text: &str) -> Result<String, Error> {
        expand(text, &|name| variable(&self.config.env, name)).map_err(invalid)
    }

    /// `a=b c="d e"`, or the older `a b c`.
    fn pairs(&self, instruction: &str, rest: &str) -> Result<Vec<(String, String)>, Error> {
        let words = split(rest);
        let first = words.first().map_or("", String::as_str);
        if !first.contains('=') {
            let (key, value) = rest
                .split_once(char::is_whitespace)
                .ok_or_else(|| invalid(format!("{instruction} must have two arguments")))?;
            return Ok(vec![(self.expand(key)?, self.expand(value.trim())?)]);
        }
        let pair = |word: &String| {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))
            })?;
            match key.is_empty() {
                true => Err(invalid(format!("{instruction} names can not be blank"))),
                false => Ok((self.expand(key)?, self.expand(value)?)),
            }
        };
        words.iter().map(pair).collect()
    }

    fn environment(&mut self, rest: &str) -> Result<(), Error> {
        for (key, value) in self.pairs("ENV", rest)? {
            let start = format!("{key}=");
            let entry = format!("{start}{value}");
            match self.config.env.iter_mut().find(|known| known.starts_with(&start)) {
                Some(known) => *known = entry,
                None => self.config.env.push(entry),
            }
        }
        Ok(())
    }

    fn expose(&mut self, rest: &str) -> Result<(), Error> {
        for word in split(rest) {
            for port in ports(&self.expand(&word)?)? {
                self.config.exposed_ports.insert(port, Empty {});
            }
        }
        Ok(())
    }

    fn volumes(&mut self, rest: &str) -> Result<(), Error> {
        let listed = serde_json::from_str::<Vec<String>>(rest).ok();
        for word in listed.unwrap_or_else(|| split(rest)) {
            let volume = self.expand(&word)?;
            if volume.trim().is_empty() {
                return Err(invalid("VOLUME specified can not be an empty string"));
            }
            self.config.volumes.insert(volume, Empty {});
        }
        Ok(())
    }

    fn on_build(&mut self, rest: &str) -> Result<(), Error> {
        let trigger = rest.split_whitespace().next().unwrap_or_default().to_uppercase();
        match trigger.as_str() {
            "ONBUILD" => Err(invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
            "FROM" | "MAINTAINER" => Err(invalid(format!("{trigger} isn't allowed as an ONBUILD trigger"))),
            _ => {
                self.config.on_build.get_or_insert_default().push(rest.to_owned());
                Ok(())
            }
        }
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::Invalid(why.into())
}

fn variable(env: &[String], name: &str) -> Option<String> {
    env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

/// `["a", "b"]` is run as it is, anything else by a shell.
fn command(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    serde_json::from_str(rest)
        .unwrap_or_else(|_| SHELL.iter().map(|word| (*word).to_owned()).chain([rest.to_owned()]).collect())
}

/// `80`, `80/udp`, `8000-8002/tcp`; what is before a colon is the host's and means nothing here.
fn ports(text: &str) -> Result<Vec<String>, Error> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid(format!("Invalid proto: {protocol}")));
    }
    let ports = ports.rsplit(':').next().unwrap_or_default();
    let wrong = || invalid(format!("Invalid containerPort: {ports}"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A path from the root, from where we are.
fn below(present: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{present}/{path}") };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(rest: &str) -> Result<Healthcheck, Error> {
    let mut check = Healthcheck::default();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let time = || nanoseconds(name, value);
        match name {
            "interval" => check.interval = Some(time()?),
            "timeout" => check.timeout = Some(time()?),
            "start-period" => check.start_period = Some(time()?),
            "start-interval" => check.start_interval = Some(time()?),
            "retries" => {
                let wrong = |_| invalid(format!("--retries is not a number: {value:?}"));
                check.retries = Some(i64::from(value.parse::<u32>().map_err(wrong)?));
            }
            name => return Err(invalid(format!("Unknown flag: {name}"))),
        }
        rest = after.trim_start();
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (kind.to_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("NONE", _) => return Err(invalid("HEALTHCHECK NONE takes no arguments")),
        ("CMD", "") => return Err(invalid("Missing command after HEALTHCHECK CMD")),
        ("CMD", command) => match serde_json::from_str::<Vec<String>>(command) {
            Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            Err(_) => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        (kind, _) => {
            return Err(invalid(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)")));
        }
    };
    Ok(check)
}

fn nanoseconds(name: &str, text: &str) -> Result<i64, Error> {
    let nanoseconds = duration(text).and_then(|duration| i64::try_from(duration.as_nanos()).ok());
    nanoseconds.ok_or_else(|| invalid(format!("--{name}: {text:?} is not a duration like 30s or 1m30s")))
}

/// Go's durations, as far as whole numbers go: `1m30s`, `500ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let each: u64 = match &rest[digits..unit] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_nanos(number.checked_mul(each)?))?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Result<serde_json::Value, String> {
        let changes: Vec<String> = changes.iter().map(|text| (*text).to_owned()).collect();
        let mut config = ContainerConfig::default();
        apply(&mut config, &changes).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(config).unwrap())
    }

    #[test]
    fn instructions_change_what_they_name() {
        let config = changed(&[
            "cmd [\"a\", \"b c\"]",
            "ENTRYPOINT run it",
            "ENV A=b C='d e' \\\n  F=\"$A-${X:-none}\"",
            "ENV OLD form of it",
            "LABEL x=y \"two words\"=z",
            "EXPOSE 80 53/udp 8000-8001 1:2",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR /w",
            "WORKDIR ../v/./x",
            "# nothing",
            "USER $A",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD true",
            "ONBUILD RUN x",
        ]);
        let expected = serde_json::json!({
            "User": "b",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "2/tcp": {}},
            "Env": ["A=b", "C=d e", "F=-none", "OLD=form of it"],
            "Entrypoint": ["/bin/sh", "-c", "run it"],
            "Cmd": ["a", "b c"],
            "Volumes": {"/a": {}, "/b": {}, "/c d": {}},
            "WorkingDir": "/v/x",
            "Labels": {"x": "y", "two words": "z"},
            "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000_u64, "Retries": 3},
            "OnBuild": ["RUN x"],
        });
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn what_docker_refuses_is_refused_in_its_words() {
        for (change, words) in [
            ("RUN x", "RUN is not a valid change command"),
            ("CMDX", "CMDX is not a valid change command"),
            ("LABEL", "LABEL requires at least one argument"),
            ("ENV a", "ENV must have two arguments"),
            ("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
            ("EXPOSE a", "Invalid containerPort: a"),
            ("EXPOSE 1/x", "Invalid proto: x"),
            ("USER", "USER requires exactly one argument"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("", "file with no instructions"),
        ] {
            assert_eq!(changed(&[change]).unwrap_err(), words, "{change}");
        }
    }
}
