//! Reading what a container wrote, oldest line first, across rotated files, and following.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::bufread::GzDecoder;
use serde::Deserialize;

use super::{Format, Kept, local};
use crate::Error;

/// A line of the file: 16 KiB of text, at worst each byte as `\u00xx`, and what is around it: labels and variables may be
/// as long.
const MAX_LINE: u64 = 1 << 20;

/// Read at once.
const BUFFER: usize = 64 << 10;

/// How often files are looked for that change their names at that moment.
const PATIENCE: u32 = 1000;

/// Which stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// With its newline, unless it is a piece of a line that goes on.
    pub log: Vec<u8>,
    pub stream: Stream,
    pub time: Stamp,
    /// What the driver's options have told with each line.
    pub attributes: Option<BTreeMap<String, String>>,
}

/// When a line was written, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// RFC 3339 with as many digits as are not zero.
    Text(String),
    /// Since the epoch.
    Nanoseconds(u64),
}

impl Stamp {
    fn time(&self) -> Option<SystemTime> {
        match self {
            Self::Text(text) => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
            Self::Nanoseconds(nanoseconds) => UNIX_EPOCH.checked_add(Duration::from_nanos(*nanoseconds)),
        }
    }

    /// RFC 3339 with all nine digits, so that lines stand below one another.
    pub fn fixed(&self) -> String {
        match self {
            Self::Text(text) => {
                let digits = text.strip_suffix('Z').unwrap_or(text);
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
                format!("{whole}.{fraction:0<9}Z")
            }
            Self::Nanoseconds(nanoseconds) => {
                let time = jiff::Timestamp::from_nanosecond((*nanoseconds).into()).unwrap_or_default();
                format!("{time:.9}")
            }
        }
    }
}

/// A record of `json-file`.
#[derive(Deserialize)]
struct JsonLine {
    log: String,
    stream: Stream,
    time: String,
    #[serde(default)]
    attrs: Option<BTreeMap<String, String>>,
}

impl From<JsonLine> for Line {
    fn from(line: JsonLine) -> Self {
        let JsonLine { log, stream, time, attrs } = line;
        Self { log: log.into_bytes(), stream, time: Stamp::Text(time), attributes: attrs }
    }
}

/// A record without attributes, as the shim writes it: read faster than JSON can be.
fn plain(record: &[u8]) -> Option<Line> {
    let mut log = Vec::with_capacity(record.len());
    let (is_error, time) = shim::decode_json(record, &mut log)?;
    let stream = if is_error { Stream::Stderr } else { Stream::Stdout };
    Some(Line { log, stream, time: Stamp::Text(time.to_owned()), attributes: None })
}

/// What of the log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<SystemTime>,
    pub until: Option<SystemTime>,
    /// The last so many lines; all without it.
    pub tail: Option<usize>,
}

impl Wanted {
    fn admits(&self, line: &Line) -> bool {
        let stream = match line.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        stream && self.admits_time(&line.time)
    }

    fn admits_time(&self, stamp: &Stamp) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Some(time) = stamp.time() else { return true };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

/// Reads the log up to its present end, calling `each` for every wanted line. Blocking. Returns where to go on from.
pub fn read(
    kept: &Kept,
    wanted: &Wanted,
    mut each: impl FnMut(Line) -> io::Result<()>,
) -> Result<Position, Error> {
    let failed = |source| Error::File { doing: "read", path: kept.path.clone(), source };
    let mut last = VecDeque::new();
    let mut take = |line: Line| match wanted.tail {
        None => each(line),
        Some(0) => Ok(()),
        Some(limit) => {
            if last.len() == limit {
                last.pop_front();
            }
            last.push_back(line);
            Ok(())
        }
    };
    let (newest, rotated) = snapshot(&kept.path, None, None).map_err(failed)?;
    for rotated in rotated {
        rotated.read(&mut Records::new(kept.format), wanted, &mut take).map_err(failed)?;
    }
    let mut position = Position { path: kept.path.clone(), file: newest, records: Records::new(kept.format) };
    position.advance(wanted, &mut take).map_err(failed)?;
    for line in last {
        each(line).map_err(failed)?;
    }
    Ok(position)
}

/// A file of the log by its name: 0 is the one that is written to, then from new to old.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    number: u32,
    /// Comes before the compressed one while both are there.
    compressed: bool,
    inode: u64,
}

impl Named {
    fn path(&self, log: &Path) -> PathBuf {
        let ending = if self.compressed { ".gz" } else { "" };
        match self.number {
            0 => log.to_owned(),
            number => PathBuf::from(format!("{}.{number}{ending}", log.display())),
        }
    }
}

/// The files that there are, newest first. While it is rotated, names move up one by one, so a number may be missing.
fn files(log: &Path) -> io::Result<Vec<Named>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let own = entry.file_name();
        let Some(rest) = own.to_str().and_then(|own| own.strip_prefix(name)) else { continue };
        let (number, compressed) = match rest.strip_suffix(".gz") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let number = match number.strip_prefix('.') {
            Some(digits) => digits.parse().ok().filter(|number| *number > 0),
            None => (rest.is_empty()).then_some(0),
        };
        files.extend(number.map(|number| Named { number, compressed, inode: entry.ino() }));
    }
    files.sort_unstable();
    files.dedup_by_key(|file| file.number);
    Ok(files)
}

/// A file that isn't written to any more.
enum Rotated {
    Plain(BufReader<File>),
    Compressed(Box<BufReader<GzDecoder<BufReader<File>>>>),
}

impl Rotated {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            // It was rotated out of sight, or compressed, since it was found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => BufReader::with_capacity(BUFFER, file?),
        };
        Ok(Some(match path.extension().is_some_and(|extension| extension == "gz") {
            true => Self::Compressed(Box::new(BufReader::new(GzDecoder::new(file)))),
            false => Self::Plain(file),
        }))
    }

    fn about(&self) -> Option<About> {
        match self {
            Self::Plain(_) => None,
            Self::Compressed(reader) => {
                reader.get_ref().header()?.extra().and_then(|extra| serde_json::from_slice(extra).ok())
            }
        }
    }

    /// When its last line was written, if it says so.
    fn last_time(&self) -> Option<SystemTime> {
        self.about()?.last_time?.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
    }

    /// The number of the file that was written to.
    fn id(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(reader) => file_id(reader.get_ref()).map(Some),
            Self::Compressed(_) => Ok(self.about().and_then(|about| about.file)),
        }
    }

    fn read(
        self,
        records: &mut Records,
        wanted: &Wanted,
        each: &mut dyn FnMut(Line) -> io::Result<()>,
    ) -> io::Result<()> {
        if matches!((self.last_time(), wanted.since), (Some(last), Some(since)) if last < since) {
            return Ok(());
        }
        match self {
            Self::Plain(mut reader) => records.each(&mut reader, wanted, each),
            Self::Compressed(mut reader) => records.each(&mut *reader, wanted, each),
        }
    }
}

/// What a compressed file says of itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct About {
    last_time: Option<String>,
    /// The number of the file that it was compressed from.
    file: Option<u64>,
}

/// Records of one file, of which the last may not be whole yet.
#[derive(Debug)]
struct Records {
    format: Format,
    /// The beginning of a record whose end isn't written yet.
    partial: Vec<u8>,
    /// The last whole one.
    last: Vec<u8>,
    /// Where lengths make no sense there is nothing more to be found.
    damaged: bool,
}

impl Records {
    fn new(format: Format) -> Self {
        Self { format, partial: Vec::new(), last: Vec::new(), damaged: false }
    }

    fn each(
        &mut self,
        reader: &mut impl BufRead,
        wanted: &Wanted,
        each: &mut dyn FnMut(Line) -> io::Result<()>,
    ) -> io::Result<()> {
        while !self.damaged && self.fill(reader)? {
            let record = std::mem::take(&mut self.partial);
            match self.decode(&record) {
                Some(line) if wanted.admits(&line) => each(line)?,
                Some(_) => {}
                // A torn record after a power cut: the rest of the log is still good.
                None => tracing::debug!("a damaged line in a log"),
            }
            // The memory of the one before is the next one's.
            self.partial = std::mem::replace(&mut self.last, record);
            self.partial.clear();
        }
        Ok(())
    }

    /// When the last record that was read was written.
    fn last_time(&mut self) -> Option<SystemTime> {
        let last = std::mem::take(&mut self.last);
        let time = self.decode(&last).and_then(|line| line.time.time());
        self.last = last;
        time
    }

    /// Whether a whole record is there now.
    fn fill(&mut self, reader: &mut impl BufRead) -> io::Result<bool> {
        match self.format {
            Format::Json => {
                let left = MAX_LINE.saturating_sub(self.partial.len() as u64);
                reader.take(left.max(1)).read_until(b'\n', &mut self.partial)?;
                Ok(self.partial.last() == Some(&b'\n') || self.partial.len() as u64 >= MAX_LINE)
            }
            Format::Local => Ok(self.fill_to(reader, 4)? && {
                let length = self.length();
                self.damaged = length > MAX_LINE;
                !self.damaged && self.fill_to(reader, length as usize + 8)?
            }),
        }
    }

    fn fill_to(&mut self, reader: &mut impl BufRead, length: usize) -> io::Result<bool> {
        let missing = length.saturating_sub(self.partial.len()) as u64;
        if missing > 0 {
            reader.take(missing).read_to_end(&mut self.partial)?;
        }
        Ok(self.partial.len() >= length)
    }

    fn length(&self) -> u64 {
        self.partial.first_chunk().map_or(0, |length| u32::from_be_bytes(*length).into())
    }

    fn decode(&mut self, record: &[u8]) -> Option<Line> {
        match self.format {
            Format::Json => {
                plain(record).or_else(|| serde_json::from_slice::<JsonLine>(record).ok().map(Line::from))
            }
            Format::Local => {
                let (first, rest) = record.split_first_chunk::<4>()?;
                let (body, last) = rest.split_last_chunk::<4>()?;
                self.damaged = first != last;
                if self.damaged { None } else { local::decode(body) }
            }
        }
    }
}

/// Where a reader has got to.
#[derive(Debug)]
pub struct Position {
    path: PathBuf,
    file: Option<BufReader<File>>,
    records: Records,
}

impl Position {
    /// Reads what has been added. A file that was rotated away is read to its end first, then the new one.
    pub fn advance(
        &mut self,
        wanted: &Wanted,
        each: &mut dyn FnMut(Line) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let Some(file) = &mut self.file else {
                self.file = open_newest(&self.path)?;
                match self.file {
                    Some(_) => continue,
                    None => return Ok(()),
                }
            };
            // Looked at before the reading: what came to the old file meanwhile is read all the same.
            let rotated = was_rotated(file.get_ref(), &self.path)?;
            let own = file_id(file.get_ref())?;
            self.records.each(file, wanted, each)?;
            if !rotated {
                return Ok(());
            }
            // Files may have come and been rotated away again while nobody looked.
            let (newest, newer) = snapshot(&self.path, Some(own), self.records.last_time())?;
            let format = self.records.format;
            for rotated in newer {
                rotated.read(&mut Records::new(format), wanted, each)?;
            }
            (self.records, self.file) = (Records::new(format), newest);
        }
    }
}

/// The file that is written to, and others of the log, the oldest first.
type Snapshot = (Option<BufReader<File>>, Vec<Rotated>);

/// The newest file, and all that were rotated away after the one of the number `own`, whose last line is of the time `seen`;
/// the oldest first. All are open: what happens to their names from here on doesn't matter.
fn snapshot(path: &Path, own: Option<u64>, seen: Option<SystemTime>) -> io::Result<Snapshot> {
    for attempt in 1..=PATIENCE {
        let before = files(path)?;
        let is_between = !before.is_empty() && before[0].number > 0;
        if is_between && attempt < PATIENCE {
            // The new file is about to come.
            continue;
        }
        // Files that changed their names meanwhile may have been opened twice, or not at all.
        if let Some(opened) = open_all(path, &before, own, seen)?
            && files(path)? == before
        {
            return Ok(opened);
        }
    }
    Err(io::Error::other("the log is rotated faster than it can be read: raise max-size"))
}

/// Nothing if one is gone.
fn open_all(
    path: &Path,
    files: &[Named],
    own: Option<u64>,
    seen: Option<SystemTime>,
) -> io::Result<Option<Snapshot>> {
    let (mut newest, mut newer) = (None, Vec::new());
    for file in files {
        if file.number == 0 {
            newest = open_newest(path)?;
            if newest.is_none() {
                return Ok(None);
            }
            continue;
        }
        let Some(rotated) = Rotated::open(&file.path(path))? else { return Ok(None) };
        let is_older = rotated.last_time().is_some_and(|last| Some(last) < seen);
        if is_older || (own.is_some() && rotated.id()? == own) {
            break;
        }
        newer.push(rotated);
    }
    newer.reverse();
    Ok(Some((newest, newer)))
}

fn open_newest(path: &Path) -> io::Result<Option<BufReader<File>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(BUFFER, file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn file_id(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map(|meta| meta.ino())
}

fn was_rotated(open: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(now) => Ok(now.ino() != open.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn entry(text: &str, stream: &str, second: u32) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:{second:02}.5Z\"}}\n"
        )
    }

    fn all() -> Wanted {
        Wanted { stdout: true, stderr: true, ..Wanted::default() }
    }

    fn json(path: &Path) -> Kept {
        Kept { path: path.to_owned(), format: Format::Json }
    }

    fn text(line: &Line) -> String {
        String::from_utf8_lossy(&line.log).trim_end().to_owned()
    }

    fn lines(path: &Path, wanted: &Wanted) -> Vec<String> {
        lines_of(&json(path), wanted)
    }

    fn lines_of(kept: &Kept, wanted: &Wanted) -> Vec<String> {
        let mut lines = Vec::new();
        read(kept, wanted, |line| {
            lines.push(text(&line));
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn rotated_files_come_first_and_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        std::fs::write(dir.path().join("log.1"), entry("b", "stderr", 2)).unwrap();
        std::fs::write(dir.path().join("log.2"), entry("a", "stdout", 1)).unwrap();
        assert_eq!(lines(&path, &all()), ["a", "b", "c"]);
        assert_eq!(lines(&path, &Wanted { stderr: false, ..all() }), ["a", "c"]);
        assert_eq!(lines(&path, &Wanted { tail: Some(2), ..all() }), ["b", "c"]);
        let since = Some(SystemTime::from("2026-01-01T00:00:02Z".parse::<jiff::Timestamp>().unwrap()));
        assert_eq!(lines(&path, &Wanted { since, ..all() }), ["b", "c"]);
    }

    #[test]
    fn a_rotation_that_is_half_done_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        // What was 1 has moved up, and the newest hasn't moved yet.
        std::fs::write(dir.path().join("log.2"), entry("b", "stdout", 2)).unwrap();
        std::fs::write(dir.path().join("log.4"), entry("a", "stdout", 1)).unwrap();
        for other in ["log.1.new", "log.x", "log.0", "logs", "log.2.gz.new"] {
            std::fs::write(dir.path().join(other), entry("x", "stdout", 1)).unwrap();
        }
        assert_eq!(lines(&path, &all()), ["a", "b", "c"]);
    }

    #[test]
    fn following_crosses_a_rotation_and_waits_for_the_end_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let whole = entry("b", "stdout", 2);
        std::fs::write(&path, format!("{}{}", entry("a", "stdout", 1), &whole[..10])).unwrap();
        let mut seen = Vec::new();
        let mut each = |line: Line| {
            seen.push(text(&line));
            Ok(())
        };
        let mut position = read(&json(&path), &all(), &mut each).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&whole.as_bytes()[10..]).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        position.advance(&all(), &mut each).unwrap();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn files_that_came_and_went_unseen_are_read_too() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let numbered = |name: &str| dir.path().join(name);
        std::fs::write(&path, entry("a", "stdout", 1)).unwrap();
        let mut seen = Vec::new();
        let mut each = |line: Line| {
            seen.push(text(&line));
            Ok(())
        };
        let mut position = read(&json(&path), &all(), &mut each).unwrap();
        let own = std::fs::metadata(&path).unwrap().ino();
        // `a` has become the third and been compressed, `b` too, `c` not yet.
        std::fs::remove_file(&path).unwrap();
        let about = |file| format!("{{\"lastTime\":\"2026-01-01T00:00:01.5Z\",\"file\":{file}}}");
        std::fs::write(numbered("log.3.gz"), packed(entry("a", "stdout", 1).as_bytes(), &about(own)))
            .unwrap();
        // Written within the same moment.
        std::fs::write(numbered("log.2.gz"), packed(entry("b", "stdout", 1).as_bytes(), &about(own + 1)))
            .unwrap();
        std::fs::write(numbered("log.1"), entry("c", "stdout", 3)).unwrap();
        std::fs::write(&path, entry("d", "stdout", 4)).unwrap();
        position.advance(&all(), &mut each).unwrap();
        assert_eq!(seen, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_damaged_line_hides_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, format!("{}\0\0\0\n{}", entry("a", "stdout", 1), entry("b", "stdout", 2)))
            .unwrap();
        assert_eq!(lines(&path, &all()), ["a", "b"]);
    }

    fn packed(text: &[u8], extra: &str) -> Vec<u8> {
        let builder = flate2::GzBuilder::new().extra(extra.as_bytes());
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_files_are_read_unless_they_end_too_early() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        std::fs::write(dir.path().join("log.1"), entry("b", "stdout", 2)).unwrap();
        std::fs::write(dir.path().join("log.1.gz"), b"half made").unwrap();
        let extra = "{\"lastTime\":\"2026-01-01T00:00:00.5Z\"}";
        // What it says of itself is believed.
        let oldest = packed(entry("a", "stdout", 9).as_bytes(), extra);
        std::fs::write(dir.path().join("log.2.gz"), oldest).unwrap();
        assert_eq!(lines(&path, &all()), ["a", "b", "c"]);
        let since = Some(SystemTime::from("2026-01-01T00:00:01Z".parse::<jiff::Timestamp>().unwrap()));
        assert_eq!(lines(&path, &Wanted { since, ..all() }), ["b", "c"]);
    }

    fn record(text: &str) -> Vec<u8> {
        let body = [&b"\n\x06stdout\x10\x05\x1a"[..], &[text.len() as u8], text.as_bytes()].concat();
        let length = (body.len() as u32).to_be_bytes();
        [&length[..], &body, &length].concat()
    }

    #[test]
    fn the_local_format_is_read_record_by_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let kept = Kept { path: path.clone(), format: Format::Local };
        let whole = record("b");
        std::fs::write(&path, [&record("a"), &whole[..7]].concat()).unwrap();
        let mut seen = Vec::new();
        let mut each = |line: Line| {
            seen.push(text(&line));
            Ok(())
        };
        let mut position = read(&kept, &all(), &mut each).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(&whole[7..]).unwrap();
        position.advance(&all(), &mut each).unwrap();
        assert_eq!(seen, ["a", "b"]);
        // Lengths that make no sense end the file and nothing else.
        std::fs::write(&path, [&record("a")[..], &[0xff; 30]].concat()).unwrap();
        assert_eq!(lines_of(&kept, &all()), ["a"]);
    }

    #[test]
    fn times_have_nine_digits() {
        let fixed = |text: &str| Stamp::Text(text.into()).fixed();
        assert_eq!(fixed("2026-01-01T00:00:00.5Z"), "2026-01-01T00:00:00.500000000Z");
        assert_eq!(fixed("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00.000000000Z");
        assert_eq!(Stamp::Nanoseconds(1_500_000_000).fixed(), "1970-01-01T00:00:01.500000000Z");
    }
}
