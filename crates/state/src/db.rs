//! Records and references in one SQLite file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{DataRoot, Error};

/// The format this code writes. Each step of [`MIGRATIONS`] raises a database by one.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE record (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
                         PRIMARY KEY (kind, key)) WITHOUT ROWID;
    CREATE TABLE reference (target_kind TEXT NOT NULL, target TEXT NOT NULL,
                            holder_kind TEXT NOT NULL, holder TEXT NOT NULL,
                            PRIMARY KEY (target_kind, target, holder_kind, holder)) WITHOUT ROWID;
    CREATE INDEX reference_by_holder ON reference (holder_kind, holder);
"];

/// What a commit must outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A killed engine. No fsync: tens of microseconds.
    Process,
    /// A power cut. One fsync of the log.
    Power,
}

/// Something the engine remembers.
pub trait Record: Serialize + DeserializeOwned {
    /// The table, so to say: `container`, `image`.
    const KIND: &'static str;
    /// Unique within the kind.
    fn key(&self) -> &str;
}

/// The database. Writers queue on one connection; a commit is too short for that to matter.
#[derive(Debug)]
pub struct Db {
    connection: Mutex<Connection>,
}

impl Db {
    /// Opens or creates the database in a data root that the caller has locked, and brings it to the present format.
    pub fn open(root: &DataRoot) -> Result<Self, Error> {
        let mut connection = Connection::open(root.path().join("ketch.db")).map_err(db("open"))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;
                 PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0;",
            )
            .map_err(db("open"))?;
        migrate(&mut connection, root.path())?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs `work` in one transaction: all of it happens, or, when it returns an error, none.
    pub fn write<T, E: From<Error>>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.connection();
        let synchronous = match durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous).map_err(db("prepare"))?;
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(db("write to"))?;
        let value = work(&Tx { connection: &tx })?;
        tx.commit().map_err(db("commit to"))?;
        Ok(value)
    }

    /// Runs `work` on one consistent view.
    pub fn read<T, E: From<Error>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.connection();
        let tx = connection.transaction().map_err(db("read"))?;
        work(&Tx { connection: &tx })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back; the connection itself is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction.
#[derive(Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
}

impl Tx<'_> {
    /// Writes a record, replacing the one with its key.
    pub fn put<R: Record>(&self, record: &R) -> Result<(), Error> {
        let body = serde_json::to_string(record).map_err(|source| Error::Record {
            doing: "written",
            kind: R::KIND,
            key: record.key().to_owned(),
            source,
        })?;
        self.run("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)", params![R::KIND, record.key(), body])?;
        Ok(())
    }

    /// The record with this key, if there is one.
    pub fn find<R: Record>(&self, key: &str) -> Result<Option<R>, Error> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM record WHERE kind = ?1 AND key = ?2")
            .and_then(|mut statement| statement.query_row(params![R::KIND, key], |row| row.get(0)).optional())
            .map_err(db("read"))?;
        body.map(|body| decode(key, &body)).transpose()
    }

    /// All records of a kind, by key.
    pub fn list<R: Record>(&self) -> Result<Vec<R>, Error> {
        let rows: Vec<(String, String)> = self
            .connection
            .prepare_cached("SELECT key, body FROM record WHERE kind = ?1 ORDER BY key")
            .and_then(|mut statement| {
                statement.query_map([R::KIND], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(db("read"))?;
        rows.iter().map(|(key, body)| decode(key, body)).collect()
    }

    /// Forgets a record and everything it held. Forgetting what isn't there is no error.
    pub fn delete<R: Record>(&self, key: &str) -> Result<(), Error> {
        self.run("DELETE FROM record WHERE kind = ?1 AND key = ?2", params![R::KIND, key])?;
        self.run("DELETE FROM reference WHERE holder_kind = ?1 AND holder = ?2", params![R::KIND, key])?;
        Ok(())
    }

    /// Notes that a record of kind `H` needs `target`, which therefore must not be deleted.
    pub fn hold<H: Record>(&self, holder: &str, target_kind: &str, target: &str) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO reference VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![target_kind, target, H::KIND, holder])?;
        Ok(())
    }

    /// Who holds `target`: kinds and keys.
    pub fn holders(&self, target_kind: &str, target: &str) -> Result<Vec<(String, String)>, Error> {
        self.connection
            .prepare_cached(
                "SELECT holder_kind, holder FROM reference WHERE target_kind = ?1 AND target = ?2",
            )
            .and_then(|mut statement| {
                statement
                    .query_map(params![target_kind, target], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(db("read"))
    }

    /// Everything of a kind that somebody holds.
    pub fn held(&self, target_kind: &str) -> Result<HashSet<String>, Error> {
        self.connection
            .prepare_cached("SELECT DISTINCT target FROM reference WHERE target_kind = ?1")
            .and_then(|mut statement| statement.query_map([target_kind], |row| row.get(0))?.collect())
            .map_err(db("read"))
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(db("write to"))
    }
}

fn decode<R: Record>(key: &str, body: &str) -> Result<R, Error> {
    // From bytes, as what comes from registries is read: one text's reader and one of bytes would be twice the code.
    serde_json::from_slice(body.as_bytes()).map_err(|source| Error::Record {
        doing: "read",
        kind: R::KIND,
        key: key.to_owned(),
        source,
    })
}

fn migrate(connection: &mut Connection, root: &Path) -> Result<(), Error> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(db("open"))?;
    if found > known {
        return Err(Error::TooNew { root: root.to_owned(), found, known });
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let tx = connection.transaction().map_err(db("upgrade"))?;
        tx.execute_batch(sql).map_err(db("upgrade"))?;
        tx.pragma_update(None, "user_version", version).map_err(db("upgrade"))?;
        tx.commit().map_err(db("upgrade"))?;
    }
    Ok(())
}

fn db(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Database { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        name: String,
        size: u64,
    }

    impl Record for Thing {
        const KIND: &'static str = "thing";
        fn key(&self) -> &str {
            &self.name
        }
    }

    fn thing(name: &str, size: u64) -> Thing {
        Thing { name: name.into(), size }
    }

    fn open(dir: &tempfile::TempDir) -> Db {
        Db::open(&DataRoot::lock(dir.path()).unwrap()).unwrap()
    }

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        open(&dir).write(Durability::Power, |tx| tx.put(&thing("a", 1))).unwrap();
        let found = open(&dir).read(|tx| tx.find::<Thing>("a")).unwrap();
        assert_eq!(found, Some(thing("a", 1)));
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir);
        let failed: Result<(), Error> = db.write(Durability::Process, |tx| {
            tx.put(&thing("a", 1))?;
            Err(Error::TooNew { root: dir.path().to_owned(), found: 0, known: 0 })
        });
        assert!(failed.is_err());
        assert_eq!(db.read(|tx| tx.list::<Thing>()).unwrap(), []);
    }

    #[test]
    fn deleting_a_holder_lets_go_of_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir);
        db.write(Durability::Process, |tx| {
            tx.put(&thing("a", 1))?;
            tx.hold::<Thing>("a", "layer", "l1")?;
            tx.hold::<Thing>("a", "layer", "l1")
        })
        .unwrap();
        let holders = db.read(|tx| tx.holders("layer", "l1")).unwrap();
        assert_eq!(holders, [("thing".to_owned(), "a".to_owned())]);
        db.write(Durability::Process, |tx| tx.delete::<Thing>("a")).unwrap();
        assert!(db.read(|tx| tx.holders("layer", "l1")).unwrap().is_empty());
    }

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir));
        let raw = Connection::open(dir.path().join("ketch.db")).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        let root = DataRoot::lock(dir.path()).unwrap();
        let Err(Error::TooNew { found: 99, known: 1, .. }) = Db::open(&root) else { panic!("not refused") };
    }
}
