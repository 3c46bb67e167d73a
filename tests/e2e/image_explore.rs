//! `image explore`: what layers did, from any engine's archive.

use serde_json::Value;
use testkit::command::{Output, run};
use testkit::http::Request;
use testkit::{Engine, images};

fn explore(engine: &Engine, arguments: &[&str]) -> Output {
    run(engine.ketch_command().args(["image", "explore"]).args(arguments))
}

fn lines(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
}

#[test]
fn an_images_layers_tell_what_they_added_changed_and_removed() {
    let engine = Engine::ours();
    let tag = format!("{}:1", engine.name("explored"));
    let layers = [
        images::archive_of(&[("bin/tool", &[7; 3000]), ("etc/old", b"12345"), ("{odd", b"x")]),
        images::archive_of(&[("bin/tool", &[8; 4000]), ("etc/.wh.old", b""), ("new", b"123")]),
    ];
    let archive = images::archive_of_layers(&tag, &layers, &serde_json::json!({})).unwrap();
    let request =
        Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(archive);
    assert_eq!(engine.request_unchecked(&request).status(), 200);

    let shown = explore(
        &engine,
        &["--format", "{{.Layer}} {{.Added}} {{.Changed}} {{.Removed}} {{.Hidden}} {{.CreatedBy}}", &tag],
    );
    let by = format!("testkit {tag}");
    assert_eq!(shown.stdout, format!("1 3 0 0 0B {by}\n2 1 1 1 3kB {by}\n"), "{}", shown.stderr);
    let table = explore(&engine, &[&tag]);
    assert!(table.stdout.starts_with("LAYER "), "{}", table.stdout);
    assert!(
        table.stdout.ends_with("in files of 2 layers; 3kB of it (42.9%) is hidden by later layers.\n"),
        "{}",
        table.stdout
    );

    let second = lines(&explore(&engine, &["--layer", "2", "--format", "json", &tag]));
    let told: Vec<String> = second.iter().map(|line| format!("{} {}", line["Kind"], line["Path"])).collect();
    assert_eq!(told, [r#""C" "/bin/tool""#, r#""D" "/etc/old""#, r#""A" "/new""#]);
    let wasted = explore(&engine, &["--wasted", "-q", &tag]);
    assert_eq!(wasted.stdout, "/bin/tool\n/etc/old\n");

    let none = explore(&engine, &["--layer", "3", &tag]);
    assert_eq!((none.code, none.stderr.as_str()), (1, "the image has the layers 1 to 2, not 3\n"));
    let missing = explore(&engine, &["no-such-image"]);
    assert_eq!(
        (missing.code, missing.stderr.contains("No such image: no-such-image:latest")),
        (1, true),
        "{}",
        missing.stderr
    );
    engine.request(&Request::new("DELETE", &format!("/images/{tag}")));
}
