//! What layers arrive in: gzip, zstd or nothing, told by the first bytes and never by a name or a media type.

use std::io::{self, BufRead, BufReader, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// What is told apart to be refused by name.
const UNREADABLE: &[(&[u8], &str, &str)] = &[(XZ, "xz", "unxz"), (BZIP2, "bzip2", "bunzip2")];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
/// What `xz -9` needs to be undone is 65 MiB; nobody's archive may ask for more than twice that.
const XZ_MEMORY_KIB: u32 = 130 << 10;
/// A zstd frame may ask for a window of any size; this is what `zstd --ultra --long=27` writes.
const ZSTD_WINDOW_LOG: u32 = 27;
/// No real layer shrinks more than this: what inflates further is a bomb. Deflate itself ends at 1032.
const MAX_RATIO: u64 = 1100;
/// Small layers of zeros do shrink that much.
const ALWAYS_ALLOWED: u64 = 1 << 30;

/// How a layer's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// What these first bytes begin.
    pub fn of(head: &[u8]) -> Self {
        match head {
            _ if head.starts_with(GZIP) => Self::Gzip,
            _ if head.starts_with(ZSTD) => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// How a layer is to be packed: with what, and at which of its levels if somebody chose one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    pub with: Compression,
    level: Option<u32>,
}

impl Packing {
    /// Refuses a level that there isn't: gzip's are 0 to 9, zstd's 0 to 22.
    pub fn new(with: Compression, level: Option<u32>) -> Option<Self> {
        let highest = match with {
            Compression::None => None,
            Compression::Gzip => Some(9),
            Compression::Zstd => Some(22),
        };
        level
            .is_none_or(|level| highest.is_some_and(|highest| level <= highest))
            .then_some(Self { with, level })
    }

    /// Packs a layer, the same bytes each time.
    pub fn pack(self, mut tar: impl Read, mut packed: impl io::Write) -> io::Result<()> {
        match (self.with, self.level) {
            (Compression::None, _) => io::copy(&mut tar, &mut packed).map(drop),
            (Compression::Gzip, None) => crate::gzip::compress(tar, packed),
            (Compression::Gzip, Some(level)) => crate::gzip::compress_at(level, tar, packed),
            (Compression::Zstd, level) => {
                let level = level.and_then(|level| i32::try_from(level).ok()).unwrap_or(0);
                // A level of 0 is zstd's own choice.
                zstd::stream::copy_encode(tar, packed, level)
            }
        }
    }
}

/// A layer's uncompressed bytes. Reading fails where they are out of all proportion to the compressed ones.
pub fn decompress<'a>(packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut packed = BufReader::with_capacity(256 * 1024, packed);
    let compression = Compression::of(packed.fill_buf()?);
    if compression == Compression::None {
        return match UNREADABLE.iter().find(|(magic, ..)| packed.buffer().starts_with(magic)) {
            Some((_, name, undo)) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("it is compressed with {name}, which is not supported: undo it with `{undo}` first"),
            )),
            None => Ok(Box::new(packed)),
        };
    }
    let taken = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = BufReader::with_capacity(128 * 1024, Counted { inner: packed, taken: taken.clone() });
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        _ => {
            let mut decoder = zstd::Decoder::with_buffer(counted)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(Proportioned { inner, taken, given: 0 }))
}

/// The same for archives that people make and send, which may be xz's or bzip2's, too.
pub fn decompress_archive<'a>(packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut packed = BufReader::with_capacity(256 * 1024, packed);
    let head = packed.fill_buf()?;
    let (xz, bzip2) = (head.starts_with(XZ), head.starts_with(BZIP2));
    // The digit after bzip2's letters is the size of its blocks.
    if bzip2 && !head.get(BZIP2.len()).is_some_and(|digit| (b'1'..=b'9').contains(digit)) {
        return Ok(Box::new(packed));
    }
    if !xz && !bzip2 {
        return decompress(packed);
    }
    let taken = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = BufReader::with_capacity(128 * 1024, Counted { inner: packed, taken: taken.clone() });
    let inner: Box<dyn Read + 'a> = match xz {
        true => Box::new(lzma_rust2::XzReader::new_mem_limit(counted, true, XZ_MEMORY_KIB)),
        false => Box::new(bzip2::bufread::MultiBzDecoder::new(counted)),
    };
    Ok(Box::new(Proportioned { inner, taken, given: 0 }))
}

struct Counted<R> {
    inner: R,
    taken: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

struct Proportioned<'a> {
    inner: Box<dyn Read + 'a>,
    taken: std::rc::Rc<std::cell::Cell<u64>>,
    given: u64,
}

impl Read for Proportioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        if self.given > ALWAYS_ALLOWED && self.given / MAX_RATIO > self.taken.get() {
            return Err(io::Error::other(format!(
                "{} bytes became more than {} when inflated, which no real layer does",
                self.taken.get(),
                self.given
            )));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        decompress(packed)?.read_to_end(&mut bytes).map(|_| bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_bytes_decide_what_they_are() {
        let text = b"a layer".repeat(1000);
        assert_eq!(read(&text).unwrap(), text);
        assert_eq!(read(&gzip(&text)).unwrap(), text);
        assert_eq!(read(&zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn a_layer_is_packed_as_it_is_asked_for() {
        let text = b"a layer, and again a layer".repeat(5000);
        let mut sizes = Vec::new();
        for (with, level) in [
            (Compression::None, None),
            (Compression::Gzip, None),
            (Compression::Gzip, Some(0)),
            (Compression::Gzip, Some(9)),
            (Compression::Zstd, None),
            (Compression::Zstd, Some(19)),
        ] {
            let (mut packed, mut again) = (Vec::new(), Vec::new());
            let packing = Packing::new(with, level).unwrap();
            packing.pack(&text[..], &mut packed).unwrap();
            packing.pack(&text[..], &mut again).unwrap();
            assert_eq!((Compression::of(&packed), &packed), (with, &again));
            assert_eq!(read(&packed).unwrap(), text);
            sizes.push(packed.len());
        }
        assert!(sizes[2] > sizes[1] && sizes[3] <= sizes[1] && sizes[5] <= sizes[4], "{sizes:?}");
        assert!(Packing::new(Compression::Gzip, Some(10)).is_none());
        assert!(Packing::new(Compression::None, Some(1)).is_none());
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        assert!(read(b"\xfd7zXZ\0...").unwrap_err().to_string().contains("unxz"));
        assert!(read(b"BZh91AY").unwrap_err().to_string().contains("bunzip2"));
    }

    fn packed_by(program: &str, text: &str) -> Vec<u8> {
        let line = format!("printf '{text}' | {program} -c");
        std::process::Command::new("sh").args(["-c", &line]).output().unwrap().stdout
    }

    fn read_archive(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        decompress_archive(packed)?.read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn archives_come_in_more_ways() {
        for program in ["bzip2", "xz", "gzip", "zstd"] {
            let whole = packed_by(program, "an archive");
            assert_eq!(read_archive(&whole).unwrap(), b"an archive", "{program}");
            let two = [packed_by(program, "an "), packed_by(program, "archive")].concat();
            assert_eq!(read_archive(&two).unwrap(), b"an archive", "{program}");
            assert!(read_archive(&whole[..whole.len() - 4]).is_err(), "{program}");
        }
        assert_eq!(read_archive(b"BZhello").unwrap(), b"BZhello");
        assert_eq!(read_archive(b"plain").unwrap(), b"plain");
    }

    #[test]
    fn a_damaged_archive_is_an_error_and_no_panic() {
        for program in ["bzip2", "xz"] {
            let packed = packed_by(program, &"an archive of some length ".repeat(100));
            let mut state = 1_u64;
            for _ in 0..2000 {
                let mut broken = packed.clone();
                for _ in 0..3 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let at = (state >> 33) as usize % broken.len();
                    broken[at] ^= (state >> 20) as u8 | 1;
                }
                let _ = read_archive(&broken);
            }
        }
    }

    #[test]
    fn several_gzip_members_are_one_layer() {
        assert_eq!(read(&[gzip(b"one"), gzip(b"two")].concat()).unwrap(), b"onetwo");
    }

    #[test]
    fn what_ends_early_is_an_error() {
        let packed = gzip(&b"a layer".repeat(1000));
        assert!(read(&packed[..packed.len() - 4]).is_err());
        let packed = zstd::encode_all(&b"a layer".repeat(1000)[..], 1).unwrap();
        assert!(read(&packed[..packed.len() - 4]).is_err());
    }

    #[test]
    fn a_bomb_is_refused_while_it_inflates() {
        let zeros = io::repeat(0).take(4 << 30);
        let bomb = zstd::encode_all(zeros, 1).unwrap();
        let error = io::copy(&mut decompress(&bomb[..]).unwrap(), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("no real layer"), "{error}");
    }

    #[test]
    fn archives_may_be_xz_s() {
        // `printf hello | xz`, by the program itself.
        let packed = hex::decode(
            "fd377a585a000004e6d6b4460200210116000000742fe5a301000468656c6c6f00000000\
             b137b9dbe5da1e9b00011d05b82d80af1fb6f37d010000000004595a",
        );
        let mut text = String::new();
        decompress_archive(&packed.unwrap()[..]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
