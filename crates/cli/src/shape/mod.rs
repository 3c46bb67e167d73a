//! The flags of `create` and `run` as the JSON of `POST /containers/create`.

mod limits;
mod mounts;
mod networks;
mod place;
mod ports;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use flags::Matches;
use serde_json::{Map, Value, json};

use crate::error::Error;

pub(crate) use limits::{nano_cpus, ulimit};
pub(crate) use mounts::check as check_mount;
pub(crate) use networks::{check as check_network, check_link, connection};
pub(crate) use place::of_wrong_mount;
pub(crate) use requests::gpus;

/// What stands in docker's text after the program's name.
fn wrong(message: impl Into<String>) -> Error {
    Error::Flags { message: message.into() }
}

/// A JSON object that leaves out what was not asked for: the engine's defaults are the engine's.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Self {
        Self(Map::new())
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn text(&mut self, flags: &Matches, flag: &str, key: &str) {
        if let Some(text) = flags.find(flag) {
            self.put(key, text);
        }
    }

    fn list(&mut self, flags: &Matches, flag: &str, key: &str) {
        let list = flags.list(flag);
        if !list.is_empty() {
            self.put(key, list);
        }
    }

    fn truth(&mut self, flags: &Matches, flag: &str, key: &str) {
        if flags.changed(flag) {
            self.put(key, flags.bool(flag));
        }
    }

    fn int(&mut self, flags: &Matches, flag: &str, key: &str) {
        if flags.changed(flag) {
            self.put(key, flags.int(flag));
        }
    }

    fn bytes(&mut self, flags: &Matches, flag: &str, key: &str) {
        if flags.changed(flag) {
            self.put(key, if flags.text(flag) == "-1" { -1 } else { flags.bytes(flag) });
        }
    }
}

/// Which of the container's streams the client attaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// The streams that `run` attaches; `create` attaches none itself and records the same.
pub(crate) fn attached(flags: &Matches, detach: bool) -> Result<Attached, Error> {
    let named = flags.list("attach");
    if detach && !named.is_empty() {
        let message = "conflicting options: cannot specify both --attach and --detach";
        return Err(Error::Usage(message.into()));
    }
    if detach {
        return Ok(Attached::default());
    }
    if named.is_empty() {
        return Ok(Attached { stdin: flags.bool("interactive"), stdout: true, stderr: true });
    }
    let mut attached = Attached::default();
    for name in named {
        match name.to_lowercase().as_str() {
            "stdin" => attached.stdin = true,
            "stdout" => attached.stdout = true,
            "stderr" => attached.stderr = true,
            _ => return Err(wrong("invalid argument: valid streams are STDIN, STDOUT and STDERR")),
        }
    }
    Ok(attached)
}

/// Adds variables to those of a container's body that it doesn't set itself.
pub(crate) fn add_variables(body: &mut Value, more: &[(String, String)]) {
    let lines = body["Env"].as_array().cloned().unwrap_or_default();
    let is_set =
        |name: &str| lines.iter().filter_map(Value::as_str).any(|line| line.split('=').next() == Some(name));
    let added = more.iter().filter(|(name, _)| !is_set(name));
    let added: Vec<Value> = added.map(|(name, value)| format!("{name}={value}").into()).collect();
    if !added.is_empty() {
        body["Env"] = [lines.clone(), added].concat().into();
    }
}

/// The whole body.
pub(crate) fn container(flags: &Matches, attached: Attached, detach: bool) -> Result<Value, Error> {
    if !flags.bool("disable-content-trust") {
        return Err(wrong("--disable-content-trust=false: Docker Content Trust was removed from Docker"));
    }
    let (image, command) = flags.args.split_first().ok_or_else(|| wrong("an image is required"))?;
    let mut config = Object::new();
    config.put("Image", image.as_str());
    if !command.is_empty() {
        config.put("Cmd", command);
    }
    process(flags, attached, detach, &mut config)?;
    health(flags, &mut config)?;
    let mut host = host(flags)?;
    volumes(flags, &mut config, &mut host)?;
    let (publish, expose) = (flags.list("publish"), flags.list("expose"));
    let (exposed, bindings) = match ports::in_a_run(&publish, &expose) {
        Some(run) => run,
        None => ports::published(&publish, &expose)?,
    };
    if !exposed.is_empty() {
        config.put("ExposedPorts", exposed);
    }
    if !bindings.is_empty() {
        host.put("PortBindings", bindings);
    }
    let networking = networks::put(flags, &mut config, &mut host)?;
    config.put("HostConfig", host.0);
    config.put("NetworkingConfig", networking);
    Ok(Value::Object(config.0))
}

/// Whether ports in a row are one entry.
pub(crate) fn has_port_run(body: &Value) -> bool {
    body["ExposedPorts"].as_object().is_some_and(|ports| ports.keys().any(|port| port.contains("..")))
}

/// For an engine to which each port is to be named.
pub(crate) fn name_each_port(flags: &Matches, body: &mut Value) -> Result<(), Error> {
    let (exposed, bindings) = ports::published(&flags.list("publish"), &flags.list("expose"))?;
    (body["ExposedPorts"], body["HostConfig"]["PortBindings"]) = (exposed.into(), bindings.into());
    Ok(())
}

fn process(flags: &Matches, attached: Attached, detach: bool, config: &mut Object) -> Result<(), Error> {
    config.text(flags, "hostname", "Hostname");
    config.text(flags, "domainname", "Domainname");
    config.text(flags, "user", "User");
    config.text(flags, "workdir", "WorkingDir");
    config.text(flags, "stop-signal", "StopSignal");
    config.int(flags, "stop-timeout", "StopTimeout");
    config.truth(flags, "tty", "Tty");
    config.put("AttachStdin", attached.stdin);
    config.put("AttachStdout", attached.stdout);
    config.put("AttachStderr", attached.stderr);
    let open = flags.bool("interactive");
    config.put("OpenStdin", open);
    // The container sees the end of its input with the client that brought it.
    config.put("StdinOnce", open && attached.stdin && !detach);
    if flags.changed("entrypoint") {
        let entrypoint = flags.text("entrypoint");
        // An empty one clears the image's; the API says that with one empty word.
        config.put("Entrypoint", vec![entrypoint]);
    }
    let env = environment(flags)?;
    if !env.is_empty() {
        config.put("Env", env);
    }
    let mut labels = Map::new();
    for path in flags.list("label-file") {
        labels.extend(pairs_of_file(&path, Environment::Ignored)?.iter().map(|pair| key_value(pair)));
    }
    labels.extend(flags.list("label").iter().map(|pair| key_value(pair)));
    if !labels.is_empty() {
        config.put("Labels", labels);
    }
    Ok(())
}

/// `--env-file` and `--env`.
pub(crate) fn environment(flags: &Matches) -> Result<Vec<String>, Error> {
    let mut env = Vec::new();
    for path in flags.list("env-file") {
        env.extend(pairs_of_file(&path, Environment::Inherited)?);
    }
    for pair in flags.list("env") {
        env.extend(inherited(&pair)?);
    }
    Ok(env)
}

fn key_value(pair: &str) -> (String, Value) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (key.to_owned(), value.into())
}

/// `NAME` alone takes the client's value, and nothing where the client has none.
fn inherited(pair: &str) -> Result<Option<String>, Error> {
    if pair.is_empty() || pair.starts_with('=') {
        return Err(wrong(format!("invalid environment variable: {pair}")));
    }
    if pair.contains('=') {
        return Ok(Some(pair.to_owned()));
    }
    Ok(std::env::var(pair).ok().map(|value| format!("{pair}={value}")))
}

#[derive(Clone, Copy, PartialEq)]
enum Environment {
    Inherited,
    Ignored,
}

fn pairs_of_file(path: &str, environment: Environment) -> Result<Vec<String>, Error> {
    let bytes = client::files::read(Path::new(path))?;
    let bytes = bytes.ok_or_else(|| wrong(format!("open {path}: no such file or directory")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong(format!("env file {path} contains invalid utf8 bytes")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut pairs = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(wrong(format!("invalid env file ({path}): variable '{name}' contains whitespaces")));
        }
        match environment {
            Environment::Inherited => pairs.extend(inherited(line)?),
            Environment::Ignored => pairs.push(line.to_owned()),
        }
    }
    Ok(pairs)
}

fn health(flags: &Matches, config: &mut Object) -> Result<(), Error> {
    let mut check = Object::new();
    if let Some(command) = flags.find("health-cmd") {
        check.put("Test", vec!["CMD-SHELL", command]);
    }
    let times = [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ];
    for (flag, key) in times {
        if flags.changed(flag) {
            check.put(key, i64::try_from(flags.duration(flag).as_nanos()).unwrap_or(i64::MAX));
        }
    }
    if flags.changed("health-retries") {
        if flags.int("health-retries") < 0 {
            return Err(wrong("--health-retries cannot be negative"));
        }
        check.put("Retries", flags.int("health-retries"));
    }
    if flags.bool("no-healthcheck") {
        if !check.0.is_empty() {
            return Err(wrong("--no-healthcheck conflicts with --health-* options"));
        }
        check.put("Test", vec!["NONE"]);
    }
    if !check.0.is_empty() {
        config.put("Healthcheck", check.0);
    }
    Ok(())
}

/// docker's `host`, and ours: users of the container's own, `keep-id` with whoever calls among them.
fn user_namespace(mode: &str) -> Result<Option<String>, Error> {
    match mode.split_once(':').unwrap_or((mode, "")) {
        ("", "") => Ok(None),
        ("host" | "private" | "auto", "") => Ok(Some(mode.to_owned())),
        ("keep-id", options) => {
            let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            let given = if options.is_empty() { String::new() } else { format!("{options},") };
            Ok(Some(format!("keep-id:{given}host-uid={uid},host-gid={gid}")))
        }
        _ => Err(wrong("--userns: invalid USER mode")),
    }
}

fn host(flags: &Matches) -> Result<Object, Error> {
    let mut host = Object::new();
    for (flag, key) in [
        ("cidfile", "ContainerIDFile"),
        ("runtime", "Runtime"),
        ("cgroup-parent", "CgroupParent"),
        ("cgroupns", "CgroupnsMode"),
        ("ipc", "IpcMode"),
        ("pid", "PidMode"),
        ("uts", "UTSMode"),
        ("volume-driver", "VolumeDriver"),
    ] {
        host.text(flags, flag, key);
    }
    for (flag, key) in [
        ("dns", "Dns"),
        ("dns-search", "DnsSearch"),
        ("group-add", "GroupAdd"),
        ("volumes-from", "VolumesFrom"),
        ("device-cgroup-rule", "DeviceCgroupRules"),
    ] {
        host.list(flags, flag, key);
    }
    for (flag, key) in [("cap-add", "CapAdd"), ("cap-drop", "CapDrop")] {
        let names: BTreeSet<String> = flags.list(flag).iter().map(|name| capability(name)).collect();
        if !names.is_empty() {
            host.put(key, names.into_iter().collect::<Vec<_>>());
        }
    }
    let hosts: Vec<String> = flags.list("add-host").iter().map(|host| colon(host)).collect();
    if !hosts.is_empty() {
        host.put("ExtraHosts", hosts);
    }
    if let Some(mode) = user_namespace(flags.text("userns"))? {
        host.put("UsernsMode", mode);
    }
    for (flag, name, kind) in [("pid", "PID", true), ("uts", "UTS", false)] {
        let mode = flags.text(flag);
        let other = mode.strip_prefix("container:").is_some_and(|name| kind && !name.is_empty());
        if !matches!(mode, "" | "host") && !other {
            return Err(wrong(format!("--{flag}: invalid {name} mode")));
        }
    }
    for (flag, key) in [
        ("rm", "AutoRemove"),
        ("privileged", "Privileged"),
        ("publish-all", "PublishAllPorts"),
        ("read-only", "ReadonlyRootfs"),
        ("oom-kill-disable", "OomKillDisable"),
        ("init", "Init"),
    ] {
        host.truth(flags, flag, key);
    }
    let options: Vec<String> = [flags.list("dns-option"), flags.list("dns-opt")].concat();
    if !options.is_empty() {
        host.put("DnsOptions", options);
    }
    for (flag, key) in [("sysctl", "Sysctls"), ("annotation", "Annotations"), ("storage-opt", "StorageOpt")] {
        let pairs: Map<String, Value> = flags.list(flag).iter().map(|pair| key_value(pair)).collect();
        if !pairs.is_empty() {
            host.put(key, pairs);
        }
    }
    limits::put(flags, &mut host)?;
    restart(flags, &mut host)?;
    if flags.bool("rm") && host.0.get("RestartPolicy").is_some_and(|policy| policy["Name"] != "no") {
        return Err(wrong("conflicting options: cannot specify both --restart and --rm"));
    }
    security(flags, &mut host)?;
    logging(flags, &mut host);
    if flags.bool("tty") {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let size = size.map_or([0, 0], |size| [size.ws_row, size.ws_col]);
        host.put("ConsoleSize", size.to_vec());
    }
    Ok(host)
}

/// The kernel's name of a capability: engines keep what they are sent.
fn capability(name: &str) -> String {
    let name = name.to_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

/// `name=address` as the API has it.
fn colon(host: &str) -> String {
    match host.split_once(['=', ':']) {
        Some((name, address)) => format!("{name}:{}", address.trim_start_matches('[').trim_end_matches(']')),
        None => host.to_owned(),
    }
}

/// The body of an update: limits and the restart policy.
pub(crate) fn update(flags: &Matches) -> Result<Value, Error> {
    let mut changes = Object::new();
    limits::put_changeable(flags, &mut changes)?;
    restart(flags, &mut changes)?;
    Ok(Value::Object(changes.0))
}

fn restart(flags: &Matches, host: &mut Object) -> Result<(), Error> {
    let text = flags.text("restart");
    if !flags.changed("restart") || text.is_empty() {
        return Ok(());
    }
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let count: i64 = count
        .parse()
        .map_err(|_| wrong("invalid restart policy format: maximum retry count must be an integer"))?;
    if name.is_empty() {
        return Err(wrong("invalid restart policy format: no policy provided before colon"));
    }
    host.put("RestartPolicy", json!({ "Name": name, "MaximumRetryCount": count }));
    Ok(())
}

/// Profiles are read here, by the person who may read them, and travel as text.
fn security(flags: &Matches, host: &mut Object) -> Result<(), Error> {
    let mut options = Vec::new();
    for option in flags.list("security-opt") {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((&option, ""));
        match (name, value) {
            ("systempaths", "unconfined") => {
                host.put("MaskedPaths", Vec::<String>::new());
                host.put("ReadonlyPaths", Vec::<String>::new());
            }
            ("seccomp", path) if !matches!(path, "" | "unconfined" | "builtin") => {
                let profile = client::files::read_json(Path::new(path))?;
                let missing = || {
                    wrong(format!(
                        "opening seccomp profile ({path}) failed: open {path}: no such file or directory"
                    ))
                };
                options.push(format!("seccomp={}", profile.ok_or_else(missing)?));
            }
            ("no-new-privileges", "") => options.push(option.clone()),
            (_, "") => return Err(wrong(format!("Invalid --security-opt: \"{option}\""))),
            _ => options.push(option.clone()),
        }
    }
    // What is said by paths alone is also said, as an empty list.
    if flags.changed("security-opt") {
        host.put("SecurityOpt", options);
    }
    Ok(())
}

fn logging(flags: &Matches, host: &mut Object) {
    let options: Map<String, Value> = flags.list("log-opt").iter().map(|pair| key_value(pair)).collect();
    if flags.changed("log-driver") || !options.is_empty() {
        host.put("LogConfig", json!({ "Type": flags.text("log-driver"), "Config": options }));
    }
}

fn volumes(flags: &Matches, config: &mut Object, host: &mut Object) -> Result<(), Error> {
    let (mut binds, mut anonymous) = (Vec::new(), Map::new());
    for volume in flags.list("volume") {
        match volume.split_once(':') {
            None => drop(anonymous.insert(volume, json!({}))),
            Some((source, rest)) if source.starts_with('.') => {
                let here =
                    std::path::absolute(source).map_err(|e| Error::Io("find the current folder", e))?;
                binds.push(format!("{}:{rest}", here.display()));
            }
            Some(_) => binds.push(volume),
        }
    }
    if !binds.is_empty() {
        host.put("Binds", binds);
    }
    if !anonymous.is_empty() {
        config.put("Volumes", anonymous);
    }
    let mounts: Result<Vec<Value>, Error> =
        flags.list("mount").iter().map(|text| mounts::mount(text)).collect();
    let mounts = mounts?;
    if !mounts.is_empty() {
        host.put("Mounts", mounts);
    }
    let tmpfs = flags.list("tmpfs");
    let tmpfs: Map<String, Value> = tmpfs
        .iter()
        .map(|mount| mount.split_once(':').unwrap_or((mount, "")))
        .map(|(path, options)| (path.to_owned(), options.into()))
        .collect();
    if !tmpfs.is_empty() {
        host.put("Tmpfs", tmpfs);
    }
    Ok(())
}
