//! Strangers' messages: none ends the engine, and each is answered by a status with a text.

use buildkit::proto::control::{SolveRequest, SolveResponse};
use buildkit::proto::pb;
use buildkit::proto::pb::file_action::Action;
use grpc::{Code, Metadata};
use prost::Message as _;
use testkit::command::run;
use testkit::{DEADLINE, eventually};

use super::{Build, Definition, action, bind, builder, engine, exec, upgraded};

fn definition(operations: &[pb::Op]) -> pb::Definition {
    let def = operations.iter().map(prost::Message::encode_to_vec).collect();
    pb::Definition { def, ..pb::Definition::default() }
}

/// CVE-2024-23650 and its kin: what is absent, negative, out of range, or much too much.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_make_no_sense_are_refused() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let of = |op: pb::op::Op| {
        let mut made = Definition::default();
        let root = made.image(&base);
        let step = made.add(&[&root], op);
        made.end(&step)
    };
    let mounted = |mount: pb::Mount| {
        let mut made = exec("true");
        made.mounts.push(mount);
        of(pb::op::Op::Exec(made))
    };
    let changed = |made: pb::FileAction| of(pb::op::Op::File(pb::FileOp { actions: vec![made] }));
    let far = i64::MAX;
    let input = |digest: &str, index| pb::Input { digest: digest.into(), index };
    let garbage = pb::Definition { def: vec![vec![0xff; 100], vec![]], ..pb::Definition::default() };
    let mut nothing = exec("true");
    nothing.meta = None;
    let mut rootless = exec("true");
    rootless.mounts.clear();
    let mut twice = exec("true");
    twice.mounts.push(bind(0, "/", -1));
    let copy = pb::FileActionCopy { src: "/a".into(), dest: "/b".into(), mode: -9, ..Default::default() };
    let merge = |at| pb::op::Op::Merge(pb::MergeOp { inputs: vec![pb::MergeInput { input: at }] });
    let mut indexed = Definition::default();
    let root = indexed.image(&base);
    let wrong_output = indexed.run(&(root.0.clone(), 9), "true");
    let negative = Definition::default().end(&(root.0.clone(), -5));
    for (name, wrong) in [
        ("garbage", garbage),
        (
            "two ends",
            definition(&[pb::Op { inputs: vec![input("a", 0), input("b", 0)], ..Default::default() }]),
        ),
        (
            "an end that names nothing",
            definition(&[pb::Op { inputs: vec![input("", 0)], ..Default::default() }]),
        ),
        ("no meta", of(pb::op::Op::Exec(nothing))),
        ("no root", of(pb::op::Op::Exec(rootless))),
        ("two roots", of(pb::op::Op::Exec(twice))),
        ("an input that isn't", mounted(bind(7, "/m", -1))),
        ("a negative input", mounted(bind(-2, "/m", -1))),
        ("a far input", mounted(bind(far, "/m", -1))),
        ("a far output", mounted(bind(0, "/m", far))),
        ("an output with a gap", mounted(bind(0, "/m", 5))),
        ("a mount of no kind", mounted(pb::Mount { mount_type: 99, ..bind(0, "/m", -1) })),
        ("an action on nothing", changed(action(4, -1, 0, Action::Mkdir(Default::default())))),
        ("an action far away", changed(action(far, far, 0, Action::Mkdir(Default::default())))),
        ("a negative mode", changed(action(0, 0, 0, Action::Copy(copy)))),
        ("an action of no kind", changed(pb::FileAction { output: 0, ..Default::default() })),
        ("no actions", of(pb::op::Op::File(pb::FileOp::default()))),
        ("a merge of nothing", of(merge(3))),
        ("a merge far away", of(merge(far))),
        ("an output that isn't", indexed.end(&wrong_output)),
        ("a negative output", negative),
        (
            "a source without a scheme",
            of(pb::op::Op::Source(pb::SourceOp { identifier: "x".into(), ..Default::default() })),
        ),
    ] {
        let error = build.solve(wrong).await.expect_err(name);
        assert!(!error.message.is_empty(), "{name}");
    }
    // The same build goes on.
    let mut fine = Definition::default();
    let root = fine.image(&base);
    assert!(build.solve(fine.end(&root)).await.is_ok());
}

/// A definition names operations by their digests, so that none leads back: but there may be very many.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_are_too_large_are_refused() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    // As many as a message takes, each of two bytes.
    let empty = pb::Definition { def: vec![vec![]; 1_000_000], ..pb::Definition::default() };
    let why = build.refused(empty).await;
    assert!(why.contains("operations"), "{why}");
    let mut deep = Definition::default();
    let mut last = deep.image(&base);
    for step in 0..2_000 {
        let merge = pb::MergeOp { inputs: vec![pb::MergeInput { input: 0 }] };
        let op = pb::Op {
            inputs: vec![pb::Input { digest: last.0, index: 0 }],
            platform: Some(pb::Platform {
                os: "linux".into(),
                architecture: "amd64".into(),
                os_version: step.to_string(),
                ..Default::default()
            }),
            op: Some(pb::op::Op::Merge(merge)),
            ..pb::Op::default()
        };
        let bytes = op.encode_to_vec();
        last = (oci::Digest::sha256(&bytes).to_string(), 0);
        deep.operations.push(bytes);
    }
    // One that is only deep is built as any other.
    assert!(build.solve(deep.end(&last)).await.is_ok());
}

/// CVE-2026-33747: a name is a name, whatever is in it.
#[tokio::test(flavor = "multi_thread")]
async fn names_lead_nowhere() {
    let engine = engine();
    let channel = builder(&engine).await;
    let before =
        run(std::process::Command::new("find").arg(engine.scratch().join("")).args(["-maxdepth", "2"])).ok();
    for id in ["../../escape", "/etc/escape", "a\0b", &"x".repeat(4096), ""] {
        let request = SolveRequest { r#ref: id.into(), session: "none".into(), ..SolveRequest::default() };
        let solved: Result<SolveResponse, _> =
            channel.unary("/moby.buildkit.v1.Control/Solve", &Metadata::default(), &request).await;
        assert!(solved.is_err(), "{id:?}");
    }
    let build = Build::planned(
        &engine,
        super::Plan {
            request: SolveRequest { frontend: "dockerfile.v0".into(), ..SolveRequest::default() },
            ..super::Plan::default()
        },
    )
    .await;
    assert!(build.solving.await.unwrap().is_err());
    let after =
        run(std::process::Command::new("find").arg(engine.scratch().join("")).args(["-maxdepth", "2"])).ok();
    assert_eq!(before, after);
}

/// Connections that end anywhere, and bytes that are no protocol.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_anything_and_leave_are_forgotten() {
    use tokio::io::AsyncWriteExt as _;
    let engine = engine();
    let pid = engine.pid().unwrap();
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    drop(Build::begin(&engine).await);
    let before = descriptors();
    for round in 0..100 {
        match round % 5 {
            0 => drop(upgraded(&engine, "/grpc", &[]).await),
            1 => {
                let headers = [("X-Docker-Expose-Session-Uuid", format!("s{round}"))];
                drop(upgraded(&engine, "/session", &headers).await);
            }
            2 => {
                let mut stream = upgraded(&engine, "/grpc", &[]).await;
                let _ = stream.write_all(&vec![round; 10_000]).await;
            }
            3 => {
                let mut stream = upgraded(&engine, "/grpc", &[]).await;
                let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x04\x01").await;
            }
            _ => drop(Build::begin(&engine).await),
        }
    }
    eventually(DEADLINE, || match descriptors() {
        now if now <= before + 4 => Ok(()),
        now => Err(format!("{now} descriptors, {before} before")),
    });
    let channel = builder(&engine).await;
    let unknown: Result<SolveResponse, _> = channel
        .unary("/moby.buildkit.v1.Control/Nothing", &Metadata::default(), &SolveRequest::default())
        .await;
    assert_eq!(unknown.unwrap_err().code, Code::Unimplemented);
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// S084 (CVE-2023-44487, CVE-2023-45288): streams that are reset as soon as they are opened, and headers without end, end
/// the connection that they come on and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_http_2_end_their_connection() {
    use tokio::io::AsyncWriteExt as _;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const CONTINUATION: u8 = 9;
    const LAST: u8 = 4;
    let engine = engine();
    let peak = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid().unwrap())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    };
    drop(builder(&engine).await);
    let before = peak();
    // `POST`, `http`, and a path that is written out.
    let question = [&[0x83, 0x86, 0x44, 5][..], b"/some"].concat();
    let header = [&[0, 1][..], b"a", &[0x7f, 0x81, 0x7c], &[b'x'; 16_000]].concat();
    for endless in [false, true] {
        let mut stream = upgraded(&engine, "/grpc", &[]).await;
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
        stream.write_all(&hello).await.unwrap();
        if endless {
            stream.write_all(&frame(HEADERS, 0, 1, &question)).await.unwrap();
        }
        let mut ended = None;
        for number in 0..200_000_u32 {
            let wave = match endless {
                true => frame(CONTINUATION, 0, 1, &header),
                false => {
                    let id = 2 * number + 1;
                    [frame(HEADERS, LAST, id, &question), frame(RESET, 0, id, &[0, 0, 0, 8])].concat()
                }
            };
            if stream.write_all(&wave).await.is_err() {
                ended = Some(number);
                break;
            }
        }
        let ended = ended.unwrap_or_else(|| panic!("nobody ends it (endless: {endless})"));
        println!("ended after {ended} (endless: {endless})");
    }
    assert!(peak() < before + (32 << 10), "{} kB, {before} kB before", peak());
    let pong = engine.request_unchecked(&testkit::http::Request::new("GET", "/_ping"));
    pong.expect(200);
}
