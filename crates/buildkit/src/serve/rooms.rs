//! The containers of one frontend, and the programs that it runs there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use build::Job;
use build::container::{Container, Order, Process};
use build::frontend::Files;
use build::progress::Stream;
use grpc::{Call, Code, Sender, Status};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::llb;
use crate::error::status;
use crate::proto::gateway::{
    DoneMessage, ExecMessage, ExitMessage, FdMessage, InitMessage, StartedMessage, exec_message::Input,
};

/// Containers that one frontend may have at once.
const MAX_ROOMS: usize = 100;
/// Programs that one call may run at once.
const MAX_PROGRAMS: usize = 100;
const MAX_NAME: usize = 256;
/// What a program is told before it has listened.
const WAITING: usize = 16;
/// The code of a program whose end nobody knows, as BuildKit has it.
const UNKNOWN: u32 = 255;

/// All containers by their names; nothing for one that is being made.
#[derive(Default)]
pub(super) struct Rooms(Mutex<HashMap<String, Option<Arc<dyn Container>>>>);

/// A name that is taken. Dropped unfilled, it is free again.
pub(super) struct Place<'a> {
    rooms: &'a Rooms,
    id: String,
}

impl Place<'_> {
    pub(super) fn fill(self, container: Arc<dyn Container>) {
        // Released meanwhile, it isn't wanted any more.
        if let Some(place) = self.rooms.table().get_mut(&self.id) {
            *place = Some(container);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut table = self.rooms.table();
        if matches!(table.get(&self.id), Some(None)) {
            table.remove(&self.id);
        }
    }
}

impl Rooms {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<dyn Container>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name.
    pub(super) fn reserve(&self, id: &str) -> Result<Place<'_>, Status> {
        if id.is_empty() || id.len() > MAX_NAME {
            return Err(Status::new(Code::InvalidArgument, "a container without a name"));
        }
        let mut table = self.table();
        if table.contains_key(id) {
            return Err(Status::new(Code::AlreadyExists, format!("container {id:?} exists")));
        }
        if table.len() >= MAX_ROOMS {
            return Err(Status::new(Code::ResourceExhausted, format!("more than {MAX_ROOMS} containers")));
        }
        table.insert(id.to_owned(), None);
        Ok(Place { rooms: self, id: id.to_owned() })
    }

    fn get(&self, id: &str) -> Result<Arc<dyn Container>, Status> {
        let found = self.table().get(id).cloned().flatten();
        found.ok_or_else(|| Status::new(Code::NotFound, format!("container details for {id} not found")))
    }

    pub(super) fn release(&self, id: &str) -> Result<(), Status> {
        let removed = self.table().remove(id);
        let missing = || Status::new(Code::NotFound, format!("container details for {id} not found"));
        removed.map(drop).ok_or_else(missing)
    }

    /// What is at one of its mounts.
    pub(super) async fn files(&self, id: &str, mount: i32) -> Result<Arc<dyn Files>, Status> {
        let invalid = |_| Status::new(Code::InvalidArgument, format!("no mount {mount}"));
        let mount = usize::try_from(mount).map_err(invalid)?;
        self.get(id)?.files(mount).await.map_err(|e| status(&e))
    }

    /// `ExecProcess`: programs by the names that the frontend gives them, all over one call. With the call they end.
    pub(super) async fn run(&self, call: Call) -> Result<(), Status> {
        let Call { mut receiver, sender, .. } = call;
        let mut told: HashMap<String, mpsc::Sender<Input>> = HashMap::new();
        let mut programs: JoinSet<Result<String, Status>> = JoinSet::new();
        let mut asking = true;
        while asking || !programs.is_empty() {
            // A message is read on in the next round where this one was interrupted.
            tokio::select! {
                message = receiver.next::<ExecMessage>(), if asking => {
                    let Some(ExecMessage { process_id: id, input: Some(input) }) = message? else {
                        asking = false;
                        continue;
                    };
                    match input {
                        Input::Init(init) => {
                            let to = self.begin(&id, &mut told, init)?;
                            programs.spawn(to.live(id, sender.clone()));
                        }
                        input => tell(&mut told, &id, input).await?,
                    }
                }
                Some(ended) = programs.join_next() => {
                    let ended = ended.map_err(|e| Status::new(Code::Internal, e.to_string()))?;
                    told.remove(&ended?);
                }
            }
        }
        Ok(())
    }

    fn begin(
        &self,
        id: &str,
        told: &mut HashMap<String, mpsc::Sender<Input>>,
        init: InitMessage,
    ) -> Result<Beginning, Status> {
        if id.is_empty() || id.len() > MAX_NAME || told.contains_key(id) {
            return Err(Status::new(Code::InvalidArgument, format!("a program can't be called {id:?}")));
        }
        if told.len() >= MAX_PROGRAMS {
            return Err(Status::new(Code::ResourceExhausted, format!("more than {MAX_PROGRAMS} programs")));
        }
        let container = self.get(&init.container_id)?;
        let (sender, inputs) = mpsc::channel(WAITING);
        told.insert(id.to_owned(), sender);
        Ok(Beginning { container, init, inputs })
    }
}

/// Passes on what a program is told. One that is at its end hears nothing.
async fn tell(told: &mut HashMap<String, mpsc::Sender<Input>>, id: &str, input: Input) -> Result<(), Status> {
    match input {
        Input::File(_) | Input::Resize(_) | Input::Signal(_) => {}
        _ => return Err(Status::new(Code::InvalidArgument, "a message that only an engine sends")),
    }
    match told.get(id) {
        Some(program) => {
            let _ = program.send(input).await;
            Ok(())
        }
        None => Err(Status::new(Code::NotFound, format!("no program {id:?} runs"))),
    }
}

/// A program that is about to run.
struct Beginning {
    container: Arc<dyn Container>,
    init: InitMessage,
    inputs: mpsc::Receiver<Input>,
}

impl Beginning {
    /// Runs it to its end.
    async fn live(self, id: String, sender: Sender) -> Result<String, Status> {
        let wants = |fd: u32| self.init.fds.contains(&fd) || self.init.tty;
        let (out, error) = (wants(1), wants(2));
        let program = llb::program(self.init).map_err(|e| status(&e))?;
        let process = self.container.start(program).await.map_err(|e| status(&e))?;
        let say = Voice { id: id.clone(), sender };
        say.say(Input::Started(StartedMessage {})).await?;
        let Process { input, mut output, orders, ended } = process;
        let speaking = tasks::spawn(speak(self.inputs, input, orders));
        let _stop = Stop(speaking.abort_handle());
        while let Some((stream, data)) = output.recv().await {
            let (fd, wanted) = if stream == Stream::Out { (1, out) } else { (2, error) };
            if wanted {
                say.say(Input::File(FdMessage { fd, eof: false, data })).await?;
            }
        }
        for (fd, wanted) in [(1, out), (2, error)] {
            if wanted {
                say.say(Input::File(FdMessage { fd, eof: true, data: Vec::new() })).await?;
            }
        }
        say.say(Input::Exit(exit(ended).await)).await?;
        say.say(Input::Done(DoneMessage {})).await?;
        Ok(id)
    }
}

struct Stop(tokio::task::AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is said about one program.
struct Voice {
    id: String,
    sender: Sender,
}

impl Voice {
    async fn say(&self, input: Input) -> Result<(), Status> {
        self.sender.send(&ExecMessage { process_id: self.id.clone(), input: Some(input) }).await
    }
}

async fn exit(ended: Job<'static, i32>) -> ExitMessage {
    let failed = |code: u32, message: String| {
        let error = crate::proto::Status { code: Code::Unknown as i32, message, details: Vec::new() };
        ExitMessage { code, error: Some(error) }
    };
    match ended.await {
        Ok(0) => ExitMessage { code: 0, error: None },
        Ok(code) => failed(u32::try_from(code).unwrap_or(UNKNOWN), format!("exit code: {code}")),
        Err(error) => failed(UNKNOWN, diag::chain(&error)),
    }
}

/// Gives a program what it is told. Its input ends when that is said, or when the frontend is gone.
async fn speak(
    mut inputs: mpsc::Receiver<Input>,
    input: Box<dyn AsyncWrite + Send + Unpin>,
    orders: mpsc::Sender<Order>,
) {
    let mut input = Some(input);
    while let Some(told) = inputs.recv().await {
        let order = match told {
            Input::File(FdMessage { fd: 0, eof, data }) => {
                if let Some(open) = &mut input {
                    // A program that doesn't read any more has said so by its end.
                    let written = open.write_all(&data).await;
                    if eof || written.is_err() {
                        let _ = open.shutdown().await;
                        input = None;
                    }
                }
                continue;
            }
            Input::Resize(size) => {
                let number = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
                Order::Resize { rows: number(size.rows), columns: number(size.cols) }
            }
            Input::Signal(signal) => match number(&signal.name) {
                Some(number) => Order::Signal(number),
                None => continue,
            },
            _ => continue,
        };
        if orders.send(order).await.is_err() {
            return;
        }
    }
}

/// A signal's number by its name, with or without `SIG`.
fn number(name: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let at = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(at + 1).ok()
}
