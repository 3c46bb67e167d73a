//! Whose a file is to be, and what may be done with it.

use std::io::Read;

use build::Error;
use build::graph::{Id, Owner, Place};

use super::look::{Last, Look, Root, SeenKind, resolve};
use crate::builds::error::work;

/// No real `/etc/passwd` or `/etc/group` is longer.
const MAX_FILE: u64 = 8 << 20;

/// Numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Reads a small file of a place.
pub(super) type Reader<'a> = dyn Fn(Place, &str) -> Result<Option<Vec<u8>>, Error> + 'a;

/// The numbers that an owner stands for. `read` reads a file of a place; nothing if it isn't there.
pub(super) fn owner(owner: &Owner, read: &Reader<'_>) -> Result<User, Error> {
    let mut user = match &owner.user {
        None => User { uid: 0, gid: 0 },
        // A number alone is the group's too, as BuildKit has it.
        Some(Id::Number(uid)) => User { uid: *uid, gid: *uid },
        Some(Id::Name { name, within }) => {
            let found = entry(&read(*within, "etc/passwd")?.unwrap_or_default(), name, [2, 3]);
            // A name that isn't there is root's, as BuildKit has it.
            let [uid, gid] = found.unwrap_or_default();
            User { uid, gid }
        }
    };
    match &owner.group {
        None => {}
        Some(Id::Number(gid)) => user.gid = *gid,
        Some(Id::Name { name, within }) => {
            let found = entry(&read(*within, "etc/group")?.unwrap_or_default(), name, [2, 2]);
            [user.gid, _] = found.unwrap_or([user.gid; 2]);
        }
    }
    Ok(user)
}

fn entry(table: &[u8], name: &str, fields: [usize; 2]) -> Option<[u32; 2]> {
    for line in String::from_utf8_lossy(table).lines() {
        let parts: Vec<&str> = line.split(':').collect();
        if parts.first() == Some(&name) {
            let number = |at: usize| parts.get(at)?.parse().ok();
            return Some([number(fields[0])?, number(fields[1])?]);
        }
    }
    None
}

/// A small file of a tree; nothing if there is none.
pub(super) fn small_file(root: &Root, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let found = resolve(root, path.as_bytes(), Last::Followed)?;
    match root.look(&found)?.map(|seen| seen.kind) {
        Some(SeenKind::File { .. }) => {
            let mut bytes = Vec::new();
            let read = root.open(&found)?.take(MAX_FILE).read_to_end(&mut bytes);
            read.map_err(|e| work(format!("read {path}"), e))?;
            Ok(Some(bytes))
        }
        _ => Ok(None),
    }
}

/// `u=rwX,go-w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbolic(Vec<Clause>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    /// The bits of user, group and others that are meant.
    who: u32,
    how: char,
    bits: u32,
    /// `X`: to be executed by those who may search it, or if somebody may already.
    search: bool,
}

const ALL: u32 = 0o7777;

impl Symbolic {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::Invalid(format!("invalid mode {text:?}"));
        let clauses = text.split(',').map(|part| clause(part).ok_or_else(bad));
        let clauses: Vec<_> = clauses.collect::<Result<_, _>>()?;
        Ok(Self(clauses.into_iter().flatten().collect()))
    }

    pub(super) fn apply(&self, mode: u32, directory: bool) -> u32 {
        // What somebody may do already is what they could before all of this.
        let (before, mut mode) = (mode, mode);
        for clause in &self.0 {
            let search = clause.search && (directory || before & 0o111 != 0);
            let bits = (clause.bits | if search { 0o111 } else { 0 }) & clause.who;
            match clause.how {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                _ => mode = mode & !(clause.who & 0o777) & !(bits_of_set_id(clause.who)) | bits,
            }
        }
        mode & ALL
    }
}

/// Setting a class' mode sets its set-id bit, too.
fn bits_of_set_id(who: u32) -> u32 {
    who & 0o7000
}

fn clause(text: &str) -> Option<Vec<Clause>> {
    let at = text.find(['+', '-', '='])?;
    let mut who = 0;
    for c in text[..at].chars() {
        who |= match c {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => ALL,
            _ => return None,
        };
    }
    if at == 0 {
        who = ALL;
    }
    let mut clauses = Vec::new();
    let mut rest = text[at..].chars().peekable();
    while let Some(how) = rest.next() {
        let (mut bits, mut search) = (0, false);
        while let Some(c) = rest.next_if(|c| !matches!(c, '+' | '-' | '=')) {
            match c {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                'X' => search = true,
                's' => bits |= 0o6000,
                't' => bits |= 0o1000,
                _ => return None,
            }
        }
        clauses.push(Clause { who, how, bits, search });
    }
    Some(clauses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_modes_are_chmods() {
        for (text, mode, directory, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwx,go=rX", 0o644, false, 0o744),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("u+s", 0o755, false, 0o4755),
            ("g=u", 0o755, false, 0),
            ("o=", 0o757, false, 0o750),
        ] {
            match Symbolic::parse(text) {
                Ok(symbolic) => assert_eq!(symbolic.apply(mode, directory), expected, "{text}"),
                Err(_) => assert_eq!(expected, 0, "{text}"),
            }
        }
        for bad in ["", "x", "u=q", "k+x"] {
            assert!(Symbolic::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_looked_up_and_numbers_taken() {
        let read = |_: Place, path: &str| {
            Ok(Some(match path {
                "etc/passwd" => b"root:x:0:0::/:\nweb:x:33:34::/:\n".to_vec(),
                _ => b"root:x:0:\nstaff:x:50:\n".to_vec(),
            }))
        };
        let name = |name: &str| Some(Id::Name { name: name.into(), within: Place::Scratch });
        let of = |user, group| owner(&Owner { user, group }, &read).ok().map(|user| (user.uid, user.gid));
        assert_eq!(of(name("web"), None), Some((33, 34)));
        assert_eq!(of(name("web"), name("staff")), Some((33, 50)));
        assert_eq!(of(Some(Id::Number(7)), None), Some((7, 7)));
        assert_eq!(of(Some(Id::Number(7)), Some(Id::Number(8))), Some((7, 8)));
        assert_eq!(of(name("nobody"), None), Some((0, 0)));
    }
}
