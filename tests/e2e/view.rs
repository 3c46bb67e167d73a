//! `ketch view`: a person at a terminal sees what there is, and keys change it.

use serde_json::{Value, json};
use testkit::{DEADLINE, Engine, Terminal, command, eventually};

use crate::life::{created, inspected, runs, state};

const ROWS: u16 = 30;
const COLUMNS: u16 = 160;

/// A person who looks.
struct Looking(Terminal);

impl Looking {
    fn new(engine: &Engine) -> Self {
        let mut command = engine.ketch_command();
        let looking = Self(Terminal::start(command.env("TERM", "xterm").arg("view"), ROWS, COLUMNS));
        looking.sees("l log   e shell");
        looking
    }

    /// Waits until it stands on the screen.
    #[track_caller]
    fn sees(&self, text: &str) {
        eventually(DEADLINE, || match screen(&self.0.shown()) {
            now if now.contains(text) => Ok(()),
            now => Err(now),
        });
    }

    fn types(&mut self, keys: &str) {
        self.0.type_in(keys);
    }

    /// Only the lines with this name are shown, so that it is the one that keys mean.
    #[track_caller]
    fn means(&mut self, name: &str) {
        self.sees(name);
        self.types(&format!("/{name}\r"));
        self.sees(&format!("only lines with \"{name}\""));
    }

    /// Leaves, and finds the usual screen again.
    #[track_caller]
    fn leaves(mut self, by: &str) {
        self.types(by);
        assert_eq!(self.0.wait(), Some(0), "{}", screen(&self.0.shown()));
        assert!(self.0.shown().ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{}", self.0.shown());
    }
}

/// What a terminal shows that got all this.
fn screen(bytes: &str) -> String {
    // What was on the other screen is gone with it.
    let (_, bytes) = bytes.rsplit_once("\u{1b}[?1049").unwrap_or(("", bytes));
    let mut cells = vec![vec![' '; usize::from(COLUMNS)]; usize::from(ROWS)];
    let (mut row, mut column) = (0, 0);
    let mut pieces = bytes.split("\u{1b}[");
    pieces.next();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        if piece[end..].starts_with('H') {
            let mut place = piece[..end].split(';').map(|number| number.parse().unwrap_or(1) - 1);
            (row, column) = (place.next().unwrap_or(0), place.next().unwrap_or(0));
        }
        for character in piece.chars().skip(end + 1).filter(|c| !c.is_control()) {
            if let Some(cell) = cells.get_mut(row).and_then(|line: &mut Vec<char>| line.get_mut(column)) {
                *cell = character;
            }
            column += 1;
        }
    }
    let lines = cells.into_iter().map(|line| String::from_iter(line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Waits until the container is in this state.
#[track_caller]
fn becomes(engine: &Engine, name: &str, wanted: &str) {
    eventually(DEADLINE, || match state(engine, name) {
        now if now["Status"] == wanted => Ok(()),
        now => Err(now),
    });
}

#[test]
fn a_container_is_watched_stopped_started_and_removed() {
    let engine = Engine::isolated();
    let script = "echo said by $HOSTNAME; trap 'exit 3' TERM; while :; do i=$((i+1)); done & wait";
    let name = runs(&engine, "busy", script, &Value::Null);
    let mut person = Looking::new(&engine);
    person.means(&name);
    // Two looks, and there is a figure to draw.
    person.sees("┌CPU ");
    person.sees("█");
    person.types("s");
    becomes(&engine, &name, "exited");
    person.sees("Exited (3)");
    person.types("s");
    becomes(&engine, &name, "running");
    let started = state(&engine, &name)["StartedAt"].clone();
    person.types("r");
    eventually(DEADLINE, || match state(&engine, &name) {
        now if now["StartedAt"] != started && now["Running"] == true => Ok(()),
        now => Err(now),
    });
    person.sees("Up Less");
    person.types("p");
    becomes(&engine, &name, "paused");
    person.sees("(Paused)");
    person.types("p");
    becomes(&engine, &name, "running");
    person.types("d");
    person.sees(&format!("remove the container {name}? (y/N)"));
    person.types("n");
    person.sees("only lines");
    person.types("dy");
    eventually(DEADLINE, || match engine.ketch(["ps", "-aqf", &format!("name={name}")]).ok() {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    person.leaves("q");
}

#[test]
fn a_log_is_followed() {
    let engine = Engine::isolated();
    let script = "echo first; until [ -e /go ]; do usleep 10000; done; printf '\\033[31msecond\\033[0m\\n'; sleep 1000";
    let name = runs(&engine, "says", script, &Value::Null);
    let mut person = Looking::new(&engine);
    person.means(&name);
    person.types("\r");
    person.sees("first");
    command::run(engine.ketch_command().args(["exec", &name, "touch", "/go"])).ok();
    person.sees("second");
    person.types("q");
    person.sees("only lines");
    person.leaves("\u{3}");
}

#[test]
fn a_shell_has_the_terminal_until_it_ends() {
    let engine = Engine::isolated();
    let name = runs(&engine, "shell", "sleep 1000", &Value::Null);
    let mut person = Looking::new(&engine);
    person.means(&name);
    person.types("e");
    person.0.wait_for("/ #");
    person.types("echo in-$((40+2)); busybox stty size\n");
    person.0.wait_for("in-42");
    person.0.wait_for("30 160");
    person.types("exit\n");
    person.sees("1 Containers");
    // One that has no shell says so.
    engine.ketch(["exec", &name, "rm", "/bin/sh"]).ok();
    person.types("e");
    person.sees("/bin/sh");
    // One that doesn't run has none.
    engine.ketch(["kill", &name]).ok();
    becomes(&engine, &name, "exited");
    person.sees("Exited (137)");
    person.types("e");
    person.sees("doesn't run: s starts it");
    person.leaves("q");
}

#[test]
fn images_networks_and_volumes_are_told_with_who_uses_them() {
    let engine = Engine::isolated();
    let (volume, network) = (engine.name("data"), engine.name("net"));
    engine.ketch(["volume", "create", &volume]).ok();
    engine.ketch(["network", "create", &network]).ok();
    let name = created(&engine, "holds", "true", &json!({"Binds": [format!("{volume}:/data")]}));
    let image = inspected(&engine, &name)["Config"]["Image"].as_str().unwrap_or_default().to_owned();
    let mut person = Looking::new(&engine);
    person.types("2");
    person.sees(&image);
    person.types("4");
    person.means(&volume);
    // The engine's own words are told where something can't be.
    person.types("dy");
    person.sees("volume is in use");
    person.types("3");
    person.means(&network);
    person.types("dy");
    eventually(DEADLINE, || match engine.ketch(["network", "ls", "-qf", &format!("name={network}")]).ok() {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    person.leaves("q");
}

#[test]
fn a_view_is_nothing_for_a_pipe() {
    let engine = Engine::isolated();
    let refused = engine.ketch(["view"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("a view needs a terminal"), "{}", refused.stderr);
}
