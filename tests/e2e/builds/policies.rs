//! Source policies, with both clients: what dockerd answers to the same rules.

use std::process::Command;

use serde_json::{Value, json};
use testkit::command::{Output, run};
use testkit::web::Answer;
use testkit::{Engine, Web};

use super::Context;

/// Builds under a policy, with a client of either kind.
fn build(mut command: Command, context: &Context, policy: &str) -> Output {
    context.file("policy.json", policy);
    command.env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "policy.json").current_dir(context.path());
    run(command.args([
        "buildx",
        "build",
        "--progress=plain",
        "--output=out",
        "--metadata-file=metadata",
        ".",
    ]))
}

fn rule(action: &str, identifier: &str, more: &Value) -> Value {
    let mut rule = json!({"action": action, "selector": {"identifier": identifier}});
    for (key, value) in more.as_object().into_iter().flatten() {
        match key.as_str() {
            "updates" => rule["updates"] = value.clone(),
            key => rule["selector"][key] = value.clone(),
        }
    }
    rule
}

// covers: buildkit llb-cap LLBCaps source.policy
#[test]
fn rules_decide_what_a_build_is_made_of() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let other = engine.name("other");
    engine.docker(["tag", &base, &format!("{other}:1")]).ok();
    let of = format!("docker-image://docker.io/library/{base}");
    let to = format!("docker-image://docker.io/library/{other}:1");
    let repository = of.rsplit_once(':').unwrap().0.to_owned();
    let context = Context::new(
        &engine,
        "p",
        "FROM BASE AS a\nCOPY policy.json /\nRUN cp /policy.json /seen\nFROM scratch\nCOPY --from=a /seen /\n",
    );
    let denied = |source: &str| format!("source \"{source}\" denied by policy: source denied by policy");
    let resolving = format!(
        "failed to resolve source metadata for docker.io/library/{base}: could not resolve image due to policy: "
    );
    let loading = "failed to read dockerfile: failed to load LLB: error evaluating the source policy: ";
    let turned = |to: &str| json!({"updates": {"identifier": to}});
    let cases: Vec<(Vec<Value>, Result<&str, String>)> = vec![
        (vec![], Ok(&base)),
        (vec![rule("DENY", &format!("{repository}*"), &json!({}))], Err(format!("{resolving}{}", denied(&of)))),
        // The last one that fits counts.
        (
            vec![
                rule("DENY", "docker-image://*", &json!({})),
                rule("ALLOW", &of, &json!({"match_type": "EXACT"})),
            ],
            Ok(&base),
        ),
        (vec![rule("DENY", "local://*", &json!({}))], Err(format!("{loading}{}", denied("local://dockerfile")))),
        (vec![rule("DENY", "docker-image://(", &json!({"match_type": "EXACT"}))], Ok(&base)),
        (vec![rule("CONVERT", &of, &turned(&to))], Ok(&other)),
        (
            vec![rule(
                "CONVERT",
                &format!("{}:(.*)", regex_escaped(&repository)),
                &json!({"match_type": "REGEX", "updates": {"identifier": format!("docker-image://docker.io/library/{other}:${{1}}")}}),
            )],
            Ok(&other),
        ),
        (
            vec![rule("CONVERT", &format!("{repository}:*"), &turned(&format!("docker-image://docker.io/library/{other}:${{1}}")))],
            Ok(&other),
        ),
        (
            vec![rule("CONVERT", &of, &turned(&to)), rule("CONVERT", &to, &turned(&of))],
            Err(format!("{resolving}too many mutations on a single source: too many operations")),
        ),
        (
            vec![rule("CONVERT", &of, &turned("https://example.com/x"))],
            Err(format!("ref mutated by policy to non-image: {of} -> https://example.com/x")),
        ),
        (
            vec![rule(
                "DENY",
                "local://*",
                &json!({"constraints": [{"key": "local.followpaths", "value": "Docker.*", "condition": "MATCHES"}]}),
            )],
            Err(format!("{loading}{}", denied("local://dockerfile"))),
        ),
        (
            vec![rule("DENY", "local://*", &json!({"constraints": [{"key": "local.followpaths", "value": "", "condition": "EQUAL"}]}))],
            Ok(&base),
        ),
        (
            vec![rule("DENY", &of, &json!({"constraints": [{"key": "image.resolvemode", "value": "", "condition": "NOTEQUAL"}]}))],
            Ok(&base),
        ),
        (
            vec![rule("DENY", "docker-image://**", &json!({}))],
            Err("error matching source policy: failed to translate wildcard \"docker-image://**\" to regexp: invalid wildcard: \"**\"".into()),
        ),
    ];
    for (rules, expected) in cases {
        let policy = json!({"version": 1, "rules": rules}).to_string();
        for command in [engine.ketch_command(), engine.docker_command()] {
            let said = build(command, &context, &policy);
            match &expected {
                Ok(from) => {
                    let said = said.assert_code(0);
                    assert_eq!(std::fs::read_to_string(context.path().join("out/seen")).unwrap(), policy);
                    let shown = format!("FROM docker.io/library/{from}");
                    assert!(said.stderr.contains(&shown), "{policy}: {shown}: {}", said.stderr);
                }
                Err(why) => assert!(
                    said.code != 0 && said.stderr.contains(why.as_str()),
                    "{policy}: {why}: {}",
                    said.stderr
                ),
            }
        }
    }
    for wrong in [
        "{\"rules\": [{\"action\": \"BAD\"}]}",
        "{",
        "{\"rules\": [{\"selector\": {\"matchType\": \"REGEX\"}}]}",
    ] {
        let said = build(engine.ketch_command(), &context, wrong);
        assert!(
            said.code == 1 && said.stderr.contains("failed to parse source policy"),
            "{wrong}: {}",
            said.stderr
        );
    }
    let mut absent = engine.ketch_command();
    absent
        .env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "absent")
        .args(["build", "."])
        .current_dir(context.path());
    assert!(run(&mut absent).assert_code(1).stderr.contains("failed to read source policy absent"));
}

/// A name, as an expression.
fn regex_escaped(text: &str) -> String {
    text.chars()
        .flat_map(|letter| ['.', '-', '+'].contains(&letter).then_some('\\').into_iter().chain([letter]))
        .collect()
}

/// A file of the web gets attributes, or another address.
#[test]
fn rules_reach_files_of_the_web() {
    let engine = Engine::ours().with_plugins();
    let web = Web::serve(|asked| Answer::new(200, asked.path.clone()));
    let at = |path: &str| format!("http://{}{path}", web.address());
    let context = Context::new(&engine, "w", &format!("FROM scratch\nADD {} /seen\n", at("/one")));
    let digest = |text: &str| oci::Digest::sha256(text.as_bytes()).to_string();
    let pinned = |text: &str| json!({"updates": {"attrs": {"http.checksum": digest(text)}}});
    for (rules, expected) in [
        (vec![rule("CONVERT", &at("/one"), &pinned("/one"))], Ok("/one")),
        (vec![rule("CONVERT", &at("/one"), &pinned("/two"))], Err("digest mismatch")),
        (vec![rule("CONVERT", &at("/*"), &json!({"updates": {"identifier": at("/three")}}))], Ok("/three")),
        (vec![rule("DENY", "http://*", &json!({}))], Err("denied by policy")),
    ] {
        let policy = json!({ "rules": rules }).to_string();
        for command in [engine.ketch_command(), engine.docker_command()] {
            let said = build(command, &context, &policy);
            match expected {
                Ok(seen) => {
                    said.assert_code(0);
                    assert_eq!(std::fs::read_to_string(context.path().join("out/seen")).unwrap(), seen);
                }
                Err(why) => assert!(said.code != 0 && said.stderr.contains(why), "{policy}: {}", said.stderr),
            }
        }
    }
}
