//! `login`, `logout`: who the user is to a registry, asked of the registry and kept for later.

use std::io::Read as _;

use client::Engine;
use client::credentials::{AUTH_VARIABLE, Auth, HUB, Kept, host_of};
use client::resolve::process_env;
use http::Method;
use serde_json::Value;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::prompt::{self, Echo};
use crate::ui;

/// No password or token is longer.
const LIMIT: u64 = 1 << 20;

const HUB_HELP: &str = "\
Log in with your Docker ID or email address to push and pull images from Docker Hub. \
If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.
You can log in with your password or a Personal Access Token (PAT). Using a limited-scope PAT grants better security \
and is required for organizations using SSO. Learn more at https://docs.docker.com/go/access-tokens/

";

/// `login`.
pub(crate) fn login(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = flags.text("username").trim().to_owned();
    let password = password(call)?;
    let server = match call.args().first().map(String::as_str) {
        None | Some("" | "docker.io") => HUB.to_owned(),
        Some(HUB) => HUB.to_owned(),
        Some(address) => host_of(address).to_owned(),
    };
    warn_of_variable();
    let mut config = call.config_to_change()?;
    let known = match name.is_empty() && password.is_empty() {
        true => config.auth(&server, process_env(AUTH_VARIABLE).as_deref())?,
        false => Auth::default(),
    };
    call.with_engine(|engine| async move {
        let given = Auth { username: name, password, server: server.clone(), ..Auth::default() };
        let known = Auth { server, identity_token: String::new(), ..known };
        let (auth, answer) = match known.username.is_empty() || known.password.is_empty() {
            true => ask_and_try(&engine, given, &known.username).await?,
            false => match try_known(&engine, &known).await? {
                Some(answer) => (known, answer),
                None => ask_and_try(&engine, given, &known.username).await?,
            },
        };
        let kept = config.keep_auth(&with_token(auth, &answer));
        let kept =
            kept.map_err(|error| Error::Usage(format!("Error saving credentials: {}", diag::chain(&error))))?;
        if kept == Kept::InFile {
            ui::err(&format!(
                "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
                 Configure a credential helper to remove this warning. See\n\
                 https://docs.docker.com/go/credential-store/\n",
                config.path().display()
            ));
        }
        if let Some(status) = answer["Status"].as_str().filter(|status| !status.is_empty()) {
            ui::out(&format!("{}\n", diag::printable(status)))?;
        }
        Ok(0)
    })
}

/// What the flags or the input say; empty where nothing does.
fn password(call: &Call) -> Result<String, Error> {
    let flags = call.flags();
    let (password, from_input) = (flags.text("password"), flags.bool("password-stdin"));
    if from_input && flags.changed("password") {
        let message = "conflicting options: cannot specify both --password and --password-stdin";
        return Err(Error::Usage(message.into()));
    }
    if !password.is_empty() {
        ui::err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if !from_input {
        return Ok(password.to_owned());
    }
    if flags.text("username").is_empty() {
        return Err(Error::Usage("the --password-stdin option requires --username to be set".into()));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(LIMIT).read_to_string(&mut text);
    read.map_err(|e| Error::Io("read the password", e))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// A token stands in for the password from then on.
fn with_token(auth: Auth, answer: &Value) -> Auth {
    match answer["IdentityToken"].as_str().filter(|token| !token.is_empty()) {
        Some(token) => Auth { password: String::new(), identity_token: token.to_owned(), ..auth },
        None => auth,
    }
}

/// Tries what was kept by an earlier login. `None`: it is of no use any more.
async fn try_known(engine: &Engine, known: &Auth) -> Result<Option<Value>, Error> {
    let name = diag::printable(&known.username);
    ui::err(&format!("Authenticating with existing credentials... [Username: {name}]"));
    let advice = "To login with a different account, run 'docker logout' followed by 'docker login'";
    ui::err(&format!("{}\n", ui::note("Info", advice)));
    match authenticate(engine, known).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_status(401) => {
            ui::err("Stored credentials invalid or expired");
            Ok(None)
        }
        Err(error @ client::Error::Response { .. }) => {
            ui::err(&diag::printable(&format!("Login did not succeed, error: {error}")));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask_and_try(engine: &Engine, mut auth: Auth, usual: &str) -> Result<(Auth, Value), Error> {
    if (auth.username.is_empty() || auth.password.is_empty()) && !ui::in_is_terminal() {
        return Err(Error::Usage("Error: Cannot perform an interactive login from a non TTY device".into()));
    }
    if auth.username.is_empty() {
        auth.username = ask_name(&auth.server, usual).await?;
    }
    if auth.password.trim().is_empty() {
        auth.password = prompt::line("Password: ", Echo::No).await?;
        ui::out("\n")?;
    }
    for (what, given) in [("username", &auth.username), ("password", &auth.password)] {
        if given.is_empty() {
            return Err(Error::Usage(format!("error: {what} is required")));
        }
    }
    let answer = authenticate(engine, &auth).await?;
    Ok((auth, answer))
}

async fn ask_name(server: &str, usual: &str) -> Result<String, Error> {
    if server == HUB {
        ui::out(HUB_HELP)?;
    }
    let question = match usual {
        "" => "Username: ".to_owned(),
        usual => format!("Username ({}): ", diag::printable(usual)),
    };
    let typed = prompt::line(&question, Echo::Yes).await?;
    Ok(if typed.is_empty() { usual.to_owned() } else { typed })
}

async fn authenticate(engine: &Engine, auth: &Auth) -> Result<Value, client::Error> {
    engine.call(Method::POST, "/auth", Some(&auth.json())).await?.json()
}

/// What was kept is not what commands use, as long as the variable is there.
fn warn_of_variable() {
    if process_env(AUTH_VARIABLE).is_some() {
        let text = "DOCKER_AUTH_CONFIG is set and takes precedence.\n\
             Unset DOCKER_AUTH_CONFIG to restore the CLI auth behaviour.\n";
        let note = ui::note("Warn", text);
        ui::err(note.strip_suffix('\n').unwrap_or(&note));
    }
}

/// `logout`.
pub(crate) fn logout(call: &Call) -> Outcome {
    warn_of_variable();
    let address = call.args().first().map(String::as_str).filter(|address| !address.is_empty());
    let (host, mut names) = match address {
        None => (HUB, vec![HUB.to_owned()]),
        // Old clients kept credentials under addresses.
        Some(address) => {
            let host = host_of(address);
            let forms =
                [address.to_owned(), host.to_owned(), format!("http://{host}"), format!("https://{host}")];
            (host, forms.into())
        }
    };
    names.dedup();
    ui::out(&format!("Removing login credentials for {}\n", diag::printable(host)))?;
    let mut config = call.config_to_change()?;
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name}: {}", diag::chain(&config.forget_auth(name).err()?))))
        .collect();
    // One that succeeded is enough: nobody has all of them.
    if failures.len() == names.len() {
        let text = format!("WARNING: could not erase credentials:\n{}", failures.join("\n"));
        ui::err(&diag::printable(&text));
    }
    Ok(0)
}
