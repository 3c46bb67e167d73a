//! Projects that docker's client has read too: what it printed is what is printed here. The folder of a case is called
//! `$DIR` in what is expected, the one above it `$UP`. `arguments` are those of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use compose::{Environment, Error, Options, Project, Switches};

struct Case {
    options: Options,
    profiles: Vec<String>,
    json: bool,
}

fn case(folder: &Path) -> Case {
    let environment = Environment::process([("HOME".to_owned(), "/home/user".to_owned())]);
    let mut options = Options {
        files: Vec::new(),
        directory: None,
        name: None,
        env_files: Vec::new(),
        environment,
        current: folder.to_owned(),
        switches: Switches::default(),
    };
    let (mut profiles, mut json) = (Vec::new(), false);
    let line = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value").to_owned();
        match word {
            "-f" => options.files.push(value().into()),
            "-p" => options.name = Some(value()),
            "--project-directory" => options.directory = Some(value().into()),
            "--env-file" => options.env_files.push(value().into()),
            "--profile" => profiles.push(value()),
            "--format" => json = value() == "json",
            "--no-normalize" => options.switches.normalize = false,
            "--no-interpolate" => options.switches.interpolate = false,
            "--no-path-resolution" => options.switches.resolve_paths = false,
            "--no-env-resolution" => options.switches.resolve_environment = false,
            "--no-consistency" => options.switches.consistency = false,
            other => panic!("{}: {other}", folder.display()),
        }
    }
    Case { options, profiles, json }
}

fn printed(case: &Case) -> Result<String, Error> {
    let project = Project::load(&case.options, &case.profiles)?;
    Ok(if case.json { project.json() } else { project.yaml() })
}

fn folders(of: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(of);
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn shortened(text: &str, folder: &Path) -> String {
    let text = text.replace(&*folder.to_string_lossy(), "$DIR");
    text.replace(&*folder.parent().unwrap().to_string_lossy(), "$UP")
}

#[test]
fn projects_mean_what_they_mean_to_docker() {
    let mut differing = Vec::new();
    for folder in folders("corpus") {
        let expected = fs::read_to_string(folder.join("expected")).unwrap();
        let refused = folder.join("expected.error").exists();
        match printed(&case(&folder)) {
            Ok(text) if !refused => {
                let text = shortened(&text, &folder);
                if text != expected {
                    differing
                        .push(format!("{}:\n--- docker\n{expected}\n--- ours\n{text}", folder.display()));
                }
            }
            Ok(_) => differing.push(format!("{}: is refused by docker", folder.display())),
            Err(_) if refused => {}
            Err(error) => differing.push(format!("{}: {error}", folder.display())),
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n\n"));
}

/// Each mistake is found where it stands, and told in docker's words where docker has some.
#[test]
fn mistakes_are_shown_where_they_stand() {
    let text = include_str!("wrong.txt");
    let mut seen = 0;
    for block in text.split_inclusive("\n\n") {
        let (document, expected) =
            block.trim_end().split_once("\n>>> ").expect("a document and what is wrong");
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("compose.yaml");
        fs::write(&file, format!("{document}\n")).unwrap();
        let error = printed(&case(folder)).expect_err(document).to_string();
        let first = error.lines().next().unwrap_or_default();
        let found = first.strip_prefix(&format!("{}:", file.display())).unwrap_or(first);
        assert_eq!(found.replace(&*folder.to_string_lossy(), "$DIR"), expected, "{document}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

/// The hashes are docker's, so that either tool takes over what the other one started.
#[test]
fn services_have_the_hashes_that_docker_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hashes");
    let mut case = case(&folder);
    case.options.switches.resolve_environment = false;
    case.options.switches.resolve_paths = false;
    let project = Project::load(&case.options, &[]).unwrap();
    let names = project.names("services");
    let lines: Vec<_> = names.into_iter().map(|name| format!("{name} {}\n", project.hash(name))).collect();
    assert_eq!(lines.concat(), fs::read_to_string(folder.join("expected")).unwrap());
}
