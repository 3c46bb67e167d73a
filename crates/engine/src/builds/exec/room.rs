//! Containers of frontends: as a step's, but what runs there is said one program after the other, and somebody talks to it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use build::container::{Container, Order, Process, Program};
use build::frontend::Files;
use build::graph::{Bind, Exec, MountKind, Security};
use build::progress::Stream;
use build::{Error, Job};
use shim::protocol::ToShim;
use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::mounts::Prepared;
use super::secrets::Agent;
use super::{Running, config};
use crate::builds::error::{blocking, engine, work};
use crate::builds::files::Root;
use crate::builds::gateway::TreeFiles;
use crate::builds::tree::Tree;
use crate::containers::config::Config;
use crate::containers::{Ear, Lent, Once, OnceRunning, Output, piece};

/// Pieces of output that wait for who listens.
const WAITING: usize = 16;
/// How much of it is one piece.
const PIECE: usize = 32 << 10;

/// One container.
pub(in crate::builds) struct Chamber {
    running: Running,
    like: Exec,
    trees: Vec<Tree>,
    once: Arc<Once>,
    /// Each mount, to be looked at; nothing where it is no tree.
    views: Vec<Option<Arc<Root>>>,
    state: Mutex<State>,
    _agents: Vec<Agent>,
}

enum State {
    /// Nothing has run yet.
    Ready(Box<Prepared>),
    /// The first program is on its way, or has its process; shared with it, as it learns the number.
    Running(Arc<Mutex<Option<i32>>>),
}

impl Running {
    /// Mounts what the container is made of.
    pub(in crate::builds) async fn chamber(self, like: Exec, trees: Vec<Tree>) -> Result<Chamber, Error> {
        let host = self.host(&like, self.check(&like)?);
        let secrets = self.secrets(&like).await?;
        let config = config(&like, &secrets.env);
        let caches = self.take_caches(&like).await?;
        let caches = self.fill_caches(caches).await;
        let (running, what, inputs, files) = (self.clone(), like.clone(), trees.clone(), secrets.files);
        let (prepared, views) = blocking(move || {
            let prepared = running.prepare(&what, &inputs, config, host, &caches, files)?;
            let views = what.mounts.iter().map(|mount| view(mount, &prepared)).collect::<Result<_, _>>()?;
            Ok((prepared, views))
        })
        .await?;
        let once = prepared.once.clone();
        let state = Mutex::new(State::Ready(Box::new(prepared)));
        Ok(Chamber { running: self, like, trees, once, views, state, _agents: secrets.agents })
    }
}

/// What programs will find there. A mount that is nobody's files isn't looked at.
fn view(mount: &build::graph::Mount, prepared: &Prepared) -> Result<Option<Arc<Root>>, Error> {
    if !matches!(mount.kind, MountKind::Bind(_)) {
        return Ok(None);
    }
    let found = match mount.target == "/" {
        true => Some(prepared.root.as_fd()),
        false => {
            let at = super::mounts::absolute("/", &mount.target);
            prepared.sources.iter().find(|(target, _)| *target == at).map(|(_, source)| source.as_fd())
        }
    };
    let copied: Option<OwnedFd> = found.map(|found| found.try_clone_to_owned()).transpose().map_err(again)?;
    Ok(copied.map(|copied| Arc::new(Root::Mounted(copied))))
}

fn again(error: std::io::Error) -> Error {
    work("look at a container's files", error)
}

impl Chamber {
    async fn begin(&self, program: Program) -> Result<Process, Error> {
        let like = self.like_with(&program);
        self.running.check(&like)?;
        let mut env = Vec::new();
        for wanted in &program.secret_env {
            if let Some(secret) = self.running.secret(&wanted.id, wanted.optional).await? {
                env.push(format!("{}={}", wanted.name, String::from_utf8_lossy(&secret.0)));
            }
        }
        let (lender, lent) = oneshot::channel();
        let (orders, told) = mpsc::channel(WAITING);
        let running = OnceRunning {
            config: Config { tty: program.terminal, ..config(&like, &env) },
            privileged: program.security == Security::Insecure,
            input: program.input,
            ear: Ear::Lent(lender),
            orders: told,
        };
        let mut ended = self.run(running)?;
        // It runs, or it is told why it doesn't.
        let (lent, ended): (Lent, Job<'static, i32>) = tokio::select! {
            biased;
            lent = lent => match lent {
                Ok(lent) => (lent, ended),
                Err(_) => {
                    let code = ended.await?;
                    return Err(Error::Exit { command: program.args.join(" "), code });
                }
            },
            code = &mut ended => {
                let code = code?;
                return Err(Error::Exit { command: program.args.join(" "), code });
            }
        };
        self.started(lent.pid);
        let (from, to) = lent.streams.into_split();
        let (sender, output) = mpsc::channel(WAITING);
        tasks::spawn(hear(from, program.terminal, sender, lent.read));
        let input: Box<dyn AsyncWrite + Send + Unpin> = Box::new(to);
        Ok(Process { input, output, orders: translated(orders), ended })
    }

    /// The container's step, as this program sees it.
    fn like_with(&self, program: &Program) -> Exec {
        let mut like = self.like.clone();
        like.args.clone_from(&program.args);
        like.env.clone_from(&program.env);
        like.cwd.clone_from(&program.cwd);
        like.user.clone_from(&program.user);
        like.security = program.security;
        like
    }

    /// The first program is process 1; those after it join it.
    fn run(&self, running: OnceRunning) -> Result<Job<'static, i32>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |e| engine("run a program", e);
        if let State::Running(first) = &*state {
            let pid = *first.lock().unwrap_or_else(PoisonError::into_inner);
            let pid =
                pid.ok_or_else(|| Error::Invalid("the container's first program isn't there yet".into()))?;
            let once = self.once.clone();
            return Ok(Box::pin(async move { once.join(pid, running).await.map_err(failed) }));
        }
        let before = std::mem::replace(&mut *state, State::Running(Arc::default()));
        let State::Ready(prepared) = before else {
            return Err(Error::Invalid("the container has no place for a program".into()));
        };
        let Prepared { root, sources, caches, .. } = *prepared;
        let once = self.once.clone();
        Ok(Box::pin(async move {
            let ended = once.run_as(root, sources, running).await.map_err(failed);
            drop(caches);
            ended
        }))
    }

    fn started(&self, pid: i32) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running(first) = &*state {
            first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(pid);
        }
    }

    fn look(&self, mount: usize) -> Result<Arc<dyn Files>, Error> {
        let missing = || Error::NotFound(format!("the container has no files at mount {mount}"));
        let root = self.views.get(mount).cloned().flatten().ok_or_else(missing)?;
        let from = match self.like.mounts.get(mount).map(|mount| &mount.kind) {
            Some(MountKind::Bind(Bind { from: Some(from), .. })) => self.trees.get(from.0 as usize).cloned(),
            _ => None,
        };
        Ok(Arc::new(TreeFiles::new(root, from.unwrap_or_else(Tree::scratch))))
    }
}

impl Container for Chamber {
    fn start<'a>(&'a self, program: Program) -> Job<'a, Process> {
        Box::pin(self.begin(program))
    }

    fn files<'a>(&'a self, mount: usize) -> Job<'a, Arc<dyn Files>> {
        Box::pin(async move { self.look(mount) })
    }
}

/// Passes on what a program writes, to its end.
async fn hear(
    mut from: tokio::net::unix::OwnedReadHalf,
    terminal: bool,
    to: mpsc::Sender<(Stream, Vec<u8>)>,
    // Dropped with this.
    _read: oneshot::Sender<()>,
) {
    let mut buffer = vec![0; if terminal { PIECE } else { 2 * PIECE }];
    loop {
        let (stream, count) = match terminal {
            true => match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => (Stream::Out, count),
            },
            false => match piece(&mut from, &mut buffer).await {
                Ok(Some((Output::Out, count))) => (Stream::Out, count),
                Ok(Some((Output::Error, count))) => (Stream::Error, count),
                Ok(None) | Err(_) => return,
            },
        };
        if to.send((stream, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

/// A frontend's orders as the shim takes them.
fn translated(to: mpsc::Sender<ToShim>) -> mpsc::Sender<Order> {
    let (orders, mut given) = mpsc::channel(WAITING);
    tasks::spawn(async move {
        while let Some(order) = given.recv().await {
            let order = match order {
                Order::Signal(signal) => ToShim::Signal { signal },
                Order::Resize { rows, columns } => ToShim::Resize { rows, columns },
            };
            if to.send(order).await.is_err() {
                return;
            }
        }
    });
    orders
}
