//! The driver `local` with options: something is mounted in the volume's place while containers use it.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::VolumeError;
use crate::containers::config::Labels;

/// dockerd's words for a size that nobody can hold a volume to.
pub(super) const NO_QUOTA: &str = "quota size requested but no quota support";

/// What to do instead.
pub(super) const INSTEAD_OF_QUOTA: &str = "give the volume memory of that size, --opt type=tmpfs --opt device=tmpfs --opt size=…, or a \
     file system of that size, --opt type=ext4 --opt device=/dev/…";

/// Memory holds itself to a size.
fn is_memory(options: &Labels) -> bool {
    options.get("type").is_some_and(|kind| kind == "tmpfs")
}

/// What a volume that is a folder of the engine's may take of the disk; nothing is no limit.
pub(super) fn folder_size(options: Option<&Labels>) -> Option<u64> {
    let options = options.filter(|options| !is_given(options, "type"))?;
    let size = crate::quota::read_size(options.get("size")?).ok()?;
    Some(size).filter(|size| *size > 0)
}

pub(super) fn is_given(options: &Labels, name: &str) -> bool {
    options.get(name).is_some_and(|value| !value.is_empty())
}

/// In dockerd's words.
pub(super) fn check(options: &Labels) -> Result<(), String> {
    for name in options.keys() {
        match name.as_str() {
            "type" | "device" | "o" | "size" => {}
            other => return Err(format!("invalid option: \"{other}\"")),
        }
    }
    let given = |name: &str| is_given(options, name);
    match (given("type"), given("device")) {
        (true, false) => return Err("missing required option: \"device\"".to_owned()),
        (false, true) => return Err("missing required option: \"type\"".to_owned()),
        (false, false) if given("o") => return Err("missing required option: \"device\"".to_owned()),
        _ => {}
    }
    let size = options.get("size").filter(|_| !is_memory(options)).map(|size| crate::quota::read_size(size));
    match size.transpose()? {
        // It would hold for the folder below, not for what is mounted there.
        Some(1..) if given("type") => Err(NO_QUOTA.to_owned()),
        _ => Ok(()),
    }
}

const WORDS: &[(&str, MountFlags, bool)] = &[
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("bind", MountFlags::BIND, true),
];

/// `o`: words for every file system as flags, the rest for this one.
fn read(options: &str) -> (MountFlags, bool, String) {
    let (mut flags, mut recursive, mut data) = (MountFlags::empty(), false, Vec::new());
    for word in options.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "defaults") {
        match WORDS.iter().find(|(known, ..)| *known == word) {
            Some((_, flag, on)) => flags.set(*flag, *on),
            None if word == "rbind" => {
                flags |= MountFlags::BIND;
                recursive = true;
            }
            None => data.push(word),
        }
    }
    (flags, recursive, data.join(","))
}

/// Mounts what the options say, unless that has been done.
pub(super) fn attach(target: &Path, options: &Labels) -> Result<(), VolumeError> {
    if is_mounted(target) {
        return Ok(());
    }
    let text = |name: &str| options.get(name).map_or("", String::as_str);
    let (mut flags, recursive, data) = read(text("o"));
    if recursive {
        flags |= MountFlags::REC;
    }
    let (device, kind) = (text("device"), text("type"));
    let data = with_address(kind, data)?;
    let data = match text("size") {
        "" => data,
        size if data.is_empty() => format!("size={size}"),
        size => format!("{data},size={size}"),
    };
    let data = std::ffi::CString::new(data).unwrap_or_default();
    mount(device, target, kind, flags, data.as_c_str()).map_err(|errno| {
        let source = io::Error::from(errno);
        let missing = matches!(errno, rustix::io::Errno::NODEV);
        let what = match missing {
            true => format!("this kernel has no file system of type {kind}{}", missing_piece(kind)),
            false => format!("mount {device}:{}, flags: {:#x}", target.display(), flags.bits()),
        };
        VolumeError::Mount { path: target.to_owned(), what, source }
    })
}

/// The kernel knows no names: `addr=files.example.org` becomes an address, as with dockerd.
fn with_address(kind: &str, data: String) -> Result<String, VolumeError> {
    let name = data.split(',').find_map(|word| word.strip_prefix("addr="));
    let Some(name) = name.filter(|name| ["nfs", "nfs4", "cifs"].contains(&kind) && !name.is_empty()) else {
        return Ok(data);
    };
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(data);
    }
    let failed = |source| VolumeError::Address { name: name.to_owned(), source };
    let address = resolved(name).map_err(failed)?;
    let words = data.split(',').map(|word| match word.starts_with("addr=") {
        true => format!("addr={address}"),
        false => word.to_owned(),
    });
    Ok(words.collect::<Vec<_>>().join(","))
}

/// On a thread of its own: who mounts may be a task, which must not wait.
fn resolved(name: &str) -> io::Result<std::net::IpAddr> {
    let lookup = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(dial::addresses(name))?;
        // dockerd prefers IPv4, too.
        let first = found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied();
        first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no such host: {name}")))
    };
    std::thread::scope(|scope| scope.spawn(lookup).join())
        .unwrap_or_else(|_| Err(io::Error::other("the resolver ended")))
}

/// What of the kernel a file system is in, and how to get it.
fn missing_piece(kind: &str) -> &'static str {
    match kind {
        "nfs" => {
            ": load its module (modprobe nfs), or use a kernel with CONFIG_NFS_FS and, for version 4, CONFIG_NFS_V4"
        }
        "nfs4" => ": load its module (modprobe nfsv4), or use a kernel with CONFIG_NFS_V4",
        "cifs" | "smb3" => ": load its module (modprobe cifs), or use a kernel with CONFIG_CIFS",
        _ => "",
    }
}

/// Takes it away again.
pub(super) fn detach(target: &Path) {
    if is_mounted(target)
        && let Err(error) = unmount(target, UnmountFlags::DETACH)
    {
        tracing::warn!(path = %target.display(), %error, "a volume stays mounted");
    }
}

/// Whether something is mounted at or below a path. What somebody mounted there is not ours to remove.
pub(super) fn has_mounts(path: &Path) -> bool {
    let Ok(table) = std::fs::read_to_string("/proc/self/mountinfo") else { return true };
    // A path with a space or the like is written with its octal number.
    let unescaped = |field: &str| field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    let Ok(path) = path.canonicalize() else { return false };
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|at| Path::new(&unescaped(at)).starts_with(&path))
}

/// Whether something else than the folder itself is there.
fn is_mounted(target: &Path) -> bool {
    let id = |path: &Path| {
        let stat = rustix::fs::statx(
            rustix::fs::CWD,
            path,
            rustix::fs::AtFlags::NO_AUTOMOUNT,
            rustix::fs::StatxFlags::MNT_ID,
        );
        stat.ok().map(|stat| stat.stx_mnt_id)
    };
    target.parent().is_some_and(|parent| id(parent) != id(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_in_dockers_words() {
        let told = |pairs: &[(&str, &str)]| {
            let options = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            check(&options).unwrap_err()
        };
        assert_eq!(told(&[("foo", "bar")]), "invalid option: \"foo\"");
        assert_eq!(told(&[("type", "tmpfs")]), "missing required option: \"device\"");
        assert_eq!(told(&[("device", "tmpfs")]), "missing required option: \"type\"");
        assert_eq!(told(&[("o", "size=10m")]), "missing required option: \"device\"");
        assert_eq!(told(&[("size", "abc")]), "invalid size: 'abc'");
        assert_eq!(told(&[("type", "ext4"), ("device", "/dev/x"), ("size", "10m")]), NO_QUOTA);
        let sized = |size: &str| {
            let options = Labels::from([("size".to_owned(), size.to_owned())]);
            check(&options).unwrap();
            folder_size(Some(&options))
        };
        assert_eq!((sized("10m"), sized("0")), (Some(10 << 20), None));
        let memory = [("type", "tmpfs"), ("device", "tmpfs"), ("size", "10m")];
        let memory = memory.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        check(&memory).unwrap();
        assert_eq!(folder_size(Some(&memory)), None);
    }

    #[test]
    fn the_kernel_is_given_addresses_and_no_names() {
        let given = |kind, data: &str| with_address(kind, data.to_owned());
        assert_eq!(given("nfs", "addr=localhost,nolock").unwrap(), "addr=127.0.0.1,nolock");
        assert_eq!(given("nfs", "soft,addr=192.0.2.1").unwrap(), "soft,addr=192.0.2.1");
        assert_eq!(given("tmpfs", "addr=localhost").unwrap(), "addr=localhost");
        let error = given("cifs", "addr=nowhere.invalid").unwrap_err();
        assert_eq!(error.to_string(), "error resolving passed in network volume address: nowhere.invalid");
    }

    #[test]
    fn words_become_flags_and_the_rest_is_the_file_systems() {
        let (flags, recursive, data) = read("rw,nosuid,size=10m,uid=1000,rbind");
        assert!(flags.contains(MountFlags::NOSUID | MountFlags::BIND) && recursive);
        assert_eq!(data, "size=10m,uid=1000");
    }
}
