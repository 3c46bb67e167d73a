//! Files into containers and out of them.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::http::{Reply, Request};
use testkit::{DEADLINE, Engine, Scratch, command, eventually};

const SETUP: &str = "mkdir -p /t/ex /t/ex2/dir; echo o >/t/of; ln -s ex /t/lex; ln -s of /t/lof; ln -s newt /t/lnew; \
                     ln -s ../../../../../../etc/shadow /t/out; touch /t/ready";

/// A container with files, that runs or has ended.
fn container(engine: &Engine, name: &str, then: &str) -> String {
    let (tag, name) = (engine.busybox(), engine.name(name));
    let config = json!({
        "Image": tag, "Cmd": ["sh", "-c", format!("{SETUP}; {then}")], "User": "0",
        "HostConfig": {"NetworkMode": "none", "Init": false},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &json!(null)).expect(204);
    match then {
        "sleep 1000" => {
            eventually(DEADLINE, || match archive(engine, "HEAD", &name, "/t/ready").status() {
                200 => Ok(()),
                status => Err(format!("{status}")),
            });
        }
        _ => drop(engine.post(&format!("/containers/{name}/wait"), &json!(null)).expect(200)),
    }
    name
}

fn archive(engine: &Engine, method: &str, name: &str, path: &str) -> Reply {
    engine.request_unchecked(&Request::new(method, &format!("/containers/{name}/archive?path={path}")))
}

fn put(engine: &Engine, name: &str, query: &str, tar: &[u8]) -> Reply {
    let request = Request::new("PUT", &format!("/containers/{name}/archive?{query}"));
    engine.request_unchecked(&request.header("Content-Type", "application/x-tar").body(tar))
}

fn files() -> Scratch {
    let folder = Scratch::create();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("f1"), "1\n").unwrap();
    fs::create_dir_all(at("dir/sub")).unwrap();
    fs::write(at("dir/sub/f2"), "2\n").unwrap();
    for (target, link) in [("f1", "lf"), ("dir", "ld"), ("nowhere", "lb")] {
        symlink(target, at(link)).unwrap();
    }
    folder
}

/// All that is below a folder: kind and name, or where it links to.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(folder.join(&path)).unwrap() {
            let below = path.join(entry.unwrap().file_name());
            let kind = fs::symlink_metadata(folder.join(&below)).unwrap().file_type();
            found.push(match () {
                () if kind.is_symlink() => {
                    format!(
                        "{} -> {}",
                        below.display(),
                        fs::read_link(folder.join(&below)).unwrap().display()
                    )
                }
                () if kind.is_dir() => format!("{}/", below.display()),
                () => below.display().to_string(),
            });
            if kind.is_dir() {
                waiting.push(below);
            }
        }
    }
    found.sort();
    found
}

/// Arguments, and what is said of them; `C` is the container and `HERE` the folder.
const IN: &[(&str, &str)] = &[
    ("f1 C:/t/new", ""),
    ("f1 C:/t/newd/", "no such directory"),
    ("f1 C:/t/ex", ""),
    ("f1 C:/t/of", ""),
    ("f1 C:/t/of/", "no such directory"),
    ("f1 C:/t/nodir/x", "Error response from daemon: Could not find the file /t/nodir in container C"),
    ("dir C:/t/cd", ""),
    ("dir C:/t/ex", ""),
    ("dir/. C:/t/ex2", ""),
    ("dir C:/t/nodir/x", "Error response from daemon: Could not find the file /t/nodir in container C"),
    ("dir/ C:/t/cd2/", ""),
    ("f1/ C:/t", "not a directory"),
    ("nope C:/t", "lstat HERE/nope: no such file or directory"),
    ("nope/ C:/t", "lstat HERE/nope: no such file or directory"),
    ("lf C:/t/llf", ""),
    ("-L lf C:/t/lLf", ""),
    ("ld C:/t/lld", ""),
    ("ld/ C:/t/lld2", ""),
    ("-L ld C:/t/lld3", ""),
    ("lb C:/t/lb", ""),
    ("-L lb C:/t/lb2", "lstat HERE/nowhere: no such file or directory"),
    ("f1 C:/t/lex", ""),
    ("f1 C:/t/lof", ""),
    ("f1 C:/t/lnew", ""),
    ("dir C:/t/lex", ""),
    ("f1 C:", "no such directory"),
    ("f1 f2", "must specify at least one container source"),
    ("C:/a C:/b", "copying between containers is not supported"),
    ("- C:/t/of", "destination \"C:/t/of\" must be a directory"),
    ("- C:/t/nope", "destination \"C:/t/nope\" must be a directory"),
    ("-q ./f1 C:t/with", ""),
    ("-a f1 C:/t/arch", ""),
    ("dir C:/t/of/x", "Error response from daemon: extraction point is not a directory"),
];

const OUT: &[(&str, &str)] = &[
    ("C:/t/nope .", "Error response from daemon: Could not find the file /t/nope in container C"),
    ("C:/t/of nodir/x", "invalid output path: directory \"HERE/nodir\" does not exist"),
    ("C:/t/of f1/", "stat HERE/f1/: not a directory"),
    ("C:/t/of newd/", "no such directory"),
    ("C:/t/of copied", ""),
    ("C:/t/ex copd", ""),
    ("C:/t/ex copd", ""),
    ("C:/t/ex/. copd2", ""),
    ("C:/t/ex f1", "cannot copy directory"),
    ("C:/t/lof cl", ""),
    ("-L C:/t/lof cL", ""),
    ("-L C:/t/lof dir", ""),
    ("C:/t/lex/ clex", ""),
    ("-L C:/t/lex clex2", ""),
    ("C:/t/lnew cnew", ""),
    ("C:/t/of lb", ""),
];

fn run_all(mut client: impl FnMut() -> Command, table: &[(&str, &str)], name: &str, here: &Path) {
    for (line, said) in table {
        let line = line.replace("C:", &format!("{name}:"));
        let said =
            said.replace("C:", &format!("{name}:")).replace("container C", &format!("container {name}"));
        let said = said.replace("HERE", &here.display().to_string());
        let output = command::run(client().arg("cp").args(line.split(' ')).current_dir(here));
        // docker's own client may log that it stopped packing, before or after it says why.
        let said_here = output.stderr.trim().lines().rfind(|line| !line.starts_with("time="));
        assert_eq!(
            (output.code, said_here.unwrap_or_default()),
            (i32::from(!said.is_empty()), &said[..]),
            "cp {line}"
        );
    }
}

// covers: cli docker cp
// covers: cli docker cp --archive
// covers: cli docker cp --follow-link
// covers: cli docker cp --quiet
// covers: cli docker container cp
// covers: cli docker container cp --archive
// covers: cli docker container cp --follow-link
// covers: cli docker container cp --quiet
// covers: api GET /containers/{id}/archive
// covers: api HEAD /containers/{id}/archive
// covers: api PUT /containers/{id}/archive
#[test]
fn paths_mean_what_they_mean_to_docker_in_running_and_in_stopped_containers() {
    let engine = Engine::isolated();
    let mut trees = Vec::new();
    for (number, then) in ["sleep 1000", "true"].into_iter().enumerate() {
        for (client, start) in
            [("docker", Engine::docker_command as fn(&Engine) -> Command), ("ketch", Engine::ketch_command)]
        {
            let name = container(&engine, &format!("{client}{number}"), then);
            let here = files();
            let here_path = fs::canonicalize(here.path()).unwrap();
            run_all(|| start(&engine), OUT, &name, &here_path);
            let out = tree(&here_path);
            let here = files();
            run_all(|| start(&engine), IN, &name, &fs::canonicalize(here.path()).unwrap());
            let back = Scratch::create();
            command::run(
                engine.docker_command().args(["cp", &format!("{name}:/t"), "t"]).current_dir(back.path()),
            )
            .ok();
            trees.push((out, tree(back.path())));
        }
    }
    let (out, back) = &trees[0];
    assert!(out.contains(&"copd/ex/".to_owned()) && out.contains(&"cl -> of".to_owned()), "{out:?}");
    assert!(back.contains(&"t/lld2/sub/f2".to_owned()) && back.contains(&"t/newt".to_owned()), "{back:?}");
    for other in &trees[1..] {
        assert_eq!(other, &trees[0]);
    }
}

// covers: api GET /containers/{id}/archive ?path
// covers: api HEAD /containers/{id}/archive ?path
#[test]
fn what_is_at_a_path_stands_in_a_header() {
    let engine = Engine::isolated();
    let name = container(&engine, "c", "sleep 1000");
    let stat = |path: &str| {
        let reply = archive(&engine, "HEAD", &name, path).expect(200);
        let packed = reply.header("x-docker-container-path-stat").unwrap().to_owned();
        // dockerd itself changes the root's time.
        if path != "/" {
            assert_eq!(
                archive(&engine, "GET", &name, path).header("x-docker-container-path-stat"),
                Some(&packed[..])
            );
        }
        let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &packed).unwrap();
        let stat: serde_json::Value = serde_json::from_slice(&text).unwrap();
        (
            stat["name"].as_str().unwrap().to_owned(),
            stat["mode"].as_u64().unwrap(),
            stat["linkTarget"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(stat("/t/of"), ("of".into(), 0o644, String::new()));
    assert_eq!(stat("/t/ex/"), ("ex".into(), (1 << 31) | 0o755, String::new()));
    assert_eq!(stat("/t/lex"), ("lex".into(), (1 << 27) | 0o777, "/t/ex".into()));
    assert_eq!(stat("/t/lex/."), (".".into(), (1 << 31) | 0o755, String::new()));
    assert_eq!(stat("/t/out"), ("out".into(), (1 << 27) | 0o777, "/etc/shadow".into()));
    assert_eq!(stat("/").0, "/");
    for (path, status, said) in [
        ("/t/of/", 500, "lstat /t/of/: not a directory"),
        ("/t/of/x", 500, "lstat /t/of/x: not a directory"),
        ("/nope", 404, &*format!("Could not find the file /nope in container {name}")),
        ("", 400, "bad parameter: pathcannot be empty"),
    ] {
        let reply = archive(&engine, "GET", &name, path).expect(status);
        assert_eq!(reply.message(), said, "{path}");
    }
}

fn tarred(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(1234);
        header.set_gid(1234);
        header.set_mtime(1);
        let link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        let content = if link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            ""
        } else {
            content
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

// covers: cli docker cp
#[test]
fn a_dash_is_a_tar_on_the_output_or_the_input() {
    let engine = Engine::isolated();
    let name = container(&engine, "c", "sleep 1000");
    for mut client in [engine.docker_command(), engine.ketch_command()] {
        let output = client.args(["cp", &format!("{name}:/t/of"), "-"]).output().unwrap();
        let mut archive = tar::Archive::new(&output.stdout[..]);
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("of")]);
    }
    for (content, mut client) in [("1", engine.docker_command()), ("2", engine.ketch_command())] {
        let input = Scratch::create();
        let file = input.write("in.tar", tarred(&[("in", tar::EntryType::Regular, content)]));
        client.args(["cp", "-", &format!("{name}:/t")]).stdin(fs::File::open(file).unwrap());
        assert!(client.output().unwrap().status.success());
        assert_eq!(engine.docker(["exec", &name, "cat", "/t/in"]).ok(), content);
    }
}

// covers: api PUT /containers/{id}/archive ?path
// covers: api PUT /containers/{id}/archive ?noOverwriteDirNonDir
// covers: api PUT /containers/{id}/archive ?copyUIDGID
#[test]
fn archives_are_extracted_beneath_their_folder() {
    use tar::EntryType as T;
    let engine = Engine::isolated();
    let name = container(&engine, "c", "sleep 1000");
    let refused = |query: &str, entries: &[(&str, T, &str)], status: u16| {
        put(&engine, &name, query, &tarred(entries)).expect(status).message()
    };
    let (file, folder) = ([("x", T::Regular, "1")], [("x", T::Directory, "")]);
    put(&engine, &name, "path=/t", &tarred(&file)).expect(200);
    let said = refused("path=/t&noOverwriteDirNonDir=1", &folder, 500);
    assert_eq!(said, "cannot overwrite non-directory \"x\" with directory \"/t\"");
    put(&engine, &name, "path=/t", &tarred(&folder)).expect(200);
    let said = refused("path=/t&noOverwriteDirNonDir=1", &file, 500);
    assert_eq!(said, "cannot overwrite directory \"x\" with non-directory \"/t\"");
    put(&engine, &name, "path=/t&copyUIDGID=1", &tarred(&file)).expect(200);
    assert_eq!(refused("path=/t/of", &file, 400), "extraction point is not a directory");
    assert!(put(&engine, &name, "path=/t", &tarred(&[("../y", T::Regular, "1")])).status() >= 400);
    // Links lead no further than the folder that is extracted to.
    put(
        &engine,
        &name,
        "path=/t/ex",
        &tarred(&[("in", T::Symlink, "/etc"), ("in/through", T::Regular, "1")]),
    )
    .expect(200);
    let listed =
        engine.docker(["exec", &name, "sh", "-c", "ls -n /t/x | cut -c1-22; ls /etc | grep -c through"]);
    assert_eq!(listed.stdout, "-rwxr-xr-x    1 0     \n0\n", "{listed:?}");
}

#[test]
fn the_owner_is_the_archives_and_locally_the_callers() {
    let engine = Engine::isolated();
    let name = container(&engine, "c", "sleep 1000");
    let here = files();
    std::os::unix::fs::chown(here.path().join("f1"), Some(77), Some(78)).unwrap();
    for mut client in [engine.docker_command(), engine.ketch_command()] {
        command::run(client.args(["cp", "f1", &format!("{name}:/t/owned")]).current_dir(here.path())).ok();
        assert_eq!(
            engine.docker(["exec", &name, "sh", "-c", "set -- $(ls -n /t/owned); echo $3:$4"]).ok(),
            "77:78"
        );
    }
    for mut client in [engine.docker_command(), engine.ketch_command()] {
        command::run(client.args(["cp", &format!("{name}:/t/owned"), "back"]).current_dir(here.path())).ok();
        let meta = fs::metadata(here.path().join("back")).unwrap();
        assert_eq!((meta.uid(), fs::read(here.path().join("back")).unwrap()), (0, b"1\n".to_vec()));
    }
}

/// A container that swaps a directory and a link to the host's root, while files go in and out.
#[test]
fn nobody_is_led_out_of_a_container_by_a_race() {
    let engine = Engine::isolated();
    let canary = Scratch::create();
    fs::write(canary.path().join("f"), "host").unwrap();
    let outside = fs::canonicalize(canary.path()).unwrap();
    let target = outside.display();
    let race = format!(
        "mkdir -p /r/a; echo own >/r/a/f; ln -s {target} /r/b; touch /r/ready; \
         while true; do mv -T /r/a /r/c; mv -T /r/b /r/a; mv -T /r/a /r/b; mv -T /r/c /r/a; done"
    );
    let (tag, name) = (engine.busybox(), engine.name("racer"));
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", race], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &json!(null)).expect(204);
    eventually(DEADLINE, || match archive(&engine, "HEAD", &name, "/r/ready").status() {
        200 => Ok(()),
        status => Err(format!("{status}")),
    });
    for _ in 0..200 {
        let read = archive(&engine, "GET", &name, "/r/a/f");
        assert!(!read.text().contains("host"), "a file of the host's came out");
        put(
            &engine,
            &name,
            "path=/r/a",
            &tarred(&[("g", tar::EntryType::Regular, "in"), ("p", tar::EntryType::Fifo, "")]),
        );
    }
    assert_eq!(tree(&outside), ["f"]);
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"host");
}
