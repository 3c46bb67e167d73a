//! Changes of files, one action after the other.

use buildkit::proto::pb;
use buildkit::proto::pb::file_action::Action;

use super::{Build, Definition, Out, action, engine};

fn mkfile(path: &str, data: &str) -> pb::FileActionMkFile {
    let (path, data) = (path.to_owned(), data.as_bytes().to_vec());
    pb::FileActionMkFile { path, mode: 0o644, data, timestamp: -1, ..pb::FileActionMkFile::default() }
}

fn mkdir(path: &str) -> pb::FileActionMkDir {
    let path = path.to_owned();
    pb::FileActionMkDir {
        path,
        mode: 0o755,
        make_parents: true,
        timestamp: -1,
        ..pb::FileActionMkDir::default()
    }
}

fn rm(path: &str) -> pb::FileActionRm {
    pb::FileActionRm { path: path.to_owned(), ..pb::FileActionRm::default() }
}

fn copy(src: &str, dest: &str) -> pb::FileActionCopy {
    let (src, dest) = (src.to_owned(), dest.to_owned());
    pb::FileActionCopy {
        src,
        dest,
        mode: -1,
        timestamp: -1,
        create_dest_path: true,
        ..pb::FileActionCopy::default()
    }
}

/// A tree with some files.
fn some(definition: &mut Definition, base: &str) -> Out {
    let root = definition.image(base);
    definition.run(
        &root,
        "mkdir -p /d/e; echo a > /d/a; echo b > /d/b; echo c > /d/e/c; ln -s d /link; chmod 600 /d/b",
    )
}

// covers: buildkit llb-op Op FileOp
// covers: buildkit llb-file-action FileOp FileActionMkFile
// covers: buildkit llb-file-action FileOp FileActionMkDir
// covers: buildkit llb-file-action FileOp FileActionSymlink
// covers: buildkit llb-cap LLBCaps file.base
// covers: buildkit llb-cap LLBCaps file.symlink.create
#[tokio::test(flavor = "multi_thread")]
async fn files_are_made() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let mut definition = Definition::default();
    let users = definition.image(&base);
    let users =
        definition.run(&users, "echo 'me:x:41:42::/:/bin/sh' >> /etc/passwd; echo 'we:x:43:' >> /etc/group");
    let by_id = |number| Some(pb::UserOpt { user: Some(pb::user_opt::User::ById(number)) });
    let named = |name: &str| {
        let user = pb::user_opt::User::ByName(pb::NamedUserOpt { name: name.into(), input: 0 });
        Some(pb::UserOpt { user: Some(user) })
    };
    let file = pb::FileActionMkFile {
        mode: 0o4711,
        owner: Some(pb::ChownOpt { user: by_id(7), group: by_id(8) }),
        timestamp: 1_700_000_000_000_000_000,
        ..mkfile("/x/y/file", "text")
    };
    let link = pb::FileActionSymlink {
        oldpath: "y/file".into(),
        newpath: "/x/link".into(),
        owner: Some(pb::ChownOpt { user: named("me"), group: named("we") }),
        timestamp: -1,
    };
    let actions = [
        action(-1, -1, -1, Action::Mkdir(mkdir("/x/y"))),
        action(1, -1, -1, Action::Mkfile(file)),
        action(2, -1, 0, Action::Symlink(link)),
    ];
    let made = definition.file(&[&users], &actions);
    let made = build.solve(definition.end(&made)).await.unwrap();
    assert_eq!(build.read(&made, "/x/link").await.unwrap(), "text");
    let file = build.stat(&made, "/x/y/file").await.unwrap();
    assert_eq!((file.uid, file.gid, file.mod_time), (7, 8, 1_700_000_000_000_000_000));
    // Go's bit for setuid.
    assert_eq!(file.mode & 0o777 | file.mode & 1 << 23, 0o711 | 1 << 23);
    let link = build.stat(&made, "/x/link").await.unwrap();
    assert_eq!((link.linkname.as_str(), link.uid, link.gid), ("y/file", 41, 43));
    let mut definition = Definition::default();
    let one = pb::FileActionMkDir { make_parents: false, ..mkdir("/none/below") };
    let made = definition.file(&[], &[action(-1, -1, 0, Action::Mkdir(one))]);
    assert!(build.solve(definition.end(&made)).await.is_err());
}

// covers: buildkit llb-file-action FileOp FileActionRm
// covers: buildkit llb-cap LLBCaps file.rm.wildcard
// covers: buildkit llb-cap LLBCaps file.rm.nofollowsymlink
#[tokio::test(flavor = "multi_thread")]
async fn files_are_removed() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    for (path, wildcard, missing, left) in [
        ("/d/a", false, false, Ok(&["b", "e"][..])),
        ("/d/[ab]", true, false, Ok(&["e"])),
        ("/d/none", false, true, Ok(&["a", "b", "e"])),
        ("/d/none", false, false, Err("no such file")),
        // A link goes itself, and not what it leads to; `..` leads to the root and no further.
        ("/link", false, false, Ok(&["a", "b", "e"])),
        ("/../../d/a", false, false, Ok(&["b", "e"])),
    ] {
        let mut definition = Definition::default();
        let tree = some(&mut definition, &base);
        let remove = pb::FileActionRm { allow_wildcard: wildcard, allow_not_found: missing, ..rm(path) };
        let made = definition.file(&[&tree], &[action(0, -1, 0, Action::Rm(remove))]);
        match (build.solve(definition.end(&made)).await, left) {
            (Ok(made), Ok(left)) => {
                assert_eq!(build.names(&made, "/d").await.unwrap(), left, "{path}");
                assert_eq!(build.names(&made, "/").await.unwrap().contains(&"link".into()), path != "/link");
            }
            (Err(error), Err(why)) => assert!(error.message.contains(why), "{error}"),
            (made, _) => panic!("{path}: {made:?}"),
        }
    }
}

// covers: buildkit llb-file-action FileOp FileActionCopy
// covers: buildkit llb-cap LLBCaps file.copy.includeexcludepatterns
// covers: buildkit llb-cap LLBCaps file.copy.requiredpaths
// covers: buildkit llb-cap LLBCaps file.copy.alwaysreplaceexistingdestpaths
// covers: buildkit llb-cap LLBCaps file.copy.modestring
#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let contents = |change: fn(&mut pb::FileActionCopy)| {
        let mut made = pb::FileActionCopy { dir_copy_contents: true, ..copy("/d", "/to") };
        change(&mut made);
        made
    };
    for (name, copy, at, expected) in [
        ("a file", copy("/d/a", "/to/x"), "/to", &["x"][..]),
        ("a folder into one", copy("/d", "/to/"), "/to", &["d"]),
        ("what is in it", contents(|_| {}), "/to", &["a", "b", "e"]),
        ("what is included", contents(|copy| copy.include_patterns = vec!["a".into()]), "/to", &["a"]),
        (
            "what isn't excluded",
            contents(|copy| copy.exclude_patterns = vec!["e".into()]),
            "/to",
            &["a", "b"],
        ),
        (
            "by a pattern",
            pb::FileActionCopy { allow_wildcard: true, ..copy("/d/[a-b]", "/to/") },
            "/to",
            &["a", "b"],
        ),
        (
            "nothing by a pattern",
            pb::FileActionCopy { allow_wildcard: true, allow_empty_wildcard: true, ..copy("/d/z*", "/to/") },
            "/",
            &[],
        ),
        (
            "through a link",
            pb::FileActionCopy { follow_symlink: true, ..copy("/link", "/to/") },
            "/to/link",
            &["a", "b", "e"],
        ),
    ] {
        let mut definition = Definition::default();
        let tree = some(&mut definition, &base);
        let made = definition.file(&[&tree], &[action(-1, 0, 0, Action::Copy(copy))]);
        let made = build.solve(definition.end(&made)).await.unwrap();
        assert_eq!(build.names(&made, at).await.unwrap(), expected, "{name}");
    }
    let refused = |copy: pb::FileActionCopy| {
        let mut definition = Definition::default();
        let tree = some(&mut definition, &base);
        let made = definition.file(&[&tree], &[action(-1, 0, 0, Action::Copy(copy))]);
        build.refused(definition.end(&made))
    };
    let pattern = pb::FileActionCopy { allow_wildcard: true, ..copy("/d/z*", "/to/") };
    assert!(refused(pattern).await.contains("z*"));
    let required = contents(|copy| copy.required_paths = vec!["/d/a".into(), "/d/none".into()]);
    let why = refused(required).await;
    assert!(why.contains("none"), "{why}");
    assert!(refused(copy("/none", "/to")).await.contains("not found"));
    // Modes in both ways of writing, and an owner.
    let owner = pb::UserOpt { user: Some(pb::user_opt::User::ById(9)) };
    for (mode, mode_str, expected) in [(0o751, "", 0o751), (-1, "u=rwx,go=", 0o700), (-1, "0444", 0o444)] {
        let mut definition = Definition::default();
        let tree = some(&mut definition, &base);
        let copy = pb::FileActionCopy {
            mode,
            mode_str: mode_str.into(),
            owner: Some(pb::ChownOpt { user: Some(owner.clone()), group: None }),
            ..copy("/d/a", "/x")
        };
        let made = definition.file(&[&tree], &[action(-1, 0, 0, Action::Copy(copy))]);
        let made = build.solve(definition.end(&made)).await.unwrap();
        let file = build.stat(&made, "/x").await.unwrap();
        assert_eq!((file.mode & 0o777, file.uid), (expected, 9), "{mode_str}");
    }
    // A folder is no file's place unless that was said.
    for replace in [false, true] {
        let mut definition = Definition::default();
        let tree = some(&mut definition, &base);
        let over = pb::FileActionCopy { always_replace_existing_dest_paths: replace, ..copy("/d", "/") };
        let before = action(-1, -1, -1, Action::Mkfile(mkfile("/d", "a file")));
        let made = definition.file(&[&tree], &[before, action(1, 0, 0, Action::Copy(over))]);
        let made = build.solve(definition.end(&made)).await;
        assert_eq!(made.is_ok(), replace, "{made:?}");
    }
}
