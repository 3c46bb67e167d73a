//! `POST /build` as docker's classic builder and docker-py use it.

use serde_json::{Value, json};
use testkit::Engine;
use testkit::http::{Reply, Request};
use testkit::images;

use super::{Context, classic, image, run};

fn post(engine: &Engine, query: &str, tar: &[u8]) -> Reply {
    let request =
        Request::new("POST", &format!("/build?{query}")).header("Content-Type", "application/x-tar");
    engine.request_unchecked(&request.body(tar))
}

fn documents(reply: &Reply) -> Vec<Value> {
    reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

// covers: api POST /build
// covers: api POST /build ?dockerfile
// covers: api POST /build ?t
// covers: api POST /build ?buildargs
// covers: api POST /build ?labels
// covers: api POST /build ?target
// covers: dockerfile instruction FROM
// covers: dockerfile instruction RUN
// covers: dockerfile instruction COPY
// covers: dockerfile instruction ENV
// covers: dockerfile instruction CMD
#[test]
fn a_dockerfile_becomes_an_image_that_runs() {
    let engine = Engine::isolated();
    engine.busybox();
    let text = "FROM BASE AS one\nARG WHO=nobody\nENV WHO=$WHO\nCOPY hello.txt /data/\n\
                RUN cat /data/hello.txt > /built && echo $WHO >> /built\nCMD [\"cat\", \"/built\"]\n\
                FROM one AS two\nRUN false\n";
    let context = Context::new(&engine, "context", text);
    context.file("hello.txt", "hello\n");
    let tag = engine.name("built");
    let more = ["--build-arg", "WHO=me", "--label", "a=b", "--target", "one"];
    let said = classic(&engine, &context, &tag, &more).ok();
    assert!(said.contains(&format!("Successfully tagged {tag}:latest")), "{said}");
    assert_eq!(engine.docker(["run", "--rm", "--network", "none", &tag]).ok(), "hello\nme");
    let built = image(&engine, &tag);
    assert_eq!(built["Config"]["Labels"], json!({"a": "b"}));
    assert_eq!(built["Config"]["Cmd"], json!(["cat", "/built"]));
    assert_eq!(built["RootFS"]["Layers"].as_array().unwrap().len(), 3);
}

/// The CLI puts such a file and the ignore file behind the context, and ends the tar with its last byte.
#[test]
fn a_dockerfile_from_outside_the_context_is_read() {
    let engine = Engine::isolated();
    engine.busybox();
    let context = Context::new(&engine, "context", "FROM nothing\n");
    context.file("hello.txt", "hello\n");
    let outside =
        Context::new(&engine, "outside", "FROM BASE\nCOPY . /data/\nRUN cat /data/hello.txt > /built\n");
    let (tag, file) = (engine.name("built"), outside.folder.join("Dockerfile"));
    let said = classic(&engine, &context, &tag, &["-f", &file.display().to_string()]).ok();
    assert!(said.contains(&format!("Successfully tagged {tag}:latest")), "{said}");
    assert_eq!(engine.docker(["run", "--rm", "--network", "none", &tag, "cat", "/built"]).ok(), "hello");
}

// covers: api POST /build ?q
#[test]
fn a_quiet_build_says_the_image_alone() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let tar = images::archive_of(&[("Dockerfile", format!("FROM {base}\nENV A=1\n").as_bytes())]);
    let name = engine.name("quiet");
    let reply = post(&engine, &format!("q=1&t={name}"), &tar).expect(200);
    let id = image(&engine, &name)["Id"].as_str().unwrap().to_owned();
    let said: Vec<Value> = documents(&reply);
    assert_eq!(said, [json!({ "stream": format!("{id}\n") })]);
}

#[test]
fn a_failed_step_is_told_in_the_classic_builder_s_words() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let tar =
        images::archive_of(&[("Dockerfile", format!("FROM {base}\nRUN echo out; exit 7\n").as_bytes())]);
    let reply = post(&engine, "", &tar).expect(200);
    let said = documents(&reply);
    assert!(said.contains(&json!({ "stream": "out\n" })), "{said:?}");
    let message = "The command '/bin/sh -c echo out; exit 7' returned a non-zero code: 7";
    let last = said.last().unwrap();
    assert_eq!((&last["errorDetail"]["code"], &last["error"]), (&json!(7), &json!(message)));
}

// covers: api POST /build ?version
#[test]
fn what_is_not_done_is_refused_by_name() {
    let engine = Engine::ours();
    for query in ["version=3", "outputs=x", "isolation=hyperv", "networkmode=container:x"] {
        let reply = post(&engine, query, &[]).expect(501);
        assert!(reply.message().contains(query.split(':').next().unwrap()), "{query}: {}", reply.message());
    }
}

#[test]
fn a_context_that_leads_outside_stays_inside() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY link /copied\n");
    let context = Context::new(&engine, "hostile", &text);
    context.link("link", "/etc/shadow");
    let reply = classic(&engine, &context, &engine.name("hostile"), &[]);
    reply.assert_code(1);
    let context = Context::new(
        &engine,
        "inside",
        "FROM BASE\nCOPY ../../etc/motd* /copied/\nRUN ls -a /copied || true\n",
    );
    context.file("etc/motd", "mine");
    let tag = engine.name("inside");
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "cat /copied/motd"), "mine");
}

#[test]
fn docker_py_builds() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let name = engine.name("py");
    let program = format!(
        "import docker, io\nclient = docker.from_env()\n\
         image, log = client.images.build(fileobj=io.BytesIO(b'FROM {base}\\nRUN echo hi > /x\\nCMD [\"cat\", \"/x\"]'), tag='{name}', rm=True)\n\
         print(image.tags[0])\n\
         print(client.containers.run('{name}', network_mode='none', remove=True).decode(), end='')\n"
    );
    let output = testkit::command::run(&mut engine.docker_py(&program));
    assert_eq!(output.ok(), format!("{name}:latest\nhi"));
}
