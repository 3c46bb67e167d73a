//! Log drivers that send lines elsewhere, with a listener of the test as the other end.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

use crate::logs::{docker_logs, made, ran};

const SCRIPT: &str = "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf end";

fn datagrams(socket: &UnixDatagram, count: usize) -> Vec<String> {
    socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    let mut buffer = vec![0; 100_000];
    let mut next = || {
        let length = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    (0..count).map(|_| next()).collect()
}

fn udp() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    let port = socket.local_addr().expect("its address").port();
    (socket, port)
}

fn tcp() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("its address"));
    (listener, address)
}

fn id(engine: &Engine, name: &str) -> String {
    crate::life::inspected(engine, name)["Id"].as_str().expect("an id").to_owned()
}

/// Without the shim's process id and the time.
fn plain(message: &str) -> String {
    let (head, text) = message.split_once("]: ").expect("a process id");
    let (head, _) = head.rsplit_once('[').expect("a tag before it");
    let (priority, rest) = head.split_once('>').expect("a priority");
    format!("{priority}> {} {text}", rest.get(16..).unwrap_or_default())
}

// covers: value log-driver --log-driver syslog
// covers: value log-opt syslog syslog-address
// covers: value log-opt syslog syslog-facility
// covers: value log-opt syslog syslog-format
// covers: cli docker logs
#[test]
fn syslog_gets_each_line_and_logs_still_shows_them() {
    let engine = Engine::ours();
    let path = engine.scratch().join("syslog.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let options = json!({"syslog-address": format!("unixgram://{}", path.display())});
    let name = ran(&engine, "syslog", &options, SCRIPT);
    let short = id(&engine, &name)[..12].to_owned();
    let said: Vec<_> = datagrams(&socket, 3).iter().map(|text| plain(text)).collect();
    assert_eq!(
        said,
        [format!("<30> {short} out\n"), format!("<27> {short} err\n"), format!("<30> {short} end\n")]
    );
    assert_eq!(docker_logs(&engine, &[&name]), "out\nend");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = json!({
        "syslog-address": format!("tcp://{}", listener.local_addr().unwrap()), "syslog-facility": "local3",
        "syslog-format": "rfc5424micro", "tag": "{{.Name}}",
    });
    let name = ran(&engine, "syslog", &options, SCRIPT);
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("<158>1 20") && lines[1].starts_with("<155>1 20"), "{text}");
    for (line, word) in lines.iter().zip(["out", "err", "end"]) {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!((words[3], words[5], words[6], words[7]), (&name[..], &name[..], "-", word), "{line}");
    }
}

// covers: value log-driver --log-driver gelf
// covers: value log-opt gelf gelf-address
// covers: value log-opt gelf gelf-compression-type
// covers: value log-opt gelf gelf-compression-level
// covers: value log-opt gelf gelf-tcp-max-reconnect
// covers: value log-opt gelf gelf-tcp-reconnect-delay
#[test]
fn gelf_gets_documents_in_datagrams_or_over_a_stream() {
    let engine = Engine::ours();
    let (socket, port) = udp();
    let options = json!({
        "gelf-address": format!("udp://127.0.0.1:{port}"), "gelf-compression-type": "none", "labels": "role",
    });
    let name = ran(&engine, "gelf", &options, SCRIPT);
    let mut buffer = [0; 2000];
    for (word, level) in [("out", 6), ("err", 3), ("end", 6)] {
        let length = socket.recv(&mut buffer).unwrap();
        let document: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        let found = ["version", "short_message", "level", "_container_name", "_role", "_image_name"]
            .map(|key| document[key].clone());
        let expected =
            [json!("1.1"), json!(word), json!(level), json!(name), json!("web"), json!(engine.busybox())];
        assert_eq!(found, expected, "{document}");
        assert!(document["timestamp"].as_f64().unwrap() > 1.6e9, "{document}");
    }
    let options = json!({
        "gelf-address": format!("udp://127.0.0.1:{port}"), "gelf-compression-level": "9",
        "gelf-compression-type": "gzip", "env": "STAGE",
    });
    ran(&engine, "gelf", &options, "echo packed");
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..2], [0x1f, 0x8b], "{:?}", &buffer[..length]);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = json!({
        "gelf-address": format!("tcp://{}", listener.local_addr().unwrap()),
        "gelf-tcp-max-reconnect": "2", "gelf-tcp-reconnect-delay": "0",
    });
    let name = ran(&engine, "gelf", &options, SCRIPT);
    let mut bytes = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.split(|byte| *byte == 0).count(), 4, "three documents, each with a zero behind it");
    assert_eq!(docker_logs(&engine, &[&name]), "out\nend");
}

// covers: value log-driver --log-driver fluentd
// covers: value log-opt fluentd fluentd-address
// covers: value log-opt fluentd fluentd-sub-second-precision
// covers: value log-opt fluentd fluentd-async
// covers: value log-opt fluentd fluentd-buffer-limit
// covers: value log-opt fluentd fluentd-max-retries
// covers: value log-opt fluentd fluentd-retry-wait
#[test]
fn fluentd_gets_events_also_if_it_comes_later() {
    let engine = Engine::ours();
    let path = engine.scratch().join("fluent.sock");
    let address = format!("unix://{}", path.display());
    let listener = UnixListener::bind(&path).unwrap();
    let options = json!({"fluentd-address": address, "tag": "docker.{{.Name}}", "labels": "role"});
    let name = ran(&engine, "fluentd", &options, "echo out");
    let mut bytes = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for word in
        [&format!("docker.{name}"), "container_id", &format!("/{name}"), "stdout", "log\u{fffd}out", "role"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    drop(listener);
    std::fs::remove_file(&path).unwrap();

    let options = json!({
        "fluentd-address": address, "fluentd-async": "true", "fluentd-retry-wait": "20ms",
        "fluentd-max-retries": "10000", "fluentd-buffer-limit": "1m", "fluentd-sub-second-precision": "true",
    });
    let name = made(&engine, "fluentd", &options, "echo early; read x");
    let config = crate::life::inspected(&engine, &name)["HostConfig"]["LogConfig"]["Config"].clone();
    assert_eq!(config, options);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = listener.accept().unwrap().0;
    let mut event = Vec::new();
    stream.read_to_end(&mut event).unwrap();
    assert!(String::from_utf8_lossy(&event).contains("early"));
}

// covers: value log-driver --log-driver journald
#[test]
fn journald_gets_fields_by_its_own_protocol() {
    let mut journal = None;
    let engine = Engine::planned(|plan, scratch| {
        let folder = scratch.join("journal");
        std::fs::create_dir_all(&folder).expect("a folder");
        journal = UnixDatagram::bind(folder.join("socket")).ok();
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
        plan.under(&["unshare", "-m", "sh", "-c", script, &folder.to_string_lossy()])
    });
    let options = json!({"labels": "role,com.example.tier", "env": "STAGE", "tag": "t-{{.Name}}"});
    let name = ran(&engine, "journald", &options, SCRIPT);
    let entries = datagrams(&journal.unwrap(), 3);
    let tag = format!("t-{name}");
    for (entry, (text, priority, ordinal)) in
        entries.iter().zip([("out", 6, 1), ("err", 3, 2), ("end", 6, 3)])
    {
        for field in [
            format!("MESSAGE={text}"),
            format!("PRIORITY={priority}"),
            format!("CONTAINER_NAME={name}"),
            format!("CONTAINER_ID_FULL={}", id(&engine, &name)),
            format!("CONTAINER_TAG={tag}"),
            format!("SYSLOG_IDENTIFIER={tag}"),
            format!("IMAGE_NAME={}", engine.busybox()),
            format!("CONTAINER_LOG_ORDINAL={ordinal}"),
            "ROLE=web".into(),
            "COM_EXAMPLE_TIER=a b".into(),
            "STAGE=test".into(),
        ] {
            assert!(entry.lines().any(|line| line == field), "{field}: {entry}");
        }
    }
    assert!(entries[2].contains("CONTAINER_PARTIAL_MESSAGE=true"), "a line without its end: {}", entries[2]);
    assert_eq!(docker_logs(&engine, &[&name]), "out\nend");
}

#[test]
fn a_server_that_is_not_there_fails_the_start_and_says_which() {
    let engine = Engine::ours();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (driver, options, why) in [
        (
            "syslog",
            json!({"syslog-address": format!("tcp://{free}")}),
            format!("dial tcp {free}: connect: connection refused"),
        ),
        (
            "fluentd",
            json!({"fluentd-address": free.to_string()}),
            format!("dial tcp {free}: connect: connection refused"),
        ),
        (
            "gelf",
            json!({"gelf-address": "tcp://nowhere.invalid:1"}),
            "cannot find the log server nowhere.invalid".into(),
        ),
        (
            "syslog",
            json!({"syslog-address": "unix:///no/such"}),
            "dial unix /no/such: connect: no such file".into(),
        ),
        ("journald", json!({}), "journald is not enabled on this host".into()),
    ] {
        let name = made(&engine, driver, &options, "true");
        let start = Request::new("POST", &format!("/containers/{name}/start"));
        let told = engine.request_unchecked(&start).message();
        assert!(told.contains(&why), "{driver}: {told}");
        assert_eq!(crate::life::state(&engine, &name)["Status"], "created");
        engine.delete(&format!("/containers/{name}")).expect(204);
    }
}

// covers: value log-opt (any driver) mode
// covers: value log-opt (any driver) max-buffer-size
/// A server that takes nothing holds the container up, unless that is not wanted: then lines are lost.
#[test]
fn who_waits_for_a_slow_server_is_a_matter_of_the_mode() {
    let engine = Engine::ours();
    let (listener, address) = tcp();
    // Far more than sockets and buffers hold.
    let flood = "dd if=/dev/zero bs=64k count=120 2>/dev/null | tr '\\0' 'x' | fold -w 1000; echo; echo done";
    let lossy = json!({"syslog-address": address, "mode": "non-blocking", "max-buffer-size": "64k"});
    let name = ran(&engine, "syslog", &lossy, flood);
    assert!(docker_logs(&engine, &["--tail", "1", &name]).ends_with("done"));
    drop(listener);

    let (listener, address) = tcp();
    let name = made(&engine, "syslog", &json!({"syslog-address": address}), flood);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let (mut server, _) = listener.accept().unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 16];
    let mut text = Vec::new();
    // Whoever reads late gets all of it: 8 million bytes and what is said with each line.
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        received += count;
        text.extend_from_slice(&buffer[..count]);
        text.drain(..text.len().saturating_sub(200));
    }
    assert!(received > 7_800_000, "{received}");
    assert!(String::from_utf8_lossy(&text).ends_with(": done\n"));
    eventually(DEADLINE, || match crate::life::state(&engine, &name)["Status"] == "exited" {
        true => Ok(()),
        false => Err("it runs"),
    });
}

// covers: cli docker attach
#[test]
fn lines_wait_for_a_server_that_is_started_again() {
    let engine = Engine::ours();
    let path = engine.scratch().join("syslog.sock");
    let options = json!({"syslog-address": format!("unix://{}", path.display()), "tag": "t"});
    let first = UnixListener::bind(&path).unwrap();
    let config = json!({
        "Image": engine.busybox(), "Cmd": ["sh", "-c", "while read x; do echo $x; done"], "OpenStdin": true,
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "syslog", "Config": options}},
    });
    let name = engine.name("again");
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let mut attached = engine.docker_command();
    attached.args(["attach", "--sig-proxy=false", &name]);
    attached.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut attached = attached.spawn().unwrap();
    let mut input = attached.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let mut server = first.accept().unwrap().0;
    read_until(&mut server, "one\n");
    drop((server, first));
    std::fs::remove_file(&path).unwrap();
    input.write_all(b"two\nthree\n").unwrap();
    eventually(DEADLINE, || match docker_logs(&engine, &[&name]).contains("three") {
        true => Ok(()),
        false => Err("not yet"),
    });
    let second = UnixListener::bind(&path).unwrap();
    let mut server = second.accept().unwrap().0;
    let text = read_until(&mut server, "three\n");
    assert!(text.contains(": two\n"), "{text}");
    drop(input);
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    attached.wait().unwrap();
}

fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(end) {
        match stream.read(&mut buffer).expect("something to read") {
            0 => panic!("it ended with {text:?}"),
            count => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    text
}

// refuses: value log-driver --log-driver awslogs because it speaks to one vendor's service: an agent that reads json-file does it
// refuses: value log-driver --log-driver gcplogs because it speaks to one vendor's service: an agent that reads json-file does it
// refuses: value log-driver --log-driver splunk because it speaks to one vendor's service: an agent that reads json-file does it
// refuses: value log-driver --log-driver etwlogs because it exists for Windows containers only
// refuses: value log-opt awslogs awslogs-create-group because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-create-stream because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-credentials-endpoint because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-datetime-format because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-endpoint because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-force-flush-interval-seconds because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-format because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-group because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-max-buffered-events because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-multiline-pattern because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-region because its driver is not part of Ketch
// refuses: value log-opt awslogs awslogs-stream because its driver is not part of Ketch
// refuses: value log-opt gcplogs gcp-log-cmd because its driver is not part of Ketch
// refuses: value log-opt gcplogs gcp-meta-id because its driver is not part of Ketch
// refuses: value log-opt gcplogs gcp-meta-name because its driver is not part of Ketch
// refuses: value log-opt gcplogs gcp-meta-zone because its driver is not part of Ketch
// refuses: value log-opt gcplogs gcp-project because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-caname because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-capath because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-format because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-gzip because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-gzip-level because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-index because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-insecureskipverify because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-source because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-sourcetype because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-token because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-url because its driver is not part of Ketch
// refuses: value log-opt splunk splunk-verify-connection because its driver is not part of Ketch
// refuses: value log-opt syslog syslog-tls-ca-cert because a syslog daemon on the machine forwards over TLS
// refuses: value log-opt syslog syslog-tls-cert because a syslog daemon on the machine forwards over TLS
// refuses: value log-opt syslog syslog-tls-key because a syslog daemon on the machine forwards over TLS
// refuses: value log-opt syslog syslog-tls-skip-verify because a syslog daemon on the machine forwards over TLS
// refuses: value log-opt fluentd fluentd-request-ack because a Fluentd on the machine buffers and forwards
// refuses: value log-opt fluentd fluentd-async-reconnect-interval because a connection that ends is made again by itself
// refuses: value log-opt fluentd fluentd-read-timeout because in mode=non-blocking nobody waits for the server
// refuses: value log-opt fluentd fluentd-write-timeout because in mode=non-blocking nobody waits for the server
#[test]
fn what_is_not_part_of_ketch_is_refused_by_name() {
    let engine = Engine::ours();
    let refusal = |driver: &str, options: Value| {
        let config = json!({"Image": engine.busybox(), "Cmd": ["true"],
            "HostConfig": {"LogConfig": {"Type": driver, "Config": options}}});
        engine.request_unchecked(&Request::new("POST", "/containers/create").json(&config)).message()
    };
    for driver in ["awslogs", "gcplogs", "splunk", "etwlogs"] {
        let told = refusal(driver, json!({}));
        assert!(told.contains(&format!("log driver {driver} is not supported")), "{told}");
    }
    for (driver, key) in [
        ("syslog", "syslog-tls-ca-cert"),
        ("syslog", "syslog-tls-cert"),
        ("syslog", "syslog-tls-key"),
        ("syslog", "syslog-tls-skip-verify"),
        ("fluentd", "fluentd-request-ack"),
        ("fluentd", "fluentd-async-reconnect-interval"),
        ("fluentd", "fluentd-read-timeout"),
        ("fluentd", "fluentd-write-timeout"),
    ] {
        let told = refusal(driver, json!({key: "1"}));
        assert!(told.contains(&format!("log option {key} is not supported")), "{told}");
    }
}
