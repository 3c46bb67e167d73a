//! The end that gives a directory away.

use std::io::Read as _;

use build::Error;
use build::session::{Entry, Kind as EntryKind, Tree};
use bytes::Bytes;
use grpc::{Receiver, Sender, Stream};
use tokio::sync::mpsc;

use crate::MAX_PACKET;
use crate::error::{called, failed};
use crate::packet::{Kind, Packet, Stat, go_mode};

/// What is read and sent at once.
const PIECE: usize = 32 << 10;
/// Entries that are told at once: each is small, and a frame for each would cost more than it.
const TOLD: usize = 64;
const DOING: &str = "send files to";

/// What is waited for when all was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing: who asked has all and leaves.
    Leave,
    /// How the call ends: who got it unasked may still be at work.
    Wait,
}

/// Sends all of `tree`, and of its files those that are asked for. Returns how many bytes of files went.
pub async fn send(stream: Stream, tree: Box<dyn Tree>, afterwards: Afterwards) -> Result<u64, Error> {
    let Stream { sender, receiver } = stream;
    let mut receiver = receiver.limited(MAX_PACKET);
    // Nobody can ask for more than there is: a file is given once.
    let (asked, requests) = mpsc::unbounded_channel();
    let ours = sender.clone();
    let mut disk = tasks::blocking(move || Sending::new(tree, ours).run(requests));
    let mut read = Box::pin(async move {
        while let Some(packet) = receiver.next::<Packet>().await.map_err(|e| called(DOING, e))? {
            match Kind::try_from(packet.kind) {
                Ok(Kind::Request) if asked.send(packet.id).is_err() => return Ok(None),
                Ok(Kind::Request) => {}
                Ok(Kind::Fin) => return Ok(Some(receiver)),
                Ok(Kind::Err) => {
                    let why = String::from_utf8_lossy(&packet.data).into_owned();
                    return Err(Error::Invalid(format!("error from receiver: {why}")));
                }
                Ok(Kind::Stat | Kind::Data) | Err(_) => {
                    return Err(Error::Invalid("the other side sent files instead of taking them".into()));
                }
            }
        }
        Ok::<Option<Receiver>, Error>(None)
    });
    let (read, sent) = tokio::select! {
        // It takes the requests' sender along, so that the disk's side comes to its end, too.
        ended = &mut read => {
            drop(read);
            (ended, disk.await)
        }
        // While requests may come it only ends by a failure, which the other side must hear of.
        sent = &mut disk => (Ok(None), sent),
    };
    let sent = sent.map_err(|e| failed(DOING, e))?;
    if let Err(error) = &sent {
        let _ = sender.send(&Packet::error(&error.to_string())).await;
    }
    let (finished, sent) = (read?, sent?);
    let Some(mut receiver) = finished else {
        return Err(Error::Invalid("the other side left before it had all files".into()));
    };
    sender.send(&Packet::fin()).await.map_err(|e| failed(DOING, e))?;
    drop(sender);
    if afterwards == Afterwards::Wait {
        while receiver.next::<Packet>().await.map_err(|e| called(DOING, e))?.is_some() {}
    }
    Ok(sent)
}

struct Sending {
    tree: Box<dyn Tree>,
    sender: Sender,
    /// What was told, by its number; of files that were not yet asked for, where and how large.
    files: Vec<Option<(Vec<u8>, u64)>>,
    sent: u64,
    told: Vec<Packet>,
}

impl Sending {
    fn new(tree: Box<dyn Tree>, sender: Sender) -> Self {
        Self { tree, sender, files: Vec::new(), sent: 0, told: Vec::with_capacity(TOLD) }
    }

    /// Tells of everything and gives what is asked for meanwhile; then gives until nobody asks any more.
    fn run(mut self, mut requests: mpsc::UnboundedReceiver<u32>) -> Result<u64, Error> {
        while let Some(entry) = self.tree.next() {
            self.tell(entry?)?;
            if self.told.len() >= TOLD {
                self.flush()?;
            }
            while let Ok(number) = requests.try_recv() {
                self.give(number)?;
            }
        }
        self.told.push(Packet::stat(None));
        self.flush()?;
        while let Some(number) = requests.blocking_recv() {
            self.give(number)?;
        }
        Ok(self.sent)
    }

    fn tell(&mut self, entry: Entry) -> Result<(), Error> {
        if self.files.len() > u32::MAX as usize {
            return Err(Error::Invalid("too many files".into()));
        }
        let file = match entry.kind {
            EntryKind::File { size } => Some((entry.path.clone(), size)),
            _ => None,
        };
        self.files.push(file);
        self.told.push(Packet::stat(Some(stat(entry))));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let sent = self.sender.blocking_send_all(&self.told).map_err(|e| failed(DOING, e));
        self.told.clear();
        sent
    }

    fn give(&mut self, number: u32) -> Result<(), Error> {
        let file = self.files.get_mut(number as usize).and_then(Option::take);
        let Some((path, size)) = file else {
            return Err(Error::Invalid(format!("invalid file id {number}")));
        };
        let read = |e| failed("read a file for", format!("{}: {e}", String::from_utf8_lossy(&path)));
        let mut file = self.tree.open(&path)?.take(size);
        loop {
            let left = usize::try_from(file.limit()).unwrap_or(PIECE);
            let mut piece = Vec::with_capacity(PIECE.min(left));
            // A file that became shorter is sent as it is now, and not beyond what was told of it.
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(read)?;
            if piece.is_empty() {
                break;
            }
            self.sent += piece.len() as u64;
            self.told.push(Packet::data(number, piece.into()));
            if file.limit() == 0 {
                break;
            }
            self.flush()?;
        }
        // The end goes with the last piece, which is all of a small file.
        self.told.push(Packet::data(number, Bytes::new()));
        self.flush()
    }
}

fn stat(entry: Entry) -> Stat {
    let mut stat =
        Stat { path: entry.path, uid: entry.uid, gid: entry.gid, mod_time: entry.mtime, ..Stat::default() };
    let form = match entry.kind {
        EntryKind::Directory => 0o040_000,
        EntryKind::File { size } => {
            stat.size = i64::try_from(size).unwrap_or(i64::MAX);
            0o100_000
        }
        EntryKind::Hardlink { to } => {
            stat.linkname = to;
            0o100_000
        }
        EntryKind::Symlink { to } => {
            stat.size = to.len() as i64;
            stat.linkname = to;
            0o120_000
        }
        EntryKind::Fifo => 0o010_000,
        EntryKind::Device { block, major, minor } => {
            (stat.devmajor, stat.devminor) = (major.into(), minor.into());
            if block { 0o060_000 } else { 0o020_000 }
        }
    };
    stat.mode = go_mode(form | entry.mode & 0o7777);
    // A protobuf map's key is text.
    let text = |(name, value)| Some((String::from_utf8(name).ok()?, value));
    stat.xattrs = entry.xattrs.into_iter().filter_map(text).collect();
    stat
}
