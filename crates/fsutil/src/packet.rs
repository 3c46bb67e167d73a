//! fsutil's packets: how files go from one machine to another.
//!
//! ```text
//! sender                          receiver
//!   STAT a directory, a file, …     (numbered from 0 in this order)
//!                                   REQ 3          while stats still come
//!   DATA 3 bytes … DATA 3 (empty)
//!   STAT (without one)              all were told
//!                                   FIN            all is here
//!   FIN
//! ```
//!
//! Either side may say ERR with a text instead and leave. Names are bytes here: what a file is called is nobody's
//! encoding.

use std::collections::HashMap;

use bytes::Bytes;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the module says what they mean")]
pub enum Kind {
    Stat = 0,
    Request = 1,
    Data = 2,
    Fin = 3,
    Err = 4,
}

/// One packet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packet {
    /// What it is.
    #[prost(enumeration = "Kind", tag = "1")]
    pub kind: i32,
    /// Of a STAT: the file.
    #[prost(message, optional, tag = "2")]
    pub stat: Option<Stat>,
    /// Of a REQ and a DATA: the file's number.
    #[prost(uint32, tag = "3")]
    pub id: u32,
    /// Of a DATA: the next bytes. Of an ERR: why.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
}

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stat {
    /// Relative to the top, with `/` between its parts.
    #[prost(bytes = "vec", tag = "1")]
    pub path: Vec<u8>,
    /// As Go's `os.FileMode` has it.
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    /// The owner.
    #[prost(uint32, tag = "3")]
    pub uid: u32,
    /// The group.
    #[prost(uint32, tag = "4")]
    pub gid: u32,
    /// Its bytes.
    #[prost(int64, tag = "5")]
    pub size: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub mod_time: i64,
    /// Of a symbolic link: its target. Of a regular file: the path of the earlier one that it is another name of.
    #[prost(bytes = "vec", tag = "7")]
    pub linkname: Vec<u8>,
    /// Of a device.
    #[prost(int64, tag = "8")]
    pub devmajor: i64,
    /// Of a device.
    #[prost(int64, tag = "9")]
    pub devminor: i64,
    /// Extended attributes.
    #[prost(map = "string, bytes", tag = "10")]
    pub xattrs: HashMap<String, Vec<u8>>,
}

impl Packet {
    fn bare(kind: Kind) -> Self {
        Self { kind: kind as i32, ..Self::default() }
    }

    /// A file, or the end of files.
    pub fn stat(stat: Option<Stat>) -> Self {
        Self { stat, ..Self::bare(Kind::Stat) }
    }

    /// Asks for a file's bytes.
    #[must_use]
    pub fn request(id: u32) -> Self {
        Self { id, ..Self::bare(Kind::Request) }
    }

    /// Some of a file's bytes, or, without any, their end.
    #[must_use]
    pub fn data(id: u32, data: Bytes) -> Self {
        Self { id, data, ..Self::bare(Kind::Data) }
    }

    /// All is here.
    #[must_use]
    pub fn fin() -> Self {
        Self::bare(Kind::Fin)
    }

    /// What went wrong.
    #[must_use]
    pub fn error(why: &str) -> Self {
        Self { data: Bytes::copy_from_slice(why.as_bytes()), ..Self::bare(Kind::Err) }
    }
}

impl Stat {
    /// The kind of file.
    #[must_use]
    pub fn form(&self) -> Form {
        Form::of(self.mode)
    }

    /// Permissions, and the three bits above them, as `chmod` takes them.
    #[must_use]
    pub fn permissions(&self) -> u32 {
        let above = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
        let above = above.into_iter().filter(|(go, _)| self.mode & go != 0).map(|(_, unix)| unix);
        above.fold(self.mode & 0o777, |mode, bit| mode | bit)
    }

    /// Whether its bytes may be asked for.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.form() == Form::File
    }
}

/// The kinds of files, as Go's mode tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Form {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    BlockDevice,
    CharacterDevice,
    /// A combination that no file has.
    Other,
}

const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const FIFO: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const CHARACTER: u32 = 1 << 21;
const IRREGULAR: u32 = 1 << 19;

impl Form {
    fn of(mode: u32) -> Self {
        match mode & (DIRECTORY | SYMLINK | DEVICE | FIFO | SOCKET | CHARACTER | IRREGULAR) {
            0 => Self::File,
            DIRECTORY => Self::Directory,
            SYMLINK => Self::Symlink,
            FIFO => Self::Fifo,
            SOCKET => Self::Socket,
            DEVICE => Self::BlockDevice,
            bits if bits == DEVICE | CHARACTER => Self::CharacterDevice,
            _ => Self::Other,
        }
    }
}

/// Go's mode for one of the kernel's.
#[must_use]
pub fn go_mode(mode: u32) -> u32 {
    let form = match mode & 0o170_000 {
        0o040_000 => DIRECTORY,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHARACTER,
        0o010_000 => FIFO,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let above = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let above = above.into_iter().filter(|(unix, _)| mode & unix != 0).map(|(_, go)| go);
    above.fold(form | mode & 0o777, |mode, bit| mode | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_there_and_back() {
        for (mode, form) in [
            (0o100_644, Form::File),
            (0o104_755, Form::File),
            (0o041_777, Form::Directory),
            (0o120_777, Form::Symlink),
            (0o060_660, Form::BlockDevice),
            (0o020_666, Form::CharacterDevice),
            (0o010_600, Form::Fifo),
            (0o140_755, Form::Socket),
        ] {
            let stat = Stat { mode: go_mode(mode), ..Stat::default() };
            assert_eq!((stat.form(), stat.permissions()), (form, mode & 0o7777), "{mode:o}");
        }
        assert_eq!(Form::of(DIRECTORY | SYMLINK), Form::Other);
        assert_eq!(Form::of(CHARACTER), Form::Other);
    }
}
