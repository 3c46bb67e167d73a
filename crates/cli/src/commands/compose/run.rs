//! `run`: a container of a service's for one command; and commands in a service's containers.

use std::collections::BTreeMap;

use client::{Engine, encode};
use compose::Project;
use compose::container::{Facts, container};
use compose::labels;
use compose::plan::Recreate;
use http::Method;
use serde_json::{Value, json};

use super::create::{Wish, converge, image_id};
use super::inject::inject;
use super::report::Report;
use super::roll::Turns;
use super::{build, project, provider, pull, up};
use crate::call::Call;
use crate::commands::api_socket;
use crate::error::{Error, Outcome};
use crate::shape;
use crate::ui;

/// `compose run`.
pub(crate) fn run(call: &Call) -> Outcome {
    let flags = call.flags();
    let Some((service, command)) = call.args().split_first() else {
        return Err(Error::Usage("\"compose run\" requires at least 1 argument: SERVICE".into()));
    };
    let project = project::load(call, std::slice::from_ref(service))?;
    project.known(std::slice::from_ref(service))?;
    let mut dependencies = project.with_dependencies(std::slice::from_ref(service))?;
    dependencies.remove(service);
    if flags.bool("no-deps") {
        dependencies.clear();
    }
    let mut wish = Wish {
        services: dependencies.clone(),
        named: dependencies,
        recreate: Recreate::Changed,
        recreate_dependencies: Recreate::Changed,
        scale: BTreeMap::new(),
        pull: pull::Policy::read(flags.text("pull"))?,
        quiet_pull: flags.bool("quiet-pull"),
        build: if flags.bool("build") { build::When::Always } else { build::When::Missing },
        quiet_build: flags.bool("quiet-build"),
        renew_volumes: false,
        remove_orphans: super::report::removes_orphans(call)?,
        timeout: None,
        report: Report::new(call, flags.bool("quiet"))?,
        starts: true,
        turns: Turns::default(),
    };
    let pulling = Report::new(call, flags.bool("quiet") || flags.bool("quiet-pull"))?;
    let terminal = ui::in_is_terminal() && ui::out_is_terminal();
    let no_tty = ["no-TTY", "no-tty"].iter().any(|name| flags.changed(name) && flags.bool(name));
    let tty = terminal && !no_tty && flags.bool("tty") && !flags.bool("detach");
    let (name, id) = call.with_engine(|engine| async move {
        let provided = match converge(call, &engine, &project, &wish).await? {
            None => provider::up(call, &project, std::slice::from_ref(service), wish.report).await?,
            provided => provided,
        };
        let project = provided.unwrap_or(project);
        up::start_all(&engine, &project, &wish, None).await?;
        // The service's own image, and nothing more of it.
        let due = build::is_due(
            &project,
            service,
            wish.build,
            image_id(&engine, &project.image(service)).await?.is_some(),
        );
        match due {
            true => build::services(
                call,
                &project,
                std::slice::from_ref(service),
                &build::Flags::quiet(wish.quiet_build),
            )?,
            false => {
                pull::ensure(call, &engine, &project, std::slice::from_ref(service), wish.pull, pulling)
                    .await?;
            }
        }
        wish.services.insert(service.clone());
        let facts = Facts {
            image_id: image_id(&engine, &project.image(service)).await?.unwrap_or_default(),
            contents: project.contents(service).map_err(Error::Usage)?,
            ..Facts::default()
        };
        let mut wanted = container(&project, service, 1, &facts).map_err(Error::Usage)?;
        let name = change(call, &project, service, command, tty, &mut wanted.body)?;
        let socket = match api_socket::is_wanted(&project, service) {
            true => Some(api_socket::give(call, &mut wanted.body)?),
            false => None,
        };
        let path = format!("/containers/create?name={}", encode(&name));
        let answer = engine.call(Method::POST, &path, Some(&wanted.body)).await?.json()?;
        let id = answer["Id"].as_str().unwrap_or(&name).to_owned();
        inject(&engine, &id, &wanted.files).await?;
        if let Some(socket) = socket {
            socket.inject(&engine, &id).await?;
        }
        Ok((name, id))
    })?;
    if flags.bool("detach") {
        // What was started is told: by its id, as by docker compose.
        call.again(&["start".to_owned(), id])?;
        return Ok(0);
    }
    let mut line = vec!["start".to_owned(), "--attach".to_owned()];
    line.extend(flags.bool("interactive").then(|| "--interactive".to_owned()));
    line.push(name.clone());
    let code = call.again(&line);
    if flags.bool("rm") {
        let path = format!("/containers/{}?force=1&v=1", encode(&name));
        call.with_engine(|engine| async move {
            drop(engine.call(Method::DELETE, &path, None).await);
            Ok(())
        })?;
    }
    code
}

/// What makes a service's container one for a single command. Returns its name.
fn change(
    call: &Call,
    project: &Project,
    service: &str,
    command: &[String],
    tty: bool,
    body: &mut Value,
) -> Result<String, Error> {
    let flags = call.flags();
    let slug = slug()?;
    let name =
        flags.find("name").map_or_else(|| project.joined(&[service, "run", &slug[..12]]), str::to_owned);
    if !command.is_empty() {
        body["Cmd"] = command.into();
    }
    if flags.changed("entrypoint") {
        let words: Vec<_> = flags.text("entrypoint").split_whitespace().collect();
        body["Entrypoint"] = words.into();
        if command.is_empty() {
            body["Cmd"] = Value::Null;
        }
    }
    for (flag, key) in [("user", "User"), ("workdir", "WorkingDir")] {
        if let Some(value) = flags.find(flag) {
            body[key] = value.into();
        }
    }
    body["Tty"] = tty.into();
    let stdin = flags.bool("interactive") && !flags.bool("detach");
    (body["OpenStdin"], body["StdinOnce"], body["AttachStdin"]) = (stdin.into(), stdin.into(), stdin.into());
    environment(call, body)?;
    shape::add_variables(body, &call.proxies()?);
    let host = &mut body["HostConfig"];
    host["RestartPolicy"] = json!({});
    host["AutoRemove"] = (flags.bool("rm") && flags.bool("detach")).into();
    if !flags.bool("service-ports") {
        host["PortBindings"] = json!({});
    }
    for spec in flags.list("publish") {
        publish(&spec, body)?;
    }
    let host = &mut body["HostConfig"];
    for (flag, key) in [("cap-add", "CapAdd"), ("cap-drop", "CapDrop")] {
        let more = flags.list(flag);
        if !more.is_empty() {
            let mut all: Vec<Value> = host[key].as_array().cloned().unwrap_or_default();
            all.extend(more.into_iter().map(Value::from));
            host[key] = all.into();
        }
    }
    for volume in flags.list("volume") {
        if let Some(binds) = host["Binds"].as_array_mut() {
            binds.push(absolute(&volume)?.into());
        }
    }
    if !flags.bool("use-aliases") {
        let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object_mut();
        for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values_mut()) {
            endpoint["Aliases"] = json!([]);
        }
    }
    let labels = &mut body["Labels"];
    labels[labels::ONE_OFF] = "True".into();
    labels[labels::SLUG] = slug.into();
    if let Some(labels) = labels.as_object_mut() {
        labels.shift_remove(labels::NUMBER);
    }
    for pair in flags.list("label") {
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        labels[key] = value.into();
    }
    Ok(name)
}

fn environment(call: &Call, body: &mut Value) -> Result<(), Error> {
    let flags = call.flags();
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut add = |line: &str| {
        match line.split_once('=') {
            Some((name, value)) => all.insert(name.to_owned(), Some(value.to_owned())),
            // As in the environment here, if it is there.
            None => all.insert(line.to_owned(), client::resolve::process_env(line)),
        };
    };
    for line in body["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        add(line);
    }
    for path in flags.list("env-from-file") {
        let lines =
            std::fs::read_to_string(&path).map_err(|e| Error::Usage(format!("cannot read {path}: {e}")))?;
        lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .for_each(&mut add);
    }
    flags.list("env").iter().for_each(|line| add(line));
    let lines = all.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    body["Env"] = lines.collect::<Vec<_>>().into();
    Ok(())
}

fn publish(spec: &str, body: &mut Value) -> Result<(), Error> {
    let parsed = compose::ports(spec).map_err(Error::Usage)?;
    for (target, protocol, host, published) in parsed {
        let key = format!("{target}/{protocol}");
        body["ExposedPorts"][&key] = json!({});
        let binding = json!({ "HostIp": host, "HostPort": published });
        let bindings = &mut body["HostConfig"]["PortBindings"];
        match bindings[&key].as_array_mut() {
            Some(list) => list.push(binding),
            None => bindings[&key] = json!([binding]),
        }
    }
    Ok(())
}

/// A folder of the host's that is given from here on.
fn absolute(volume: &str) -> Result<String, Error> {
    let relative = volume.starts_with('.');
    let here = std::env::current_dir().map_err(|e| Error::Io("find the current folder", e))?;
    Ok(match (relative, volume.split_once(':')) {
        (true, Some((source, rest))) => format!("{}:{rest}", here.join(source).display()),
        _ => volume.to_owned(),
    })
}

/// A name that no other container has.
fn slug() -> Result<String, Error> {
    let mut random = [0_u8; 32];
    let filled = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    filled.map_err(|e| Error::Io("ask for random bytes", e.into()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `pre_stop`: commands in a container that is about to be stopped. One that fails stops nothing from ending.
pub(super) async fn pre_stop(
    engine: &Engine,
    project: &Project,
    service: &str,
    id: &str,
) -> Result<(), Error> {
    let hooks = project.service(service).map(|spec| spec["pre_stop"].clone()).unwrap_or_default();
    for one in hooks.as_array().into_iter().flatten() {
        if let Err(error) = hook(engine, service, id, one).await {
            ui::err(&format!("WARN[0000] {}", diag::printable(&diag::chain(&error))));
        }
    }
    Ok(())
}

/// A command in a container that runs; one that fails is an error.
pub(super) async fn hook(engine: &Engine, service: &str, id: &str, hook: &Value) -> Result<(), Error> {
    if engine.is_dry() {
        return Ok(());
    }
    let variables = hook["environment"].as_object().into_iter().flatten();
    let environment: Vec<String> =
        variables.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let text = |key: &str| hook[key].as_str().unwrap_or_default();
    let config = json!({
        "Cmd": hook["command"],
        "User": text("user"),
        "WorkingDir": text("working_dir"),
        "Privileged": hook["privileged"] == true,
        "Env": environment,
        "AttachStdout": true,
        "AttachStderr": true,
    });
    let path = format!("/containers/{}/exec", encode(id));
    let exec = engine.call(Method::POST, &path, Some(&config)).await?.json()?;
    let exec = exec["Id"].as_str().unwrap_or_default();
    let start = json!({ "Detach": false, "Tty": false });
    let mut output = engine.stream(Method::POST, &format!("/exec/{exec}/start"), Some(&start)).await?;
    while output.next().await?.is_some() {}
    let ended = engine.get(&format!("/exec/{exec}/json")).await?;
    match ended["ExitCode"].as_i64() {
        Some(0) => Ok(()),
        code => Err(Error::Usage(format!(
            "service {service:?}: hook {} ended with {}",
            hook["command"],
            code.unwrap_or(-1)
        ))),
    }
}
