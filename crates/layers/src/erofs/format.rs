//! The bytes of an EROFS image (Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of Linux).
//!
//! ```text
//! 0      nothing
//! 1024   superblock (128 bytes), then one slot of 128 bytes for each data device
//! 1536   inodes, each 64 bytes, its extended attributes, and for a file one chunk index of 8 bytes
//! …      directories' entries and links' targets, each from a block's start
//! ```
//!
//! Blocks have 512 bytes, as tars have, so that a file's content is a range of blocks of the tar: one chunk, as large as
//! it takes.

use std::collections::BTreeMap;

use super::BLOCK;
use super::tree::{Device, Kind, Node, NodeId, ROOT, Tree};
use crate::Error;
use crate::unpack::Special;

const MAGIC: u32 = 0xe0f5_e1e2;
const BLOCK_BITS: u8 = 9;
const SUPERBLOCK: usize = 1024;
const SLOT: usize = 128;
const META_BLOCK: u64 = 3;
const META: u64 = META_BLOCK * BLOCK;
/// Inodes are addressed in steps of 32 bytes. The first two numbers stay free: 0 means "deleted" to `readdir`.
const STEP: u64 = 32;
const FIRST_INODE: u64 = 2 * STEP;
const INODE: u64 = 64;
const CHUNKED_FILE: u32 = 0x4;
const DEVICE_TABLE: u32 = 0x8;
const FLAT: u16 = 0;
const CHUNKS: u16 = 4;
const CHUNK_INDEXES: u32 = 0x20;
const DIRENT: usize = 12;
const MAX_NAME: usize = 255;
/// The count of an inode's extended attributes, in words, has 16 bits.
const MAX_XATTRS: usize = 200_000;

/// The image of a tree whose files lie in a tar of so many blocks.
pub(super) fn image(tree: &Tree, tar_blocks: u64) -> Result<Vec<u8>, Error> {
    let plan = Plan::new(tree)?;
    let mut bytes = vec![0; plan.length()];
    let devices = [tar_blocks, tree.side.blocks()];
    superblock(&mut bytes, &plan, &devices)?;
    for place in &plan.inodes {
        place.write(tree, &plan, &mut bytes)?;
    }
    Ok(bytes)
}

/// Where everything goes.
struct Plan {
    inodes: Vec<InodePlace>,
    /// By node: its position in `inodes`.
    by_node: Vec<Option<usize>>,
    /// By node: how many names lead to it.
    names: Vec<u32>,
    end: u64,
}

struct InodePlace {
    node: NodeId,
    parent: NodeId,
    /// From the image's beginning.
    position: u64,
    xattrs: Vec<u8>,
    /// A directory's entries or a link's target.
    data: Data,
}

#[derive(Default)]
struct Data {
    position: u64,
    length: u64,
    /// A directory's names, in blocks.
    blocks: Vec<Vec<(Vec<u8>, NodeId)>>,
}

impl Plan {
    fn new(tree: &Tree) -> Result<Self, Error> {
        let mut plan = Self {
            inodes: Vec::new(),
            by_node: vec![None; tree.nodes.len()],
            names: vec![0; tree.nodes.len()],
            end: 0,
        };
        plan.collect(tree, ROOT)?;
        plan.place_inodes(tree)?;
        plan.place_data(tree);
        Ok(plan)
    }

    /// The reachable nodes, parents before children; the root first, whose number has 16 bits only.
    fn collect(&mut self, tree: &Tree, root: NodeId) -> Result<(), Error> {
        let mut waiting = vec![(root, root)];
        while let Some((node, parent)) = waiting.pop() {
            if self.by_node[node].is_some() {
                continue;
            }
            self.by_node[node] = Some(self.inodes.len());
            let xattrs = xattrs(&tree.nodes[node].xattrs)?;
            self.inodes.push(InodePlace { node, parent, position: 0, xattrs, data: Data::default() });
            if let Kind::Directory(children) = &tree.nodes[node].kind {
                for child in children.values().rev() {
                    self.names[*child] += 1;
                    waiting.push((*child, node));
                }
            }
        }
        Ok(())
    }

    fn place_inodes(&mut self, tree: &Tree) -> Result<(), Error> {
        let mut end = META + FIRST_INODE;
        for place in &mut self.inodes {
            place.position = end;
            end += INODE + place.xattrs.len() as u64;
            if has_chunk(&tree.nodes[place.node]) {
                end = end.next_multiple_of(8) + 8;
            }
            end = end.next_multiple_of(STEP);
        }
        if end > u64::from(u32::MAX) {
            return Err(Error::Limit { of: "bytes of names and attributes", limit: u32::MAX.into() });
        }
        self.end = end.next_multiple_of(BLOCK);
        Ok(())
    }

    fn place_data(&mut self, tree: &Tree) {
        for place in &mut self.inodes {
            place.data = match &tree.nodes[place.node].kind {
                Kind::Directory(children) => entries(children, place.node, place.parent),
                Kind::Symlink(target) => Data { length: target.len() as u64, ..Data::default() },
                _ => continue,
            };
            place.data.position = self.end;
            self.end += place.data.length.next_multiple_of(BLOCK);
        }
    }

    fn length(&self) -> usize {
        usize::try_from(self.end).unwrap_or(usize::MAX)
    }

    fn number(&self, node: NodeId) -> u64 {
        let place = self.by_node[node].and_then(|index| self.inodes.get(index));
        place.map_or(0, |place| (place.position - META) / STEP)
    }
}

fn has_chunk(node: &Node) -> bool {
    matches!(node.kind, Kind::File { size: 1.., .. })
}

/// The entries `.`, `..` and the children, sorted, in as many blocks as they take.
fn entries(children: &BTreeMap<Vec<u8>, NodeId>, own: NodeId, parent: NodeId) -> Data {
    let mut all: Vec<(Vec<u8>, NodeId)> = children.iter().map(|(name, id)| (name.clone(), *id)).collect();
    all.push((b".".to_vec(), own));
    all.push((b"..".to_vec(), parent));
    all.sort_unstable();
    let mut data = Data::default();
    let mut used = 0;
    for (name, id) in all {
        let takes = DIRENT + name.len();
        match data.blocks.last_mut().filter(|_| used + takes <= BLOCK as usize) {
            Some(block) => {
                block.push((name, id));
                used += takes;
            }
            None => {
                data.blocks.push(vec![(name, id)]);
                used = takes;
            }
        }
    }
    data.length = (data.blocks.len() as u64 - 1) * BLOCK + used as u64;
    data
}

// ── writing ──

fn put(bytes: &mut [u8], position: u64, value: &[u8]) -> Result<(), Error> {
    let start = usize::try_from(position).unwrap_or(usize::MAX);
    let room = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..value.len()));
    room.ok_or(Error::Index { what: "something lies outside of the image" })?.copy_from_slice(value);
    Ok(())
}

fn low32(value: u64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Limit { of: "blocks", limit: u32::MAX.into() })
}

fn superblock(bytes: &mut [u8], plan: &Plan, devices: &[u64]) -> Result<(), Error> {
    let root = u16::try_from(plan.number(ROOT)).map_err(|_| Error::Index { what: "the root is too far" })?;
    let extra_devices = devices.iter().filter(|blocks| **blocks > 0).count();
    let mut sb = [0; SLOT];
    let mut set = |at: usize, value: &[u8]| sb[at..at + value.len()].copy_from_slice(value);
    set(0, &MAGIC.to_le_bytes());
    set(12, &[BLOCK_BITS]);
    set(14, &root.to_le_bytes());
    set(16, &(plan.inodes.len() as u64).to_le_bytes());
    set(36, &low32(plan.end / BLOCK)?.to_le_bytes());
    set(40, &low32(META_BLOCK)?.to_le_bytes());
    set(80, &(CHUNKED_FILE | DEVICE_TABLE).to_le_bytes());
    set(86, &u16::try_from(extra_devices).unwrap_or(0).to_le_bytes());
    set(88, &u16::try_from((SUPERBLOCK + SLOT) / SLOT).unwrap_or(0).to_le_bytes());
    put(bytes, SUPERBLOCK as u64, &sb)?;
    for (index, blocks) in devices.iter().enumerate() {
        let slot = (SUPERBLOCK + SLOT * (index + 1)) as u64;
        put(bytes, slot + 64, &low32(*blocks)?.to_le_bytes())?;
    }
    Ok(())
}

impl InodePlace {
    fn write(&self, tree: &Tree, plan: &Plan, bytes: &mut [u8]) -> Result<(), Error> {
        let node = &tree.nodes[self.node];
        self.write_inode(node, plan, bytes)?;
        put(bytes, self.position + INODE, &self.xattrs)?;
        match &node.kind {
            Kind::File { device, position, size } if *size > 0 => self.write_chunk(bytes, *device, *position),
            Kind::Symlink(target) => put(bytes, self.data.position, target),
            Kind::Directory(_) => self.write_entries(tree, plan, bytes),
            _ => Ok(()),
        }
    }

    fn write_inode(&self, node: &Node, plan: &Plan, bytes: &mut [u8]) -> Result<(), Error> {
        let (kind, size, info) = self.describe(node)?;
        let layout = if has_chunk(node) { CHUNKS } else { FLAT };
        let xattr_words = match self.xattrs.len() {
            0 => 0,
            length => (length - 12) / 4 + 1,
        };
        let links = match &node.kind {
            Kind::Directory(children) => 2 + subdirectories(plan, children),
            _ => plan.names[self.node],
        };
        let mut inode = [0; INODE as usize];
        let mut set = |at: usize, value: &[u8]| inode[at..at + value.len()].copy_from_slice(value);
        // Bit 0: the long form.
        set(0, &(layout << 1 | 1).to_le_bytes());
        set(2, &u16::try_from(xattr_words).unwrap_or(u16::MAX).to_le_bytes());
        set(4, &((kind | node.mode) as u16).to_le_bytes());
        set(8, &size.to_le_bytes());
        set(16, &info.to_le_bytes());
        set(20, &low32(plan.number(self.node))?.to_le_bytes());
        set(24, &node.uid.to_le_bytes());
        set(28, &node.gid.to_le_bytes());
        set(32, &node.times.seconds.to_le_bytes());
        set(40, &u32::try_from(node.times.nanoseconds).unwrap_or(0).to_le_bytes());
        set(44, &links.to_le_bytes());
        put(bytes, self.position, &inode)
    }

    /// The kind's bits of the mode, the size, and what the size is about: a block, a device, a chunk's form.
    fn describe(&self, node: &Node) -> Result<(u32, u64, u32), Error> {
        let block = low32(self.data.position / BLOCK)?;
        Ok(match &node.kind {
            Kind::Directory(_) => (0o040_000, self.data.length, block),
            Kind::Symlink(_) => (0o120_000, self.data.length, block),
            Kind::File { size: 0, .. } => (0o100_000, 0, 0),
            Kind::File { size, .. } => (0o100_000, *size, CHUNK_INDEXES | chunk_bits(*size)),
            Kind::Whiteout => (0o020_000, 0, 0),
            Kind::Special(Special::Fifo) => (0o010_000, 0, 0),
            Kind::Special(Special::Block { major, minor }) => (0o060_000, 0, device(*major, *minor)),
            Kind::Special(Special::Character { major, minor }) => (0o020_000, 0, device(*major, *minor)),
        })
    }

    fn write_chunk(&self, bytes: &mut [u8], device: Device, position: u64) -> Result<(), Error> {
        if !position.is_multiple_of(BLOCK) {
            return Err(Error::Index { what: "a file doesn't begin at a block" });
        }
        let at = (self.position + INODE + self.xattrs.len() as u64).next_multiple_of(8);
        put(bytes, at + 2, &(device as u16).to_le_bytes())?;
        put(bytes, at + 4, &low32(position / BLOCK)?.to_le_bytes())
    }

    fn write_entries(&self, tree: &Tree, plan: &Plan, bytes: &mut [u8]) -> Result<(), Error> {
        for (number, block) in self.data.blocks.iter().enumerate() {
            let start = self.data.position + number as u64 * BLOCK;
            let mut name_at = block.len() * DIRENT;
            for (index, (name, id)) in block.iter().enumerate() {
                if name.len() > MAX_NAME {
                    return Err(Error::Index { what: "a name is longer than 255 bytes" });
                }
                let mut entry = [0; DIRENT];
                entry[..8].copy_from_slice(&plan.number(*id).to_le_bytes());
                entry[8..10].copy_from_slice(&u16::try_from(name_at).unwrap_or(u16::MAX).to_le_bytes());
                entry[10] = file_type(&tree.nodes[*id]);
                put(bytes, start + (index * DIRENT) as u64, &entry)?;
                put(bytes, start + name_at as u64, name)?;
                name_at += name.len();
            }
        }
        Ok(())
    }
}

fn subdirectories(plan: &Plan, children: &BTreeMap<Vec<u8>, NodeId>) -> u32 {
    let is_directory = |id: &&NodeId| {
        let place = plan.by_node[**id].and_then(|index| plan.inodes.get(index));
        place.is_some_and(|place| !place.data.blocks.is_empty())
    };
    u32::try_from(children.values().filter(is_directory).count()).unwrap_or(u32::MAX)
}

/// The smallest chunk that holds the whole file, as a power of two of blocks.
fn chunk_bits(size: u64) -> u32 {
    size.div_ceil(BLOCK).next_power_of_two().trailing_zeros()
}

/// The kernel's `new_encode_dev`.
fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12)
}

fn file_type(node: &Node) -> u8 {
    match node.kind {
        Kind::File { .. } => 1,
        Kind::Directory(_) => 2,
        Kind::Whiteout | Kind::Special(Special::Character { .. }) => 3,
        Kind::Special(Special::Block { .. }) => 4,
        Kind::Special(Special::Fifo) => 5,
        Kind::Symlink(_) => 7,
    }
}

/// An inode's attributes as they follow it: a header of 12 bytes, then each as index, name without its prefix, value.
fn xattrs(attributes: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for (name, value) in attributes {
        // What belongs to no namespace of Linux can't be set on a disk either.
        let Some((index, rest)) = prefix(name) else { continue };
        let too_long = |_| Error::Index { what: "an extended attribute is too long" };
        let length = u8::try_from(rest.len()).map_err(too_long)?;
        let size = u16::try_from(value.len()).map_err(too_long)?;
        if bytes.is_empty() {
            bytes.resize(12, 0);
        }
        bytes.extend([length, index]);
        bytes.extend(size.to_le_bytes());
        bytes.extend(rest.as_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    match bytes.len() > MAX_XATTRS {
        true => Err(Error::Index { what: "a file has too many extended attributes" }),
        false => Ok(bytes),
    }
}

fn prefix(name: &str) -> Option<(u8, &str)> {
    match name {
        "system.posix_acl_access" => return Some((2, "")),
        "system.posix_acl_default" => return Some((3, "")),
        _ => {}
    }
    [("user.", 1), ("trusted.", 4), ("security.", 6)]
        .into_iter()
        .find_map(|(prefix, index)| Some((index, name.strip_prefix(prefix)?)))
}
