use std::io::Read;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn what_is_committed_can_be_read_listed_and_removed() {
    let (_folder, store) = store();
    let expected = Digest::sha256(b"hello");
    let mut ingest = store.ingest(Algorithm::Sha256, 10).unwrap();
    ingest.push(b"hel").unwrap();
    ingest.push(b"lo").unwrap();
    let blob = ingest.commit(&expected).unwrap();
    assert_eq!(blob, Blob { digest: expected.clone(), size: 5 });
    let mut text = String::new();
    store.get(&expected).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    assert_eq!(store.list().unwrap(), [blob]);
    store.remove(&expected).unwrap();
    store.remove(&expected).unwrap();
    assert!(matches!(store.get(&expected), Err(Error::NotFound(_))));
}

#[test]
fn content_that_is_not_what_was_promised_never_becomes_a_blob() {
    let (folder, store) = store();
    let mut ingest = store.ingest(Algorithm::Sha256, 10).unwrap();
    ingest.push(b"hello").unwrap();
    assert!(matches!(ingest.commit(&Digest::sha256(b"other")), Err(Error::Mismatch { .. })));
    assert!(store.list().unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path().join("blobs/ingest")).unwrap().count(), 0);
}

#[test]
fn more_than_the_limit_is_refused_and_leaves_nothing() {
    let (folder, store) = store();
    let mut ingest = store.ingest(Algorithm::Sha512, 4).unwrap();
    ingest.push(b"1234").unwrap();
    assert!(matches!(ingest.push(b"5"), Err(Error::TooLarge { limit: 4 })));
    drop(ingest);
    assert_eq!(fs::read_dir(folder.path().join("blobs/ingest")).unwrap().count(), 0);
}

#[test]
fn sweeping_removes_what_a_dead_engine_was_writing() {
    let (folder, store) = store();
    fs::write(folder.path().join("blobs/ingest/half"), "x").unwrap();
    fs::write(folder.path().join("blobs/sha256/not-a-digest"), "x").unwrap();
    assert_eq!(store.sweep().unwrap(), 1);
    assert_eq!(store.sweep().unwrap(), 0);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_blob_damaged_on_disk_is_noticed_when_read_whole() {
    let (folder, store) = store();
    let blob = store.put(b"manifest").unwrap();
    assert_eq!(store.read(&blob.digest, 100).unwrap(), b"manifest");
    assert!(matches!(store.read(&blob.digest, 7), Err(Error::TooLarge { .. })));
    fs::write(folder.path().join("blobs/sha256").join(blob.digest.hex()), "manifesT").unwrap();
    assert!(matches!(store.read(&blob.digest, 100), Err(Error::Mismatch { .. })));
}

#[test]
fn who_follows_reads_what_comes_and_hears_of_the_end_only_when_it_is_right() {
    let (_folder, store) = store();
    let bytes = b"0123456789abcdef".repeat(100_000);
    let digest = Digest::sha256(&bytes);
    let mut ingest = store.resume(&digest, bytes.len() as u64).unwrap();
    ingest.push(&bytes[..700_000]).unwrap();
    let mut follower = ingest.follow().unwrap();
    let reading = std::thread::spawn(move || {
        let mut read = Vec::new();
        follower.read_to_end(&mut read).map(|_| read)
    });
    bytes[700_000..].chunks(1000).for_each(|piece| ingest.push(piece).unwrap());
    assert!(!reading.is_finished());
    ingest.commit(&digest).unwrap();
    assert_eq!(reading.join().unwrap().unwrap(), bytes);
}

#[test]
fn who_follows_what_never_ends_or_begins_anew_or_is_wrong_hears_so() {
    let (_folder, store) = store();
    let digest = Digest::sha256(b"hello");
    let end = |end: fn(Ingest, &Digest)| {
        let mut ingest = store.resume(&digest, 10).unwrap();
        ingest.restart().unwrap();
        ingest.push(b"hallo").unwrap();
        let mut follower = ingest.follow().unwrap();
        end(ingest, &digest);
        follower.read_to_end(&mut Vec::new()).unwrap_err()
    };
    end(|ingest, _| drop(ingest));
    end(|ingest, digest| drop(ingest.commit(digest).unwrap_err()));
    end(|mut ingest, digest| {
        ingest.restart().unwrap();
        ingest.push(b"hello").unwrap();
        ingest.commit(digest).unwrap();
    });
}

#[test]
fn two_stores_have_the_same_bytes_once() {
    use std::os::unix::fs::MetadataExt as _;
    let (folder, engine) = store();
    let registry_root = folder.path().join("registry");
    let registry = Store::open(&registry_root).unwrap().beside(folder.path());
    let engine = engine.beside(&registry_root);
    let names = |store: &Store, digest: &Digest| fs::metadata(store.path(digest)).unwrap().nlink();
    let first = engine.put(b"pulled").unwrap().digest;
    assert_eq!(registry.put(b"pulled").unwrap().digest, first);
    let second = registry.put(b"pushed").unwrap().digest;
    assert_eq!(engine.put(b"pushed").unwrap().digest, second);
    assert_eq!((names(&registry, &first), names(&engine, &second)), (2, 2));
    // Each removes its own name alone, and knowing a digest gives nobody the other's bytes.
    engine.remove(&first).unwrap();
    assert_eq!(registry.read(&first, 10).unwrap(), b"pulled");
    let third = engine.put(b"private").unwrap().digest;
    assert!(registry.find(&third).unwrap().is_none());
    assert_eq!(fs::read_dir(folder.path().join("blobs/ingest")).unwrap().count(), 0);
}
