//! `manifest`: lists for several platforms, put together and pushed without an engine, by both command lines.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::command::{Output, client, ketch_binary, run};
use testkit::registry::{Door, PASSWORD, USER, Wire};
use testkit::{Registry, Scratch, images};

/// A registry with `app:one`, `app:two` and `other:one`.
fn registry(door: Door, wire: Wire) -> Registry {
    let registry = Registry::with(door, wire);
    for name in ["app:one", "app:two", "other:one"] {
        let layer = images::Layer::default().finish();
        let archive = layer.and_then(|layer| images::archive(name, &layer, &json!({"Cmd": [name]})));
        registry.receive(name, &archive.unwrap_or_else(|error| panic!("{error:#}")));
    }
    registry
}

/// Both command lines, each with a configuration of its own and no engine.
struct Both {
    scratch: Scratch,
    registry: Registry,
}

impl Both {
    fn new(door: Door, wire: Wire) -> Self {
        let both = Self { scratch: Scratch::create(), registry: registry(door, wire) };
        if door == Door::Login {
            // What `login` keeps; it would need an engine.
            let auths = json!({"auths": {both.registry.address(): {"auth": "bWU6c2VjcmV0"}}});
            assert_eq!((USER, PASSWORD), ("me", "secret"));
            for name in ["ours", "theirs"] {
                both.scratch.write(&format!("{name}/config.json"), auths.to_string());
            }
        }
        both
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// What both say; `R` in the arguments is the registry.
    fn say(&self, arguments: &[&str]) -> [Output; 2] {
        let clients = [("ours", Command::new(ketch_binary())), ("theirs", client("docker"))];
        clients.map(|(name, mut command)| {
            command.env_clear().env("HOME", self.scratch.path()).env("DOCKER_CONFIG", self.folder(name));
            command.env("DOCKER_HOST", "unix:///nonexistent.sock").arg("manifest");
            let address = |word: &&str| word.replace("R/", &format!("{}/", self.registry.address()));
            run(command.args(arguments.iter().map(address)))
        })
    }

    #[track_caller]
    fn alike(&self, arguments: &[&str]) -> Output {
        let [ours, theirs] = self.say(arguments);
        assert_eq!(
            (ours.code, &ours.stdout, &ours.stderr),
            (theirs.code, &theirs.stdout, &theirs.stderr),
            "{arguments:?}"
        );
        ours
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.scratch.path());
    }
}

// covers: cli docker manifest
// covers: cli docker manifest create
// covers: cli docker manifest create --insecure
// covers: cli docker manifest create --amend
// covers: cli docker manifest annotate
// covers: cli docker manifest annotate --arch
// covers: cli docker manifest annotate --os
// covers: cli docker manifest annotate --os-features
// covers: cli docker manifest annotate --os-version
// covers: cli docker manifest annotate --variant
// covers: cli docker manifest inspect
// covers: cli docker manifest inspect --insecure
// covers: cli docker manifest inspect --verbose
// covers: cli docker manifest push
// covers: cli docker manifest push --insecure
// covers: cli docker manifest push --purge
// covers: cli docker manifest rm
#[test]
fn a_list_is_made_annotated_and_pushed_alike() {
    for (door, wire) in [(Door::Open, Wire::Plain), (Door::Login, Wire::Plain), (Door::Login, Wire::Tls)] {
        let both = Both::new(door, wire);
        let fine = |arguments: &[&str]| both.alike(arguments).ok();
        let wrong = |arguments: &[&str]| both.alike(arguments).assert_code(1).stderr;
        fine(&["inspect", "--insecure", "R/app:one"]);
        fine(&["inspect", "--insecure", "--verbose", "R/app:two"]);
        let parts = ["R/app:one", "R/app:two", "R/other:one"];
        fine(&[&["create", "--insecure", "R/app:all"][..], &parts].concat());
        assert!(wrong(&["create", "--insecure", "R/app:all", "R/app:one"]).contains("--amend"));
        fine(&["create", "--insecure", "--amend", "R/app:all", "R/app:one"]);
        let arm = [
            "--os",
            "linux",
            "--arch",
            "arm64",
            "--variant",
            "v8",
            "--os-version",
            "1.2",
            "--os-features",
            "a,b",
        ];
        fine(&[&["annotate", "R/app:all", "R/app:two"][..], &arm].concat());
        fine(&["annotate", "--os-features", "b,c", "R/app:all", "R/app:two"]);
        fine(&["inspect", "R/app:all", "R/app:two"]);
        fine(&["inspect", "R/app:all"]);
        let entries: Value = serde_json::from_str(&fine(&["inspect", "-v", "R/app:all"])).unwrap_or_default();
        let platform = &entries[1]["Descriptor"]["platform"];
        assert_eq!(platform["architecture"], "arm64", "{entries}");
        assert_eq!(platform["os.features"], json!(["a", "b", "c"]));
        // Each can go on with what the other began.
        let swapped = [("ours", "kept"), ("theirs", "ours"), ("kept", "theirs")];
        for (from, to) in swapped {
            std::fs::rename(both.folder(from), both.folder(to)).unwrap_or_else(|error| panic!("{error}"));
        }
        let pushed = fine(&["push", "--insecure", "R/app:all"]);
        assert_eq!(pushed.lines().last(), Some(both.registry.digest("app:all").as_str()));
        assert!(pushed.contains("Pushed ref "), "{pushed}");
        fine(&["push", "--insecure", "--purge", "R/app:all"]);
        fine(&["inspect", "--insecure", "R/app:all"]);
        fine(&["inspect", "--insecure", "--verbose", "R/app:all"]);
        assert!(wrong(&["create", "--insecure", "R/app:list", "R/app:all"]).contains("is a manifest list"));
        assert!(wrong(&["push", "--insecure", "R/app:all"]).contains("No such manifest"));
        fine(&["create", "--insecure", "R/app:more", "R/app:one"]);
        fine(&["rm", "R/app:more"]);
    }
}

#[test]
fn lists_that_cannot_be_are_refused_in_dockers_words() {
    let both = Both::new(Door::Open, Wire::Plain);
    both.alike(&["create", "--insecure", "R/app:all", "R/app:one"]).ok();
    both.alike(&["create", "--insecure", "x:1", "R/app:one"]).ok();
    for arguments in [
        &["inspect", "--insecure", "R/app:nosuch"][..],
        &["inspect", "--insecure", "R/nosuch:nosuch"],
        &["inspect", "R/app:all", "R/app:nosuch"],
        &["inspect", "UPPER"],
        &["create", "UPPER", "x"],
        &["create", "--insecure", "R/app:new", "UPPER"],
        &["create", "--insecure", "R/app:new", "R/app:nosuch"],
        &["annotate", "R/app:all", "R/app:one", "--arch", "nosuch"],
        &["annotate", "R/app:all", "R/app:nosuch", "--arch", "arm64"],
        &["annotate", "R/app:nosuch", "R/app:one", "--arch", "arm64"],
        &["annotate", "UPPER", "x"],
        &["push", "--insecure", "x:1"],
        &["push", "R/app:nosuch"],
        &["rm", "R/app:nosuch", "y"],
    ] {
        assert!(!both.alike(arguments).assert_code(1).stderr.is_empty(), "{arguments:?}");
    }
    // A file that somebody changed is not believed.
    let address = both.registry.address().replace(':', "-");
    let file = both.folder("ours").join(format!("manifests/{address}_app-all/{address}_app-one"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&file, text.replace("\"digest\":\"sha256:", "\"digest\":\"sha256:0")).unwrap_or_default();
    let [ours, _] = both.say(&["push", "--insecure", "R/app:all"]);
    assert!(ours.assert_code(1).stderr.contains("manifest rm"));
}
