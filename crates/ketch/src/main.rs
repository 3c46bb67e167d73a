//! One binary, several roles: the arguments decide. Nothing but dispatch happens here.

use std::ffi::{OsStr, OsString};
use std::path::Path;

fn main() {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_else(|| "ketch".into());
    std::process::exit(dispatch(&called, words.collect()));
}

fn dispatch(called: &OsStr, words: Vec<OsString>) -> i32 {
    let name = Path::new(called).file_name().and_then(|name| name.to_str()).unwrap_or("ketch");
    if name == "dockerd" {
        return daemon::main("dockerd", words);
    }
    if name == "docker-compose" {
        return cli::main(
            OsStr::new("docker"),
            [OsString::from("compose")].into_iter().chain(words).collect(),
        );
    }
    // The names by which those that call an OCI runtime can have this one.
    if matches!(name, "ketch-runtime" | "runc") {
        return bundle::main(name, &words);
    }
    // In a container, as its first process.
    if name == "docker-init" {
        return reaper::main(&words);
    }
    match words.first().and_then(|word| word.to_str()) {
        Some("daemon") => daemon::main("ketch daemon", words[1..].to_vec()),
        Some("shim") => shim::main(&text(&words[1..])),
        Some("runtime") => bundle::main("ketch runtime", &words[1..]),
        Some("demo") => demo::main(),
        // What a process in the demo's container does: the image holds nothing but this binary.
        Some("__demo") => demo::inside(),
        Some("__routes") => show(&api::dump_routes()),
        Some("__daemon") => show(&daemon::dump_settings()),
        _ => cli::main(called, words),
    }
}

fn text(words: &[OsString]) -> Vec<String> {
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Tables for the coverage check.
fn show(table: &serde_json::Value) -> i32 {
    println!("{table}");
    0
}
