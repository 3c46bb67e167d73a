//! Packing with gzip on all cores: blocks of a fixed size, each deflated by itself and ended so that the next one can
//! begin anywhere, are one member like any other. The bytes are the same whatever number of cores made them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Crc, FlushCompress};

/// What one core packs at once. Smaller blocks find fewer repetitions; larger ones only take more memory.
const BLOCK: usize = 1 << 20;
/// 3 % larger than what docker's level 6 makes of programs, in half the time.
const LEVEL: u32 = 3;
/// More would only take memory from the machine's other work.
const MAX_THREADS: usize = 16;
/// Deflate, no name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, with nothing in it.
const LAST: [u8; 2] = [3, 0];

/// A block to be packed, and who waits for it.
struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Packed>>,
}

struct Packed {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Packs a layer with gzip, the same bytes each time: nothing of when and where is in them.
pub fn compress(tar: impl Read, packed: impl Write) -> io::Result<()> {
    compress_at(LEVEL, tar, packed)
}

/// The same at one of gzip's levels, 0 to 9.
pub(crate) fn compress_at(level: u32, mut tar: impl Read, mut packed: impl Write) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (jobs, taken) = sync_channel(threads);
    let taken = Mutex::new(taken);
    packed.write_all(&HEAD)?;
    let crc = thread::scope(|scope| {
        for _ in 0..threads {
            thread::Builder::new().name("deflate".into()).spawn_scoped(scope, || work(level, &taken))?;
        }
        // It goes with whatever ends this, and the workers with it.
        let handing_out = jobs;
        feed(&mut tar, &mut packed, &handing_out, threads)
    })?;
    packed.write_all(&LAST)?;
    packed.write_all(&crc.sum().to_le_bytes())?;
    packed.write_all(&crc.amount().to_le_bytes())?;
    packed.flush()
}

/// Hands out blocks and takes them back in their order.
fn feed(
    tar: &mut impl Read,
    packed: &mut impl Write,
    jobs: &SyncSender<Job>,
    threads: usize,
) -> io::Result<Crc> {
    let (mut crc, mut waiting) = (Crc::new(), VecDeque::new());
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        let last = tar.by_ref().take(BLOCK as u64).read_to_end(&mut block)? < BLOCK;
        let (done, answer) = sync_channel(1);
        jobs.send(Job { block, done }).map_err(|_| gone())?;
        waiting.push_back(answer);
        while waiting.len() > threads || last && !waiting.is_empty() {
            let Some(answer) = waiting.pop_front() else { break };
            let next: Packed = answer.recv().map_err(|_| gone())??;
            crc.combine(&next.crc);
            packed.write_all(&next.bytes)?;
        }
        if last {
            return Ok(crc);
        }
    }
}

/// A worker ends without being told only by a panic.
fn gone() -> io::Error {
    io::Error::other("packing stopped")
}

fn work(level: u32, jobs: &Mutex<Receiver<Job>>) {
    let mut deflate = Compress::new(flate2::Compression::new(level), false);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        // Nobody waits for it when something else went wrong.
        let _ = done.send(pack(&mut deflate, &block));
    }
}

fn pack(deflate: &mut Compress, block: &[u8]) -> io::Result<Packed> {
    let mut crc = Crc::new();
    crc.update(block);
    deflate.reset();
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let rest = &block[deflate.total_in() as usize..];
        deflate.compress_vec(rest, &mut bytes, FlushCompress::Sync)?;
        // All that it had to say fitted in.
        if bytes.len() < bytes.capacity() {
            return Ok(Packed { bytes, crc });
        }
        bytes.reserve(block.len() / 8 + 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        compress(bytes, &mut packed).unwrap();
        packed
    }

    /// Bytes that hardly shrink, between some that do.
    fn mixed(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let step = |at: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if (at / 5000).is_multiple_of(3) { b'a' } else { state as u8 }
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn blocks_are_one_member_that_any_reader_takes() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 77] {
            let bytes = mixed(count);
            let packed = packed(&bytes);
            let mut read = Vec::new();
            // Not the decoder for several members: there is one.
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut read).unwrap();
            assert!(read == bytes, "{count}");
        }
    }

    #[test]
    fn packing_is_the_same_each_time() {
        let bytes = mixed(5 * BLOCK + 5);
        assert!(packed(&bytes) == packed(&bytes));
    }

    #[test]
    fn what_can_not_be_read_or_written_ends_it() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let tar = io::repeat(7).take(3 * BLOCK as u64).chain(Broken);
        assert_eq!(compress(tar, io::sink()).unwrap_err().to_string(), "broken");
        let full = &mut [0_u8; 100][..];
        assert!(compress(&mixed(4 * BLOCK)[..], full).is_err());
    }
}
