//! A file system that answers nobody: whoever touches it waits, and nobody else does.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, command};

use crate::life::{both, runs, state};

/// FUSE without anybody behind it. Whoever waits for it is let go with an error when this is dropped.
struct Hung {
    server: Option<File>,
    path: PathBuf,
}

impl Hung {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let server = File::options().read(true).write(true).open("/dev/fuse").expect("FUSE in this kernel");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = std::ffi::CString::new(options).expect("a text");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("hung", path, "fuse", flags, Some(options.as_c_str())).expect("mount the file system");
        Self { server: Some(server), path: path.to_owned() }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The kernel ends the connection with its last descriptor.
        drop(self.server.take());
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

#[test]
fn who_waits_for_a_dead_file_system_holds_nobody_up() {
    let engine = Engine::ours();
    let other = runs(&engine, "other", "sleep 600", &json!({}));
    let hung = Hung::mount(&engine.scratch().join("hung"));
    let stuck = engine.name("stuck");
    let bind = format!("{}:/mnt", hung.path.display());
    let config = json!({"Image": engine.busybox(), "Cmd": ["ls", "/mnt"],
        "HostConfig": {"NetworkMode": "none", "Binds": [bind]}});
    let socket = engine.socket().to_owned();
    let create = Request::new("POST", &format!("/containers/create?name={stuck}")).json(&config);
    let start = Request::new("POST", &format!("/containers/{stuck}/start"));
    // Created or started, it stays in there until the end of the test.
    let waiting = std::thread::spawn(move || {
        [create, start].map(|request| testkit::http::call(&socket, &request).map(|reply| reply.status()))
    });
    for round in 0..5 {
        for mut client in both(&engine) {
            let names = command::run(client.args(["ps", "-a", "--format", "{{.Names}}"])).ok();
            assert!(names.contains(&other), "{names}");
        }
        assert_eq!(state(&engine, &other)["Running"], true);
        let one = runs(&engine, &format!("quick{round}"), "echo done", &json!({}));
        engine.post(&format!("/containers/{one}/wait"), &Value::Null).expect(200);
        assert_eq!(engine.docker(["exec", &other, "echo", "here"]).ok(), "here");
        engine.delete(&format!("/containers/{one}")).expect(204);
    }
    engine.request_unchecked(&Request::new("GET", "/info")).expect(200);
    engine.delete(&format!("/containers/{other}?force=1")).expect(204);
    drop(hung);
    drop(waiting.join().unwrap());
    engine.request_unchecked(&Request::new("DELETE", &format!("/containers/{stuck}?force=1")));
}
