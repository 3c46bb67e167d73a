//! Every key and value of `--mount`, by what it does.

use std::fs;

use serde_json::Value;
use testkit::Engine;

use super::run;

fn mounted(engine: &Engine, ours: bool, mount: &str, script: &str) -> String {
    let image = engine.busybox();
    run(engine, ours, &["run", "--rm", "--network", "none", "--mount", mount, &image, "sh", "-c", script])
        .ok()
}

// covers: value option-key --mount type
// covers: value option-key --mount source
// covers: value option-key --mount src
// covers: value option-key --mount target
// covers: value option-key --mount dst
// covers: value option-key --mount destination
// covers: value option-key --mount readonly
// covers: value option-key --mount ro
// covers: value option-key --mount consistency
// covers: value option-key --mount bind-create-src
// covers: value mount-type --mount type= bind
// covers: value mount-type --mount type= volume
// refuses: value mount-type --mount type= npipe because it exists for Windows only
// refuses: value mount-type --mount type= cluster because volumes of a swarm are not part of Ketch
#[test]
fn a_mount_is_where_and_what_its_keys_say() {
    let engine = Engine::isolated();
    let folder = engine.scratch().join("shared");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "text").unwrap();
    let (folder, volume) = (folder.display().to_string(), engine.name("v"));
    for ours in [true, false] {
        for (source, target) in [("source", "target"), ("src", "dst"), ("source", "destination")] {
            let mount = format!("type=bind,{source}={folder},{target}=/x,consistency=cached");
            assert_eq!(mounted(&engine, ours, &mount, "cat /x/file"), "text");
        }
        for read_only in ["readonly", "ro", "ro=true", "readonly=1"] {
            let mount = format!("type=bind,src={folder},dst=/x,{read_only}");
            assert_eq!(mounted(&engine, ours, &mount, "touch /x/y 2>/dev/null || echo no"), "no");
            let mount = format!("type=volume,src={volume},dst=/x,{read_only}");
            assert_eq!(mounted(&engine, ours, &mount, "touch /x/y 2>/dev/null || echo no"), "no");
        }
        let mount = format!("type=volume,src={volume},dst=/x,readonly=false");
        assert_eq!(mounted(&engine, ours, &mount, "echo 1 > /x/y; cat /x/y"), "1");
        // Without a type it is a volume.
        assert_eq!(mounted(&engine, ours, &format!("src={volume},dst=/x"), "cat /x/y"), "1");
    }
    let missing = engine.scratch().join("missing/deep");
    let mount = format!("type=bind,src={},dst=/x", missing.display());
    let image = engine.busybox();
    let refused = run(&engine, true, &["create", "--mount", &mount, &image, "true"]);
    assert!(refused.stderr.contains("bind source path does not exist"), "{}", refused.stderr);
    assert_eq!(mounted(&engine, true, &format!("{mount},bind-create-src"), "ls /x | wc -l"), "0");
    assert!(missing.is_dir());
    engine.docker(["volume", "rm", &volume]).ok();
}

// covers: value option-key --mount tmpfs-size
// covers: value option-key --mount tmpfs-mode
// covers: value mount-type --mount type= tmpfs
#[test]
fn memory_has_the_size_and_mode_that_were_asked_for() {
    let engine = Engine::isolated();
    for ours in [true, false] {
        let script = "stat -c %a /x; df -k /x | tail -1 | awk '{print $2}'; grep -c ' /x tmpfs' /proc/mounts";
        let said = mounted(&engine, ours, "type=tmpfs,dst=/x,tmpfs-size=2m,tmpfs-mode=1710", script);
        assert_eq!(said.lines().collect::<Vec<_>>(), ["1710", "2048", "1"]);
    }
}

// covers: value option-key --mount bind-propagation
// covers: value mount-value bind-propagation= rprivate
// covers: value mount-value bind-propagation= private
// covers: value mount-value bind-propagation= rslave
// covers: value mount-value bind-propagation= slave
// covers: value mount-value bind-propagation= rshared
// covers: value mount-value bind-propagation= shared
#[test]
fn each_propagation_is_the_kernels() {
    let engine = Engine::isolated();
    let folder = engine.scratch().join("propagated");
    fs::create_dir_all(&folder).unwrap();
    let shared = Mounted::tmpfs(&folder, true);
    let script =
        "awk '$5 == \"/x\" { for (i = 7; $i != \"-\"; i++) printf \"%s \", $i }' /proc/self/mountinfo";
    for ours in [true, false] {
        for (value, expected) in [
            ("rprivate", ""),
            ("private", ""),
            ("rslave", "master:"),
            ("slave", "master:"),
            ("rshared", "shared:"),
            ("shared", "shared:"),
        ] {
            let mount = format!("type=bind,src={},dst=/x,bind-propagation={value}", folder.display());
            let said = mounted(&engine, ours, &mount, script);
            assert!(
                said.starts_with(expected) && (!expected.is_empty() || said.is_empty()),
                "{value}: {said}"
            );
        }
    }
    drop(shared);
}

/// Something that is mounted for as long as this lives.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(at: &std::path::Path, shared: bool) -> Self {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).expect("the test's own");
        let how = if shared { MountPropagationFlags::SHARED } else { MountPropagationFlags::PRIVATE };
        mount_change(at, how).expect("the test's own");
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

// covers: value option-key --mount bind-recursive
// covers: value option-key --mount bind-nonrecursive
// covers: value option-key --mount enabled
// covers: value option-key --mount disabled
// covers: value option-key --mount writable
#[test]
fn what_is_mounted_below_comes_with_a_bind_or_does_not() {
    let engine = Engine::isolated();
    let folder = engine.scratch().join("above");
    fs::create_dir_all(folder.join("below")).unwrap();
    let inner = Mounted::tmpfs(&folder.join("below"), false);
    fs::write(folder.join("below/file"), "text").unwrap();
    let bind = format!("type=bind,src={},dst=/x", folder.display());
    for ours in [true, false] {
        for (more, expected) in [
            ("", "text"),
            (",bind-recursive=enabled", "text"),
            (",bind-recursive=disabled", "none"),
            (",bind-nonrecursive", "none"),
            (",bind-nonrecursive=false", "text"),
        ] {
            let said = mounted(
                &engine,
                ours,
                &format!("{bind}{more}"),
                "cat /x/below/file 2>/dev/null || echo none",
            );
            assert_eq!(said, expected, "{more}");
        }
        let script =
            "touch /x/new 2>/dev/null || echo no; touch /x/below/new 2>/dev/null && echo yes || echo no";
        for (more, expected) in [
            (",ro", ["no", "no"]),
            (",ro,bind-recursive=readonly,bind-propagation=rprivate", ["no", "no"]),
            (",ro,bind-recursive=writable", ["no", "yes"]),
        ] {
            let said = mounted(&engine, ours, &format!("{bind}{more}"), script);
            assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{more}");
        }
    }
    drop(inner);
}

#[test]
fn with_idmap_a_user_and_the_owner_of_a_folder_are_one() {
    let engine = Engine::ours();
    let image = engine.busybox();
    let folder = engine.scratch().join("owned");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(1234), Some(1235)).unwrap();
    fs::write(folder.join("roots"), "").unwrap();
    let source = folder.display();
    let script = "stat -c %u:%g /x /x/roots; echo text > /x/by-$0; stat -c %u:%g /x/by-$0";
    // docker's own client passes on what stands behind the second colon.
    for (ours, name, flags) in [
        (true, "key", ["--mount".to_owned(), format!("type=bind,src={source},dst=/x,idmap")]),
        (false, "word", ["-v".to_owned(), format!("{source}:/x:idmap")]),
    ] {
        let words = [
            "run",
            "--rm",
            "--network",
            "none",
            "--user",
            "1000:1001",
            &flags[0],
            &flags[1],
            &image,
            "sh",
            "-c",
            script,
            name,
        ];
        let said = run(&engine, ours, &words).ok();
        assert_eq!(said.lines().collect::<Vec<_>>(), ["1000:1001", "0:0", "1000:1001"]);
        let made = fs::metadata(folder.join(format!("by-{name}"))).unwrap();
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!((made.uid(), made.gid()), (1234, 1235));
    }
    // A volume that is root's is the user's.
    let volume = engine.name("v");
    let mount = format!("type=volume,src={volume},dst=/x,idmap");
    let words = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "1000",
        "--mount",
        &mount,
        &image,
        "sh",
        "-c",
        "touch /x/f && stat -c %u /x/f",
    ];
    assert_eq!(run(&engine, true, &words).ok(), "1000");
    let words = [
        "run",
        "--rm",
        "--network",
        "none",
        "--mount",
        &format!("src={volume},dst=/x"),
        &image,
        "stat",
        "-c",
        "%u",
        "/x/f",
    ];
    assert_eq!(run(&engine, true, &words).ok(), "0");
    engine.docker(["volume", "rm", &volume]).ok();
    let refused = run(&engine, true, &["create", "--mount", "type=tmpfs,dst=/x,idmap", &image, "true"]);
    assert!(refused.stderr.contains("field IDMap must not be specified"), "{}", refused.stderr);
}

// covers: field Volume Name
// covers: field Volume UsageData
// covers: field Volume UsageData.Size
// covers: field Volume UsageData.RefCount
// covers: field VolumeCreateRequest Name
// covers: field VolumeCreateRequest Driver
// covers: field VolumeCreateRequest DriverOpts
// covers: field VolumeCreateRequest DriverOpts.*
// covers: field VolumeCreateRequest Labels
// covers: field VolumeCreateRequest Labels.*
// covers: field VolumesDiskUsage ActiveCount
// covers: field VolumesDiskUsage TotalCount
// covers: field VolumesDiskUsage Reclaimable
// covers: field VolumesDiskUsage TotalSize
// covers: field VolumesDiskUsage Items
// covers: field VolumesDiskUsage Items[]
// covers: field VolumeListResponse Volumes[]
// refuses: field VolumeListResponse Warnings[] because a listing asks no plugin, so that there is nothing to warn of
// refuses: field Volume ClusterVolume because volumes of a swarm are not part of Ketch
// refuses: field VolumeCreateRequest ClusterVolumeSpec because volumes of a swarm are not part of Ketch
// covers: value format-method formatter.diskUsageVolumesContext .Active
// covers: value format-method formatter.diskUsageVolumesContext .Reclaimable
// covers: value format-method formatter.diskUsageVolumesContext .Size
// covers: value format-method formatter.diskUsageVolumesContext .TotalCount
#[test]
fn a_volume_is_made_of_what_was_sent_and_its_room_is_told() {
    use serde_json::json;
    use testkit::http::Request;
    let engine = Engine::ours();
    let (image, name) = (engine.busybox(), engine.name("v"));
    let options = json!({"type": "tmpfs", "device": "tmpfs", "o": "size=1m"});
    let body = json!({"Name": name, "Driver": "local", "DriverOpts": options, "Labels": {"a": "b"}});
    let made = engine.post("/volumes/create", &body).expect(201).json();
    assert_eq!((&made["Options"], &made["Labels"]["a"]), (&options, &json!("b")));
    let refused = engine.request_unchecked(
        &Request::new("POST", "/volumes/create").json(&json!({"Name": "x1", "ClusterVolumeSpec": {}})),
    );
    assert_eq!(refused.status(), 501);
    let (full, holder) = (engine.name("full"), engine.name("holder"));
    engine
        .docker([
            "run",
            "--name",
            &holder,
            "--network",
            "none",
            "-v",
            &format!("{full}:/d"),
            &image,
            "sh",
            "-c",
            "head -c 200000 /dev/zero > /d/f",
        ])
        .ok();
    let listed = engine.get("/volumes").expect(200).json();
    assert_eq!(listed["Volumes"].as_array().map(Vec::len), Some(2));
    let ask = |version: &str, query: &str| {
        engine
            .request_unchecked(&Request::new("GET", &format!("/v{version}/system/df{query}")))
            .expect(200)
            .json()
    };
    let old = ask("1.51", "?type=volume");
    let of = |name: &str| -> Value {
        let all = old["Volumes"].as_array().unwrap();
        all.iter().find(|volume| volume["Name"] == name).unwrap()["UsageData"].clone()
    };
    assert_eq!(of(&full)["RefCount"], 1);
    assert!(of(&full)["Size"].as_u64().is_some_and(|size| size >= 200_000), "{old}");
    assert_eq!(of(&name)["RefCount"], 0);
    let new = &ask("1.52", "?type=volume&verbose=1")["VolumesUsage"];
    assert_eq!((&new["TotalCount"], &new["ActiveCount"]), (&json!(2), &json!(1)));
    assert!(
        new["TotalSize"].as_u64() >= of(&full)["Size"].as_u64() && new["Reclaimable"].is_number(),
        "{new}"
    );
    assert_eq!(new["Items"].as_array().map(Vec::len), Some(2));
    for ours in [true, false] {
        let format = "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}";
        let said = run(&engine, ours, &["system", "df", "--format", format]).ok();
        let line = said.lines().find(|line| line.starts_with("Local Volumes")).unwrap();
        assert!(line.starts_with("Local Volumes|2|1|") && line.contains("kB|0B"), "{line}");
    }
    engine.docker(["rm", "-v", &holder]).ok();
}

// covers: value format-method formatter.volumeContext .Availability
// covers: value format-method formatter.volumeContext .Driver
// covers: value format-method formatter.volumeContext .Group
// covers: value format-method formatter.volumeContext .Label
// covers: value format-method formatter.volumeContext .Labels
// covers: value format-method formatter.volumeContext .Links
// covers: value format-method formatter.volumeContext .Mountpoint
// covers: value format-method formatter.volumeContext .Name
// covers: value format-method formatter.volumeContext .Scope
// covers: value format-method formatter.volumeContext .Size
// covers: value format-method formatter.volumeContext .Status
// covers: value client-config config.json volumesFormat
// covers: value client-config config.json networksFormat
#[test]
fn a_listing_has_every_column_and_the_configured_format() {
    let engine = Engine::ours();
    let name = engine.name("v");
    engine.docker(["volume", "create", "--label", "a=b", &name]).ok();
    let format = "{{.Name}}|{{.Driver}}|{{.Scope}}|{{.Mountpoint}}|{{.Labels}}|{{.Label \"a\"}}|{{.Links}}|{{.Size}}|{{.Availability}}|{{.Group}}|{{.Status}}";
    let said: Vec<String> =
        [true, false].map(|ours| run(&engine, ours, &["volume", "ls", "--format", format]).ok()).into();
    assert_eq!(said[0], said[1]);
    assert!(
        said[0].starts_with(&format!("{name}|local|local|/")) && said[0].contains("|a=b|b|"),
        "{}",
        said[0]
    );
    let keys = r#"{"volumesFormat": "v={{.Name}}", "networksFormat": "n={{.Name}}"}"#;
    fs::write(engine.scratch().write("home/.docker/config.json", keys), keys).unwrap();
    for ours in [true, false] {
        assert_eq!(run(&engine, ours, &["volume", "ls"]).ok(), format!("v={name}"));
        assert!(run(&engine, ours, &["network", "ls"]).ok().lines().any(|line| line == "n=bridge"));
    }
}
