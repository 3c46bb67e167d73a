//! `--log` and `--log-format`: whoever calls a runtime reads there why it failed.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use flags::Matches;
use serde_json::json;

pub(crate) struct Log {
    path: Option<PathBuf>,
    json: bool,
    debug: bool,
}

impl Log {
    pub(crate) fn new(globals: &Matches) -> Self {
        Self {
            path: globals.find("log").map(PathBuf::from),
            json: globals.text("log-format") == "json",
            debug: globals.bool("debug"),
        }
    }

    pub(crate) fn error(&self, text: &str) {
        self.write("error", text);
    }

    pub(crate) fn warning(&self, text: &str) {
        self.write("warning", text);
    }

    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            self.write("debug", text);
        }
    }

    /// A log that can't be written is nobody's failure: the error stream has the text, too.
    fn write(&self, level: &str, text: &str) {
        let Some(path) = &self.path else { return };
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let line = match self.json {
            true => format!("{}\n", json!({"level": level, "msg": text, "time": time})),
            false => format!("time={time:?} level={level} msg={text:?}\n"),
        };
        let file = File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
