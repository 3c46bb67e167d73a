//! Where output goes: the log, clients that read and clients that don't.

use std::io::Read;

use shim::LogConfig;

use crate::fixture::{Fixture, read_frames};

#[test]
fn the_log_is_in_docker_s_format() {
    let container = Fixture::new(&["sh", "-c", "printf 'a\\tb\\n<&>\\nno newline'"]);
    container.run();
    let text = container.log_text();
    let logs: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let logged: Vec<_> = logs.iter().map(|l| l["log"].as_str().unwrap()).collect();
    assert_eq!(logged, ["a\tb\n", "<&>\n", "no newline"]);
    assert!(text.starts_with(r#"{"log":"a\u0009b\n","stream":"stdout","time":"20"#), "{text}");
}

#[test]
fn a_log_is_rotated_and_bounded() {
    let mut container = Fixture::new(&["sh", "-c", "seq 1 2000"]);
    if let Some(config) = &mut container.log.file {
        (config.max_size, config.max_files) = (10_000, 3);
    }
    let (stdout, ..) = container.run();
    assert_eq!(stdout.lines().count(), 2000);
    let sizes =
        ["log", "log.1", "log.2"].map(|n| container.container_dir().join(n).metadata().unwrap().len());
    assert!(sizes.iter().all(|size| *size <= 10_000), "{sizes:?}");
    assert!(!container.container_dir().join("log.3").exists());
    assert!(container.log_text().contains("2000\\n"));
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_the_container_up_and_loses_nothing() {
    let mut container = Fixture::new(&["dd", "if=/dev/zero", "bs=64k", "count=320"]);
    container.log = LogConfig::default();
    let running = container.create();
    let mut slow = running.attach(false);
    running.start();
    // The container ends although its client has read nothing of 20 MiB.
    assert_eq!(running.wait().code, 0);
    let (mut count, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match slow.read(&mut buffer).unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(count > 20 << 20, "{count}");
    running.end();
}

#[test]
fn several_clients_get_the_same() {
    let container = Fixture::new(&["seq", "1", "3000"]);
    let running = container.create();
    let clients = [running.attach(false), running.attach(false)];
    running.start();
    let texts = clients.map(|client| read_frames(client).0);
    assert_eq!(texts[0].lines().count(), 3000);
    assert_eq!(texts[0], texts[1]);
    running.wait();
    running.end();
}
