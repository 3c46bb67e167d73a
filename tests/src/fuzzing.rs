//! Readers of bytes that strangers wrote, as functions of those bytes alone.
//!
//! `fuzz/` drives them with libFuzzer; `e2e/corpus.rs` replays the committed corpus as an ordinary test. None may panic,
//! hang or use memory without a bound, and what is accepted must survive being written and read again.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Feeds one reader.
pub type Target = fn(&[u8]);

/// Every reader, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("compose", project),
    ("daemon_json", daemon::fuzz_config_file),
    ("digest", digest),
    ("dns_query", dns_query),
    ("dockerfile", dockerfile),
    ("dockerignore", dockerignore),
    ("filesync", filesync),
    ("flag_values", flag_values),
    ("image_changes", image_changes),
    ("layer_tar", layer_tar),
    ("llb", llb),
    ("manifest", distribution::fuzz_manifest),
    ("reference", reference),
    ("registry_config", registry::fuzzing::configuration),
    ("registry_credentials", registry::fuzzing::credentials),
    ("registry_manifest", registry::fuzzing::manifest),
    ("registry_request", registry::fuzzing::request),
    ("registry_store", registry::fuzzing::store),
    ("shim_frames", shim_frames),
];

/// Runs the reader called `name`.
pub fn feed(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
    target.unwrap_or_else(|| panic!("no target {name}"))(bytes);
}

fn digest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(digest) = text.parse::<oci::Digest>()
    {
        assert_eq!(digest.to_string().parse::<oci::Digest>().ok(), Some(digest));
    }
}

fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for parse in [oci::Reference::parse, oci::Reference::parse_as_typed] {
        let Ok(written) = parse(text).map(|parsed| parsed.to_string()) else { continue };
        let again = parse(&written).map(|again| again.to_string());
        assert_eq!(again.ok(), Some(written), "{text:?} is written as something else");
    }
}

/// A project's file, and what its variables become: what is understood is understood again as it is printed.
fn project(bytes: &[u8]) {
    // What one file says; others that it names aren't the fuzzer's, and the machine's are nobody's business here.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if ["include", "file", "path", "label"].iter().any(|word| text.contains(word)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder of the test's");
    let load = |text: &str| {
        std::fs::write(folder.path().join("compose.yaml"), text).expect("the project's file");
        let variables = [("A", "a b"), ("EMPTY", ""), ("NUMBER", "5"), ("DOLLAR", "$A ${B:-c}")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = compose::Options {
            files: Vec::new(),
            directory: None,
            name: Some("fuzz".to_owned()),
            env_files: Vec::new(),
            environment: compose::Environment::process(variables),
            current: folder.path().to_owned(),
            switches: compose::Switches::default(),
            remote: None,
        };
        compose::Project::load(&options, &["*".to_owned()])
    };
    let Ok(project) = load(text) else { return };
    let printed = project.yaml();
    let again = load(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again.yaml(), printed);
}

/// A definition of a build, as BuildKit's clients send it.
fn llb(bytes: &[u8]) {
    let Ok(definition) = <buildkit::proto::pb::Definition as prost::Message>::decode(bytes) else { return };
    if let Ok(wanted) = buildkit::serve::decode_definition(&definition) {
        assert!(wanted.graph.len() <= definition.def.len());
    }
}

/// What a client sends instead of the directory that it was asked for: packets with their lengths before them.
fn filesync(bytes: &[u8]) {
    let mut rest = bytes;
    let packets = std::iter::from_fn(|| {
        let (length, after) = rest.split_first()?;
        let (packet, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        <fsutil::packet::Packet as prost::Message>::decode(packet).ok()
    });
    let _ = fsutil::replay(packets, Box::new(Beneath::default()));
}

/// Checks what a receiver of directories is told: paths lead down, bytes are of files that it wanted, and these come to their ends.
#[derive(Default)]
struct Beneath {
    coming: std::collections::BTreeSet<u32>,
}

impl build::session::Receive for Beneath {
    fn entry(
        &mut self,
        number: u32,
        entry: build::session::Entry,
    ) -> Result<build::session::Want, build::Error> {
        let parts = || entry.path.split(|byte| *byte == b'/');
        assert!(parts().all(|part| !part.is_empty() && part != b".." && part != b"." && !part.contains(&0)));
        if !matches!(entry.kind, build::session::Kind::File { .. }) {
            return Ok(build::session::Want::Nothing);
        }
        self.coming.insert(number);
        Ok(build::session::Want::Content)
    }

    fn data(&mut self, number: u32, _: &[u8]) -> Result<(), build::Error> {
        assert!(self.coming.contains(&number), "bytes of a file that was told");
        Ok(())
    }

    fn file_end(&mut self, number: u32) -> Result<(), build::Error> {
        assert!(self.coming.remove(&number));
        Ok(())
    }

    fn end(&mut self) -> Result<(), build::Error> {
        assert!(self.coming.is_empty(), "all files have ended");
        Ok(())
    }
}

/// What a container sends to its resolver: it is repeated in an answer that is no longer than a datagram may be.
fn dns_query(bytes: &[u8]) {
    let dns::Received::Question(question) = dns::read(bytes) else { return };
    let found = [dns::Data::Ptr(question.name.clone().unwrap_or_default())];
    let answer = question.answer(dns::Code::Fine, &found, dns::Transport::Tcp);
    assert!(answer.len() < 1024, "{} bytes", answer.len());
    assert_eq!(answer.get(..2), bytes.get(..2));
    let _ = question.address();
}

/// A Dockerfile, its triggers, and its words with nothing set: they stay within their bounds, and say the same twice.
fn dockerfile(bytes: &[u8]) {
    let mut findings = dockerfile::check::Findings::default();
    let Ok(understood) = dockerfile::parse(bytes, &mut findings) else { return };
    let lexer = dockerfile::word::Lexer::new(understood.escape);
    let mut word = |word: &str| {
        let expanded = lexer.expand(word, &dockerfile::word::Unset)?;
        assert!(expanded.text.len() <= dockerfile::limits::WORD * 2);
        Ok(expanded.text)
    };
    for mut instruction in understood.stages.into_iter().flat_map(|stage| stage.instructions) {
        if let dockerfile::Kind::OnBuild(trigger) = &instruction.kind {
            let _ = dockerfile::parse_trigger(trigger, instruction.lines);
        }
        let _ = instruction.expand(&mut word, &mut |content| Ok(content.to_owned()));
    }
}

/// Patterns, a line of zeros, and paths: walking down to a path finds what asking for it finds.
fn dockerignore(bytes: &[u8]) {
    let (patterns, paths) =
        bytes.iter().position(|byte| *byte == 0).map_or((bytes, bytes), |at| bytes.split_at(at));
    let Ok(matcher) = dockerfile::ignore::read(patterns).and_then(dockerfile::ignore::Matcher::new) else {
        return;
    };
    for path in String::from_utf8_lossy(paths).split(['\0', '\n']).take(20) {
        let mut parent = dockerfile::ignore::Parent::default();
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            parent = matcher.matches_in(&path[..at], &parent).1;
        }
        assert_eq!(matcher.matches_in(path, &parent).0, matcher.matches(path), "{path:?}");
    }
}

fn flag_values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = flags::go::parse_bool(text);
    let _ = flags::go::parse_int(text);
    let _ = flags::go::parse_uint(text, 16);
    let _ = flags::go::parse_float(text);
    let _ = flags::go::parse_duration(text);
    let _ = flags::go::parse_bytes(text);
    let _ = flags::go::split_csv(text);
    let _ = flags::go::quote(text);
}

/// Dockerfile instructions for an image's configuration: what they make of it can be written and read again.
fn image_changes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut config = oci::image::ContainerConfig::default();
    let changes: Vec<String> = text.split('\0').map(str::to_owned).collect();
    if engine::images::changes::apply(&mut config, &changes).is_ok() {
        let written = serde_json::to_vec(&config).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<oci::image::ContainerConfig>(&written).ok(), Some(config));
    }
}

/// A layer from a stranger, kept by either driver in a folder of its own: nothing may appear beside that folder, both
/// drivers take the same layers, and what the index's writer wrote the kernel mounts and reads back as it was unpacked.
fn layer_tar(bytes: &[u8]) {
    let Ok(scratch) = tempfile::tempdir() else { return };
    let root = scratch.path().join("root");
    let taken = [layers::Choice::Overlay, layers::Choice::Erofs].map(|choice| {
        let store =
            layers::LayerStore::open(&root.join(format!("{choice:?}")), choice, layers::Limits::default())
                .ok()?;
        let layer = store.apply(bytes, None).ok()?;
        match store.mount_read_only(std::slice::from_ref(&layer.diff_id)) {
            Ok(mounted) => Some((layer, tree(&mounted))),
            Err(error) => panic!("{choice:?} took a layer that can't be mounted: {error:?}"),
        }
    });
    assert_eq!(taken[0], taken[1], "the drivers disagree");
    let beside = std::fs::read_dir(scratch.path()).into_iter().flatten().flatten();
    // Where the corpus' links and absolute names point.
    assert!(!std::path::Path::new("/tmp/kt-escape").exists(), "a layer wrote to the host");
    assert!(beside.map(|entry| entry.path()).all(|path| path == root), "a layer escaped its folder");
}

/// Names, modes, owners and content below a directory.
fn tree(root: &OwnedFd) -> Vec<(PathBuf, u32, u32, Vec<u8>)> {
    let base = PathBuf::from(format!("/proc/self/fd/{}/", root.as_raw_fd()));
    let (mut seen, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(path) = waiting.pop() {
        let full = base.join(&path);
        let entries = std::fs::read_dir(&full).into_iter().flatten().flatten();
        for entry in entries {
            let path = path.join(entry.file_name());
            let Ok(meta) = entry.metadata() else { continue };
            let content = match meta.file_type() {
                kind if kind.is_symlink() => {
                    let target = std::fs::read_link(entry.path()).unwrap_or_default();
                    target.into_os_string().into_encoded_bytes()
                }
                kind if kind.is_file() => std::fs::read(entry.path()).unwrap_or_default(),
                kind => {
                    waiting.extend(kind.is_dir().then(|| path.clone()));
                    Vec::new()
                }
            };
            seen.push((path, meta.mode(), meta.uid(), content));
        }
    }
    seen.sort();
    seen
}

fn shim_frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((message, taken))) = shim::protocol::decode::<shim::protocol::FromShim>(rest) {
        let again = shim::protocol::encode(&message).and_then(|frame| shim::protocol::decode(&frame));
        assert!(again.is_ok_and(|again| again.is_some_and(|(same, _)| message == same)));
        rest = rest.get(taken..).unwrap_or_default();
    }
    let _ = shim::protocol::receive::<shim::protocol::ToShim>(bytes);
}

/// Small changes by chance, the same for the same seed: what libFuzzer does first, without its feedback.
pub struct Mutator(u64);

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or_default() % end.max(1)
    }

    /// One to four changes somewhere.
    pub fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        const WORDS: &[&[u8]] = &[
            b"0",
            b"-1",
            b"../",
            b"/",
            b"\0",
            b"\xff",
            b"null",
            b"[[[[",
            b"{}",
            b"\"",
            b".wh.",
            b"18446744073709551616",
        ];
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(64)).min(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => {
                let copy = bytes[at.min(end)..end].to_vec();
                let to = self.below(bytes.len());
                drop(bytes.splice(to..to, copy));
            }
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(bytes.splice(at..at, word.iter().copied()));
            }
            4 => {
                // A whole block of a tar, or what stands for one.
                let block = at / 512 * 512;
                let copy = bytes[block..(block + 512).min(bytes.len())].to_vec();
                let to = self.below(bytes.len()) / 512 * 512;
                drop(bytes.splice(to..to, copy));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = byte.wrapping_add(1 << self.below(8));
                }
            }
        }
    }
}

/// Makes the checksums of a tar's headers right again, so that a change is not stopped at the first gate.
pub fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}
