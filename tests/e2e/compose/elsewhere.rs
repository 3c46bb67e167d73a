//! Projects in repositories and in registries, and what puts them there.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::Engine;
use testkit::command::{self, Output};

use super::Project;
use crate::builds::sources::{COMMIT, Git};
use crate::registry::secure::certificate;
use crate::registry::server::{Blob, Private};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT: &str = "application/vnd.docker.compose.project";
const FILE: &str = "application/vnd.docker.compose.file+yaml";

impl Project<'_> {
    /// With its own place for what is fetched, which both clients share, and a certificate that both believe.
    fn away(&self, mut command: Command, registry: Option<&Private>, arguments: &[&str]) -> Output {
        command.env("XDG_CACHE_HOME", self.folder.join("cache"));
        if let Some(registry) = registry {
            command.env("SSL_CERT_FILE", registry.scratch.join("cert.pem"));
        }
        command::run(command.args(arguments))
    }

    fn ours(&self, registry: Option<&Private>, arguments: &[&str]) -> Output {
        self.away(self.command(), registry, arguments)
    }

    fn theirs(&self, registry: Option<&Private>, arguments: &[&str]) -> Output {
        self.away(self.real_command(), registry, arguments)
    }

    /// What is kept of what was fetched.
    fn kept(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![self.folder.join("cache/docker-compose")];
        while let Some(path) = pending.pop() {
            for entry in fs::read_dir(&path).into_iter().flatten().map_while(Result::ok) {
                match entry.file_type().expect("a kind").is_dir() {
                    true => pending.push(entry.path()),
                    false => found.push(entry.file_name().into_string().expect("a name")),
                }
            }
        }
        found.sort();
        found
    }
}

fn secure() -> Private {
    Private::with_files("http: {tls: {certificate: @/cert.pem, key: @/key.pem}}", |scratch| {
        certificate(scratch, "registry");
    })
}

// covers: compose syntax (files)
#[test]
fn a_project_in_a_repository_is_run_as_it_stands() {
    let engine = Engine::ours();
    let git = Git::start(&engine);
    let project = Project::new(&engine, "repository", "services: {a: {image: IMAGE}}\n");
    let file = "services: {a: {image: IMAGE, command: sleep 1000, init: true, volumes: [\"./page:/page\"]}}";
    let file = file.replace("IMAGE", &project.image);
    let commit = git.in_repository(
        "app.git",
        &format!(
            "echo '{file}' > compose.yaml; echo one > page; mkdir sub; echo '{file}' > sub/compose.yml; git checkout -q -b feature/main; \
             echo no > page; {COMMIT} > /dev/null; git checkout -q -b main; echo sub > sub/page; echo one > page; {COMMIT}; git tag v1"
        ),
    );
    let app = git.address("app.git");
    for (address, page) in
        [(app.clone(), "one"), (format!("{app}#v1"), "one"), (format!("{app}#main:sub"), "sub")]
    {
        project.ours(None, &["-f", &address, "up", "-d"]).ok();
        assert_eq!(project.sh("a", "cat /page"), page, "{address}");
        // docker's client takes the first branch whose name ends like this: feature/main.
        if address.ends_with(":sub") {
            continue;
        }
        let id = project.id("a");
        project.theirs(None, &["-f", &address, "up", "-d", "--yes"]).ok();
        assert_eq!(project.id("a"), id, "docker's client finds it as it should be");
        let shown = |output: Output| serde_json::from_str::<Value>(&output.ok()).unwrap();
        let arguments = ["-f", &address, "config", "--format=json"];
        assert_eq!(shown(project.ours(None, &arguments)), shown(project.theirs(None, &arguments)));
    }
    let place = project.inspect("a")["Config"]["Labels"]["com.docker.compose.project.working_dir"].clone();
    assert!(place.as_str().unwrap().ends_with(&format!("docker-compose/{}/sub", commit.trim())), "{place}");
    let told = project.ours(None, &["-f", &format!("{app}#{}", commit.trim()), "up", "-d"]).ok();
    assert!(told.contains(&format!("Your compose stack \"{app}#{}\" is stored in", commit.trim())), "{told}");
    project.ours(None, &["down", "--timeout", "0"]).ok();
}

// covers: compose syntax include[]
#[test]
fn parts_of_a_project_come_from_repositories() {
    let engine = Engine::ours();
    let git = Git::start(&engine);
    git.in_repository(
        "parts.git",
        &format!(
            "echo 'services: {{shared: {{image: a, volumes: [\"./data:/data\"], env_file: v.env}}}}' > compose.yaml; echo A=1 > v.env; {COMMIT}"
        ),
    );
    let parts = git.address("parts.git");
    let file = format!(
        "include: [\"{parts}\"]\nservices:\n  b: {{extends: {{file: \"{parts}#main\", service: shared}}, command: x}}\n"
    );
    let project = Project::new(&engine, "parts", &file);
    let config = project.ours(None, &["config"]).ok();
    assert_eq!(config, project.theirs(None, &["config"]).ok());
    assert!(config.contains("/docker-compose/") && config.contains("A: \"1\""), "{config}");
    project.write("compose.yaml", &format!("include:\n  - {parts}#none\n"));
    let wrong = project.ours(None, &["config"]).assert_code(1).stderr;
    assert!(wrong.contains("compose.yaml:2:5") && wrong.contains("does not contain ref"), "{wrong}");
}

#[test]
fn what_comes_from_a_repository_has_bounds() {
    let engine = Engine::ours();
    let git = Git::start(&engine);
    git.in_repository(
        "large.git",
        &format!("echo 'services: {{a: {{image: x}}}}' > compose.yaml; head -c 1000000 /dev/urandom > large; {COMMIT}"),
    );
    let project = Project::new(&engine, "bounded", "services: {}\n");
    let address = git.address("large.git");
    let limited = |size: &str| {
        let mut command = project.command();
        command.env("KETCH_GIT_SIZE", size);
        project.away(command, None, &["-f", &address, "config"])
    };
    let refused = limited("300k").assert_code(1).stderr;
    assert!(refused.contains("it is larger than 307200 bytes: KETCH_GIT_SIZE=20g allows more"), "{refused}");
    assert_eq!(project.kept(), Vec::<String>::new(), "nothing of it is kept");
    let refused = limited("much").assert_code(1).stderr;
    assert!(refused.contains("KETCH_GIT_SIZE must be a size such as 500m or 20g: \"much\""), "{refused}");
    limited("3m").ok();
}

#[test]
fn a_repository_of_which_nothing_comes_is_given_up() {
    let engine = Engine::ours();
    let project = Project::new(&engine, "silent", "services: {}\n");
    // Whoever connects waits: nobody accepts.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("git://{}/app.git", silent.local_addr().unwrap());
    let mut command = project.command();
    command.env("GIT_HTTP_LOW_SPEED_TIME", "1");
    let refused = project.away(command, None, &["-f", &address, "config"]).assert_code(1).stderr;
    let words = "nothing came for 1 seconds: GIT_HTTP_LOW_SPEED_TIME says how many seconds to wait";
    assert!(refused.contains(words), "{refused}");
}

/// S090: nothing in a repository is a way out of it.
#[test]
fn s090_a_repository_leads_nowhere_else() {
    let engine = Engine::ours();
    let git = Git::start(&engine);
    let project = Project::new(&engine, "astray", "services: {}\n");
    project.write("outside/compose.yaml", "services: {stolen: {image: x}}\n");
    let outside = project.folder.join("outside");
    git.in_repository(
        "evil.git",
        &format!(
            "ln -s {out} link; ln -s {out}/compose.yaml compose.yaml; mkdir in; ln -s ../link/compose.yaml in/compose.yaml; {COMMIT}",
            out = outside.display()
        ),
    );
    let evil = git.address("evil.git");
    for rest in ["#:link", "", "#:in", "#:../..", "#:in/../../..", "#:link/compose.yaml"] {
        let wrong = project.ours(None, &["-f", &format!("{evil}{rest}"), "config"]).assert_code(1).stderr;
        assert!(wrong.contains("traversal") || wrong.contains("no such file"), "{rest}: {wrong}");
        assert!(!wrong.contains("stolen"), "{wrong}");
    }
    let touched = project.folder.join("touched");
    for address in [
        format!("ext::touch {}", touched.display()),
        format!("{evil}#--upload-pack=touch {}", touched.display()),
        format!("file://{}/evil.git", git.address("").len()),
    ] {
        project.ours(None, &["-f", &address, "config"]).assert_code(1);
    }
    assert!(!touched.exists());
    let mut off = project.command();
    off.env("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "false");
    let wrong = project.away(off, None, &["-f", &evil, "config"]).assert_code(1).stderr;
    assert!(wrong.contains("git remote resource is disabled"), "{wrong}");
}

const PUBLISHED: &str = "
services:
  web:
    image: IMAGE
    command: sleep ${SECONDS_LONG:-1000}
    init: true
    env_file:
      - a.env
      - path: \"missing.env\"
        required: false
    environment: {TOKEN: abc}
    volumes: [\"./code:/code\"]
  more:
    extends:
      file: base.yaml
      service: base
";

fn published<'e>(engine: &'e Engine, name: &str) -> Project<'e> {
    let project = Project::new(engine, name, PUBLISHED);
    project.write("a.env", "FROM_FILE=1\n");
    project.write("base.yaml", "services:\n  base: {image: IMAGE, command: sleep 1000, init: true}\n");
    project.write("compose.override.yaml", "services: {web: {labels: {over: laid}}}\n");
    project
}

#[test]
fn either_client_reads_what_the_other_one_published() {
    let engine = Engine::ours();
    let registry = secure();
    let project = published(&engine, "published");
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.address);
    let trust = Some(&registry);
    for version in ["", "1.0", "1.1"] {
        let flags = ["publish", "--yes", "--with-env", "--oci-version", version];
        project.ours(trust, &[&flags[..], &[&name("ours")]].concat()).ok();
        project.theirs(trust, &[&flags[..], &[&name("theirs")]].concat()).ok();
        let [ours, theirs] = ["ours", "theirs"].map(|tag| {
            let curl = Command::new("curl")
                .args(["--silent", "--cacert"])
                .arg(registry.scratch.join("cert.pem"))
                .args(["--header", &format!("Accept: {MANIFEST}")])
                .arg(format!("https://{}/v2/team/app/manifests/{tag}", registry.address))
                .output();
            let mut manifest: Value = serde_json::from_slice(&curl.unwrap().stdout).unwrap();
            manifest["annotations"].take();
            manifest
        });
        assert_eq!(ours, theirs, "{version}");
        assert_eq!(ours["layers"].as_array().unwrap().len(), 4);
        let other = project.copy("elsewhere");
        for (tag, ours_reads) in [("theirs", true), ("ours", false)] {
            let arguments = ["-f", &format!("oci://{}", name(tag)), "config", "--format", "json"];
            let own: Value = serde_json::from_str(&other.ours(trust, &arguments).ok()).unwrap();
            let real: Value = serde_json::from_str(&other.theirs(trust, &arguments).ok()).unwrap();
            assert_eq!(own, real, "{ours_reads}");
            assert_eq!(own["services"]["web"]["environment"]["FROM_FILE"], "1");
            assert_eq!(own["services"]["more"]["command"], json!(["sleep", "1000"]));
            assert_eq!(own["services"]["web"]["labels"]["over"], "laid");
        }
    }
    // Run from there, and taken over by the other client.
    let other = project.copy("run");
    let address = format!("oci://{}", name("ours"));
    let up = other.ours(trust, &["-f", &address, "up", "-d"]).assert_code(1);
    assert!(up.stdout.contains("SECONDS_LONG   1000      compose file   no         1000"), "{}", up.stdout);
    assert!(up.stderr.contains("operation cancelled by user"), "{}", up.stderr);
    other.ours(trust, &["-f", &address, "up", "-d", "--yes"]).ok();
    let id = other.id("web");
    other.theirs(trust, &["-f", &address, "up", "-d", "--yes"]).ok();
    assert_eq!(other.id("web"), id);
    project.write(
        "whole.yaml",
        &format!(
            "include: [\"{address}\"]\nservices: {{x: {{extends: {{file: \"{address}\", service: more}}}}}}\n"
        ),
    );
    let shown = ["-f", "whole.yaml", "config", "--services"];
    let services = project.ours(trust, &shown).ok();
    assert_eq!(services.lines().count(), 3, "{services}");
    other.ours(trust, &["-f", &address, "down", "--timeout", "0"]).ok();
}

#[test]
fn images_are_published_by_their_digests() {
    let engine = Engine::ours();
    let registry = testkit::Registry::start();
    let image = registry.name("app:1");
    engine.docker(["tag", &engine.busybox(), &image]).ok();
    engine.docker(["push", "--quiet", &image]).ok();
    let project = Project::new(&engine, "pinned", &format!("services: {{a: {{image: \"{image}\"}}}}\n"));
    let target = registry.name("project:1");
    project.ours(None, &["publish", "--resolve-image-digests", &target]).ok();
    let config = project.ours(None, &["-f", &format!("oci://{target}"), "config"]).ok();
    assert!(config.contains(&format!("image: {image}@{}", registry.digest("app:1"))), "{config}");
}

#[test]
fn what_should_not_be_published_is_asked_about_or_refused() {
    let engine = Engine::ours();
    let registry = Private::start();
    let target = format!("{}/x:1", registry.address);
    let publish = |file: &str, more: &[&str]| {
        let project = Project::new(&engine, "asked", file);
        project.write("other.yaml", "services: {b: {image: IMAGE}}\n");
        let output = project.ours(None, &[&["publish"], more, &[&target]].concat());
        (output.code, output.stdout + &output.stderr)
    };
    for (file, more, words) in [
        ("services: {a: {build: .}}\n", &[][..], "only contains a build section for service(s):\n- \"a\""),
        (
            "include: [other.yaml]\nservices: {a: {image: IMAGE}}\n",
            &["--yes"],
            "cannot publish compose file with local includes",
        ),
        (
            "services: {a: {image: IMAGE, environment: {A: b}}}\n",
            &[],
            "service \"a\" has environment variable(s) declared.",
        ),
        ("services: {a: {image: IMAGE}}\n", &["--app"], "--app: images are not copied here"),
        ("services: {a: {image: IMAGE}}\n", &["--oci-version", "3"], "unsupported OCI version: 3"),
    ] {
        let (code, said) = publish(file, more);
        assert!(code == 1 && said.contains(words), "{said}");
    }
    for (file, more, words) in [
        (
            "services: {a: {image: IMAGE, volumes: [\"./x:/x\"]}}\n",
            &[][..],
            "Are you ok to publish these bind mount declarations?",
        ),
        (
            "services: {a: {image: IMAGE, environment: {A: b}}}\n",
            &["--with-env"],
            "A=b\nAre you ok to publish these environment variables?",
        ),
    ] {
        let (code, said) = publish(file, more);
        assert!(code == 0 && said.contains(words) && !said.contains("Published"), "{said}");
    }
    let (code, said) = publish("services: {a: {image: IMAGE}}\n", &["--dry-run"]);
    assert!(code == 0 && said.contains("DRY-RUN MODE"), "{said}");
    let project = Project::new(&engine, "nothing", "services: {}\n");
    let nothing = project.ours(None, &["-f", &format!("oci://{target}"), "config"]).assert_code(1).stderr;
    assert!(nothing.contains("failed to pull OCI resource"), "nothing was published: {nothing}");
}

/// S147: what an artifact says of its files are names, never ways.
#[test]
fn s147_an_artifact_writes_nothing_beside_its_own_folder() {
    let engine = Engine::ours();
    let registry = Private::start();
    let project = Project::new(&engine, "hostile", "services: {}\n");
    let (empty, text) = (Blob::new("{}"), Blob::new("services: {a: {image: x}}\n"));
    registry.push_blob("evil", &empty);
    registry.push_blob("evil", &text);
    let put = |artifact: &str, layers: Value| {
        let config =
            json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.digest, "size": 2});
        let document = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact, "config": config, "layers": layers});
        registry.put_manifest("evil", "1", &Blob::new(document.to_string()), MANIFEST).expect(201);
    };
    let layer = |kind: &str, annotations: Value| json!({"mediaType": kind, "digest": text.digest, "size": text.bytes.len(), "annotations": annotations});
    let main = layer(FILE, json!({"com.docker.compose.file": "compose.yaml"}));
    let address = format!("oci://{}/evil:1", registry.address);
    let outside = project.folder.join("outside");
    for name in ["../../../outside", &outside.display().to_string(), "..", "", "a/b", "a\\b"] {
        for more in [
            layer(FILE, json!({"com.docker.compose.extends": "true", "com.docker.compose.file": name})),
            layer("application/vnd.docker.compose.envfile", json!({"com.docker.compose.envfile": name})),
        ] {
            put(ARTIFACT, json!([main, more]));
            for command in [&["config"][..], &["ps"], &["up", "--dry-run"]] {
                let wrong = project.ours(None, &[&["-f", &address], command].concat()).assert_code(1).stderr;
                assert!(wrong.contains("invalid OCI artifact"), "{name}: {wrong}");
            }
        }
    }
    assert!(!outside.exists());
    put(
        ARTIFACT,
        json!([layer(
            "application/vnd.docker.compose.envfile",
            json!({"com.docker.compose.envfile": "compose.yaml"})
        )]),
    );
    project.ours(None, &["-f", &address, "config"]).assert_code(1);
    put("application/vnd.other", json!([main]));
    let wrong = project.ours(None, &["-f", &address, "config"]).assert_code(1).stderr;
    assert!(wrong.contains("is not a compose project OCI artifact, but application/vnd.other"), "{wrong}");
    assert!(project.kept().is_empty(), "{:?}", project.kept());
    put(ARTIFACT, json!([main]));
    project.ours(None, &["-f", &address, "config"]).ok();
    assert_eq!(project.kept(), ["compose.yaml"]);
}
