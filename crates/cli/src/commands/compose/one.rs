//! What is asked of one container of a service: handed to the command of that name, with the container in the service's
//! place.

use client::{Engine, encode};
use compose::labels;
use serde_json::{Value, json};

use super::observe::{self, OneOff};
use super::project;
use crate::call::Call;
use crate::commands::stats::{self, Whose};
use crate::commands::top;
use crate::error::{Error, Outcome};
use crate::listing;
use crate::ui;

/// Which containers a command can do something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    /// Those that have ended, or never started, are none.
    Alive,
}

/// The container of a service: the one with the number that was asked for, or the first that runs.
async fn find(engine: &Engine, project: &str, service: &str, index: i64, kind: Kind) -> Result<Value, Error> {
    let there = observe::containers(engine, project, OneOff::Without).await?;
    let mut own = observe::of_services(there, &[service.to_owned()]);
    own.retain(|one| {
        kind == Kind::Any || !matches!(one["State"].as_str(), Some("created" | "exited" | "dead"))
    });
    let found = match index {
        0 => own.iter().find(|one| one["State"] == "running").or_else(|| own.first()),
        index => own.iter().find(|one| i64::from(observe::number(one)) == index),
    };
    match (found, index) {
        (Some(found), _) => Ok(found.clone()),
        (None, 0) => Err(Error::Usage(format!("service {service:?} is not running"))),
        (None, index) => Err(Error::Usage(format!("service {service:?} is not running container #{index}"))),
    }
}

/// The name of that container.
fn container(call: &Call, service: &str, kind: Kind) -> Result<String, Error> {
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(&[service.to_owned()])?;
    }
    let index = call.flags().int("index");
    let found = call.with_engine(|engine| async move { find(&engine, &name, service, index, kind).await })?;
    Ok(observe::name(&found))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// `compose exec`.
pub(crate) fn exec(call: &Call) -> Outcome {
    let flags = call.flags();
    let Some((service, command)) = call.args().split_first().filter(|(_, command)| !command.is_empty())
    else {
        return Err(Error::Usage("\"compose exec\" requires at least 2 arguments: SERVICE COMMAND".into()));
    };
    let container = container(call, service, Kind::Alive)?;
    let mut line = words(["exec"]);
    let no_tty = flags.changed("no-tty") && flags.bool("no-tty");
    let terminal = ui::in_is_terminal() && ui::out_is_terminal();
    if flags.bool("detach") {
        line.push("--detach".into());
    } else if flags.bool("interactive") {
        line.push("--interactive".into());
    }
    if flags.bool("tty") && !no_tty && terminal && !flags.bool("detach") {
        line.push("--tty".into());
    }
    if flags.bool("privileged") {
        line.push("--privileged".into());
    }
    for variable in flags.list("env") {
        line.extend(["--env".to_owned(), variable]);
    }
    for name in ["user", "workdir"] {
        line.extend(flags.find(name).map(|value| format!("--{name}={value}")));
    }
    line.push(container);
    line.extend_from_slice(command);
    call.again(&line)
}

/// `compose top`.
pub(crate) fn top(call: &Call) -> Outcome {
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    call.with_engine(|engine| async move {
        let own =
            observe::of_services(observe::containers(&engine, &name, OneOff::Without).await?, call.args());
        let mut text = String::new();
        for one in own.iter().filter(|one| one["State"] == "running") {
            let answer = engine.get(&format!("/containers/{}/top", encode(observe::id(one)))).await?;
            if text.is_empty() {
                text = format!("SERVICE\t#\t{}", top::row(&answer["Titles"]));
            }
            let service = diag::printable(observe::label(one, labels::SERVICE));
            for process in answer["Processes"].as_array().into_iter().flatten() {
                text.push_str(&format!("{service}\t{}\t{}", observe::number(one), top::row(process)));
            }
        }
        ui::out(&listing::align_with(&text, 4, 2))?;
        Ok(0)
    })
}

/// `compose port`.
pub(crate) fn port(call: &Call) -> Outcome {
    let [service, port] = call.args() else {
        return Err(Error::Usage("\"compose port\" requires 2 arguments: SERVICE PRIVATE_PORT".into()));
    };
    let protocol = call.flags().text("protocol");
    let number: u16 = port.parse().map_err(|_| Error::Usage(format!("{port:?} is no port")))?;
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(std::slice::from_ref(service))?;
    }
    let index = call.flags().int("index");
    let found =
        call.with_engine(|engine| async move { find(&engine, &name, service, index, Kind::Alive).await })?;
    let ports = found["Ports"].as_array().into_iter().flatten();
    let published = ports.clone().find(|one| {
        one["PrivatePort"] == number
            && one["Type"] == protocol
            && one["PublicPort"].as_u64().is_some_and(|port| port > 0)
    });
    match published {
        Some(one) => {
            let host = one["IP"].as_str().unwrap_or_default();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            ui::out(&format!("{host}:{}\n", one["PublicPort"]))?;
            Ok(0)
        }
        None => {
            Err(Error::Usage(format!("no port {number}/{protocol} for container {}", observe::name(&found))))
        }
    }
}

/// `compose export`.
pub(crate) fn export(call: &Call) -> Outcome {
    let Some(service) = call.args().first() else {
        return Err(Error::Usage("\"compose export\" requires 1 argument: SERVICE".into()));
    };
    let mut line = words(["export"]);
    line.extend(call.flags().find("output").map(|path| format!("--output={path}")));
    line.push(container(call, service, Kind::Any)?);
    call.again(&line)
}

/// `compose cp`: to all containers of a service, or from one.
pub(crate) fn cp(call: &Call) -> Outcome {
    let [source, target] = call.args() else {
        return Err(Error::Usage("\"compose cp\" requires 2 arguments: SRC DEST".into()));
    };
    let flags = call.flags();
    let split = |text: &str| {
        let (service, path) = text.split_once(':')?;
        (!service.contains(['/', '.'])).then(|| (service.to_owned(), path.to_owned()))
    };
    let mut line = words(["cp", "--quiet"]);
    line.extend(
        ["archive", "follow-link"]
            .into_iter()
            .filter(|name| flags.bool(name))
            .map(|name| format!("--{name}")),
    );
    match (split(source), split(target)) {
        (Some((service, path)), None) => {
            line.extend([format!("{}:{path}", container(call, &service, Kind::Any)?), target.clone()]);
            call.again(&line)
        }
        (None, Some((service, path))) => {
            let (name, project) = project::name(call)?;
            if let Some(project) = &project {
                project.known(std::slice::from_ref(&service))?;
            }
            let index = flags.int("index");
            let one_off = if flags.bool("all") { OneOff::With } else { OneOff::Without };
            let own = call.with_engine(|engine| async move {
                let own =
                    observe::of_services(observe::containers(&engine, &name, one_off).await?, &[service]);
                Ok(own
                    .into_iter()
                    .filter(|one| index == 0 || i64::from(observe::number(one)) == index)
                    .collect::<Vec<_>>())
            })?;
            if own.is_empty() {
                return Err(Error::Usage("no container found for the service".into()));
            }
            for one in &own {
                let mut line = line.clone();
                line.extend([source.clone(), format!("{}:{path}", observe::name(one))]);
                call.again(&line)?;
            }
            Ok(0)
        }
        (Some(_), Some(_)) => Err(Error::Usage("copying between services is not supported".into())),
        (None, None) => Err(Error::Usage("unknown copy direction".into())),
    }
}

/// Which service a container belongs to, with its number: `web-1`.
pub(super) fn short_name(container: &Value) -> String {
    format!("{}-{}", observe::label(container, labels::SERVICE), observe::number(container))
}

/// `compose attach`.
pub(crate) fn attach(call: &Call) -> Outcome {
    let [service] = call.args() else {
        return Err(Error::Usage("\"compose attach\" requires 1 argument: SERVICE".into()));
    };
    let flags = call.flags();
    let mut line = words(["attach"]);
    line.extend(flags.find("detach-keys").map(|keys| format!("--detach-keys={keys}")));
    line.extend(["no-stdin", "sig-proxy"].map(|name| format!("--{name}={}", flags.bool(name))));
    line.push(container(call, service, Kind::Alive)?);
    call.again(&line)
}

/// `compose commit`.
pub(crate) fn commit(call: &Call) -> Outcome {
    let [service, image @ ..] = call.args() else {
        return Err(Error::Usage(
            "\"compose commit\" requires at least 1 argument: SERVICE [REPOSITORY[:TAG]]".into(),
        ));
    };
    let flags = call.flags();
    let mut line = words(["commit"]);
    line.extend(
        ["author", "message"].iter().filter_map(|name| Some(format!("--{name}={}", flags.find(name)?))),
    );
    line.extend(flags.list("change").into_iter().map(|change| format!("--change={change}")));
    line.push(format!("--pause={}", flags.bool("pause")));
    line.push(container(call, service, Kind::Any)?);
    line.extend_from_slice(image);
    call.again(&line)
}

/// `compose stats`: of one service's containers, or of all.
pub(crate) fn stats(call: &Call) -> Outcome {
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let mut labels = vec![format!("{}={name}", labels::PROJECT)];
    labels.extend(call.args().iter().map(|service| format!("{}={service}", labels::SERVICE)));
    let filters = json!({ "label": labels }).to_string();
    let all = call.flags().bool("all");
    stats::show(
        call,
        Whose::Listed(format!("/containers/json?all={}&filters={}", u8::from(all), encode(&filters))),
    )
}
