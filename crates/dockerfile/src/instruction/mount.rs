//! `RUN --mount=type=…,…`.

use super::Expander;
use crate::error::Problem;
use crate::go;
use crate::suggest::did_you_mean;

/// One mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    pub kind: MountType,
    /// A stage, a context or an image; empty for the build's own context, and for a cache that begins empty.
    pub from: String,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    /// Of a tmpfs, in bytes; 0 without a limit.
    pub size: u64,
    /// Of a cache, a secret or an agent.
    pub id: String,
    pub sharing: Option<Sharing>,
    pub required: bool,
    /// The environment's variable that gets the secret.
    pub env: Option<String>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountType {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl MountType {
    const ALL: [Self; 5] = [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh];

    /// The name in Dockerfiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// How several steps at once use a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Private,
    Locked,
}

const KEYS: [&str; 16] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "ro",
    "rw",
    "readwrite",
];

/// What the mount is from. It has to be known before the stages' order is, so it can't have a variable.
pub(super) fn from(text: &str) -> Result<String, Problem> {
    let mut from = String::new();
    for field in go::csv(text).map_err(Problem::MountCsv)? {
        let Some((key, value)) = field.split_once('=') else { continue };
        if !key.eq_ignore_ascii_case("from") {
            continue;
        }
        if value.char_indices().any(|(at, c)| c == '$' && at + 1 < value.len()) {
            return Err(Problem::MountFromVariable);
        }
        value.clone_into(&mut from);
    }
    Ok(from)
}

pub(super) fn parse(text: &str, expand: Expander<'_>) -> Result<Mount, Problem> {
    let mut reading = Reading::default();
    for field in go::csv(text).map_err(Problem::MountCsv)? {
        match field.split_once('=') {
            None => reading.word(&field)?,
            Some((key, value)) => {
                let value = expand(value)?;
                reading.pair(&key.to_ascii_lowercase(), value, &field)?;
            }
        }
    }
    reading.checked()
}

/// A mount whose fields are still being read.
#[derive(Default)]
struct Reading {
    mount: Mount,
    /// Whether it was said if the mount can be written.
    said: bool,
}

impl Reading {
    /// A field without a value.
    fn word(&mut self, field: &str) -> Result<(), Problem> {
        match field.to_ascii_lowercase().as_str() {
            "readonly" | "ro" => self.writable(false),
            "readwrite" | "rw" => self.writable(true),
            "required" => self.required(true)?,
            _ => return Err(Problem::Field(field.to_owned())),
        }
        Ok(())
    }

    fn pair(&mut self, key: &str, value: String, field: &str) -> Result<(), Problem> {
        let mount = &mut self.mount;
        match key {
            "type" => mount.kind = kind(&value)?,
            "from" => mount.from = value,
            "source" | "src" => mount.source = value,
            "target" | "dst" | "destination" => mount.target = value,
            "readonly" | "ro" => {
                let read_only = boolean(key, &value)?;
                self.writable(!read_only);
            }
            "readwrite" | "rw" => {
                let writable = boolean(key, &value)?;
                self.writable(writable);
            }
            "required" => {
                self.only_for(key, &[MountType::Secret, MountType::Ssh])?;
                self.required(boolean(key, &value)?)?;
            }
            "size" => {
                self.only_for(key, &[MountType::Tmpfs])?;
                let wrong = || Problem::FieldValue { key: key.to_owned(), value: value.clone() };
                self.mount.size = go::ram(&value).ok_or_else(wrong)?;
            }
            "env" => {
                self.only_for(key, &[MountType::Secret])?;
                self.mount.env = Some(value);
            }
            "id" => mount.id = value,
            "sharing" => mount.sharing = Some(sharing(&value)?),
            "mode" => mount.mode = Some(number("mode", &value, 8)?),
            "uid" => mount.uid = Some(number("uid", &value, 10)?),
            "gid" => mount.gid = Some(number("gid", &value, 10)?),
            _ => {
                return Err(Problem::FieldKey {
                    key: key.to_owned(),
                    field: field.to_owned(),
                    suggestion: did_you_mean(key, KEYS),
                });
            }
        }
        Ok(())
    }

    fn writable(&mut self, writable: bool) {
        self.mount.read_only = !writable;
        self.said = true;
    }

    fn required(&mut self, required: bool) -> Result<(), Problem> {
        self.only_for("required", &[MountType::Secret, MountType::Ssh])?;
        self.mount.required = required;
        Ok(())
    }

    fn only_for(&self, key: &str, kinds: &[MountType]) -> Result<(), Problem> {
        if kinds.contains(&self.mount.kind) {
            return Ok(());
        }
        Err(Problem::MountKey { key: key.to_owned(), kind: self.mount.kind.name() })
    }

    /// The mount, if its fields go together.
    fn checked(self) -> Result<Mount, Problem> {
        let mut mount = self.mount;
        let kind = mount.kind.name();
        if matches!(mount.kind, MountType::Bind | MountType::Tmpfs) {
            let given = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
            if let Some((key, _)) = given.into_iter().find(|(_, value)| value.is_some()) {
                return Err(Problem::MountOwner { key, kind });
            }
        }
        if !self.said {
            mount.read_only = !matches!(mount.kind, MountType::Cache | MountType::Tmpfs);
        }
        if mount.kind == MountType::Secret {
            secret(&mount)?;
        }
        if mount.sharing.is_some() && mount.kind != MountType::Cache {
            return Err(Problem::SharingWithoutCache(kind));
        }
        Ok(mount)
    }
}

fn secret(mount: &Mount) -> Result<(), Problem> {
    if !mount.from.is_empty() {
        return Err(Problem::SecretFrom);
    }
    if mount.sharing.is_some() {
        return Err(Problem::SecretSharing);
    }
    if mount.source.is_empty() && mount.target.is_empty() && mount.id.is_empty() {
        return Err(Problem::SecretWhich);
    }
    if !mount.source.is_empty() && !mount.id.is_empty() {
        return Err(Problem::SecretBoth);
    }
    Ok(())
}

fn kind(value: &str) -> Result<MountType, Problem> {
    MountType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(value)).ok_or_else(|| {
        let names = MountType::ALL.map(MountType::name);
        Problem::MountType { value: value.to_owned(), suggestion: did_you_mean(value, names) }
    })
}

fn sharing(value: &str) -> Result<Sharing, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(Problem::Sharing {
            value: value.to_owned(),
            suggestion: did_you_mean(value, ["shared", "private", "locked"]),
        }),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    go::boolean(value).ok_or_else(|| Problem::FieldValue { key: key.to_owned(), value: value.to_owned() })
}

fn number(key: &'static str, value: &str, radix: u32) -> Result<u32, Problem> {
    let digits = !value.starts_with('+');
    let parsed = u32::from_str_radix(value, radix).ok().filter(|_| digits);
    parsed.ok_or_else(|| Problem::MountNumber { key, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Mount {
        parse(text, &mut |word| Ok(word.replace("$A", "a"))).expect("a mount")
    }

    // covers: dockerfile mount-type RUN --mount=type=bind
    // covers: dockerfile mount-option RUN type=bind,dst=
    // covers: dockerfile mount-option RUN type=bind,rw=
    // covers: dockerfile mount-option RUN type=bind,readwrite=
    // covers: dockerfile mount-option RUN src
    #[test]
    fn a_bind_is_read_only_unless_it_says_otherwise() {
        let bind = Mount { target: "/a".into(), source: "b".into(), read_only: true, ..Mount::default() };
        assert_eq!(mount("target=/$A,source=b"), bind);
        assert_eq!(mount("type=BIND,dst=/a,src=b"), bind);
        let writable = Mount { read_only: false, ..bind };
        for text in ["destination=/a,src=b,rw", "dst=/a,src=b,readwrite=true", "dst=/a,src=b,ro=0"] {
            assert_eq!(mount(text), writable, "{text}");
        }
    }

    // covers: dockerfile mount-type RUN --mount=type=cache
    // covers: dockerfile mount-value RUN type=cache,sharing=private
    // covers: dockerfile mount-option RUN type=tmpfs,size=
    #[test]
    fn caches_and_tmpfs_can_be_written() {
        let cache = mount("type=cache,target=/c,id=x,sharing=Private,mode=0700,uid=1,gid=2,from=f,source=s");
        assert_eq!((cache.sharing, cache.mode, cache.uid), (Some(Sharing::Private), Some(0o700), Some(1)));
        assert!(!cache.read_only && !mount("type=tmpfs,target=/t").read_only);
        assert!(mount("type=cache,target=/c,readonly").read_only);
        assert_eq!(mount("type=tmpfs,target=/t,size=1k").size, 1024);
    }

    #[test]
    fn secrets_and_agents() {
        let secret = mount("type=secret,id=x,env=E,required,mode=0440");
        assert_eq!((secret.env.as_deref(), secret.required, secret.mode), (Some("E"), true, Some(0o440)));
        assert!(mount("type=ssh,required=true").required);
    }
}
