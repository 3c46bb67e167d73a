//! Creation, exits and failures; engines that come and go.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::json;
use shim::protocol::{FailureKind, FromShim, ShimState, ToShim, receive, send};
use shim::{Stdin, read_exit};

use crate::fixture::{Fixture, eventually, read_frames};

#[test]
fn output_and_exit_code_come_back() {
    let container = Fixture::new(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
    let (stdout, stderr, exit) = container.run();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "err\n"));
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (3, None, false));
    assert_eq!(read_exit(&container.container_dir()).unwrap(), Some(exit));
}

#[test]
fn a_signal_s_exit_code_is_128_and_its_number() {
    let container = Fixture::new(&["sleep", "1000"]);
    let running = container.create();
    running.start();
    running.say(&ToShim::Signal { signal: 9 });
    let exit = running.wait();
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    running.end();
}

#[test]
fn what_can_t_be_run_is_told_as_docker_tells_it() {
    for (args, cwd, kind, message) in [
        (["nope"], "/", FailureKind::NotFound, "exec: \"nope\": executable file not found in $PATH"),
        (["/nope"], "/", FailureKind::NotFound, "exec: \"/nope\": stat /nope: no such file or directory"),
        (["/etc/plain"], "/", FailureKind::NotExecutable, "exec: \"/etc/plain\": permission denied"),
        (["/etc"], "/", FailureKind::NotExecutable, "exec: \"/etc\": is a directory: permission denied"),
        (["/bin/broken"], "/", FailureKind::NotFound, "exec /bin/broken: no such file or directory"),
        (["/bin/garbage"], "/", FailureKind::NotExecutable, "exec /bin/garbage: exec format error"),
        (
            ["true"],
            "/bin/true",
            FailureKind::Setup,
            "cannot open /bin/true in the container: not a directory",
        ),
    ] {
        let mut container = Fixture::new(&args);
        container.spec["process"]["cwd"] = json!(cwd);
        let FromShim::Failed { message: said, kind: said_kind, .. } = container.failure() else {
            panic!("{args:?}")
        };
        assert_eq!((said.as_str(), said_kind), (message, kind), "{args:?}");
    }
}

#[test]
fn what_is_not_built_is_refused_by_name_and_leaves_nothing() {
    let mut container = Fixture::new(&["true"]);
    container.spec["linux"]["intelRdt"] = json!({"closID": "x"});
    let FromShim::Failed { message, .. } = container.failure() else { panic!() };
    assert_eq!(message, "linux.intelRdt is not supported");
}

#[test]
fn a_container_runs_on_without_its_engine_and_the_next_one_finds_it() {
    let container = Fixture::new(&[
        "sh",
        "-c",
        "echo before; while ! test -e /tmp/go; do true; done; echo after; exit 7",
    ]);
    let mut running = container.create();
    running.start();
    eventually(|| container.log_text().contains("before").then_some(()).ok_or(container.log_text()));
    // What happens to an engine's descriptors when it is killed.
    running.shim.control.shutdown(Shutdown::Both).unwrap();
    let (engine, hello) = running.connect();
    let FromShim::Hello { id, state: ShimState::Running { pid }, .. } = hello else { panic!("{hello:?}") };
    assert_eq!((id.as_str(), pid), (container.id.as_str(), running.pid));
    running.shim.control = engine;
    std::fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    assert_eq!(running.wait().code, 7);
    assert!(container.log_text().contains("after"));
    running.end();
}

#[test]
fn an_exit_without_any_engine_is_on_disk_and_the_shim_leaves() {
    let mut container = Fixture::new(&["sh", "-c", "read line; echo got $line; exit 5"]);
    container.stdin = Stdin::Open;
    let running = container.create();
    let mut client = running.attach(true);
    running.start();
    running.shim.control.shutdown(Shutdown::Both).unwrap();
    client.write_all(b"hello\n").unwrap();
    assert_eq!(read_frames(client).0, "got hello\n");
    sys::wait_for(&running.shim.pidfd).unwrap();
    assert_eq!(read_exit(&container.container_dir()).unwrap().unwrap().code, 5);
    assert!(container.log_text().contains(r#"{"log":"got hello\n","stream":"stdout","time":"#));
    assert!(crate::fixture::cgroups_of(&container.id).is_empty());
}

#[test]
fn standard_input_ends_with_the_client_that_had_it_once() {
    let mut container = Fixture::new(&["cat"]);
    container.stdin = Stdin::Once;
    let running = container.create();
    let mut client = running.attach(true);
    running.start();
    client.write_all(b"a line\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_frames(client).0, "a line\n");
    assert_eq!(running.wait().code, 0);
    running.end();
}

#[test]
fn a_terminal_is_the_container_s_own_and_can_be_resized() {
    let mut container = Fixture::new(&["sh", "-c", "tty; read go; stty size; ls -l /dev/console | cut -c1"]);
    container.spec["process"]["terminal"] = json!(true);
    container.stdin = Stdin::Open;
    let running = container.create();
    let mut client = running.attach(true);
    running.say(&ToShim::Resize { rows: 33, columns: 77 });
    running.start();
    client.write_all(b"go\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(
        text.contains("/dev/pts/0\r\n") && text.contains("33 77\r\n") && text.contains("c\r\n"),
        "{text}"
    );
    assert_eq!(running.wait().code, 0);
    running.end();
}

#[test]
fn requests_out_of_turn_are_refused_and_nonsense_is_hung_up_on() {
    let container = Fixture::new(&["sleep", "1000"]);
    let running = container.create();
    running.say(&ToShim::Release);
    assert!(matches!(running.hear(), FromShim::Refused { .. }));
    running.start();
    running.say(&ToShim::Start);
    assert!(matches!(running.hear(), FromShim::Refused { .. }));
    running.say(&ToShim::Signal { signal: 4000 });
    assert!(matches!(running.hear(), FromShim::Refused { .. }));
    running.say(&ToShim::Resize { rows: 1, columns: 1 });
    assert!(matches!(running.hear(), FromShim::Refused { .. }));
    let (mut stranger, _) = running.connect();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(receive::<FromShim>(&stranger).is_err());
    let (other, _) = running.connect();
    send(&other, &ToShim::Status).unwrap();
    assert!(matches!(receive(&other).unwrap(), FromShim::Hello { state: ShimState::Running { .. }, .. }));
    running.say(&ToShim::Signal { signal: 9 });
    running.wait();
    running.end();
}

#[test]
fn a_container_that_was_never_started_can_be_ended() {
    let container = Fixture::new(&["true"]);
    let running = container.create();
    running.say(&ToShim::Signal { signal: 9 });
    sys::wait_for(&running.shim.pidfd).unwrap();
    assert!(crate::fixture::cgroups_of(&container.id).is_empty());
    assert_eq!(read_exit(&container.container_dir()).unwrap(), None);
}

#[test]
fn killing_the_engine_in_mid_output_loses_neither_a_line_nor_the_exit_code() {
    let container =
        Fixture::new(&["sh", "-c", "seq 1 20000; while ! test -e /tmp/go; do true; done; echo end; exit 11"]);
    // An engine of its own, so that it can be killed as a process: it starts the shim and the container, then waits.
    let engine = container.launch_from_another_process();
    eventually(|| container.log_text().contains("20000").then_some(()).ok_or("not written yet".to_owned()));
    engine.kill();
    let stream = shim::connect(&container.run_dir()).unwrap();
    let FromShim::Hello { state: ShimState::Running { pid }, .. } = receive(&stream).unwrap() else {
        panic!()
    };
    std::fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    let FromShim::Exited(exit) = receive(&stream).unwrap() else { panic!() };
    assert_eq!((exit.code, read_exit(&container.container_dir()).unwrap()), (11, Some(exit)));
    assert_eq!(container.log_text().lines().count(), 20_001);
    send(&stream, &ToShim::Release).unwrap();
    eventually(|| {
        (!container.run_dir().join("shim.sock").exists()).then_some(()).ok_or("shim stays".to_owned())
    });
}

#[test]
fn nothing_outlives_a_container_that_shares_the_host_s_processes() {
    let mut container = Fixture::new(&["sh", "-c", "sleep 1000 & echo $!; exit 2"]);
    container.spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != "pid");
    let (stdout, _, exit) = container.run();
    assert_eq!(exit.code, 2);
    assert!(stdout.trim().parse::<u32>().unwrap() > 1);
    let state = std::fs::read_to_string(format!("/proc/{}/stat", stdout.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn clients_that_come_and_go_leave_nothing_in_the_shim() {
    let mut container = Fixture::new(&["sleep", "1000"]);
    container.stdin = Stdin::Open;
    let running = container.create();
    running.start();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", running.shim.pid)).unwrap().count();
    let before = descriptors();
    for round in 0..100 {
        let mut client = running.attach(true);
        if round % 2 == 0 {
            client.write_all(b"x").unwrap();
        }
    }
    eventually(|| {
        (descriptors() == before).then_some(()).ok_or(format!("{} then, {before} before", descriptors()))
    });
    // More than it lets in at once: those beyond are hung up on, and it lives on.
    let crowd: Vec<_> = (0..300).map(|_| shim::connect(&container.run_dir()).unwrap()).collect();
    let greeted = crowd.iter().filter(|stream| receive::<FromShim>(*stream).is_ok()).count();
    assert!((200..300).contains(&greeted), "{greeted}");
    drop(crowd);
    eventually(|| {
        (descriptors() == before).then_some(()).ok_or(format!("{} then, {before} before", descriptors()))
    });
    running.say(&ToShim::Signal { signal: 9 });
    running.wait();
    running.end();
}

#[test]
fn what_a_shim_keeps_is_lent_to_every_engine_and_given_up_with_the_container() {
    let mut container = Fixture::new(&["sh", "-c", "ls /proc/self/fd | wc -l; sleep 1000"]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    container.kept = vec![writer.into(), std::fs::File::open("/dev/null").unwrap().into()];
    let running = container.create();
    container.kept.clear();
    running.start();
    for round in ["one ", "two "] {
        let lent = shim::borrow_kept(&container.run_dir()).unwrap();
        assert_eq!(lent.len(), 2);
        rustix::io::write(&lent[0], round.as_bytes()).unwrap();
    }
    // Standard streams, and what `ls` has open itself.
    eventually(|| container.log_text().contains("\"4\\n\"").then_some(()).ok_or(container.log_text()));
    running.say(&ToShim::Signal { signal: 9 });
    running.wait();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two ", "it ends: nobody has the other end any more");
    running.end();
}

#[test]
fn what_comes_to_a_published_port_goes_on_to_the_container_and_back() {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    let inside_udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let doors = [(); 2].map(|()| TcpListener::bind("[::1]:0").unwrap());
    let door_udp = UdpSocket::bind("[::1]:0").unwrap();
    let [open, refused] = [&doors[0], &doors[1]].map(|door| door.local_addr().unwrap());
    let open_udp = door_udp.local_addr().unwrap();
    let mut container = Fixture::new(&["sh", "-c", "ls /proc/self/fd | wc -l; sleep 1000"]);
    container.relays = vec![
        shim::Relay { carries: shim::Carries::Streams, to: inside.local_addr().unwrap() },
        shim::Relay { carries: shim::Carries::Streams, to: closed },
        shim::Relay { carries: shim::Carries::Datagrams, to: inside_udp.local_addr().unwrap() },
    ];
    container.kept = doors.into_iter().map(Into::into).collect();
    container.kept.push(door_udp.into());
    let running = container.create();
    container.kept.clear();
    container.relays.clear();
    running.start();
    // Nothing of it is the container's, and none of it is lent.
    eventually(|| container.log_text().contains("\"4\\n\"").then_some(()).ok_or(container.log_text()));
    assert!(shim::borrow_kept(&container.run_dir()).unwrap().is_empty());
    let mut client = TcpStream::connect(open).unwrap();
    let (mut server, _) = inside.accept().unwrap();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).unwrap();
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answered = String::new();
    client.read_to_string(&mut answered).unwrap();
    assert_eq!((said.as_str(), answered.as_str()), ("question", "answer"));
    // Where the container doesn't listen the client is let go.
    let mut client = TcpStream::connect(refused).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    let client = UdpSocket::bind("[::1]:0").unwrap();
    client.connect(open_udp).unwrap();
    client.send(b"ping").unwrap();
    let mut buffer = [0; 8];
    let (length, between) = inside_udp.recv_from(&mut buffer).unwrap();
    inside_udp.send_to(&buffer[..length], between).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 4);
    running.say(&ToShim::Signal { signal: 9 });
    running.wait();
    assert!(TcpStream::connect(open).is_err());
    running.end();
}
