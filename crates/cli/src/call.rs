//! What every command may ask for: its flags, the configuration, the engine, a runtime.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;

use client::config::Config;
use client::credentials::{self, Auth};
use client::resolve::{self, Endpoint, Wanted};
use client::{Engine, context::Store};
use flags::{Invocation, Matches};

use crate::builders::Builders;
use crate::commands;
use crate::error::{Error, Outcome};
use crate::headers;
use crate::tree::{Action, ROOT};
use crate::ui::{self, Sink};

/// A command's function.
pub(crate) type Handler = fn(&Call) -> Outcome;

/// One command line under way.
pub(crate) struct Call {
    /// `docker` or `ketch`.
    pub(crate) program: &'static str,
    invocation: Invocation<Action>,
    config: OnceCell<Config>,
}

impl Call {
    pub(crate) fn new(program: &'static str, invocation: Invocation<Action>) -> Self {
        Self { program, invocation, config: OnceCell::new() }
    }

    /// The command's own flags and arguments.
    pub(crate) fn flags(&self) -> &Matches {
        &self.invocation.matches
    }

    /// The positional arguments.
    pub(crate) fn args(&self) -> &[String] {
        &self.invocation.matches.args
    }

    /// The full name of the command.
    pub(crate) fn path(&self) -> &str {
        &self.invocation.path
    }

    /// The root's flags.
    fn globals(&self) -> &Matches {
        self.invocation.outer.first().unwrap_or(&self.invocation.matches)
    }

    /// The flags of the group that the command is in: `compose --file … up`, also where a group of that one's own is between.
    pub(crate) fn group(&self) -> &Matches {
        let outer = &self.invocation.outer;
        outer.get(1).or(outer.last()).unwrap_or(&self.invocation.matches)
    }

    /// The same call without its arguments.
    pub(crate) fn without_args(&self) -> Self {
        let mut invocation = self.invocation.clone();
        invocation.matches.args.clear();
        Self::new(self.program, invocation)
    }

    /// Another command line for the same engine, in this process.
    pub(crate) fn again(&self, words: &[String]) -> Outcome {
        let (program, line) = (self.program, self.line(words));
        self.apart(words, move || crate::run(program, &line))
    }

    /// The same, carried out by another function than the command's.
    pub(crate) fn again_by(
        &self,
        words: &[String],
        command: impl FnOnce(&Call) -> Outcome + Send + 'static,
    ) -> Outcome {
        let (program, line) = (self.program, self.line(words));
        self.apart(words, move || {
            let call = Self::read(program, &line);
            ui::finish(program, call.and_then(|call| command(&call)))
        })
    }

    /// In a thread of its own: a command may make an event loop, and this one may have its own.
    fn apart(&self, words: &[String], run: impl FnOnce() -> i32 + Send + 'static) -> Outcome {
        if self.is_dry() {
            return Err(Error::Usage(format!("{:?} has no dry run", self.path())));
        }
        let run = std::thread::spawn(run);
        run.join().map_err(|_| Error::Usage(format!("{} crashed", words.join(" "))))
    }

    /// The same as a call that its command's function may be given.
    pub(crate) fn parsed(&self, words: &[String]) -> Result<Self, Error> {
        Self::read(self.program, &self.line(words))
    }

    fn read(program: &'static str, line: &[OsString]) -> Result<Self, Error> {
        match flags::parse(program, &ROOT, line) {
            Ok(flags::Outcome::Run(invocation)) => Ok(Self::new(program, invocation)),
            Ok(flags::Outcome::Help(invocation)) => {
                Err(Error::Usage(format!("{} is no command", invocation.path)))
            }
            Err(error) => Err(Error::Usage(error.render())),
        }
    }

    /// Variables that lead another program to the same engine and configuration.
    pub(crate) fn engine_variables(&self) -> Vec<(String, String)> {
        let globals = self.globals();
        let known = [("host", "DOCKER_HOST"), ("context", "DOCKER_CONTEXT"), ("config", "DOCKER_CONFIG")];
        let given = known.into_iter().filter(|(flag, _)| globals.changed(flag));
        given.map(|(flag, variable)| (variable.to_owned(), globals.text(flag).to_owned())).collect()
    }

    /// Words with the globals of this call.
    fn line(&self, words: &[String]) -> Vec<OsString> {
        let globals = self.globals().given().map(|(flag, value)| format!("--{}={value}", flag.long).into());
        globals.chain(words.iter().map(Into::into)).collect()
    }

    /// `-D`, of the program, of a group or of the command itself.
    pub(crate) fn debug(&self) -> bool {
        self.matches().any(|matches| matches.has("debug") && matches.bool("debug"))
    }

    /// What a flag says that a command and its groups have alike; the innermost counts.
    pub(crate) fn innermost(&self, flag: &str) -> Option<&str> {
        let said = |matches: &&Matches| matches.has(flag) && matches.changed(flag);
        self.matches().find(said).map(|matches| matches.text(flag))
    }

    /// Everything that was said, innermost first.
    fn matches(&self) -> impl Iterator<Item = &Matches> {
        std::iter::once(&self.invocation.matches).chain(self.invocation.outer.iter().rev())
    }

    /// `-l`, of which a client has no further use.
    pub(crate) fn check_log_level(&self) -> Result<(), Error> {
        let level = self.globals().text("log-level");
        match level {
            "debug" | "info" | "warn" | "warning" | "error" | "fatal" | "panic" | "trace" => Ok(()),
            _ => Err(Error::Usage(format!("Unable to parse logging level: {level}"))),
        }
    }

    /// The folder of the configuration.
    pub(crate) fn config_dir(&self) -> PathBuf {
        let globals = self.globals();
        let flag = globals.changed("config").then(|| globals.text("config"));
        resolve::config_dir(flag, &resolve::process_env)
    }

    /// The configuration. docker warns about a file with a mistake and goes on without it, and so do we.
    pub(crate) fn config(&self) -> &Config {
        self.config.get_or_init(|| {
            let dir = self.config_dir();
            Config::load(&dir).unwrap_or_else(|error| {
                ui::err(&diag::printable(&format!(
                    "WARNING: Error loading config file: {}",
                    diag::chain(&error)
                )));
                Config::empty(&dir)
            })
        })
    }

    /// The configuration, for a command that will write it: a mistake is an error, or the file would be lost.
    pub(crate) fn config_to_change(&self) -> Result<Config, Error> {
        Ok(Config::load(&self.config_dir())?)
    }

    /// `--platform`, or the variable that stands for it.
    pub(crate) fn platform(&self) -> Option<String> {
        let given = self.flags().changed("platform").then(|| self.flags().text("platform").to_owned());
        let found = given.or_else(|| resolve::process_env("DOCKER_DEFAULT_PLATFORM"));
        found.filter(|platform| !platform.is_empty())
    }

    /// The engine, told who the user is to the registry of this domain.
    pub(crate) fn known_to(&self, engine: &Engine, domain: &str) -> Engine {
        engine.with_header("X-Registry-Auth", self.auth(domain).header())
    }

    /// Who the user is to the registry of this domain. As with docker, nobody where that can't be found out; but it is
    /// said why.
    pub(crate) fn auth(&self, domain: &str) -> Auth {
        let variable = resolve::process_env(credentials::AUTH_VARIABLE);
        let auth = self.config().auth(credentials::key_of(domain), variable.as_deref());
        auth.unwrap_or_else(|error| {
            ui::err(&diag::printable(&format!("WARNING: {}", diag::chain(&error))));
            Auth::default()
        })
    }

    /// Who the user is to each registry that is known.
    pub(crate) fn auths(&self) -> Result<Vec<Auth>, Error> {
        let variable = resolve::process_env(credentials::AUTH_VARIABLE);
        let failed = |error| Error::Flags {
            message: format!("resolving credentials failed: {}", diag::chain(&error)),
        };
        self.config().auths(variable.as_deref()).map_err(failed)
    }

    /// The contexts.
    pub(crate) fn contexts(&self) -> Store {
        Store::new(&self.config_dir())
    }

    /// Builders with names of their own.
    pub(crate) fn builders(&self) -> Builders {
        Builders::of(&self.config_dir())
    }

    /// The name of the builder that was asked for: by the command line, by a variable or, for `buildx`, by what is in use.
    pub(crate) fn builder_name(&self) -> Result<Option<String>, Error> {
        let words: Vec<&str> = self.path().split(' ').skip(1).take(2).collect();
        let of_buildx = matches!(words[..], ["buildx" | "bake", ..]);
        if !of_buildx && !matches!(words[..], ["build" | "builder", ..] | ["image", "build"]) {
            return Ok(None);
        }
        let named = if words == ["buildx", "inspect"] { self.args().first().cloned() } else { None };
        let variable = || resolve::process_env("BUILDX_BUILDER");
        match named.or_else(|| self.innermost("builder").map(str::to_owned)).or_else(variable) {
            None if of_buildx => {
                let own = self.own_endpoint()?;
                self.builders().current(own.key())
            }
            asked => Ok(asked),
        }
    }

    fn wanted(&self) -> Result<Wanted, Error> {
        let wanted = self.own_wanted();
        let found = match self.builder_name()? {
            Some(name) => self.builders().find(&name)?,
            None => None,
        };
        Ok(found.map_or(wanted.clone(), |found| at(&found.endpoint, wanted)))
    }

    fn own_wanted(&self) -> Wanted {
        let globals = self.globals();
        let path = |name: &str| globals.changed(name).then(|| globals.text(name).into());
        Wanted {
            host: globals.find("host").map(str::to_owned),
            context: globals.find("context").map(str::to_owned),
            tls: globals.bool("tls"),
            tls_verify: globals.changed("tlsverify").then(|| globals.bool("tlsverify")),
            ca: path("tlscacert"),
            cert: path("tlscert"),
            key: path("tlskey"),
        }
    }

    /// The name of the context in force.
    pub(crate) fn context_name(&self) -> Result<String, Error> {
        Ok(resolve::context_name(&self.wanted()?, self.config(), &resolve::process_env)?)
    }

    /// The engine that is meant.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Error> {
        self.resolved(&self.wanted()?)
    }

    /// The engine that is meant, whatever builder is.
    pub(crate) fn own_endpoint(&self) -> Result<Endpoint, Error> {
        self.resolved(&self.own_wanted())
    }

    /// The engine of a context or at an address.
    pub(crate) fn endpoint_at(&self, place: &str) -> Result<Endpoint, Error> {
        self.resolved(&at(place, self.own_wanted()))
    }

    fn resolved(&self, wanted: &Wanted) -> Result<Endpoint, Error> {
        let dir = self.config_dir();
        let endpoint = resolve::endpoint(wanted, self.config(), &dir, &resolve::process_env)?;
        Ok(match headers::of_environment(&resolve::process_env)? {
            Some(headers) => Endpoint { headers, ..endpoint },
            None => endpoint,
        })
    }

    /// What containers and builds are told of the user's proxies.
    pub(crate) fn proxies(&self) -> Result<Vec<(String, String)>, Error> {
        match self.config().get("proxies") {
            None => Ok(Vec::new()),
            Some(_) => Ok(self.config().proxies(&self.endpoint()?.address)),
        }
    }

    /// The engine that is meant when no context is chosen.
    pub(crate) fn default_endpoint(&self) -> Result<Endpoint, Error> {
        let wanted = Wanted { context: None, ..self.own_wanted() };
        let config = Config::empty(&self.config_dir());
        let env = |name: &str| if name == "DOCKER_CONTEXT" { None } else { resolve::process_env(name) };
        Ok(resolve::endpoint(&wanted, &config, &self.config_dir(), &env)?)
    }

    /// Runs `work` with the engine that is meant.
    pub(crate) fn with_engine<T, F>(&self, work: impl FnOnce(Engine) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let endpoint = self.endpoint()?;
        if self.debug() {
            ui::err(&format!("debug: engine at {} (context {})", endpoint.address, endpoint.context));
        }
        let engine = Engine::new(endpoint);
        block_on(work(if self.is_dry() { engine.dry() } else { engine }))
    }

    /// `--dry-run`, which `compose` and its commands have.
    pub(crate) fn is_dry(&self) -> bool {
        let said = |flags: &Matches| flags.has("dry-run") && flags.bool("dry-run");
        self.path().split(' ').nth(1) == Some("compose") && (said(self.group()) || said(self.flags()))
    }

    /// The help page of the command.
    pub(crate) fn print_help(&self) -> Result<(), Error> {
        // A group called without a subcommand shows its page as the answer to a mistake, as docker does.
        let sink = if self.invocation.help_asked { Sink::Output } else { Sink::Errors };
        commands::help::print(self.path(), self.invocation.command, &self.config_dir(), sink)
    }
}

/// The same for a builder's place: a context, or an address.
fn at(place: &str, wanted: Wanted) -> Wanted {
    match place.contains("://") {
        true => Wanted { host: Some(place.to_owned()), context: None, ..wanted },
        false => Wanted { host: None, context: Some(place.to_owned()), ..wanted },
    }
}

/// Runs a future to its end on this thread. Only commands that talk to an engine pay for the runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::Io("start the event loop", e))?;
    let result = runtime.block_on(work);
    // A thread that reads the terminal can't be interrupted; it must not keep the process alive.
    runtime.shutdown_background();
    result
}
