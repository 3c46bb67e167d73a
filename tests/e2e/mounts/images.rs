//! `--mount type=image`: an image's files, which nothing writes to.

use serde_json::Value;
use testkit::Engine;

use super::run;

// covers: value mount-type --mount type= image
// covers: value option-key --mount image-subpath
#[test]
fn an_image_is_mounted_whole_or_in_part_and_never_written_to() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    for ours in [true, false] {
        let mount = format!("type=image,source={image},target=/i");
        let script =
            "ls /i/bin | grep -c . && ! touch /i/x 2>/dev/null && ! touch /i/bin/x 2>/dev/null && echo kept";
        let words = ["run", "--rm", "--network", "none", "--mount", &mount, &image, "sh", "-c", script];
        let said = run(&engine, ours, &words).ok();
        assert!(said.ends_with("kept"), "{said}");
        let part = format!("type=image,src={image},dst=/tools,image-subpath=bin");
        let words = ["run", "--rm", "--network", "none", "--mount", &part, &image, "ls", "/tools/busybox"];
        assert_eq!(run(&engine, ours, &words).ok(), "/tools/busybox");
        let file = format!("type=image,source={image},target=/tool/busybox,image-subpath=bin/busybox");
        let words =
            ["run", "--rm", "--network", "none", "--mount", &file, &image, "/tool/busybox", "echo", "works"];
        assert_eq!(run(&engine, ours, &words).ok(), "works");
    }
}

#[test]
fn what_inspect_says_of_it_and_who_inherits_it() {
    let engine = Engine::isolated();
    let (image, first, second) = (engine.busybox(), engine.name("first"), engine.name("second"));
    let mount = format!("type=image,source={image},target=/i,image-subpath=bin");
    engine.docker(["create", "--name", &first, "--network", "none", "--mount", &mount, &image, "true"]).ok();
    let shown: Value =
        serde_json::from_str(&engine.docker(["inspect", "-f", "{{json .Mounts}}", &first]).ok()).unwrap();
    assert_eq!(
        (
            &shown[0]["Type"],
            &shown[0]["Name"],
            &shown[0]["Destination"],
            &shown[0]["RW"],
            &shown[0]["Propagation"]
        ),
        (&"image".into(), &image.as_str().into(), &"/i".into(), &false.into(), &"rprivate".into())
    );
    let asked = engine.docker(["inspect", "-f", "{{json .HostConfig.Mounts}}", &first]).ok();
    assert!(asked.contains("\"ImageOptions\":{\"Subpath\":\"bin\"}"), "{asked}");
    let words = [
        "run",
        "--rm",
        "--network",
        "none",
        "--name",
        &second,
        "--volumes-from",
        &first,
        &image,
        "ls",
        "/i/busybox",
    ];
    assert_eq!(run(&engine, true, &words).ok(), "/i/busybox");
    engine.docker(["rm", &first]).ok();
}

#[test]
fn its_layers_stay_for_as_long_as_a_container_mounts_it() {
    let mut engine = Engine::ours();
    let (image, name) = (engine.busybox(), engine.name("c"));
    let archive = testkit::images::archive_of(&[("only-here", b"text")]);
    let import = testkit::http::Request::new("POST", "/images/create?fromSrc=-&repo=kt-mounted&tag=1");
    engine.request(&import.body(archive)).expect(200);
    let mount = "type=image,source=kt-mounted:1,target=/i";
    let words =
        ["create", "--name", &name, "--network", "none", "--mount", mount, &image, "cat", "/i/only-here"];
    run(&engine, true, &words).ok();
    run(&engine, true, &["rmi", "kt-mounted:1"]).ok();
    let gone = run(&engine, true, &["create", "--mount", mount, &image, "true"]);
    assert_eq!(gone.code, 1, "{}", gone.stdout);
    assert!(gone.stderr.contains("No such image: kt-mounted:1"), "{}", gone.stderr);
    engine.crash_and_restart();
    assert_eq!(run(&engine, true, &["start", "-a", &name]).ok(), "text");
    let layers = || std::fs::read_dir(engine.data_root().join("layers")).into_iter().flatten().count();
    let before = layers();
    run(&engine, true, &["rm", &name]).ok();
    assert!(layers() < before, "the layer of an image that is gone stays");
}

#[test]
fn what_cannot_be_mounted_of_an_image_says_why() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    let name = engine.name("c");
    for (mount, expected) in [
        (
            "type=image,target=/i".to_owned(),
            "invalid mount config for type \"image\": field Source must not be empty",
        ),
        (
            format!("type=image,source={image},target=/i,image-subpath=../x"),
            "invalid mount config for type \"image\": subpath must be a relative path within the volume",
        ),
        (
            format!("type=image,source={image},target=/i,image-subpath=/bin"),
            "invalid mount config for type \"image\": subpath must be a relative path within the volume",
        ),
        ("type=npipe,source=x,target=/i".to_owned(), "a mount of type npipe is not supported"),
        ("type=cluster,source=x,target=/i".to_owned(), "a mount of type cluster is not supported"),
    ] {
        let refused = run(&engine, true, &["create", "--name", &name, "--mount", &mount, &image, "true"]);
        assert_ne!(refused.code, 0, "{mount}");
        assert!(refused.stderr.contains(expected), "{mount}: {}", refused.stderr);
    }
    let missing = format!("type=image,source={image},target=/i,image-subpath=no/such");
    let refused = run(
        &engine,
        true,
        &["run", "--name", &name, "--network", "none", "--mount", &missing, &image, "true"],
    );
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("no/such"), "{}", refused.stderr);
    run(&engine, true, &["rm", &name]).ok();
}
