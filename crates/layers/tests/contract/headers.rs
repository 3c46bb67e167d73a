//! Every kind of header that tars were ever written with.

use std::path::Path;

use super::*;

/// A header of one kind, filled in; `fill` gets what kinds differ in.
fn header(mut header: Header, kind: EntryType, size: usize) -> Header {
    header.set_entry_type(kind);
    header.set_mode(0o4751);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

fn named(mut header: Header, name: &str) -> Header {
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

#[test]
fn tars_of_the_seventh_unix_and_of_posix_are_the_same() {
    let mut tar = Tar::default();
    let builder = tar.builder();
    // A folder is told by its slash alone.
    let mut folder = named(header(Header::new_old(), EntryType::Regular, 0), "old/");
    folder.as_old_mut().linkflag = [0];
    folder.set_cksum();
    builder.append(&folder, &b""[..]).unwrap();
    let mut file = named(header(Header::new_old(), EntryType::Regular, 5), "old/file");
    file.as_old_mut().linkflag = [0];
    file.set_cksum();
    builder.append(&file, &b"seven"[..]).unwrap();
    // A name of 200 bytes in two fields.
    let long = format!("{}/{}", "p".repeat(90), "n".repeat(90));
    let mut posix = Header::new_ustar();
    posix.set_path(&long).unwrap();
    builder.append(&header(posix, EntryType::Regular, 5), &b"posix"[..]).unwrap();
    // What no reader needs to know is a file.
    let contiguous = named(header(Header::new_ustar(), EntryType::Continuous, 4), "contiguous");
    builder.append(&contiguous, &b"four"[..]).unwrap();
    let seen = same(&tar.bytes(), &[]).unwrap();
    assert_eq!(seen[Path::new("old")].mode & 0o170_000, 0o040_000);
    assert_eq!(seen[Path::new("old/file")].content, b"seven");
    assert_eq!(seen[Path::new(&long)].content, b"posix");
    assert_eq!(seen[Path::new("old/file")].mode & 0o7777, 0o4751);
}

#[test]
fn long_names_and_large_numbers_of_gnu_and_of_pax_are_the_same() {
    let mut tar = Tar::default();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(250));
    let mut gnu = header(Header::new_gnu(), EntryType::Regular, 3);
    gnu.set_uid(3_000_000_000);
    gnu.set_gid(4_000_000_000);
    gnu.set_cksum();
    tar.builder().append_data(&mut gnu, &long, &b"gnu"[..]).unwrap();
    let mut link = header(Header::new_gnu(), EntryType::Symlink, 0);
    tar.builder().append_link(&mut link, "link", &long).unwrap();
    let mut hard = header(Header::new_gnu(), EntryType::Link, 0);
    tar.builder().append_link(&mut hard, "hard", &long).unwrap();
    let path = format!("{}/pax", "x".repeat(240));
    tar.pax(&[
        ("path", path.as_bytes()),
        ("uid", b"3000000001"),
        ("gid", b"4000000001"),
        ("mtime", b"-1.5"),
        ("atime", b"5"),
        ("comment", b"nobody reads this"),
    ]);
    tar.file("short", b"pax");
    tar.pax(&[("linkpath", long.as_bytes()), ("path", b"paxlink")]);
    tar.link(EntryType::Symlink, "short", "short");
    let seen = same(&tar.bytes(), &[]).unwrap();
    assert_eq!(seen[Path::new(&long)].owner, (3_000_000_000, 4_000_000_000));
    assert_eq!(seen[Path::new(&long)].links, 2);
    let pax = &seen[Path::new(&path)];
    assert_eq!((pax.owner, pax.time), ((3_000_000_001, 4_000_000_001), Some((-2, 500_000_000))));
    assert_eq!(seen[Path::new("link")].content, long.as_bytes());
    assert_eq!(seen[Path::new("paxlink")].content, long.as_bytes());
}

/// GNU's sparse file: pieces at 512 and at 9,216 of 20,000 bytes.
fn sparse() -> Vec<u8> {
    let mut tar = Vec::new();
    let mut header = named(header(Header::new_gnu(), EntryType::GNUSparse, 1024), "sparse");
    let gnu = header.as_gnu_mut().unwrap();
    let octal =
        |field: &mut [u8; 12], number: u64| field.copy_from_slice(format!("{number:011o}\0").as_bytes());
    for (at, (offset, length)) in [(512, 512), (9216, 512), (20_000, 0)].into_iter().enumerate() {
        octal(&mut gnu.sparse[at].offset, offset);
        octal(&mut gnu.sparse[at].numbytes, length);
    }
    octal(&mut gnu.realsize, 20_000);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend([b'a'; 512]);
    tar.extend([b'b'; 512]);
    tar.extend([0; 1024]);
    tar
}

#[test]
fn sparse_files_are_the_same() {
    let seen = same(&sparse(), &[]).unwrap();
    let content = &seen[Path::new("sparse")].content;
    assert_eq!(content.len(), 20_000);
    assert_eq!((content[511], content[512], content[9216], content[9728]), (0, b'a', b'b', 0));
    // The younger kind, which no builder writes, is refused and not taken for a file with its map in it.
    let mut tar = Tar::default();
    tar.pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")]);
    tar.file("f", b"1\n0\n9\n");
    assert!(same(&tar.bytes(), &[]).is_none());
}

#[test]
fn s070_the_size_that_pax_says_is_the_size() {
    let mut hidden = Tar::default();
    hidden.file("hidden", b"x");
    let mut inner = hidden.bytes();
    inner.truncate(1024);
    let mut tar = Tar::default();
    tar.pax(&[("size", b"1024")]);
    let outer = named(header(Header::new_ustar(), EntryType::Regular, 0), "outer");
    tar.builder().append(&outer, &inner[..]).unwrap();
    tar.file("after", b"y");
    // Whoever believed the header would see `hidden`.
    if let Some(seen) = same(&tar.bytes(), &[]) {
        assert!(!seen.contains_key(Path::new("hidden")));
        assert_eq!(seen[Path::new("outer")].content, inner);
        assert_eq!(seen[Path::new("after")].content, b"y");
    }
}

#[test]
fn a_global_header_is_for_nobody() {
    let mut tar = Tar::default();
    let record = b"20 comment=whatever\n";
    let global = named(header(Header::new_ustar(), EntryType::XGlobalHeader, record.len()), "pax_global");
    tar.builder().append(&global, &record[..]).unwrap();
    tar.file("f", b"x");
    assert_eq!(same(&tar.bytes(), &[]).unwrap().len(), 2);
}

#[test]
fn any_order_and_entries_twice_are_the_same() {
    let mut tar = Tar::default();
    tar.file("a/b/c", b"first")
        .dir("a/b")
        .file("a/b/c", b"second")
        .dir("a")
        .link(EntryType::Link, "again", "a/b/c")
        .file("a/b/c", b"third")
        .link(EntryType::Symlink, "x", "a")
        .dir("x")
        .file("x/y", b"in the folder that replaced a link")
        .file("a", b"instead of a folder");
    same(&tar.bytes(), &[]).unwrap();
}

#[test]
fn contradictory_whiteouts_mean_the_same() {
    for entries in [
        &[".wh.a", "a"][..],
        &["a", ".wh.a"],
        &[".wh.a", ".wh.a"],
        &["d/f", ".wh.d", "d/.wh.f"],
        &["d/.wh..wh..opq", "d/.wh.f", "d/f", ".wh.d"],
        &[".wh.d", "d/.wh..wh..opq"],
        &[".wh.a", "a/b", ".wh.a"],
        &[".wh..wh..opq"],
        &[".wh..wh.plnk", ".wh..wh.aufs/x"],
    ] {
        let mut tar = Tar::default();
        for name in entries {
            tar.file(name, b"");
        }
        same(&tar.bytes(), &[]);
    }
}

#[test]
fn names_that_no_file_system_takes_are_refused_alike() {
    let deep = "a/".repeat(100_000);
    for name in ["n".repeat(256), format!("{}x", "d/".repeat(2100)), deep, "\u{0}".to_owned()] {
        let mut tar = Tar::default();
        tar.pax(&[("path", name.as_bytes())]);
        tar.file("short", b"");
        assert!(same(&tar.bytes(), &[]).is_none(), "{} bytes", name.len());
    }
    // As deep as a layer may be, and as long as a name may be.
    let mut tar = Tar::default();
    tar.pax(&[("path", format!("{}{}", "d/".repeat(100), "n".repeat(255)).as_bytes())]);
    tar.file("short", b"x");
    assert_eq!(same(&tar.bytes(), &[]).unwrap().len(), 102);
}
