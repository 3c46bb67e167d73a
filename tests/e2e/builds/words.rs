//! Every word that builds, with every flag: `build`, `image build`, `builder build`, `buildx build`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::command::{self, Output};
use testkit::{Engine, Registry};

use super::{Context, run};

const WORDS: [&str; 5] = ["build", "image build", "builder build", "buildx build", "buildx b"];

/// One word, tried in a folder of its own.
struct Word<'a> {
    engine: &'a Engine,
    word: &'static str,
    tag: String,
}

impl<'a> Word<'a> {
    fn all(engine: &'a Engine) -> Vec<Self> {
        let word = |word: &'static str| Self { engine, word, tag: engine.name(&word.replace(' ', "-")) };
        WORDS.map(word).into()
    }

    fn build(&self, context: &Context, flags: &[&str]) -> Output {
        let mut command = self.engine.ketch_command();
        command.current_dir(self.folder()).args(self.word.split(' ')).args(flags);
        command::run(command.arg(context.path()))
    }

    fn folder(&self) -> std::path::PathBuf {
        let folder = self.engine.scratch().join(&format!("in-{}", self.word.replace(' ', "-")));
        fs::create_dir_all(&folder).expect("a folder of the test's");
        folder
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

const SETTINGS: &str = "FROM BASE AS first\nARG GIVEN\nRUN echo \"$GIVEN\" > /given; cat /etc/hosts > /hosts; ulimit -n > /files; \
    cat /proc/self/cgroup > /cgroup; grep ' /dev/shm ' /proc/mounts > /shm; ls /sys/class/net > /links; \
    cat /proc/sys/kernel/random/uuid > /mark\n\
    RUN --mount=type=secret,id=s cp /run/secrets/s /secret\nCOPY --from=more f /more\nFROM first AS last\nRUN false\n";

// covers: cli docker image build
// covers: cli docker builder build
// covers: cli docker buildx build
// covers: cli docker buildx
// covers: cli docker build --add-host
// covers: cli docker build --build-arg
// covers: cli docker build --build-context
// covers: cli docker build --builder
// covers: cli docker build --cgroup-parent
// covers: cli docker build --compress
// covers: cli docker build --debug
// covers: cli docker build --disable-content-trust
// covers: cli docker build --file
// covers: cli docker build --force-rm
// covers: cli docker build --label
// covers: cli docker build --network
// covers: cli docker build --progress
// covers: cli docker build --rm
// covers: cli docker build --secret
// covers: cli docker build --shm-size
// covers: cli docker build --tag
// covers: cli docker build --target
// covers: cli docker build --ulimit
// covers: cli docker build --no-cache
// covers: cli docker build --no-cache-filter
// covers: cli docker image build --add-host
// covers: cli docker image build --build-arg
// covers: cli docker image build --build-context
// covers: cli docker image build --builder
// covers: cli docker image build --cgroup-parent
// covers: cli docker image build --compress
// covers: cli docker image build --debug
// covers: cli docker image build --disable-content-trust
// covers: cli docker image build --file
// covers: cli docker image build --force-rm
// covers: cli docker image build --label
// covers: cli docker image build --network
// covers: cli docker image build --progress
// covers: cli docker image build --rm
// covers: cli docker image build --secret
// covers: cli docker image build --shm-size
// covers: cli docker image build --tag
// covers: cli docker image build --target
// covers: cli docker image build --ulimit
// covers: cli docker image build --no-cache
// covers: cli docker image build --no-cache-filter
// covers: cli docker builder build --add-host
// covers: cli docker builder build --build-arg
// covers: cli docker builder build --build-context
// covers: cli docker builder build --builder
// covers: cli docker builder build --cgroup-parent
// covers: cli docker builder build --compress
// covers: cli docker builder build --debug
// covers: cli docker builder build --disable-content-trust
// covers: cli docker builder build --file
// covers: cli docker builder build --force-rm
// covers: cli docker builder build --label
// covers: cli docker builder build --network
// covers: cli docker builder build --progress
// covers: cli docker builder build --rm
// covers: cli docker builder build --secret
// covers: cli docker builder build --shm-size
// covers: cli docker builder build --tag
// covers: cli docker builder build --target
// covers: cli docker builder build --ulimit
// covers: cli docker builder build --no-cache
// covers: cli docker builder build --no-cache-filter
// covers: cli docker buildx build --add-host
// covers: cli docker buildx build --build-arg
// covers: cli docker buildx build --build-context
// covers: cli docker buildx build --builder
// covers: cli docker buildx build --cgroup-parent
// covers: cli docker buildx build --compress
// covers: cli docker buildx build --debug
// covers: cli docker buildx build --file
// covers: cli docker buildx build --force-rm
// covers: cli docker buildx build --label
// covers: cli docker buildx build --network
// covers: cli docker buildx build --progress
// covers: cli docker buildx build --rm
// covers: cli docker buildx build --secret
// covers: cli docker buildx build --shm-size
// covers: cli docker buildx build --tag
// covers: cli docker buildx build --target
// covers: cli docker buildx build --ulimit
// covers: cli docker buildx build --no-cache
// covers: cli docker buildx build --no-cache-filter
// covers: cli docker buildx b
// covers: cli docker buildx b --add-host
// covers: cli docker buildx b --build-arg
// covers: cli docker buildx b --build-context
// covers: cli docker buildx b --builder
// covers: cli docker buildx b --cgroup-parent
// covers: cli docker buildx b --compress
// covers: cli docker buildx b --debug
// covers: cli docker buildx b --file
// covers: cli docker buildx b --force-rm
// covers: cli docker buildx b --label
// covers: cli docker buildx b --network
// covers: cli docker buildx b --progress
// covers: cli docker buildx b --rm
// covers: cli docker buildx b --secret
// covers: cli docker buildx b --shm-size
// covers: cli docker buildx b --tag
// covers: cli docker buildx b --target
// covers: cli docker buildx b --ulimit
// covers: cli docker buildx b --no-cache
// covers: cli docker buildx b --no-cache-filter
#[test]
fn what_steps_are_given() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "settings", SETTINGS);
    fs::rename(context.path().join("Dockerfile"), context.path().join("Other")).unwrap();
    context.file("more/f", "more").file("secret", "hidden");
    let (file, more) = (context.path().join("Other"), context.path().join("more"));
    let secret = format!("id=s,src={}", context.path().join("secret").display());
    let group = testkit::ParentCgroup::create("words");
    for word in Word::all(&engine) {
        let flags = [
            "--add-host=h:1.2.3.4",
            "--build-arg=GIVEN=1",
            &format!("--build-context=more={}", more.display()),
            "--builder=default",
            &format!("--cgroup-parent={}", group.path()),
            "--compress",
            "--debug",
            "--disable-content-trust",
            &format!("--file={}", file.display()),
            "--force-rm",
            "--label=a=b",
            "--network=none",
            "--progress=plain",
            "--rm",
            &format!("--secret={secret}"),
            "--shm-size=3m",
            &format!("--tag={}", word.tag),
            "--target=first",
            "--ulimit=nofile=123:456",
        ];
        let said = word.build(&context, &flags).assert_code(0);
        assert!(
            said.stderr.contains("--compress changes nothing") && said.stderr.contains("#1 "),
            "{}",
            said.stderr
        );
        let seen = |path: &str| run(&engine, &word.tag, &format!("cat {path}"));
        assert_eq!(
            (seen("/given").as_str(), seen("/files").as_str(), seen("/links").as_str()),
            ("1", "123", "lo")
        );
        assert!(
            seen("/hosts").contains("1.2.3.4\th") && seen("/shm").contains("size=3072k"),
            "{}",
            seen("/shm")
        );
        assert!(seen("/cgroup").contains(&format!("{}/", group.path())), "{}", seen("/cgroup"));
        assert_eq!((seen("/secret").as_str(), seen("/more").as_str()), ("hidden", "more"));
        assert_eq!(super::image(&engine, &word.tag)["Config"]["Labels"], serde_json::json!({ "a": "b" }));
        // What was made stays made, until somebody says otherwise: for all, or for a stage.
        let mark = seen("/mark");
        word.build(&context, &flags).ok();
        assert_eq!(seen("/mark"), mark);
        for fresh in ["--no-cache", "--no-cache-filter=first"] {
            let before = seen("/mark");
            word.build(&context, &[&flags[..], &[fresh]].concat()).ok();
            assert_ne!(seen("/mark"), before, "{fresh}");
        }
        for (flag, words) in [
            ("--builder=absent", "absent"),
            ("--rm=false", "--rm=false"),
            ("--disable-content-trust=false", "--disable-content-trust=false"),
        ] {
            let refused = word.build(&context, &[flag]);
            assert_ne!(refused.code, 0, "{flag}");
            assert!(refused.stderr.contains(words), "{flag}: {}", refused.stderr);
        }
    }
}

// covers: cli docker build --allow
// covers: cli docker image build --allow
// covers: cli docker builder build --allow
// covers: cli docker buildx build --allow
// covers: dockerfile flag RUN --security string
// covers: dockerfile flag-value RUN --security=insecure
// covers: dockerfile flag-value RUN --security=sandbox
// covers: dockerfile flag-value RUN --network=host
// covers: cli docker buildx b --allow
#[test]
fn what_has_to_be_allowed() {
    let engine = super::trusting();
    engine.busybox();
    let text = "FROM BASE\nRUN --network=host ls /sys/class/net > /links\nRUN --security=insecure grep CapEff /proc/self/status > /caps\n\
                RUN --security=sandbox grep CapEff /proc/self/status > /few\n";
    let context = Context::new(&engine, "allowed", text);
    for word in Word::all(&engine) {
        let refused = word.build(&context, &["--allow=security.insecure"]).assert_code(1);
        assert!(refused.stderr.contains("network.host is not allowed"), "{}", refused.stderr);
        let refused = word.build(&context, &["--allow=network.host"]).assert_code(1);
        assert!(refused.stderr.contains("security.insecure is not allowed"), "{}", refused.stderr);
        let both = ["--allow=network.host", "--allow=security.insecure", "-t", &word.tag];
        word.build(&context, &both).ok();
        let caps = |path: &str| {
            let text = run(&engine, &word.tag, &format!("cat {path}"));
            u64::from_str_radix(text.split_whitespace().last().unwrap_or_default(), 16).unwrap()
        };
        assert!(caps("/caps") > caps("/few"));
        // As dockerd has it, devices are for nobody unless the engine's settings say so.
        let refused = word.build(&context, &["--allow=device"]).assert_code(1);
        let why = "granting entitlement device is not allowed by build daemon configuration";
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

// covers: cli docker build --annotation
// covers: cli docker build --attest
// covers: cli docker build --cache-from
// covers: cli docker build --cache-to
// covers: cli docker build --iidfile
// covers: cli docker build --load
// covers: cli docker build --metadata-file
// covers: cli docker build --output
// covers: cli docker build --platform
// covers: cli docker build --provenance
// covers: cli docker build --pull
// covers: cli docker build --push
// covers: cli docker build --quiet
// covers: cli docker build --sbom
// covers: cli docker image build --annotation
// covers: cli docker image build --attest
// covers: cli docker image build --cache-from
// covers: cli docker image build --cache-to
// covers: cli docker image build --iidfile
// covers: cli docker image build --load
// covers: cli docker image build --metadata-file
// covers: cli docker image build --output
// covers: cli docker image build --platform
// covers: cli docker image build --provenance
// covers: cli docker image build --pull
// covers: cli docker image build --push
// covers: cli docker image build --quiet
// covers: cli docker image build --sbom
// covers: cli docker builder build --annotation
// covers: cli docker builder build --attest
// covers: cli docker builder build --cache-from
// covers: cli docker builder build --cache-to
// covers: cli docker builder build --iidfile
// covers: cli docker builder build --load
// covers: cli docker builder build --metadata-file
// covers: cli docker builder build --output
// covers: cli docker builder build --platform
// covers: cli docker builder build --provenance
// covers: cli docker builder build --pull
// covers: cli docker builder build --push
// covers: cli docker builder build --quiet
// covers: cli docker builder build --sbom
// covers: cli docker buildx build --annotation
// covers: cli docker buildx build --attest
// covers: cli docker buildx build --cache-from
// covers: cli docker buildx build --cache-to
// covers: cli docker buildx build --iidfile
// covers: cli docker buildx build --load
// covers: cli docker buildx build --metadata-file
// covers: cli docker buildx build --output
// covers: cli docker buildx build --platform
// covers: cli docker buildx build --provenance
// covers: cli docker buildx build --pull
// covers: cli docker buildx build --push
// covers: cli docker buildx build --quiet
// covers: cli docker buildx build --sbom
// covers: cli docker buildx b --annotation
// covers: cli docker buildx b --attest
// covers: cli docker buildx b --cache-from
// covers: cli docker buildx b --cache-to
// covers: cli docker buildx b --iidfile
// covers: cli docker buildx b --load
// covers: cli docker buildx b --metadata-file
// covers: cli docker buildx b --output
// covers: cli docker buildx b --platform
// covers: cli docker buildx b --provenance
// covers: cli docker buildx b --pull
// covers: cli docker buildx b --push
// covers: cli docker buildx b --quiet
// covers: cli docker buildx b --sbom
#[test]
fn what_becomes_of_results() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let base = engine.busybox();
    let script = "printf '{\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{}}' > $BUILDKIT_SCAN_DESTINATION/x.json\n";
    let scanner = Context::new(&engine, "scanner", "FROM BASE\nCOPY s /s\nENTRYPOINT [\"sh\", \"/s\"]\n");
    scanner.file("s", script);
    super::classic(&engine, &scanner, "scanner:1", &[]).ok();
    let context =
        Context::new(&engine, "results", "FROM scratch AS all\nARG TARGETARCH\nCOPY ${TARGETARCH} /f\n");
    context.file("amd64", "amd64").file("arm64", "arm64");
    for word in Word::all(&engine) {
        let plain =
            word.build(&context, &["--load", "-q", "-t", &word.tag, "--iidfile=id", "--metadata-file=meta"]);
        let id = plain.ok();
        assert_eq!(
            (word.read("id"), &super::image(&engine, &word.tag)["Id"]),
            (id.clone(), &Value::from(id.clone()))
        );
        let meta: Value = serde_json::from_str(&word.read("meta")).unwrap();
        assert_eq!(meta["containerimage.config.digest"], id);

        let name = registry.name(&format!("{}:1", word.word.replace(' ', "-")));
        let pushed = ["--push", "--platform=linux/amd64,linux/arm64", "--annotation=index:a=b", "-t", &name];
        word.build(&context, &pushed).ok();
        let index: Value = serde_json::from_str(&registry.manifest(name.split_once('/').unwrap().1)).unwrap();
        assert_eq!(
            (index["manifests"].as_array().unwrap().len(), &index["annotations"]["a"]),
            (2, &Value::from("b"))
        );

        // One entry is the image, the other what is said about it; each kind is asked for in two ways.
        for said in [
            "--provenance=true",
            "--attest=type=provenance",
            "--sbom=scanner:1",
            "--attest=type=sbom,generator=scanner:1",
        ] {
            word.build(&context, &["--output=type=image,push=true", "-t", &name, said]).ok();
            let index: Value =
                serde_json::from_str(&registry.manifest(name.split_once('/').unwrap().1)).unwrap();
            let entry = &index["manifests"][1];
            assert_eq!(entry["annotations"]["vnd.docker.reference.type"], "attestation-manifest", "{said}");
        }
        for said in ["--provenance=false", "--sbom=false"] {
            word.build(&context, &["--output=type=image,push=true", "-t", &name, said]).ok();
            let manifest: Value =
                serde_json::from_str(&registry.manifest(name.split_once('/').unwrap().1)).unwrap();
            assert!(manifest["layers"].is_array());
        }

        // A cache, there and back.
        let cache = registry.name(&format!("{}-cache", word.word.replace(' ', "-")));
        let text = format!("FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /mark; : {}\n", word.word);
        let steps = Context::new(&engine, "steps", &text);
        word.build(&steps, &["-t", &word.tag, &format!("--cache-to=type=registry,ref={cache}")]).ok();
        let mark = run(&engine, &word.tag, "cat /mark");
        engine.docker(["rmi", "-f", &word.tag]).ok();
        engine.docker(["builder", "prune", "-af"]).ok();
        word.build(&steps, &["-t", &word.tag, &format!("--cache-from={cache}")]).ok();
        assert_eq!(run(&engine, &word.tag, "cat /mark"), mark);

        // What a name means now is asked for with every `--pull`.
        let moving = registry.name("moving:1");
        let give = |content: &str| {
            let made = Context::new(&engine, "moving", "FROM scratch\nCOPY f /f\n");
            made.file("f", content);
            word.build(&made, &["-t", &moving, "--push"]).ok();
        };
        give("new");
        let path = format!("/images/{moving}/get");
        let saved = engine.request_unchecked(&testkit::http::Request::new("GET", &path)).expect(200).body;
        give("old");
        registry.receive("moving:1", &saved);
        let on_it = Context::new(&engine, "on-it", &format!("FROM {moving}\nENV A=1\n"));
        let files = |flags: &[&str]| {
            word.build(&on_it, &[&["--output=files"], flags].concat()).ok();
            word.read("files/f")
        };
        assert_eq!((files(&[]).as_str(), files(&["--pull"]).as_str()), ("old", "new"));
    }
}

// covers: cli docker build --call
// covers: cli docker build --check
// covers: cli docker build --print
// covers: cli docker image build --call
// covers: cli docker image build --check
// covers: cli docker image build --print
// covers: cli docker builder build --call
// covers: cli docker builder build --check
// covers: cli docker builder build --print
// covers: cli docker buildx build --call
// covers: cli docker buildx build --check
// covers: cli docker buildx build --print
// covers: cli docker buildx b --call
// covers: cli docker buildx b --check
// covers: cli docker buildx b --print
#[test]
fn what_is_asked_instead() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "asked", "from BASE AS one\nRUN echo x\nFROM one AS two\n");
    for word in Word::all(&engine) {
        for flag in ["--call=targets", "--print=targets"] {
            let said = word.build(&context, &[flag]).ok();
            assert!(said.contains("one") && said.contains("two"), "{flag}: {said}");
        }
        let found = word.build(&context, &["--check"]).assert_code(1);
        assert!((found.stdout.clone() + &found.stderr).contains("ConsistentInstructionCasing"), "{found:?}");
    }
}

// covers: cli docker build --ssh
// covers: cli docker image build --ssh
// covers: cli docker builder build --ssh
// covers: cli docker buildx build --ssh
// covers: dockerfile mount-type RUN --mount=type=ssh
// covers: dockerfile mount-option RUN type=ssh,id=
// covers: dockerfile mount-option RUN type=ssh,target=
// covers: dockerfile mount-option RUN type=ssh,dst=
// covers: dockerfile mount-option RUN type=ssh,destination=
// covers: dockerfile mount-option RUN type=ssh,required=
// covers: dockerfile mount-option RUN type=ssh,mode=
// covers: dockerfile mount-option RUN type=ssh,uid=
// covers: dockerfile mount-option RUN type=ssh,gid=
// covers: cli docker buildx b --ssh
#[test]
fn an_agent_of_the_client_s() {
    let engine = Engine::ours();
    engine.busybox();
    let text = "FROM BASE\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && stat -c '%a %u %g' $SSH_AUTH_SOCK > /one\n\
                RUN --mount=type=ssh,id=other,target=/agent,mode=0620,uid=7,gid=8,required test -S /agent && stat -c '%a %u %g' /agent > /two\n\
                RUN --mount=type=ssh,id=absent,required=false test ! -S \"$SSH_AUTH_SOCK\"\n\
                RUN --mount=type=ssh,dst=/d test -S /d\nRUN --mount=type=ssh,destination=/e test -S /e\n\
                RUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /agent\n";
    let context = Context::new(&engine, "agent", text);
    let path = engine.scratch().join("agent.sock");
    let _listens = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (one, other) =
        (format!("--ssh=default={}", path.display()), format!("--ssh=other={}", path.display()));
    for word in Word::all(&engine) {
        word.build(&context, &["--no-cache", "-t", &word.tag, &one, &other]).ok();
        assert_eq!(run(&engine, &word.tag, "cat /one /two"), "600 0 0\n620 7 8");
    }
    let refused = Word::all(&engine)[0].build(&context, &["--no-cache", &one]).assert_code(1);
    assert!(refused.stderr.contains("other"), "{}", refused.stderr);
    assert!(!Path::new("/run/buildkit").exists());
}

// covers: dockerfile builtin-arg ARG BUILDKIT_MULTI_PLATFORM Bool
// covers: dockerfile builtin-arg ARG BUILDKIT_CACHE_MOUNT_NS String
// covers: dockerfile builtin-arg ARG BUILDKIT_SYNTAX String
// covers: value client-env docker BUILDKIT_PROGRESS
#[test]
fn arguments_that_are_the_builder_s() {
    let engine = Engine::ours();
    engine.busybox();
    let text = "FROM BASE\nRUN --mount=type=cache,id=ns,target=/c echo x >> /c/f && cp /c/f /f\nLABEL a=b\n";
    let context = Context::new(&engine, "builtin", text);
    let word = Word { engine: &engine, word: "build", tag: engine.name("builtin") };
    let lines = |namespace: &str| {
        let argument = format!("--build-arg=BUILDKIT_CACHE_MOUNT_NS={namespace}");
        word.build(&context, &["--no-cache", "-t", &word.tag, &argument]).ok();
        run(&engine, &word.tag, "wc -l < /f").trim().to_owned()
    };
    assert_eq!([lines("one"), lines("two"), lines("one")], ["1", "1", "2"]);
    // One platform, and an index all the same.
    for (flags, kind) in [
        (&["--build-arg=BUILDKIT_MULTI_PLATFORM=1"][..], "application/vnd.oci.image.index.v1+json"),
        (&[], "application/vnd.oci.image.manifest.v1+json"),
    ] {
        word.build(&context, &[&["-o", "type=oci,dest=one.tar"], flags].concat()).ok();
        let mut archive = tar::Archive::new(fs::File::open(word.folder().join("one.tar")).unwrap());
        let index = archive.entries().unwrap().map(Result::unwrap);
        let mut index = index.into_iter().find(|entry| entry.path().unwrap() == Path::new("index.json"));
        let index: Value = serde_json::from_reader(index.as_mut().unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["mediaType"], kind, "{flags:?}");
    }
    let syntax = |name: &str| word.build(&context, &[&format!("--build-arg=BUILDKIT_SYNTAX={name}")]);
    syntax("docker/dockerfile:1.7").ok();
    let refused = syntax("somebody/frontend:1").assert_code(1);
    assert!(refused.stderr.contains("somebody/frontend:1"), "{}", refused.stderr);
    let mut command = engine.ketch_command();
    command.env("BUILDKIT_PROGRESS", "rawjson").arg("build").arg(context.path());
    let told = command::run(&mut command).assert_code(0).stderr;
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert!(first.is_object(), "{told}");
}
