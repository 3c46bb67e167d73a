//! Definitions: what each operation and each of its parts does.

use buildkit::attach::{Offer, SecretSource};
use buildkit::proto::pb;

use super::{Build, Definition, bind, engine, exec, mount};

fn with(command: &str, change: impl FnOnce(&mut pb::ExecOp)) -> pb::ExecOp {
    let mut made = exec(command);
    change(&mut made);
    made
}

fn meta(command: &str, change: impl FnOnce(&mut pb::Meta)) -> pb::ExecOp {
    with(command, |exec| change(exec.meta.get_or_insert_default()))
}

// covers: buildkit llb-op Op ExecOp
// covers: buildkit llb-op Op SourceOp
// covers: buildkit llb-source SourceOp.identifier docker-image://
// covers: buildkit llb-cap LLBCaps source.image
// covers: buildkit llb-cap LLBCaps exec.meta.base
// covers: buildkit llb-cap LLBCaps exec.meta.setsdefaultpath
// covers: buildkit llb-cap LLBCaps exec.meta.proxyenv
// covers: buildkit llb-cap LLBCaps exec.meta.ulimit
// covers: buildkit llb-cap LLBCaps exec.validexitcode
// covers: buildkit llb-cap LLBCaps exec.meta.cgroup.parent
// covers: buildkit llb-cap LLBCaps exec.cgroup
#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_as_its_operation_says() {
    let engine = engine();
    let base = engine.busybox();
    let _parent = testkit::ParentCgroup::named("given");
    let build = Build::begin(&engine).await;
    for (step, expected) in [
        (meta("pwd > /out", |meta| meta.cwd = "/tmp".into()), "/tmp"),
        (meta("echo $WORD > /out", |meta| meta.env.push("WORD=seven".into())), "seven"),
        (
            meta("echo $PATH > /out", |meta| meta.env.clear()),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        (meta("hostname > /out", |meta| meta.hostname = "here".into()), "here"),
        (meta("hostname > /out", |_| {}), "buildkitsandbox"),
        (
            meta("grep named /etc/hosts > /out", |meta| {
                meta.extra_hosts = vec![pb::HostIp { host: "named".into(), ip: "192.0.2.7".into() }];
            }),
            "192.0.2.7\tnamed",
        ),
        (
            meta("ulimit -n > /out", |meta| {
                meta.ulimit = vec![pb::Ulimit { name: "nofile".into(), soft: 77, hard: 78 }];
            }),
            "77",
        ),
        (
            meta("echo $http_proxy $NO_PROXY > /out", |meta| {
                meta.proxy_env = Some(pb::ProxyEnv {
                    http_proxy: "http://proxy:1".into(),
                    no_proxy: "none".into(),
                    ..pb::ProxyEnv::default()
                });
            }),
            "http://proxy:1 none",
        ),
        (meta("echo seven > /out; exit 7", |meta| meta.valid_exit_codes = vec![7, 8]), "seven"),
        (
            meta("cat /proc/self/cgroup | grep -c /given/ | sed 's/[1-9][0-9]*/some/' > /out", |meta| {
                meta.cgroup_parent = "/given".into();
            }),
            "some",
        ),
    ] {
        let mut definition = Definition::default();
        let root = definition.image(&base);
        let made = definition.exec(&[&root], step);
        assert_eq!(build.made(definition.end(&made), "/out").await.trim_end(), expected);
    }
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let made = definition.exec(&[&root], meta("exit 0", |meta| meta.valid_exit_codes = vec![7]));
    let why = build.refused(definition.end(&made)).await;
    assert!(why.ends_with("did not complete successfully: exit code: 0"), "{why}");
}

// covers: buildkit llb-cap LLBCaps exec.meta.network
// covers: buildkit llb-cap LLBCaps exec.meta.security
// covers: buildkit llb-enum NetMode UNSET
// covers: buildkit llb-enum NetMode NONE
// covers: buildkit llb-enum NetMode HOST
// covers: buildkit llb-enum SecurityMode SANDBOX
// covers: buildkit llb-enum SecurityMode INSECURE
// covers: buildkit entitlement SolveRequest.Entitlements network.host
// covers: buildkit entitlement SolveRequest.Entitlements security.insecure
#[tokio::test(flavor = "multi_thread")]
async fn networks_and_confinement_are_what_was_allowed() {
    let engine = crate::builds::trusting();
    let base = engine.busybox();
    let step = |command: &str, network: i32, security: i32| {
        let mut definition = Definition::default();
        let root = definition.image(&base);
        let made = with(command, |exec| (exec.network, exec.security) = (network, security));
        let made = definition.exec(&[&root], made);
        definition.end(&made)
    };
    let interfaces = "ls /sys/class/net > /out; readlink /proc/self/ns/net >> /out";
    let capabilities = "grep CapEff /proc/self/status > /out";
    let (unset, host, none) = (0, pb::NetMode::Host.into(), pb::NetMode::None.into());
    let insecure = pb::SecurityMode::Insecure.into();
    let plain = Build::begin(&engine).await;
    assert!(plain.made(step(interfaces, unset, 0), "/out").await.contains("eth0"));
    let alone = plain.made(step(interfaces, none, 0), "/out").await;
    assert!(alone.starts_with("lo\n") && !alone.contains("eth0"), "{alone}");
    let confined = plain.made(step(capabilities, unset, 0), "/out").await;
    assert!(confined.contains("a80425fb"), "{confined}");
    assert_eq!(plain.refused(step(interfaces, host, 0)).await, "network.host is not allowed");
    assert_eq!(plain.refused(step(capabilities, unset, insecure)).await, "security.insecure is not allowed");
    // What nobody knows is nothing else.
    assert_eq!(plain.refused(step(interfaces, 3, 0)).await, "network mode 3 is not supported");
    assert_eq!(plain.refused(step(interfaces, -1, 0)).await, "network mode -1 is not supported");
    assert_eq!(plain.refused(step(interfaces, 0, 2)).await, "security mode 2 is not supported");
    let trusted = Build::allowed(&engine, &["network.host", "security.insecure"]).await;
    let shared = trusted.made(step(interfaces, host, 0), "/out").await;
    assert!(shared.lines().any(|line| line.starts_with("net:[")) && !alone.ends_with(&shared), "{shared}");
    let all = trusted.made(step(capabilities, unset, insecure), "/out").await;
    assert!(all.contains("ffff"), "{all}");
}

// covers: buildkit llb-enum MountType BIND
// covers: buildkit llb-enum MountType TMPFS
// covers: buildkit llb-enum MountType CACHE
// covers: buildkit llb-enum MountType SECRET
// covers: buildkit llb-enum CacheSharingOpt SHARED
// covers: buildkit llb-enum CacheSharingOpt PRIVATE
// covers: buildkit llb-enum CacheSharingOpt LOCKED
// covers: buildkit llb-cap LLBCaps exec.mount.bind
// covers: buildkit llb-cap LLBCaps exec.mount.bind.readwrite-nooutput
// covers: buildkit llb-cap LLBCaps exec.mount.cache
// covers: buildkit llb-cap LLBCaps exec.mount.cache.sharing
// covers: buildkit llb-cap LLBCaps exec.mount.cache.content
// covers: buildkit llb-enum MountContentCache DEFAULT
// covers: buildkit llb-enum MountContentCache ON
// covers: buildkit llb-enum MountContentCache OFF
// covers: buildkit llb-cap LLBCaps exec.mount.selector
// covers: buildkit llb-cap LLBCaps exec.mount.tmpfs
// covers: buildkit llb-cap LLBCaps exec.mount.tmpfs.size
// covers: buildkit llb-cap LLBCaps exec.mount.secret
// covers: buildkit llb-cap LLBCaps exec.secretenv
// covers: buildkit llb-cap LLBCaps exec.meta.removemountstubs.recursive
#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_what_their_operation_says() {
    let engine = engine();
    let base = engine.busybox();
    let secrets = [("word".to_owned(), SecretSource::Variable("PATH".into()))];
    let build = Build::offering(&engine, Offer { secrets: secrets.into(), ..Offer::default() }).await;
    let step = |command: &str, more: Vec<pb::Mount>, change: &dyn Fn(&mut pb::ExecOp)| {
        let mut definition = Definition::default();
        let root = definition.image(&base);
        let other = definition.run(&root, "mkdir -p /d/e; echo inner > /d/e/f; echo outer > /f");
        let made = with(command, |exec| {
            exec.mounts.extend(more);
            change(exec);
        });
        let made = definition.exec(&[&root, &other], made);
        (definition, made)
    };
    let cache = |sharing: pb::CacheSharingOpt| {
        let cache_opt = Some(pb::CacheOpt { id: format!("{sharing:?}"), sharing: sharing.into() });
        pb::Mount { cache_opt, ..mount(pb::MountType::Cache, "/m") }
    };
    let tmpfs =
        |size| pb::Mount { tmpfs_opt: Some(pb::TmpfsOpt { size }), ..mount(pb::MountType::Tmpfs, "/m") };
    let counted = |how: pb::MountContentCache| pb::Mount { content_cache: how.into(), ..bind(1, "/m", -1) };
    let secret = |mode: u32| {
        let secret_opt = Some(pb::SecretOpt { id: "word".into(), uid: 5, gid: 6, mode, optional: false });
        pb::Mount { secret_opt, ..mount(pb::MountType::Secret, "/run/word") }
    };
    let selected = pb::Mount { selector: "/d/e".into(), ..bind(1, "/m", -1) };
    let read_only = pb::Mount { readonly: true, ..bind(1, "/m", -1) };
    for (name, command, mounts, expected) in [
        ("bind", "cat /m/f > /out", vec![bind(1, "/m", -1)], "outer"),
        ("selector", "cat /m/f > /out", vec![selected], "inner"),
        ("written to", "echo x > /m/f; cat /m/f > /out", vec![bind(1, "/m", -1)], "x"),
        ("read-only", "touch /m/f 2>/dev/null || echo no > /out", vec![read_only], "no"),
        ("tmpfs", "mount | grep -c 'tmpfs on /m .*size=64k' > /out", vec![tmpfs(65536)], "1"),
        ("cache", "touch /m/x; ls /m > /out", vec![cache(pb::CacheSharingOpt::Shared)], "x"),
        ("cache kept", "ls /m > /out # again", vec![cache(pb::CacheSharingOpt::Shared)], "x"),
        ("private", "touch /m/y; ls /m > /out", vec![cache(pb::CacheSharingOpt::Private)], "y"),
        ("locked", "touch /m/z; ls /m > /out", vec![cache(pb::CacheSharingOpt::Locked)], "z"),
        ("counted", "cat /m/f > /out # 1", vec![counted(pb::MountContentCache::Default)], "outer"),
        ("counted on", "cat /m/f > /out # 2", vec![counted(pb::MountContentCache::On)], "outer"),
        ("counted off", "cat /m/f > /out # 3", vec![counted(pb::MountContentCache::Off)], "outer"),
        ("secret", "stat -c '%a %u %g' /run/word > /out", vec![secret(0o440)], "440 5 6"),
    ] {
        let (definition, made) = step(command, mounts, &|_| {});
        assert_eq!(build.made(definition.end(&made), "/out").await.trim_end(), expected, "{name}");
    }
    let (definition, made) = step("echo ${#WORD} > /out", vec![], &|exec| {
        let (id, name) = ("word".to_owned(), "WORD".to_owned());
        exec.secretenv = vec![pb::SecretEnv { id, name, optional: false }];
    });
    let length = std::env::var("PATH").unwrap().len().to_string();
    assert_eq!(build.made(definition.end(&made), "/out").await.trim_end(), length);
    // What a mount needs in the root goes again with it.
    let (definition, made) = step("true", vec![bind(1, "/deep/below/m", -1)], &|exec| {
        exec.meta.get_or_insert_default().remove_mount_stubs_recursive = true;
    });
    let made = build.solve(definition.end(&made)).await.unwrap();
    assert!(!build.names(&made, "/").await.unwrap().contains(&"deep".to_owned()));
    // A mount may be a result of its own.
    let (definition, (digest, _)) = step("echo kept > /m/new", vec![bind(1, "/m", 1)], &|_| {});
    let made = build.solve(definition.end(&(digest, 1))).await.unwrap();
    assert_eq!(build.read(&made, "/new").await.unwrap(), "kept\n");
    assert_eq!(build.read(&made, "/d/e/f").await.unwrap(), "inner\n");
}

// covers: buildkit llb-cap LLBCaps exec.mount.ssh
// covers: buildkit llb-enum MountType SSH
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_reached_by_its_name() {
    let engine = engine();
    let base = engine.busybox();
    let socket = engine.scratch().join("agent");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let agents = [("second".to_owned(), socket)].into();
    let build = Build::offering(&engine, Offer { agents, ..Offer::default() }).await;
    let step = |id: &str, optional: bool| {
        let mut definition = Definition::default();
        let root = definition.image(&base);
        let ssh_opt = Some(pb::SshOpt { id: id.into(), uid: 3, gid: 4, mode: 0o620, optional });
        let command = "test -S /a && stat -c '%a %u %g' /a > /out || echo none > /out";
        let made = with(command, |exec| {
            exec.mounts.push(pb::Mount { ssh_opt, ..mount(pb::MountType::Ssh, "/a") });
        });
        let made = definition.exec(&[&root], made);
        definition.end(&made)
    };
    assert_eq!(build.made(step("third", true), "/out").await, "none\n");
    assert_eq!(build.refused(step("third", false)).await, "unset ssh forward key third");
    assert_eq!(build.made(step("second", false), "/out").await, "620 3 4\n");
}

// covers: buildkit llb-op Op MergeOp
// covers: buildkit llb-op Op DiffOp
// covers: buildkit llb-cap LLBCaps mergeop
// covers: buildkit llb-cap LLBCaps diffop
#[tokio::test(flavor = "multi_thread")]
async fn trees_are_merged_and_compared() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let one = definition.run(&root, "mkdir /d; echo one > /d/same; echo one > /d/one");
    let two = definition.run(&root, "mkdir /d; echo two > /d/same; echo two > /d/two; rm /bin/yes");
    let diff = |lower: i64, upper: i64| {
        pb::op::Op::Diff(pb::DiffOp {
            lower: Some(pb::LowerDiffInput { input: lower }),
            upper: Some(pb::UpperDiffInput { input: upper }),
        })
    };
    let first = definition.add(&[&root, &one], diff(0, 1));
    let second = definition.add(&[&root, &two], diff(0, 1));
    let inputs = (0..2).map(|input| pb::MergeInput { input }).collect();
    let merged = definition.add(&[&first, &second], pb::op::Op::Merge(pb::MergeOp { inputs }));
    let made = build.solve(definition.end(&merged)).await.unwrap();
    assert_eq!(build.names(&made, "/d").await.unwrap(), ["one", "same", "two"]);
    assert_eq!(build.read(&made, "/d/same").await.unwrap(), "two\n");
    // Nothing of the base is in a difference.
    assert!(build.read(&made, "/bin/busybox").await.is_err());
}

// covers: buildkit llb-cap LLBCaps meta.ignorecache
// covers: buildkit llb-cap LLBCaps meta.description
// covers: buildkit llb-cap LLBCaps meta.exportcache
// covers: buildkit llb-cap LLBCaps constraints
// covers: buildkit llb-cap LLBCaps platform
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_about_an_operation_counts() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let step = |ignore_cache: bool, caps: &[&str], described: &str| {
        let mut definition = Definition::default();
        let root = definition.image(&base);
        let made = definition.run(&root, "cat /proc/sys/kernel/random/uuid > /out");
        let caps = caps.iter().map(|name| ((*name).to_owned(), true)).collect();
        let description = [("llb.customname".to_owned(), described.to_owned())].into();
        let export_cache = Some(pb::ExportCache { value: true });
        let about =
            pb::OpMetadata { ignore_cache, caps, description, export_cache, ..pb::OpMetadata::default() };
        definition.about(&made, about);
        definition.end(&made)
    };
    let first = build.made(step(false, &["meta.exportcache"], "named so"), "/out").await;
    let others = Build::begin(&engine).await;
    assert_eq!(others.made(step(false, &["exec.meta.base"], "x"), "/out").await, first);
    let anew = Build::begin(&engine).await;
    assert_ne!(anew.made(step(true, &[], "x"), "/out").await, first);
    // One that the engine doesn't have is refused before anything is done.
    let why = build.refused(step(false, &["exec.teleport"], "x")).await;
    assert_eq!(why, "the capability \"exec.teleport\" is not supported");
    let client = buildkit::client::Builder::over(super::upgraded(&engine, "/grpc", &[]).await).await.unwrap();
    let mut news = client.news(&build.id).unwrap();
    let names = async {
        while let Some(told) = news.next().await.unwrap() {
            if told.vertexes.iter().any(|vertex| vertex.name == "named so") {
                return;
            }
        }
        panic!("nothing is named so");
    };
    names.await;
    // A worker of another kind there is not, and another machine's programs only with an emulator.
    let mut definition = Definition::default();
    let constraints = Some(pb::WorkerConstraints { filter: vec!["label==gpu".into()] });
    let op = Some(pb::op::Op::Source(pb::SourceOp {
        identifier: format!("docker-image://docker.io/library/{base}"),
        attrs: Default::default(),
    }));
    let made = definition.raw(&pb::Op { constraints, op, ..pb::Op::default() });
    assert_eq!(build.refused(definition.end(&made)).await, "a constraint on the worker is not supported");
    let mut definition = Definition::default();
    let platform =
        pb::Platform { os: "linux".into(), architecture: "s390x".into(), ..pb::Platform::default() };
    let (identifier, attrs) = (format!("docker-image://docker.io/library/{base}"), Default::default());
    let op = pb::op::Op::Source(pb::SourceOp { identifier, attrs });
    let made = definition.on(&[], op, Some(platform));
    assert!(build.solve(definition.end(&made)).await.is_err());
}

// covers: buildkit llb-source SourceOp.identifier local://
// covers: buildkit llb-cap LLBCaps source.local
// covers: buildkit llb-cap LLBCaps source.local.unique
// covers: buildkit llb-cap LLBCaps source.local.sessionid
// covers: buildkit llb-cap LLBCaps source.local.includepatterns
// covers: buildkit llb-cap LLBCaps source.local.followpaths
// covers: buildkit llb-cap LLBCaps source.local.excludepatterns
// covers: buildkit llb-cap LLBCaps source.local.sharedkeyhint
// covers: buildkit llb-cap LLBCaps source.local.differ
// covers: buildkit llb-source-attr SourceOp.attrs local.unique
// covers: buildkit llb-source-attr SourceOp.attrs local.includepattern
// covers: buildkit llb-source-attr SourceOp.attrs local.followpaths
// covers: buildkit llb-source-attr SourceOp.attrs local.excludepatterns
// covers: buildkit llb-source-attr SourceOp.attrs local.sharedkeyhint
// covers: buildkit llb-source-attr SourceOp.attrs local.differ
// covers: buildkit llb-source-attr SourceOp.attrs none
// covers: buildkit llb-source-attr SourceOp.attrs metadata
// covers: buildkit session-metadata filesync include-patterns
// covers: buildkit session-metadata filesync exclude-patterns
// covers: buildkit session-metadata filesync followpaths
// covers: buildkit session-metadata filesync dir-name
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_directory_is_what_was_asked_for_of_it() {
    let engine = engine();
    for path in ["a/one", "a/two", "b/one", "c"] {
        engine.scratch().write(&format!("given/{path}"), path);
    }
    std::os::unix::fs::symlink("b/one", engine.scratch().join("given/link")).unwrap();
    let directories = [("given".to_owned(), engine.scratch().join("given"))].into();
    let build = Build::offering(&engine, Offer { directories, ..Offer::default() }).await;
    for (attributes, expected) in [
        (&[][..], &["a", "b", "c", "link"][..]),
        (&[("local.includepattern", "[\"a\"]"), ("local.unique", "x")], &["a"]),
        (&[("local.excludepatterns", "[\"a\",\"link\"]"), ("local.differ", "none")], &["b", "c"]),
        (&[("local.followpaths", "[\"link\"]"), ("local.differ", "metadata")], &["b", "link"]),
        (&[("local.sharedkeyhint", "hint")], &["a", "b", "c", "link"]),
    ] {
        let mut definition = Definition::default();
        let made = definition.source("local://given", attributes);
        let made = build.solve(definition.end(&made)).await.unwrap();
        assert_eq!(build.names(&made, "/").await.unwrap(), expected, "{attributes:?}");
    }
    for (name, attributes, expected) in [
        ("nothing", &[][..], "nothing"),
        ("given", &[("local.color", "red")], "local.color of source local://given is not supported"),
        ("given", &[("local.includepattern", "a")], "local.includepattern is no list"),
    ] {
        let mut definition = Definition::default();
        let made = definition.source(&format!("local://{name}"), attributes);
        let why = build.refused(definition.end(&made)).await;
        assert!(why.contains(expected), "{why}");
    }
}

// covers: buildkit llb-source SourceOp.identifier http://
// covers: buildkit llb-cap LLBCaps source.http
// covers: buildkit llb-cap LLBCaps source.http.auth
// covers: buildkit llb-cap LLBCaps source.http.checksum
// covers: buildkit llb-cap LLBCaps source.http.perm
// covers: buildkit llb-cap LLBCaps soruce.http.uidgid
// covers: buildkit llb-cap LLBCaps source.http.header
// covers: buildkit llb-source-attr SourceOp.attrs http.checksum
// covers: buildkit llb-source-attr SourceOp.attrs http.filename
// covers: buildkit llb-source-attr SourceOp.attrs http.perm
// covers: buildkit llb-source-attr SourceOp.attrs http.uid
// covers: buildkit llb-source-attr SourceOp.attrs http.gid
// covers: buildkit llb-source-attr SourceOp.attrs http.authheadersecret
// covers: buildkit llb-source-attr SourceOp.attrs http.header.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_web_is_what_was_asked_for_of_it() {
    let engine = engine();
    let web = testkit::web::Web::serve(|asked| {
        let said = |name: &str| asked.header(name).unwrap_or("-").to_owned();
        testkit::web::Answer::new(200, format!("{} {}", said("accept"), said("authorization")))
    });
    let url = format!("http://{}/path/file", web.address());
    let secrets = [("token".to_owned(), SecretSource::Variable("PATH".into()))].into();
    let build = Build::offering(&engine, Offer { secrets, ..Offer::default() }).await;
    let fetch = |attributes: &[(&str, &str)]| {
        let mut definition = Definition::default();
        let made = definition.source(&url, attributes);
        definition.end(&made)
    };
    let plain = build.solve(fetch(&[("http.header.accept", "text/one")])).await.unwrap();
    assert_eq!(build.read(&plain, "/file").await.unwrap(), "text/one -");
    let named = [("http.filename", "other"), ("http.perm", "0640"), ("http.uid", "3"), ("http.gid", "4")];
    let made =
        build.solve(fetch(&[&named[..], &[("http.header.accept", "text/one")]].concat())).await.unwrap();
    let file = build.stat(&made, "/other").await.unwrap();
    assert_eq!((file.mode & 0o777, file.uid, file.gid), (0o640, 3, 4));
    let digest = oci::Digest::sha256(b"text/one -").to_string();
    let checked = [("http.checksum", digest.as_str()), ("http.header.accept", "text/one")];
    assert!(build.solve(fetch(&checked)).await.is_ok());
    let wrong = oci::Digest::sha256(b"x").to_string();
    let why = build.refused(fetch(&[("http.checksum", &wrong), ("http.header.accept", "text/two")])).await;
    assert!(why.contains(&wrong), "{why}");
    let made = build.solve(fetch(&[("http.authheadersecret", "token")])).await.unwrap();
    let said = build.read(&made, "/file").await.unwrap();
    assert!(said.ends_with(&std::env::var("PATH").unwrap()), "{said}");
}

// covers: buildkit rpc moby.buildkit.v1.Control Solve
// refuses: buildkit llb-op Op BuildOp because nothing but tests of BuildKit's own ever wrote one: a frontend solves by the gateway what it has found in a result
// refuses: buildkit llb-cap LLBCaps source.buildop.llbfilename because it is a build's within a build, and that is refused
// refuses: buildkit llb-source-attr SourceOp.attrs llbbuild.filename because it is a build's within a build, and that is refused
// refuses: buildkit llb-op Op PassthroughOp because no frontend that can be had makes one, and an operation that isn't known is refused
// refuses: buildkit llb-cap LLBCaps passthroughop because no frontend that can be had makes one, and an operation that isn't known is refused
// refuses: buildkit llb-cap LLBCaps source.imageblob because a layer alone is asked for by no client that can be had; its scheme is refused by name
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_makes_is_refused_by_name() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let within = pb::BuildOp { builder: -1, ..pb::BuildOp::default() };
    let made = definition.add(&[&root], pb::op::Op::Build(within));
    assert_eq!(build.refused(definition.end(&made)).await, "a build within a build is not supported");
    let mut definition = Definition::default();
    let made = definition.raw(&pb::Op::default());
    let unknown = definition.raw(&pb::Op {
        inputs: vec![pb::Input { digest: made.0.clone(), index: 0 }, pb::Input { digest: made.0, index: 0 }],
        ..pb::Op::default()
    });
    let why = build.refused(definition.end(&unknown)).await;
    assert!(why.ends_with("does nothing that is known here"), "{why}");
    for scheme in ["docker-image+blob", "ftp", "containerd"] {
        let mut definition = Definition::default();
        let made = definition.source(&format!("{scheme}://x"), &[]);
        assert_eq!(
            build.refused(definition.end(&made)).await,
            format!("source {scheme}:// is not supported")
        );
    }
    let mut definition = Definition::default();
    let made = definition.run(&("sha256:".to_owned() + &"0".repeat(64), 0), "true");
    assert!(build.refused(definition.end(&made)).await.starts_with("invalid missing input digest sha256:0"));
}
