//! Pairs of projects as they are written down: each a title, the files as the difference between them, and the plan.
//!
//! ```text
//! == what changes
//!  a line of both
//! -a line of the file before
//! +a line of the file afterwards
//! @ .env
//!  a line of another file
//! > what the plan says
//! ```
//!
//! Files begin with `compose.yaml`. Besides files there are the variables of the caller (`@ $`), words of the command line
//! (`@ !`), the states of containers that don't run (`@ states`), the ids of images (`@ images`) and marks: `@ docker` for what
//! docker compose made, `@ engine` for what is tried with an engine too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One of two projects: its files, and what isn't in a file, by name.
pub(crate) type Side = BTreeMap<String, String>;

/// A pair.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) title: String,
    pub(crate) before: Side,
    pub(crate) after: Side,
    pub(crate) plan: Vec<String>,
    pub(crate) marks: Vec<String>,
}

/// What isn't a file.
const NO_FILES: [&str; 4] = ["$", "!", "states", "images"];
const MARKS: [&str; 2] = ["docker", "engine"];

impl Pair {
    pub(crate) fn is_marked(&self, mark: &str) -> bool {
        self.marks.iter().any(|one| one == mark)
    }

    /// Writes a side's files, and takes the other's away; `IMAGE` is this image.
    pub(crate) fn write(&self, side: &Side, folder: &Path, image: &str) {
        for name in self.before.keys().chain(self.after.keys()).filter(|name| !NO_FILES.contains(&&***name)) {
            let path = folder.join(name);
            match side.get(name) {
                Some(text) => {
                    fs::create_dir_all(path.parent().expect("a folder")).expect("the file's folder");
                    fs::write(path, text.replace("IMAGE", image)).expect("a file");
                }
                None => drop(fs::remove_file(path)),
            }
        }
    }
}

/// What a side says that isn't in a file, word by word.
pub(crate) fn words<'s>(side: &'s Side, name: &str) -> Vec<&'s str> {
    side.get(name).map(|text| text.split_whitespace().collect()).unwrap_or_default()
}

/// All pairs.
pub(crate) fn pairs() -> Vec<Pair> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|path| path.join("Cargo.lock").is_file());
    let folder = folder.expect("the workspace").join("crates/compose/tests/pairs");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the pairs").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let texts = files.iter().filter(|path| path.extension().is_some_and(|end| end == "txt"));
    texts.flat_map(|path| read(&fs::read_to_string(path).expect("a text"))).collect()
}

fn read(text: &str) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut file = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("== ") {
            pairs.push(Pair { title: title.to_owned(), ..Pair::default() });
            file = "compose.yaml".to_owned();
            continue;
        }
        let pair = pairs.last_mut().expect("a title before everything else");
        let (sign, rest) = line.split_at(1);
        let add = |sides: &mut [&mut Side]| {
            for side in sides {
                side.entry(file.clone()).or_default().push_str(&format!("{rest}\n"));
            }
        };
        match sign {
            " " => add(&mut [&mut pair.before, &mut pair.after]),
            "-" => add(&mut [&mut pair.before]),
            "+" => add(&mut [&mut pair.after]),
            ">" => pair.plan.push(rest.trim().to_owned()),
            "@" if MARKS.contains(&rest.trim()) => pair.marks.push(rest.trim().to_owned()),
            "@" => file = rest.trim().to_owned(),
            _ => panic!("{}: {line}", pair.title),
        }
    }
    pairs
}
