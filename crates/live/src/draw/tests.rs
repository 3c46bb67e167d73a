use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::curves::Sample;
use crate::keys::keys;

fn drawn(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let text = terminal.backend().to_string();
    // Without the quotes that it puts around each line, and what is blank at its end.
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end().to_owned() + "\n");
    lines.collect()
}

fn thing(name: &str, life: Option<Life>, rest: &[&str]) -> Thing {
    let cells = std::iter::once(name).chain(rest.iter().copied()).map(str::to_owned).collect();
    Thing { key: name.to_owned(), name: name.to_owned(), life, cells }
}

fn view() -> View {
    let mut view = View::new(|bytes| format!("{bytes:.0}B"), true);
    let web = ["Up 3 minutes", "12.00%", "3.1MiB", "app:1", "1kB / 2kB", "0B / 0B", "0.0.0.0:8080->80/tcp"];
    let db = ["Exited (0) 2 hours ago", "", "", "postgres:17", "", "", ""];
    view.set(
        Room::Containers,
        vec![thing("web", Some(Life::Running), &web), thing("db", Some(Life::Stopped), &db)],
    );
    for (at, used) in [(0.0, 0.0), (1.0, 50.0), (2.0, 100.0), (3.0, 25.0)] {
        view.sample("web", Sample { at, processor: used, memory: 1000.0, network: at * 10.0, disk: 0.0 });
    }
    view
}

fn pressed(text: &str) -> View {
    let mut view = view();
    for key in keys(text.as_bytes()) {
        view.press(key);
    }
    view
}

#[test]
fn containers_and_their_curves() {
    insta::assert_snapshot!(drawn(&view(), 120, 16));
}

#[test]
fn a_narrow_and_a_low_screen() {
    insta::assert_snapshot!(drawn(&view(), 44, 9));
}

#[test]
fn a_question_and_an_answer() {
    insta::assert_snapshot!(drawn(&pressed("jd"), 80, 6));
    let mut failed = view();
    failed.fail("db is needed by web".into());
    assert!(drawn(&failed, 80, 6).ends_with("db is needed by web\n"));
}

#[test]
fn a_log() {
    let mut view = pressed("l");
    view.log("web", "one\n\x1b[31mtwo\x1b[0m\nthree\nfour\n");
    insta::assert_snapshot!(drawn(&view, 30, 7));
}

#[test]
fn other_lists_and_help() {
    insta::assert_snapshot!(drawn(&pressed("2"), 80, 5));
    insta::assert_snapshot!(drawn(&pressed("?"), 80, 14));
}

#[test]
fn no_screen_is_too_small() {
    for (width, height) in [(1, 1), (2, 2), (5, 3), (10, 14), (300, 1)] {
        for text in ["", "l", "?", "d", "2", "/x"] {
            drawn(&pressed(text), width, height);
        }
    }
}
