//! `RUN --device`: what steps may have of the host's devices, and who has to allow it.

use serde_json::json;
use testkit::Engine;
use testkit::command::run;

use super::Context;

/// An engine with devices that do nothing, which it lets builds have or not.
fn engine(devices: bool) -> Engine {
    let described = json!({
        "cdiVersion": "0.6.0", "kind": "ketch.test/gpu",
        "containerEdits": {"env": ["ALL=devices"]},
        "devices": [
            {"name": "0", "annotations": {"org.mobyproject.buildkit.device.class": "fast"},
                "containerEdits": {"env": ["GPU=zero"], "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/zero"}]}},
            {"name": "1", "containerEdits": {"env": ["GPU=one"]}},
            {"name": "free", "annotations": {"org.mobyproject.buildkit.device.autoallow": "true"},
                "containerEdits": {"env": ["GPU=free"]}},
        ],
    });
    Engine::planned(|plan, scratch| {
        let file = scratch.write("cdi/test.json", described.to_string());
        let folder = file.parent().expect("a folder").display().to_string();
        let builder = json!({
            "cdi-spec-dirs": [folder],
            "builder": {"entitlements": {"device": devices, "security-insecure": true}},
        });
        plan.config(scratch, &builder)
    })
    .with_plugins()
}

// covers: dockerfile flag RUN --device string, repeatable
// covers: dockerfile flag-value RUN --device=name[,required] CDI device name; required=true|false
// covers: buildkit entitlement SolveRequest.Entitlements device
// covers: daemon config-key builder.Entitlements.device
// covers: buildkit llb-cap LLBCaps exec.meta.cdi
#[test]
fn a_step_has_the_devices_that_are_allowed() {
    let engine = engine(true);
    engine.busybox();
    let context = Context::new(&engine, "d", "FROM scratch\n");
    // The device that is asked for; what the client allows; what the step has, or why it isn't done.
    let cases: &[(&str, &[&str], Result<&str, &str>)] = &[
        ("ketch.test/gpu=0", &["--allow=device"], Ok("devices zero 00")),
        ("ketch.test/gpu=0,required", &["--allow=device=ketch.test/gpu=0"], Ok("devices zero 00")),
        (
            "name=ketch.test/gpu=1",
            &["--allow=device=ketch.test/gpu"],
            Err("device ketch.test/gpu=1 is requested by the build but not allowed"),
        ),
        ("ketch.test/gpu", &["--allow=device=ketch.test/gpu=0"], Ok("devices zero 00")),
        ("ketch.test/gpu=fast", &["--allow=device=ketch.test/gpu=*"], Ok("devices zero 00")),
        ("card", &["--allow=device=ketch.test/gpu=0,alias=card"], Ok("devices zero 00")),
        ("ketch.test/gpu=free", &[], Ok("devices free")),
        ("ketch.test/gpu=none", &[], Ok("")),
        ("ketch.test/gpu=0", &[], Err("device ketch.test/gpu=0 is requested by the build but not allowed")),
        (
            "ketch.test/gpu=*",
            &["--allow=device=ketch.test/gpu=0"],
            Err("device ketch.test/gpu=1 is requested by the build but not allowed"),
        ),
        (
            "ketch.test/gpu=*",
            &[],
            Err("devices ketch.test/gpu=0, ketch.test/gpu=1 are requested by the build but not allowed"),
        ),
        (
            "ketch.test/gpu=none,required=true",
            &["--allow=device"],
            Err("required device \"ketch.test/gpu=none\" is not registered"),
        ),
        (
            "ketch.test/gpu=0",
            &["--allow=device=ketch.test/gpu=none"],
            Err("required device \"ketch.test/gpu=none\" is not registered"),
        ),
        ("zero", &["--allow=device"], Err("invalid device \"zero\"")),
        (
            "ketch.test/gpu=0",
            &["--allow=device=ketch.test/gpu=0,colour=red"],
            Err("unknown device config key \"colour\""),
        ),
        ("ketch.test/gpu=0", &["--allow=device=ketch.test/gpu=0,red"], Err("invalid device config \"red\"")),
        ("ketch.test/gpu=0", &["--allow=devices"], Err("unknown entitlement devices")),
    ];
    let script = "echo $ALL $GPU $(test -c /dev/gpu0 && head -c 1 /dev/gpu0 | od -An -tx1) > /seen";
    for (device, allowed, expected) in cases {
        context.dockerfile(
            &engine,
            &format!("FROM BASE AS a\nRUN --device={device} {script}\nFROM scratch\nCOPY --from=a /seen /\n"),
        );
        let clients = [engine.ketch_command(), engine.docker_command()];
        for (mut command, words) in clients.into_iter().zip(["build", "buildx build"]) {
            command
                .args(words.split(' '))
                .args(*allowed)
                .args(["--output=out", "."])
                .current_dir(context.path());
            let said = run(&mut command);
            match expected {
                Ok(seen) => {
                    said.assert_code(0);
                    let found = std::fs::read_to_string(context.path().join("out/seen")).unwrap();
                    assert_eq!(
                        found.split_whitespace().collect::<Vec<_>>().join(" "),
                        *seen,
                        "{device} {allowed:?}"
                    );
                }
                // buildx reads some of it itself.
                Err(_) if words != "build" && said.stderr.contains("ERROR: invalid") => {}
                Err(why) => {
                    assert!(
                        said.code != 0 && said.stderr.contains(why),
                        "{words} {device} {allowed:?}: {}",
                        said.stderr
                    );
                }
            }
        }
    }
}

/// What was made without a device that may be absent isn't what is made with it.
#[test]
fn a_device_that_appears_is_a_change() {
    let engine = engine(true);
    engine.busybox();
    let context = Context::new(
        &engine,
        "d",
        "FROM BASE AS a\nRUN --device=ketch.test/late env > /seen\nFROM scratch\nCOPY --from=a /seen /\n",
    );
    let seen = || {
        let mut command = engine.ketch_command();
        command.args(["build", "--allow=device", "--output=out", "."]).current_dir(context.path());
        run(&mut command).ok();
        std::fs::read_to_string(context.path().join("out/seen")).unwrap().contains("LATE=yes")
    };
    assert!(!seen());
    let late = json!({"cdiVersion": "0.6.0", "kind": "ketch.test/late",
        "devices": [{"name": "one", "containerEdits": {"env": ["LATE=yes"]}}]});
    engine.scratch().write("cdi/late.json", late.to_string());
    assert!(seen());
}

// covers: buildkit llb-cap LLBCaps exec.meta.security.devices.v1
#[test]
fn what_is_insecure_has_devices_and_an_engine_may_have_none_for_builds() {
    let engine = engine(false);
    engine.busybox();
    let context = Context::new(
        &engine,
        "d",
        "FROM BASE\nRUN --security=insecure mknod /tmp/zero c 1 5 && test $(head -c 3 /tmp/zero | wc -c) = 3 && rm /tmp/zero\n",
    );
    for (allowed, expected) in [
        ("security.insecure", Ok(())),
        ("device", Err("granting entitlement device is not allowed by build daemon configuration")),
    ] {
        let mut command = engine.docker_command();
        command.args(["buildx", "build", &format!("--allow={allowed}"), "."]).current_dir(context.path());
        let said = run(&mut command);
        match expected {
            Ok(()) => drop(said.assert_code(0)),
            Err(why) => assert!(said.code != 0 && said.stderr.contains(why), "{}", said.stderr),
        }
    }
}

#[test]
fn a_builder_tells_of_its_devices() {
    let engine = engine(true);
    // But for blanks: Go's columns are as wide as their neighbours.
    let told = |mut command: std::process::Command| -> Vec<String> {
        let said = run(command.args(["buildx", "inspect"])).ok();
        let start = said.find("Devices:").unwrap_or_else(|| panic!("{said}"));
        let lines = said[start..].lines().skip(1).take_while(|line| line.starts_with(' '));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let (ours, theirs) = (told(engine.ketch_command()), told(engine.docker_command()));
    assert_eq!(ours, theirs);
    assert!(ours.contains(&"Name: ketch.test/gpu=free".to_owned()), "{ours:?}");
}
