//! What containers may ask of the kernel, asked by a program inside that makes the calls and says what came of them.

use serde_json::{Value, json};
use testkit::Engine;
use testkit::http::Request;

use crate::probe::{Call, Gate, script};

const EPERM: i32 = -1;
const EBADF: i32 = -9;
const EFAULT: i32 = -14;
const EINVAL: i32 = -22;
const ENOSYS: i32 = -38;
const ESRCH: i32 = -3;

const fn call(number: u32, args: [u64; 6]) -> Call {
    Call { gate: Gate::Wide, number, args }
}

const fn plain(number: u32) -> Call {
    call(number, [0; 6])
}

/// What each call returns in a container with these options.
fn results(engine: &Engine, host: &Value, calls: &[Call]) -> Vec<i32> {
    let name = engine.name("probe");
    let (tag, mut host) = (engine.busybox(), host.clone());
    host["NetworkMode"] = "none".into();
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script(calls)], "HostConfig": host});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let ended = engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200).json();
    let text = crate::containers::logs(engine, &name);
    assert_eq!(ended["StatusCode"], 0, "{text}");
    engine.delete(&format!("/containers/{name}")).expect(204);
    text.lines().map(|line| line.trim().parse().unwrap_or_else(|_| panic!("{text}"))).collect()
}

const UNSHARE: u32 = 272;
const NEW_USER: u64 = 0x1000_0000;

/// A call, and what a default container hears.
const DEFAULT: &[(&str, Call, i32)] = &[
    ("unshare a user namespace", call(UNSHARE, [NEW_USER, 0, 0, 0, 0, 0]), EPERM),
    ("clone into a user namespace", call(56, [NEW_USER, 0, 0, 0, 0, 0]), EPERM),
    ("clone with impossible flags and no namespace", call(56, [0x800, 0, 0, 0, 0, 0]), EINVAL),
    ("clone3, so that libraries use clone", plain(435), ENOSYS),
    ("setns", call(308, [9999, 0, 0, 0, 0, 0]), EPERM),
    ("add_key", plain(248), EPERM),
    ("request_key", plain(249), EPERM),
    ("keyctl", plain(250), EPERM),
    ("personality: Linux", call(135, [0; 6]), 0),
    ("personality: which is it", call(135, [0xffff_ffff, 0, 0, 0, 0, 0]), 0),
    ("personality: readable memory is executable", call(135, [0x40_0000, 0, 0, 0, 0, 0]), EPERM),
    ("socket: AF_VSOCK", call(41, [40, 1, 0, 0, 0, 0]), EPERM),
    ("socket: AF_ALG", call(41, [38, 5, 0, 0, 0, 0]), EPERM),
    ("socket: AF_VSOCK with a bit that the kernel drops", call(41, [0x1_0000_0028, 1, 0, 0, 0, 0]), EPERM),
    ("socket: AF_ALG with a bit that the kernel drops", call(41, [0x1_0000_0026, 5, 0, 0, 0, 0]), EPERM),
    ("socket: a type that doesn't exist", call(41, [1, 99, 0, 0, 0, 0]), EINVAL),
    ("reboot", plain(169), EPERM),
    ("mount", plain(165), EPERM),
    ("bpf", plain(321), EPERM),
    ("io_uring_setup", plain(425), EPERM),
    ("userfaultfd", plain(323), EPERM),
    ("ptrace of nobody", call(101, [16, 0x7fff_ffff, 0, 0, 0, 0]), ESRCH),
    ("close of nothing", call(3, [9999, 0, 0, 0, 0, 0]), EBADF),
    ("a call newer than the profile", plain(600), ENOSYS),
    ("x32's read", plain(0x4000_0000), ENOSYS),
    ("i386: keyctl", Call { gate: Gate::I386, number: 288, args: [0; 6] }, EPERM),
    ("i386: reboot", Call { gate: Gate::I386, number: 88, args: [0; 6] }, EPERM),
    ("i386: socket AF_VSOCK", Call { gate: Gate::I386, number: 359, args: [40, 1, 0, 0, 0, 0] }, EPERM),
    ("i386: close of nothing", Call { gate: Gate::I386, number: 6, args: [9999, 0, 0, 0, 0, 0] }, EBADF),
    ("i386: pipe to nowhere", Call { gate: Gate::I386, number: 42, args: [8, 0, 0, 0, 0, 0] }, EFAULT),
];

#[test]
fn a_container_may_call_what_docker_s_may_and_no_socket_that_reaches_out() {
    let engine = Engine::ours();
    let calls: Vec<Call> = DEFAULT.iter().map(|(_, call, _)| Call { ..*call }).collect();
    let results = results(&engine, &json!({}), &calls);
    let wrong: Vec<_> =
        DEFAULT.iter().zip(&results).filter(|((_, _, expected), got)| expected != *got).collect();
    assert!(
        wrong.is_empty() && results.len() == DEFAULT.len(),
        "{:?}",
        wrong.iter().map(|((name, _, _), got)| (name, got)).collect::<Vec<_>>()
    );
}

#[test]
fn a_capability_opens_the_calls_that_it_is_for() {
    let engine = Engine::isolated();
    let host = json!({"CapAdd": ["SYS_ADMIN"]});
    assert_eq!(results(&engine, &host, &[call(UNSHARE, [0; 6]), plain(250)]), [0, EPERM]);
    assert_eq!(results(&engine, &json!({}), &[call(UNSHARE, [0; 6])]), [EPERM]);
}

#[test]
fn a_container_may_run_without_a_profile_or_with_its_own() {
    let engine = Engine::isolated();
    // Operation 99 of keyctl doesn't exist.
    let keyctl = [call(250, [99, 0, 0, 0, 0, 0])];
    let unconfined = json!({"SecurityOpt": ["seccomp=unconfined"]});
    assert_eq!(results(&engine, &unconfined, &keyctl), [-95]);
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"name": "keyctl", "action": "SCMP_ACT_ERRNO", "errnoRet": 77, "args": [
            {"index": 0, "value": 90, "op": "SCMP_CMP_GT"}]}]}"#;
    let own = json!({"SecurityOpt": [format!("seccomp={profile}"), "no-new-privileges"]});
    assert_eq!(results(&engine, &own, &keyctl), [-77]);
}

#[test]
fn what_can_t_be_done_is_refused_before_the_container_exists() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let refused = |option: &str, status: u16| {
        let config = json!({"Image": tag, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "SecurityOpt": [option]}});
        engine.post("/containers/create", &config).expect(status).message()
    };
    assert_eq!(refused("foo=bar", 400), r#"invalid --security-opt 2: "foo=bar""#);
    assert_eq!(refused("apparmor=strict", 501), "--security-opt apparmor=strict is not supported");
    let message = refused(r#"seccomp={"syscalls":[{"name":"a","names":["b"]}]}"#, 400);
    assert!(message.starts_with("both 'name' and 'names' are specified in the seccomp profile"), "{message}");
    let notify = r#"seccomp={"defaultAction":"SCMP_ACT_NOTIFY"}"#;
    assert!(refused(notify, 400).contains("SCMP_ACT_NOTIFY and no listenerPath"));
}

// covers: daemon flag --seccomp-profile
// covers: daemon config-key seccomp-profile
#[test]
fn the_administrator_may_choose_another_profile_for_everybody() {
    const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"keyctl","action":"SCMP_ACT_ERRNO","errnoRet":78}]}"#;
    let by_flag = Engine::planned(|plan, scratch| {
        plan.arg("--seccomp-profile").arg(scratch.write("profile.json", PROFILE))
    });
    let by_key = Engine::planned(|plan, scratch| {
        let path = scratch.write("profile.json", PROFILE);
        plan.config(scratch, &json!({ "seccomp-profile": path }))
    });
    for engine in [by_flag, by_key] {
        assert_eq!(results(&engine, &json!({}), &[plain(250)]), [-78]);
        assert_eq!(results(&engine, &json!({"SecurityOpt": ["seccomp=builtin"]}), &[plain(250)]), [EPERM]);
        // The reply's shape is another test's subject.
        let info = engine.request_unchecked(&Request::new("GET", "/v1.51/info")).expect(200).json();
        let name = info["SecurityOptions"][0].as_str().unwrap_or_default();
        assert!(name.starts_with("name=seccomp,profile=/") && name.ends_with("/profile.json"), "{name}");
    }
}
