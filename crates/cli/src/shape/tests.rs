//! Command lines of `run`, and the JSON that they become.

use std::ffi::OsString;

use flags::{Matches, Outcome};
use serde_json::{Value, json};

use super::{attached, container};
use crate::error::Error;
use crate::tree::ROOT;

fn matches(line: &str) -> Matches {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    match flags::parse("docker", &ROOT, &words) {
        Ok(Outcome::Run(invocation)) => invocation.matches,
        Ok(Outcome::Help(_)) => panic!("{line} shows help"),
        Err(error) => panic!("{}", error.render()),
    }
}

fn body(line: &str) -> Result<Value, Error> {
    let flags = matches(line);
    let detach = flags.bool("detach");
    container(&flags, attached(&flags, detach)?, detach)
}

#[test]
fn a_plain_run_says_nothing_that_was_not_asked_for() {
    let expected = json!({
        "Image": "busybox",
        "Cmd": ["echo", "-n", "hi"],
        "AttachStdin": false,
        "AttachStdout": true,
        "AttachStderr": true,
        "OpenStdin": false,
        "StdinOnce": false,
        "HostConfig": {},
        "NetworkingConfig": { "EndpointsConfig": {} },
    });
    assert_eq!(body("run busybox echo -n hi").unwrap(), expected);
}

#[test]
fn a_long_range_is_one_entry_until_each_port_has_to_be_named() {
    let line = "run -p 127.0.0.1:3000-3099:2000-2099/udp busybox";
    let mut body = body(line).unwrap();
    let place = |ports: &str| json!([{ "HostIp": "127.0.0.1", "HostPort": ports }]);
    assert_eq!(body["ExposedPorts"], json!({ "2000..2099/udp": {} }));
    assert_eq!(body["HostConfig"]["PortBindings"], json!({ "2000..2099/udp": place("3000..3099") }));
    assert!(super::has_port_run(&body));
    super::name_each_port(&matches(line), &mut body).unwrap();
    assert!(!super::has_port_run(&body));
    assert_eq!(body["ExposedPorts"].as_object().map(serde_json::Map::len), Some(100));
    assert_eq!(body["HostConfig"]["PortBindings"]["2042/udp"], place("3042"));
    for short in [
        "run -p 2000-2010:2000-2010 c",
        "run -p 3000-3099:80 c",
        "run -p 2000-2099 c",
        "run -p 1-99:1-99 -p 7:7 c",
    ] {
        assert!(!super::has_port_run(&self::body(short).unwrap()), "{short}");
    }
}

#[test]
fn flags_land_where_the_api_has_them() {
    let line = "run -i --rm --network none --memory 64m --cpus 0.5 -e A=1 -l x=y --entrypoint= -v /a:/b:ro -v /c \
                --tmpfs /t:size=1m --ulimit nofile=5:6 -p 127.0.0.1:80:8080/udp --cap-add ALL --init \
                --restart no --health-cmd true --health-interval 2s --device /dev/null:r i c";
    let body = body(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    let host = &body["HostConfig"];
    let pairs = [
        (&body["Env"], json!(["A=1"])),
        (&body["Labels"], json!({ "x": "y" })),
        (&body["Entrypoint"], json!([""])),
        (&body["Volumes"], json!({ "/c": {} })),
        (&body["StdinOnce"], json!(true)),
        (&body["ExposedPorts"], json!({ "8080/udp": {} })),
        (&body["Healthcheck"], json!({ "Test": ["CMD-SHELL", "true"], "Interval": 2_000_000_000 })),
        (&host["PortBindings"], json!({ "8080/udp": [{ "HostIp": "127.0.0.1", "HostPort": "80" }] })),
        (&host["Binds"], json!(["/a:/b:ro"])),
        (&host["Tmpfs"], json!({ "/t": "size=1m" })),
        (&host["Memory"], json!(64 << 20)),
        (&host["NanoCpus"], json!(500_000_000)),
        (&host["AutoRemove"], json!(true)),
        (&host["NetworkMode"], json!("none")),
        (&host["CapAdd"], json!(["ALL"])),
        (&host["Init"], json!(true)),
        (&host["Ulimits"], json!([{ "Name": "nofile", "Soft": 5, "Hard": 6 }])),
        (&host["Devices"][0]["CgroupPermissions"], json!("r")),
        (&host["RestartPolicy"], json!({ "Name": "no", "MaximumRetryCount": 0 })),
    ];
    for (found, expected) in pairs {
        assert_eq!(*found, expected);
    }
}

#[test]
fn contradictions_are_refused_in_dockers_words() {
    let error = |line: &str| body(line).unwrap_err().to_string();
    assert_eq!(error("run -d -a stdin i"), "conflicting options: cannot specify both --attach and --detach");
    assert_eq!(
        error("run --rm --restart always i"),
        "conflicting options: cannot specify both --restart and --rm"
    );
    assert_eq!(
        error("run --no-healthcheck --health-cmd x i"),
        "--no-healthcheck conflicts with --health-* options"
    );
    assert_eq!(error("run -p x:80 i"), "Invalid hostPort: x");
    assert!(error("run --disable-content-trust=false i").contains("Content Trust"));
}
