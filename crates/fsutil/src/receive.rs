//! The end that gets a directory. What it is told is a stranger's: see [`super::order`] for paths; sizes are held to
//! what was announced; bytes come for nothing that wasn't asked for.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use build::Error;
use build::session::{Entry, Kind as EntryKind, Receive, Want};
use grpc::Stream;
use tokio::sync::mpsc;

use crate::error::{called, failed};
use crate::order::Order;
use crate::packet::{Form, Kind, Packet, Stat};
use crate::{MAX_ENTRIES, MAX_PACKET};

/// Packets that are handed to the disk's side at once, if so many are here: to wake it costs more than a file that is known.
const BATCH: usize = 128;
/// Batches that wait for the disk, and the bytes after which one is full.
const AHEAD: usize = 4;
const BATCH_BYTES: usize = 256 << 10;
const DOING: &str = "get files from";

/// Receives a whole directory into `into`.
pub async fn receive(stream: Stream, into: Box<dyn Receive>) -> Result<(), Error> {
    let Stream { sender, receiver } = stream;
    let mut receiver = receiver.limited(MAX_PACKET);
    let (packets, queue) = mpsc::channel(AHEAD);
    let answers = sender.clone();
    let answer = move |packet: &Packet| answers.blocking_send(packet).map_err(|e| failed(DOING, e));
    let receiving = Receiving::new(into, Box::new(answer));
    let mut queue = queue;
    let packets_come = std::iter::from_fn(move || queue.blocking_recv()).flatten();
    let mut disk = tasks::blocking(move || receiving.run(packets_come));
    let mut read = Box::pin(async move {
        loop {
            let (batch, more) = batch(&mut receiver).await;
            // The disk's side has ended when nobody takes them.
            let taken = packets.send(batch).await.is_ok();
            match more {
                Ok(true) if taken => {}
                ended => return ended.map(drop).map_err(|e| called(DOING, e)),
            }
        }
    });
    let (read, written) = tokio::select! {
        // It takes the packets' sender along, so that the disk's side comes to its end, too.
        ended = &mut read => {
            drop(read);
            (ended, disk.await)
        }
        // Whoever sends may wait for a word of ours that never comes.
        written = &mut disk => (Ok(()), written),
    };
    let written = written.map_err(|e| failed(DOING, e))?;
    if let Err(error) = &written {
        let _ = sender.send(&Packet::error(&error.to_string())).await;
    }
    // What broke the connection is why the disk's side saw no end.
    read.and(written)
}

/// The next packet, with those that are here already, and whether more may come.
async fn batch(receiver: &mut grpc::Receiver) -> (Vec<Packet>, Result<bool, grpc::Status>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut next = receiver.next::<Packet>().await;
    loop {
        let packet = match next {
            Ok(Some(packet)) => packet,
            Ok(None) => return (batch, Ok(false)),
            Err(status) => return (batch, Err(status)),
        };
        let last = packet.kind == Kind::Fin as i32;
        bytes += packet.data.len();
        batch.push(packet);
        if last || batch.len() >= BATCH || bytes >= BATCH_BYTES {
            return (batch, Ok(!last));
        }
        next = tokio::select! {
            biased;
            next = receiver.next::<Packet>() => next,
            () = std::future::ready(()) => return (batch, Ok(true)),
        };
    }
}

/// The same for packets that are here already, where nobody hears the answers: for who replays what somebody sent.
pub fn replay(packets: impl Iterator<Item = Packet>, into: Box<dyn Receive>) -> Result<(), Error> {
    Receiving::new(into, Box::new(|_| Ok(()))).run(packets)
}

type Answer = Box<dyn Fn(&Packet) -> Result<(), Error> + Send>;

struct Receiving {
    into: Box<dyn Receive>,
    answer: Answer,
    order: Order,
    count: u32,
    /// Regular files that were told, by a keyed hash of their paths.
    files: HashSet<u64>,
    hash: RandomState,
    /// Those that were asked for and have not come to their ends.
    wanted: HashSet<u32>,
    told: bool,
}

impl Receiving {
    fn new(into: Box<dyn Receive>, answer: Answer) -> Self {
        let (order, hash) = (Order::default(), RandomState::new());
        let (files, wanted) = (HashSet::new(), HashSet::new());
        Self { into, answer, order, count: 0, files, hash, wanted, told: false }
    }

    fn run(mut self, packets: impl Iterator<Item = Packet>) -> Result<(), Error> {
        for packet in packets {
            let kind = Kind::try_from(packet.kind);
            match kind
                .map_err(|_| Error::Invalid(format!("the client sent a packet of kind {}", packet.kind)))?
            {
                Kind::Stat => self.stat(packet.stat)?,
                Kind::Data => self.data(packet.id, &packet.data)?,
                Kind::Fin if self.complete() => return self.into.end(),
                Kind::Fin => {
                    return Err(Error::Invalid("the client ended before all files were sent".into()));
                }
                Kind::Err => {
                    let why = String::from_utf8_lossy(&packet.data);
                    return Err(Error::Invalid(format!("error from sender: {why}")));
                }
                Kind::Request => return Err(Error::Invalid("the client asked for a file".into())),
            }
            if self.complete() {
                (self.answer)(&Packet::fin())?;
            }
        }
        Err(Error::Invalid("the client left before all files were sent".into()))
    }

    fn complete(&self) -> bool {
        self.told && self.wanted.is_empty()
    }

    fn stat(&mut self, stat: Option<Stat>) -> Result<(), Error> {
        if self.told {
            return Err(Error::Invalid("the client told of a file after the last".into()));
        }
        let Some(stat) = stat else {
            self.told = true;
            return Ok(());
        };
        let number = self.count;
        if number >= MAX_ENTRIES {
            return Err(Error::Invalid(format!("the client sent more than {MAX_ENTRIES} files")));
        }
        self.count += 1;
        self.order.next(&stat.path, stat.form() == Form::Directory)?;
        // Nobody can do anything with a socket that nobody listens at.
        let Some(kind) = self.kind(&stat)? else { return Ok(()) };
        let is_file = matches!(kind, EntryKind::File { .. });
        let want = self.into.entry(number, entry(stat, kind)?)?;
        if want == Want::Content && is_file {
            self.wanted.insert(number);
            (self.answer)(&Packet::request(number))?;
        }
        Ok(())
    }

    fn kind(&mut self, stat: &Stat) -> Result<Option<EntryKind>, Error> {
        let wrong = |what: &str| {
            let path = String::from_utf8_lossy(&stat.path);
            Error::Invalid(format!("the client sent {path:?} {what}"))
        };
        let key = self.hash.hash_one(&stat.path);
        Ok(Some(match stat.form() {
            Form::Directory => EntryKind::Directory,
            Form::File if !stat.linkname.is_empty() => {
                let to = stat.linkname.strip_prefix(b"/").unwrap_or(&stat.linkname).to_vec();
                if !self.files.contains(&self.hash.hash_one(&to)) {
                    return Err(wrong("as a link to a file that it didn't send before"));
                }
                EntryKind::Hardlink { to }
            }
            Form::File => {
                let size = u64::try_from(stat.size).map_err(|_| wrong("with a negative size"))?;
                self.files.insert(key);
                EntryKind::File { size }
            }
            Form::Symlink if stat.linkname.is_empty() || stat.linkname.contains(&0) => {
                return Err(wrong("as a link without a target"));
            }
            Form::Symlink => EntryKind::Symlink { to: stat.linkname.clone() },
            Form::Fifo => EntryKind::Fifo,
            Form::Socket => return Ok(None),
            form @ (Form::BlockDevice | Form::CharacterDevice) => {
                let number =
                    |number: i64| u32::try_from(number).map_err(|_| wrong("with a wrong device number"));
                let block = form == Form::BlockDevice;
                EntryKind::Device { block, major: number(stat.devmajor)?, minor: number(stat.devminor)? }
            }
            Form::Other => return Err(wrong("as no kind of file")),
        }))
    }

    /// Somebody may write a file while the client reads it: what counts is what comes, as with BuildKit, and not the size that
    /// was told before.
    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        if !self.wanted.contains(&number) {
            return Err(Error::Invalid(format!("the client sent file {number}, for which it wasn't asked")));
        }
        if bytes.is_empty() {
            self.wanted.remove(&number);
            return self.into.file_end(number);
        }
        self.into.data(number, bytes)
    }
}

fn entry(stat: Stat, kind: EntryKind) -> Result<Entry, Error> {
    let mode = stat.permissions();
    let xattrs = stat.xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
    Ok(Entry { path: stat.path, kind, mode, uid: stat.uid, gid: stat.gid, mtime: stat.mod_time, xattrs })
}
