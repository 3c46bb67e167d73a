//! The build cache that goes from one engine to another.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::command::{self, Output};
use testkit::{Bucket, Engine, Registry};

use super::{Context, image, run};

const TEXT: &str = "FROM BASE AS tools\nRUN cat /proc/sys/kernel/random/uuid > /tool\n\
                    FROM BASE\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid > /mark\nCOPY --from=tools /tool /tool\n";

/// An engine with the same context as all others.
fn engine() -> (Engine, Context) {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "shared", TEXT);
    context.file("a", "a");
    (engine, context)
}

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.args(["build", "--progress", "plain"]).args(more);
    command::run(command.arg(context.path()))
}

fn marks(engine: &Engine, name: &str) -> String {
    run(engine, name, "cat /tool /mark")
}

// covers: cli docker build --cache-from
// covers: cli docker build --cache-to
#[test]
fn what_one_engine_made_is_found_by_another() {
    let registry = Registry::start();
    for (mode, image_manifest) in [("max", "true"), ("min", "true"), ("max", "false")] {
        let cache = registry.name(&format!("cache:{mode}-{image_manifest}"));
        let to = format!("type=registry,ref={cache},mode={mode},image-manifest={image_manifest}");
        let from = format!("type=registry,ref={cache}");
        let (first, context) = engine();
        let name = first.name("cached");
        build(&first, &context, &["-t", &name, "--cache-to", &to]).ok();
        let made = marks(&first, &name);
        let (second, context) = engine();
        let said = build(&second, &context, &["-t", &name, "--cache-from", &from]).ok();
        if mode == "max" {
            assert_eq!(marks(&second, &name), made, "{said}");
            assert_eq!(image(&second, &name)["RootFS"], image(&first, &name)["RootFS"]);
        } else {
            // What the result needs alone is there: another stage's steps are made again.
            let mark = |made: &str| made.lines().last().map(str::to_owned);
            assert_eq!(mark(&marks(&second, &name)), mark(&made), "{said}");
            assert_ne!(marks(&second, &name), made);
        }
        // What was brought is remembered here.
        let said = build(&second, &context, &["-t", &name]).ok();
        assert!(!said.contains("importing"), "{said}");
        // A change is no hit.
        context.file("a", "b");
        build(&second, &context, &["-t", &name, "--cache-from", &from]).ok();
        assert_ne!(marks(&second, &name).lines().last(), made.lines().last());
    }
}

// covers: dockerfile builtin-arg ARG BUILDKIT_INLINE_CACHE Bool
// covers: buildkit cache-backend Cache.Exports inline
#[test]
fn an_image_carries_its_cache() {
    let registry = Registry::start();
    for how in ["--cache-to=type=inline", "--build-arg=BUILDKIT_INLINE_CACHE=1"] {
        let (first, context) = engine();
        let name = registry.name("carrying:1");
        build(&first, &context, &["-t", &name, "--push", how]).ok();
        let made = marks(&first, &name);
        let (second, context) = engine();
        let from = format!("--cache-from={name}");
        build(&second, &context, &["-t", "other:1", &from]).ok();
        assert_eq!(marks(&second, "other:1").lines().last(), made.lines().last());
    }
}

// refuses: buildkit cache-backend Cache.Imports gha because it is GitHub's own service, which only its runners reach
// refuses: buildkit cache-backend Cache.Exports gha because it is GitHub's own service, which only its runners reach
// refuses: buildkit cache-backend Cache.Imports/Exports azblob because buckets are spoken to by S3's protocol alone
// refuses: buildkit llb-cap LLBCaps cache.gha because it is GitHub's own service, which only its runners reach
// refuses: buildkit llb-cap LLBCaps cache.azblob because buckets are spoken to by S3's protocol alone
#[test]
fn a_cache_that_can_not_be_had_is_no_failure_and_one_that_is_not_known_is_refused() {
    let registry = Registry::start();
    let (engine, context) = engine();
    let missing = registry.name("missing:1");
    let said = build(&engine, &context, &["-t", "x:1", &format!("--cache-from={missing}")]).assert_code(0);
    assert!(said.stderr.contains("importing cache manifest"), "{}", said.stderr);
    for (flag, words) in [
        ("--cache-from=type=gha", "\"gha\""),
        ("--cache-to=type=gha", "\"gha\""),
        ("--cache-from=type=s3,bucket=x", "region is required for a cache of type s3"),
        ("--cache-from=type=s3,region=x", "bucket is required for a cache of type s3"),
        ("--cache-from=type=s3,bucket=x,region=y", "access_key_id and secret_access_key are required"),
        ("--cache-from=type=s3,bucket=x,region=y,mode=max", "\"mode\""),
        ("--cache-from=type=azblob", "\"azblob\""),
        ("--cache-to=type=s3,bucket=X,region=y,access_key_id=a,secret_access_key=b", "bucket=X"),
        ("--cache-to=type=s3,bucket=x,region=y,retry_mode=adaptive", "retry_mode=adaptive"),
        (
            "--cache-to=type=s3,bucket=x,region=y,access_key_id=a,secret_access_key=b,upload_parallelism=0",
            "upload_parallelism must be a positive",
        ),
        (
            "--cache-to=type=s3,bucket=x,region=y,access_key_id=a,secret_access_key=b,endpoint_url=ftp://x",
            "ftp://x",
        ),
        (
            "--cache-to=type=s3,bucket=x,region=y,access_key_id=a,secret_access_key=b,touch_refresh=soon",
            "soon",
        ),
        ("--cache-to=type=azblob", "\"azblob\""),
        ("--cache-to=type=registry,ref=x,mode=most", "\"most\""),
        ("--cache-to=type=registry,ref=x,odd=1", "\"odd\""),
        ("--cache-to=type=inline,mode=max", "\"mode\""),
        ("--cache-from=type=registry", "ref"),
    ] {
        let refused = build(&engine, &context, &[flag]).assert_code(1);
        assert!(refused.stderr.contains(words), "{flag}: {}", refused.stderr);
    }
    let unreachable = "--cache-to=type=registry,ref=127.0.0.1:1/x";
    build(&engine, &context, &[unreachable]).assert_code(1);
    build(&engine, &context, &[&format!("{unreachable},ignore-error=true")]).ok();
}

/// buildx says it in its own way.
// covers: buildkit driver-feature docker driver CacheExport
#[test]
fn buildx_exchanges_caches() {
    let registry = Registry::start();
    let cache = format!("type=registry,ref={}", registry.name("buildx-cache:1"));
    let made = |engine: &Engine, context: &Context, flag: &str| {
        let mut command = engine.docker_command();
        command.args(["buildx", "build", "-t", "made:1", &format!("--{flag}={cache},mode=max")]);
        command::run(command.arg(context.path())).ok();
        marks(engine, "made:1")
    };
    let (first, context) = engine();
    let first = first.with_plugins();
    let before = made(&first, &context, "cache-to");
    let (second, context) = engine();
    let second = second.with_plugins();
    let mut command = second.docker_command();
    command.args(["buildx", "build", "-t", "made:1", &format!("--cache-from={cache}")]);
    command::run(command.arg(context.path())).ok();
    assert_eq!(marks(&second, "made:1"), before);
    let _: Value = image(&second, "made:1");
}

/// A blob of an OCI layout.
fn blob(folder: &Path, digest: &Value) -> PathBuf {
    folder.join("blobs").join(digest.as_str().unwrap_or_default().replace(':', "/"))
}

/// What a folder's index names by a tag: its descriptor and the document.
fn tagged(folder: &Path, tag: &str) -> (Value, Value) {
    let read = |path: &Path| -> Value {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let index = read(&folder.join("index.json"));
    let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let entry = index["manifests"].as_array().and_then(|all| all.iter().find(named)).cloned();
    let entry = entry.unwrap_or_else(|| panic!("no {tag} in {index}"));
    let document = read(&blob(folder, &entry["digest"]));
    (entry, document)
}

/// By either client to the other: they name what they lend alike, and write the same index.
// covers: buildkit cache-backend Cache.Imports local
// covers: buildkit cache-backend Cache.Exports local
// covers: buildkit cache-attr cache local directory dest
// covers: buildkit cache-attr cache local directory src
// covers: buildkit cache-attr cache local directory tag
// covers: buildkit cache-attr cache local directory digest
// covers: buildkit cache-attr cache local directory mode
// covers: buildkit session-metadata content buildkit-attachable-store-id
#[test]
fn a_cache_goes_into_a_folder_and_comes_from_it() {
    for (giver, taker) in [(false, false), (true, false), (false, true)] {
        let client = |engine: &Engine, real: bool, context: &Context, flag: &str| {
            let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
            command.args(["buildx", "build", "-t", "made:1", flag]);
            command::run(command.arg(context.path())).assert_code(0)
        };
        let (first, context) = engine();
        let first = first.with_plugins();
        let folder = first.scratch().join("kept");
        let place = folder.display();
        client(&first, giver, &context, &format!("--cache-to=type=local,dest={place},mode=max,tag=mine"));
        let made = marks(&first, "made:1");
        let (entry, manifest) = tagged(&folder, "mine");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.buildkit.cacheconfig.v0");
        let digest = entry["digest"].as_str().unwrap().to_owned();
        for which in ["tag=mine".to_owned(), format!("digest={digest}")] {
            let (second, context) = engine();
            let second = second.with_plugins();
            let said =
                client(&second, taker, &context, &format!("--cache-from=type=local,src={place},{which}"));
            assert_eq!(marks(&second, "made:1"), made, "{giver} {taker} {which}: {}", said.stderr);
        }
    }
}

// covers: buildkit cache-attr cache registry mode
// covers: buildkit cache-attr cache registry ref
// covers: buildkit cache-attr cache registry image-manifest
// covers: buildkit cache-attr cache registry oci-mediatypes
// covers: buildkit cache-attr cache registry compression
// covers: buildkit cache-attr cache registry compression-level
// covers: buildkit cache-attr cache registry force-compression
// covers: buildkit cache-attr cache local directory image-manifest
// covers: buildkit cache-attr cache local directory oci-mediatypes
// covers: buildkit cache-attr cache local directory compression
// covers: buildkit cache-attr cache local directory compression-level
// covers: buildkit cache-attr cache local directory force-compression
// covers: buildkit cache-backend Cache.Imports registry
// covers: buildkit cache-backend Cache.Exports registry
#[test]
fn a_cache_has_the_form_that_was_asked_for() {
    let registry = Registry::start();
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "form", "FROM scratch\nCOPY large /large\n");
    context.file("large", &(0..60_000).map(|n| format!("{} ", n * 7919 % 60_013)).collect::<String>());
    let folder = engine.scratch().join("form-cache");
    let given = |local: bool, form: &str| -> (String, Value) {
        let name = registry.name("form:1");
        let place = if local {
            format!("type=local,dest={}", folder.display())
        } else {
            format!("type=registry,ref={name}")
        };
        build(&engine, &context, &["--cache-to", &format!("{place},mode=max{form}")]).ok();
        let document = match local {
            true => tagged(&folder, "latest").1,
            false => serde_json::from_str(&registry.manifest("form:1")).unwrap(),
        };
        (document["mediaType"].as_str().unwrap().to_owned(), document)
    };
    for local in [false, true] {
        let layer = |form: &str| given(local, form).1["layers"][0].clone();
        let kind = |form: &str| layer(form)["mediaType"].as_str().unwrap().to_owned();
        assert!(kind("").ends_with("tar+gzip"));
        assert!(kind(",compression=zstd,force-compression=true").ends_with("tar+zstd"));
        assert!(kind(",compression=uncompressed").ends_with(".tar"));
        let size = |level: u8| {
            layer(&format!(",compression=gzip,compression-level={level}"))["size"].as_u64().unwrap()
        };
        assert!(size(1) > size(9), "{} {}", size(1), size(9));
        assert_eq!(given(local, "").0, "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(given(local, ",image-manifest=false").0, "application/vnd.oci.image.index.v1+json");
        let docker = given(local, ",image-manifest=false,oci-mediatypes=false");
        assert_eq!(docker.0, "application/vnd.docker.distribution.manifest.list.v2+json");
    }
}

// covers: buildkit cache-attr cache registry ignore-error
// covers: buildkit cache-attr cache local directory ignore-error
#[test]
fn a_folder_that_is_broken_is_no_hit() {
    let (first, context) = engine();
    let folder = first.scratch().join("broken");
    let place = folder.display();
    let (to, from) = (
        format!("--cache-to=type=local,dest={place},mode=max"),
        format!("--cache-from=type=local,src={place}"),
    );
    build(&first, &context, &["-t", "made:1", &to]).ok();
    let made = marks(&first, "made:1");
    let (_, manifest) = tagged(&folder, "latest");
    for layer in manifest["layers"].as_array().unwrap() {
        let path = blob(&folder, &layer["digest"]);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let (second, context) = engine();
    build(&second, &context, &["-t", "made:1", &from]).ok();
    assert_ne!(marks(&second, "made:1"), made);
    // Its manifest is gone: told, and no failure. Its index has no such tag: the command line's failure.
    std::fs::remove_dir_all(folder.join("blobs")).unwrap();
    build(&second, &context, &["-t", "made:1", &from]).ok();
    let refused = build(&second, &context, &[&format!("{from},tag=other")]).assert_code(1);
    assert!(refused.stderr.contains("nor a tag \"other\""), "{}", refused.stderr);
    for (flag, words) in [
        ("--cache-from=type=local", "src"),
        ("--cache-to=type=local", "dest"),
        (&format!("--cache-to=type=local,dest={place},reset=true"), "\"reset\""),
    ] {
        let refused = build(&second, &context, &[flag]).assert_code(1);
        assert!(refused.stderr.contains(words), "{flag}: {}", refused.stderr);
    }
    // A folder in which nothing can be made; forgiven where that was asked for.
    let nowhere = folder.join("index.json/below");
    let to = format!("--cache-to=type=local,dest={}", nowhere.display());
    build(&second, &context, &[&to]).assert_code(1);
    std::fs::write(folder.join("blobs"), "no folder").unwrap();
    let to = format!("--cache-to=type=local,dest={place}");
    build(&second, &context, &[&to]).assert_code(1);
    build(&second, &context, &[&format!("{to},ignore-error=true")]).ok();
}

/// A bucket whose server makes each signature once more and compares it.
// covers: buildkit cache-backend Cache.Imports/Exports s3
// covers: buildkit llb-cap LLBCaps cache.s3
// covers: buildkit cache-attr cache s3 cache bucket
// covers: buildkit cache-attr cache s3 cache region
// covers: buildkit cache-attr cache s3 cache blobs_prefix
// covers: buildkit cache-attr cache s3 cache manifests_prefix
// covers: buildkit cache-attr cache s3 cache endpoint_url
// covers: buildkit cache-attr cache s3 cache use_path_style
// covers: buildkit cache-attr cache s3 cache disable_accept_encoding
// covers: buildkit cache-attr cache s3 cache mode
// covers: buildkit cache-attr cache s3 cache prefix
// covers: buildkit cache-attr cache s3 cache name
// covers: buildkit cache-attr cache s3 cache ignore-error
// covers: buildkit cache-attr cache s3 cache touch_refresh
// covers: buildkit cache-attr cache s3 cache upload_parallelism
// covers: buildkit cache-attr cache s3 cache retry_mode
// covers: buildkit cache-attr cache s3 cache retry_max_attempts
#[test]
fn a_bucket_keeps_a_cache() {
    let bucket = Bucket::serve();
    let place = format!(
        "type=s3,bucket=images,region=us-east-1,endpoint_url=http://{},use_path_style=true,prefix=below/",
        bucket.address()
    );
    let more = "upload_parallelism=2,retry_max_attempts=2,retry_mode=standard,disable_accept_encoding=true";
    let keys = [("AWS_ACCESS_KEY_ID", "the-key"), ("AWS_SECRET_ACCESS_KEY", "the-secret")];
    let made = |engine: &Engine, context: &Context, client: &str, flags: &[&str]| {
        let mut command = if client == "ketch" { engine.ketch_command() } else { engine.docker_command() };
        command.args(["buildx", "build", "--progress=plain", "-t", "made:1"]).envs(keys).args(flags);
        command::run(command.arg(context.path()))
    };
    let with = || {
        let (engine, context) = engine();
        (engine.with_plugins(), context)
    };
    for client in ["ketch", "docker"] {
        let (first, context) = with();
        let named = format!("{place},name={client};{client}-too,{more}");
        made(&first, &context, client, &[&format!("--cache-to={named},mode=max")]).ok();
        let before = marks(&first, "made:1");
        let (second, context) = with();
        for name in [client.to_owned(), format!("{client}-too")] {
            made(&second, &context, client, &[&format!("--cache-from={place},name={name}")]).ok();
            assert_eq!(marks(&second, "made:1"), before, "{name}");
            command::run(second.ketch_command().args(["builder", "prune", "--all", "--force"])).ok();
        }
        // Blobs that are young enough stay as they are, others are young again.
        for touch in ["24h", "0s"] {
            made(&first, &context, client, &[&format!("--cache-to={named},touch_refresh={touch}")]).ok();
        }
    }
    let stored = bucket.keys();
    assert!(stored.contains(&"below/manifests/ketch".to_owned()), "{stored:?}");
    assert!(stored.contains(&"below/manifests/docker-too".to_owned()), "{stored:?}");
    assert!(stored.iter().any(|key| key.starts_with("below/blobs/sha256:")), "{stored:?}");
    // Other places, and a cache that nobody has written yet.
    let (engine, context) = with();
    let other = format!("{place},blobs_prefix=b/,manifests_prefix=m/,name=n");
    let said =
        made(&engine, &context, "ketch", &[&format!("--cache-from={other}"), &format!("--cache-to={other}")]);
    said.assert_code(0);
    let stored = bucket.keys();
    assert!(stored.contains(&"below/m/n".to_owned()), "{stored:?}");
    assert!(stored.iter().any(|key| key.starts_with("below/b/sha256:")), "{stored:?}");
    // Who isn't known there gets nothing and gives nothing; a build needs neither.
    let stranger = format!("{place},name=ketch,access_key_id=the-key,secret_access_key=hidden-word");
    let said = made(&engine, &context, "ketch", &[&format!("--cache-from={stranger}")]).assert_code(0);
    assert!(said.stderr.contains("403"), "{}", said.stderr);
    assert!(!said.stderr.contains("hidden-word"), "{}", said.stderr);
    made(&engine, &context, "ketch", &[&format!("--cache-to={stranger}")]).assert_code(1);
    made(&engine, &context, "ketch", &[&format!("--cache-to={stranger},ignore-error=true")]).ok();
    // Keys are nowhere in what is remembered of builds.
    let found = command::run(
        std::process::Command::new("grep")
            .args(["-rlE", "the-secret|secret_access_key"])
            .arg(engine.data_root()),
    );
    assert_eq!(found.stdout, "", "{}", found.stdout);
}

/// What is in steps' cache mounts goes along where that is asked for, by whichever way and client.
#[test]
fn cache_mounts_go_along_where_it_is_asked_for() {
    const TEXT: &str = "FROM BASE\nARG BY\nRUN --mount=type=cache,target=/c,id=mine,uid=7,mode=0750 \
                        cat /c/word > /seen; stat -c '%a %u' /c >> /seen; echo $BY > /c/word\n";
    let registry = Registry::start();
    let ours: fn(&Engine) -> std::process::Command = Engine::ketch_command;
    for (number, (client, asked)) in
        [(ours, ",cache-mounts=true"), (Engine::docker_command, ",cache-mounts=true"), (ours, "")]
            .iter()
            .enumerate()
    {
        let cache = registry.name(&format!("mounts:{number}"));
        let build = |engine: &Engine, by: &str, more: &[&str]| {
            let context = Context::new(engine, "c", TEXT);
            let mut command = client(engine);
            command.args(["build", "-t", "seen:1", "--build-arg", &format!("BY={by}")]).args(more);
            command::run(command.arg(context.path())).ok();
            run(engine, "seen:1", "cat /seen")
        };
        let (first, second) = (Engine::ours().with_plugins(), Engine::ours().with_plugins());
        first.busybox();
        second.busybox();
        let to = format!("type=registry,ref={cache}{asked}");
        assert_eq!(build(&first, "first", &["--cache-to", &to]), "750 7");
        // A step that is found has its mount, too.
        build(&first, "first", &["--cache-to", &to]);
        let from = format!("type=registry,ref={cache}");
        let expected = if asked.is_empty() { "750 7" } else { "first\n750 7" };
        assert_eq!(build(&second, "second", &["--cache-from", &from]), expected);
        // One that is there stays what it is.
        assert_eq!(build(&second, "third", &["--cache-from", &from]), "second\n750 7");
        if !asked.is_empty() {
            let folder = first.scratch().join("folder").display().to_string();
            build(&first, "again", &["--cache-to", &format!("type=local,dest={folder},mode=max{asked}")]);
            second.docker(["builder", "prune", "-af"]).ok();
            let from = format!("type=local,src={folder}");
            assert_eq!(build(&second, "fourth", &["--cache-from", &from]), "again\n750 7");
        }
    }
    let engine = Engine::ours();
    let context = Context::new(&engine, "c", "FROM scratch\nCOPY Dockerfile /\n");
    for to in ["type=local,dest=x,cache-mounts=some", "type=inline,cache-mounts=true"] {
        let mut command = engine.ketch_command();
        let refused = command::run(command.args(["build", "--cache-to", to]).arg(context.path()));
        assert!(refused.assert_code(1).stderr.contains("cache-mounts"), "{to}");
    }
}
