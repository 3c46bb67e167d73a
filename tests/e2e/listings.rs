//! Listings and details beside the real client: what isn't in a module of its own.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

/// A container that wrote 100 kB and ended.
fn ended_container(engine: &Engine) -> String {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let script = "dd if=/dev/zero of=/file bs=1000 count=100 2>/dev/null";
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    name
}

/// Both clients say the same. On a shared engine others may change it in between: asked again until they do.
fn assert_alike<const N: usize>(engine: &Engine, arguments: [&str; N]) -> String {
    eventually(DEADLINE, || {
        let (ours, theirs) = (engine.ketch(arguments).ok(), engine.docker(arguments).ok());
        if ours == theirs { Ok(ours) } else { Err(format!("ketch:\n{ours}\ndocker:\n{theirs}")) }
    })
}

// covers: cli docker system
// covers: cli docker system df --verbose
#[test]
fn a_verbose_df_is_told_alike_by_both_clients() {
    let engine = Engine::isolated();
    let name = ended_container(&engine);
    let text = assert_alike(&engine, ["system", "df", "--verbose"]);
    for word in [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage:",
        &name,
    ] {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
    let format = "{{range .Containers}}{{.Names}} {{.Image}} {{.Size}}\n{{end}}{{len .Images}}";
    let text = assert_alike(&engine, ["system", "df", "-v", "--format", format]);
    assert!(text.contains(&format!("{name} ")), "{text}");
    for help in [engine.ketch(["system", "--help"]).ok(), engine.docker(["system", "--help"]).ok()] {
        assert!(help.contains("Manage Docker") && help.contains("  df "), "{help}");
    }
}

// covers: field ImagesDiskUsage ActiveCount
// covers: field ImagesDiskUsage TotalCount
// covers: field ImagesDiskUsage Reclaimable
// covers: field ImagesDiskUsage TotalSize
// covers: field ImagesDiskUsage Items
// covers: field ImagesDiskUsage Items[]
// covers: field ContainersDiskUsage ActiveCount
// covers: field ContainersDiskUsage TotalCount
// covers: field ContainersDiskUsage Reclaimable
// covers: field ContainersDiskUsage TotalSize
// covers: field ContainersDiskUsage Items
// covers: field ContainersDiskUsage Items[]
// covers: field BuildCacheDiskUsage ActiveCount
// covers: field BuildCacheDiskUsage TotalCount
// covers: field BuildCacheDiskUsage Reclaimable
// covers: field BuildCacheDiskUsage TotalSize
// covers: field BuildCacheDiskUsage Items
// covers: field BuildCacheDiskUsage Items[]
// refuses: field BuildCache Parents because what steps made lies on layers by their content, and not on one another
// refuses: field BuildCache Parents[] because what steps made lies on layers by their content, and not on one another
// covers: api GET /system/df ?verbose
#[test]
fn the_newest_df_lists_items_when_asked() {
    let engine = Engine::ours();
    let name = ended_container(&engine);
    let ask = |query: &str| {
        engine.request_unchecked(&Request::new("GET", &format!("/v1.52/system/df{query}"))).expect(200).json()
    };
    let text = "FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\n";
    let file = engine.scratch().write("built/Dockerfile", text);
    let mut build = engine.ketch_command();
    testkit::command::run(build.args(["build", "-o", "type=cacheonly"]).arg(file.parent().unwrap())).ok();
    let (brief, long) = (ask(""), ask("?verbose=1"));
    let cache = &long["BuildCacheUsage"];
    assert!(brief["BuildCacheUsage"].get("Items").is_none(), "{brief}");
    let items = cache["Items"].as_array().unwrap_or_else(|| panic!("no items: {long}"));
    assert_eq!((&cache["TotalCount"], &cache["ActiveCount"]), (&json!(items.len()), &json!(0)));
    assert!(cache["TotalSize"].as_u64() > Some(0) && cache["Reclaimable"] == cache["TotalSize"], "{long}");
    assert!(items.iter().all(|item| item.get("Parents").is_none()), "{cache}");
    for (usage, key) in [("ContainersUsage", "Names"), ("ImagesUsage", "RepoTags")] {
        assert!(brief[usage].get("Items").is_none(), "{brief}");
        let items = long[usage]["Items"].as_array().unwrap_or_else(|| panic!("no items: {long}"));
        assert_eq!(json!(items.len()), long[usage]["TotalCount"]);
        assert!(items.iter().all(|item| item[key].is_array()), "{long}");
    }
    let container = &long["ContainersUsage"];
    assert!(container["TotalSize"].as_u64() >= Some(100_000), "{long}");
    assert_eq!(
        (&container["ActiveCount"], &container["Reclaimable"]),
        (&json!(0), &container["TotalSize"]),
        "it ended"
    );
    // The image is in use by the container, ended or not.
    let image = &long["ImagesUsage"];
    assert_eq!(
        (&image["TotalCount"], &image["ActiveCount"], &image["Reclaimable"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert!(image["TotalSize"].as_u64() >= Some(100_000), "{long}");
    assert!(
        long["ContainersUsage"]["Items"][0]["Names"][0].as_str().is_some_and(|n| n.ends_with(&name)),
        "{long}"
    );
}

// covers: cli docker inspect --size
#[test]
fn inspect_counts_sizes_when_asked() {
    let engine = Engine::isolated();
    let name = ended_container(&engine);
    let format = "{{.SizeRw}} {{.SizeRootFs}}";
    let text = assert_alike(&engine, ["inspect", "--size", "--format", format, &name]);
    let sizes: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(
        matches!(sizes[..], [written, whole] if (100_000..200_000).contains(&written) && whole > written),
        "{text}"
    );
    let [ours, theirs] = [engine.ketch(["inspect", &name]).ok(), engine.docker(["inspect", &name]).ok()];
    assert!(!ours.contains("SizeRw") && ours == theirs, "{ours}\n{theirs}");
}

// covers: cli docker context
// covers: cli docker context list
// covers: cli docker context list --format
// covers: cli docker context list --quiet
// covers: cli docker context ls --format
// covers: cli docker context remove
// covers: cli docker context remove --force
#[test]
fn contexts_are_listed_and_removed_by_their_other_names_too() {
    let engine = Engine::isolated();
    let host = format!("host=unix://{}", engine.socket().display());
    for name in ["one", "two"] {
        engine.ketch(["context", "create", name, "--description", "a <context>", "--docker", &host]).ok();
    }
    for arguments in [
        &["context", "list"][..],
        &["context", "list", "--format", "json"],
        &["context", "ls", "--format", "table {{.Name}}\t{{.Error}}"],
        &["context", "list", "--quiet"],
        &["context", "inspect", "one", "two", "--format", "{{.Name}} {{.Endpoints.docker.SkipTLSVerify}}"],
    ] {
        let [mut ours, mut theirs] = [engine.ketch_command(), engine.docker_command()];
        let ours = testkit::command::run(ours.args(arguments)).ok();
        assert_eq!(ours, testkit::command::run(theirs.args(arguments)).ok(), "{arguments:?}");
        assert!(ours.lines().count() >= 2, "{arguments:?}: {ours}");
    }
    engine.ketch(["context", "use", "one"]).ok();
    // The variable hides the current context from both: without it `one` is in use and needs --force.
    let without_host = |force: bool, mut command: std::process::Command| {
        command.env_remove("DOCKER_HOST").args(["context", "remove", "one"]);
        testkit::command::run(if force { command.arg("--force") } else { &mut command })
    };
    let (ours, theirs) =
        (without_host(false, engine.ketch_command()), without_host(false, engine.docker_command()));
    assert_eq!((ours.code, ours.stdout.as_str()), (theirs.code, theirs.stdout.as_str()));
    assert!(ours.code == 1 && ours.stderr.contains("in use"), "{ours:?}");
    assert_eq!(without_host(true, engine.ketch_command()).ok(), "one");
    engine.docker(["context", "remove", "two"]).ok();
    assert_eq!(engine.ketch(["context", "list", "-q"]).ok(), "default");
    let help = engine.ketch(["context", "--help"]).ok();
    assert!(help.contains("Manage contexts") && help.contains("inspect"), "{help}");
}

// covers: api GET /images/json ?all
// covers: api GET /images/json ?shared-size
// covers: api GET /images/json ?digests
// refuses: api GET /images/json ?identity because images of this version of Ketch are not signed
#[test]
fn a_listing_of_images_tells_what_is_asked_for() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let ask = |query: &str| engine.request_unchecked(&Request::new("GET", &format!("/images/json?{query}")));
    let sizes = |query: &str| {
        let list = ask(query).expect(200).json();
        let sizes = list.as_array().into_iter().flatten().map(|image| image["SharedSize"].as_i64());
        let mut sizes: Vec<i64> = sizes.map(|size| size.expect("a number")).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!((sizes("all=1&digests=1"), sizes("shared-size=1")), (vec![-1], vec![0]));
    let child = engine.name("child");
    let name = ended_container(&engine);
    engine.ketch(["commit", &name, &child]).ok();
    // Both have all of the first one's layers.
    let whole = ask("").expect(200).json().as_array().into_iter().flatten().find_map(|image| {
        let is_first = image["RepoTags"][0] == tag.as_str();
        is_first.then(|| image["Size"].as_i64())?
    });
    assert_eq!(sizes("shared-size=true"), [whole.expect("its size"); 2]);
    let refused = ask("identity=1");
    assert!(refused.status() == 501 && refused.message().contains("signed"), "{}", refused.text());
}
