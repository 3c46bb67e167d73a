//! Images and specifications that want out.

use std::fs;

use serde_json::json;
use shim::protocol::FromShim;

use crate::fixture::Fixture;

fn message(container: &Fixture) -> String {
    match container.failure() {
        FromShim::Failed { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_whose_dev_leads_to_the_host_can_t_reach_it() {
    let canary = tempfile::tempdir().unwrap();
    for name in ["dev", "dev/pts", "etc/target"] {
        let mut container = Fixture::new(&["true"]);
        container.links.push((name.to_owned(), canary.path().display().to_string()));
        container.spec["process"]["cwd"] = json!("/etc/target/deeper");
        // In the container there is nothing at that path, so the link leads nowhere; on the host nothing happens.
        if name != "dev/pts" {
            assert!(message(&container).contains("no such file or directory"));
        }
        assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn an_image_whose_dev_leads_elsewhere_in_the_image_has_its_devices_there() {
    let mut container = Fixture::new(&["sh", "-c", "test -c /dev/null && test -c /etc/null && echo made"]);
    container.links.push(("dev".to_owned(), "/etc".to_owned()));
    let (stdout, stderr, exit) = container.run();
    assert_eq!((stdout.as_str(), exit.code), ("made\n", 0), "{stderr}");
}

#[test]
fn an_image_whose_proc_or_sys_is_a_link_is_refused() {
    for name in ["proc", "sys"] {
        let mut container = Fixture::new(&["true"]);
        container.links.push((name.to_owned(), "/tmp".to_owned()));
        let said = message(&container);
        assert!(
            said.starts_with(&format!("cannot open /{name} in the container without following links")),
            "{said}"
        );
    }
}

#[test]
fn nothing_may_be_mounted_over_the_kernel_s_files() {
    let host = tempfile::tempdir().unwrap();
    for destination in ["/proc/sys", "/proc/1", "/etc/../proc/sys/kernel"] {
        let mut container = Fixture::new(&["true"]);
        let bind =
            json!({"destination": destination, "source": host.path(), "type": "bind", "options": ["rbind"]});
        container.spec["mounts"].as_array_mut().unwrap().push(bind);
        assert!(message(&container).contains("a part of procfs"), "{destination}");
    }
}

#[test]
fn a_descriptor_of_the_host_is_no_working_directory() {
    for number in 3..13 {
        let mut container = Fixture::new(&["true"]);
        container.spec["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let said = message(&container);
        assert!(said.contains("proc/self/fd"), "{said}");
    }
}

#[test]
fn settings_of_the_host_s_kernel_are_not_a_container_s_to_make() {
    for name in
        ["kernel.core_pattern", "vm.overcommit_memory", "net/../kernel.core_pattern", "net...kernel.panic"]
    {
        let mut container = Fixture::new(&["true"]);
        container.spec["linux"]["sysctl"] = json!({name: "1"});
        assert!(message(&container).contains("namespace of the container's own"), "{name}");
    }
}

#[test]
fn every_wrong_word_in_the_specification_is_an_error_that_names_it() {
    let wrong = [
        ("/process/args", json!([]), "process.args"),
        ("/process/args", json!(["a\u{0}b"]), "process.args"),
        ("/process/cwd", json!("relative"), "process.cwd"),
        ("/linux/cgroupsPath", json!("/../up"), "linux.cgroupsPath"),
        ("/linux/namespaces", json!([]), "mount namespace"),
        ("/linux/namespaces/1/path", json!("/no/such/netns"), "/no/such/netns"),
        ("/mounts/0/type", json!("ext4"), "type ext4"),
        ("/mounts/1/options/0", json!("nonsense"), "nonsense"),
        ("/linux/resources/pids/limit", json!(i64::MAX), "pids.max"),
    ];
    for (pointer, value, expected) in wrong {
        let mut container = Fixture::new(&["true"]);
        match container.spec.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => container.spec["linux"]["namespaces"][1]["path"] = value,
        }
        let said = message(&container);
        assert!(said.contains(expected), "{pointer}: {said}");
    }
}
