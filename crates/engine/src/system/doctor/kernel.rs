//! What containers are made of.

use super::{Files, Finding};
use crate::system::Cgroups;

/// The oldest kernel that the engine is tried on: Debian 11's.
const OLDEST: (u32, u32) = (5, 10);

pub(super) fn examine(files: &Files, release: &str, cgroups: &Cgroups) -> Vec<Finding> {
    vec![
        version(release),
        hierarchy(cgroups),
        file_system(files, "overlay", Finding::failed, "no container has a root without it"),
        file_system(files, "erofs", Finding::warning, "layers are unpacked into folders instead"),
        namespaces(files),
    ]
}

fn version(release: &str) -> Finding {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Finding::fine("kernel", release),
        _ => Finding::failed(
            "kernel",
            format!("{release}, and the engine is for {}.{} or later", OLDEST.0, OLDEST.1),
            "boot a newer kernel",
        ),
    }
}

fn hierarchy(cgroups: &Cgroups) -> Finding {
    let needed = ["memory", "cpu", "pids", "cpuset", "blkio"];
    let missing: Vec<&str> = needed.into_iter().filter(|name| !cgroups.has(name)).collect();
    let version = cgroups.version;
    match (missing.is_empty(), version) {
        (true, _) => Finding::fine("cgroups", format!("version {version}, with all controllers")),
        (false, 2) => Finding::warning(
            "cgroups",
            format!("version 2, without {}: limits of these can't be set", missing.join(", ")),
            format!(
                "echo +{} > /sys/fs/cgroup/cgroup.subtree_control",
                missing.join(" +").replace("blkio", "io")
            ),
        ),
        (false, _) => Finding::warning(
            "cgroups",
            format!("version {version}, without {}: limits of these can't be set", missing.join(", ")),
            "boot with systemd.unified_cgroup_hierarchy=1, or mount the controllers",
        ),
    }
}

type Make = fn(&'static str, String, String) -> Finding;

fn file_system(files: &Files, name: &'static str, make: Make, without: &str) -> Finding {
    let listed = files.text("proc/filesystems").unwrap_or_default();
    match listed.lines().any(|line| line.split_whitespace().next_back() == Some(name)) {
        true => Finding::fine(name, "there"),
        false => {
            make(name, format!("this kernel doesn't list it now: {without}"), format!("modprobe {name}"))
        }
    }
}

fn namespaces(files: &Files) -> Finding {
    let subject = "user namespaces";
    match files.number("proc/sys/user/max_user_namespaces") {
        Some(0) => Finding::warning(
            subject,
            "none may be made: builds and containers that ask for one of their own fail",
            "sysctl -w user.max_user_namespaces=15000",
        ),
        Some(count) => Finding::fine(subject, format!("up to {count}")),
        None => Finding::warning(subject, "this kernel has none", "a kernel with CONFIG_USER_NS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::doctor::Health;

    #[test]
    fn each_kernel_piece_that_is_missing_has_its_remedy() {
        let root = tempfile::tempdir().unwrap();
        let files = Files { root: root.path().to_owned() };
        std::fs::create_dir_all(root.path().join("proc/sys/user")).unwrap();
        std::fs::write(root.path().join("proc/filesystems"), "nodev\tproc\n\text4\nnodev\toverlay\n")
            .unwrap();
        std::fs::write(root.path().join("proc/sys/user/max_user_namespaces"), "0\n").unwrap();
        let found = examine(&files, "5.4.0-32-amd64", &Cgroups::detect());
        let of = |subject: &str| found.iter().find(|finding| finding.subject == subject).unwrap();
        assert_eq!(of("kernel").health, Health::Failed);
        assert_eq!(of("overlay").health, Health::Fine);
        assert_eq!((of("erofs").health, of("erofs").remedy.as_str()), (Health::Warning, "modprobe erofs"));
        assert!(of("user namespaces").remedy.contains("max_user_namespaces"));
        assert_eq!(version("6.18.44-fc").health, Health::Fine);
        assert_eq!(version("5.10.0-32-amd64").health, Health::Fine);
        assert_eq!(version("nonsense").health, Health::Failed);
    }
}
