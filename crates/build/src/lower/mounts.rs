//! `RUN --mount`.

use dockerfile::{Lines, Mount as Asked, MountType, Run, Sharing as AskedSharing, quote};

use super::instructions::joined;
use super::outline::Wanted;
use super::problem::Problem;
use super::run::Steps;
use super::stage::Progress;
use super::stages::{Lowering, rooted};
use crate::graph::{
    Action, Bind, CacheMount, Change, File, Id, Mkdir, Mount, MountKind, Op, Output, Owner, Place, SecretEnv,
    SecretFile, Sharing, Shown, SshMount,
};

impl Lowering<'_> {
    pub(super) fn mounts(
        &mut self,
        at: usize,
        run: &Run,
        sources: &[Option<usize>],
        steps: &mut Steps,
        lines: Lines,
    ) -> Result<(), Problem> {
        for (index, mount) in run.mounts.iter().enumerate() {
            let source = sources.get(index).copied().flatten();
            match mount.kind {
                MountType::Secret => self.secret(at, mount, steps, lines)?,
                MountType::Ssh => self.agent(at, mount, steps, lines)?,
                MountType::Bind | MountType::Cache | MountType::Tmpfs => {
                    self.directory(at, mount, source, steps)?;
                }
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        at: usize,
        mount: &Asked,
        source: Option<usize>,
        steps: &mut Steps,
    ) -> Result<(), Problem> {
        let target = joined(&self.stages[at].directory, &mount.target);
        if target == "/" {
            let hint = "say where it goes with target=";
            return Err(Problem::new(format!("invalid mount target {}", quote(&target))).hint(hint));
        }
        let mut selector = Some(rooted(&mount.source)).filter(|path| path != "/").unwrap_or_default();
        let kind = match mount.kind {
            MountType::Tmpfs => MountKind::Tmpfs { size: mount.size },
            MountType::Cache => {
                let mut from = match source {
                    Some(source) => self.mount_from(at, source, mount)?,
                    None => None,
                };
                let owned = mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some();
                if selector.is_empty() && owned {
                    from = Some(self.owned_directory(mount, from)?);
                    "/cache".clone_into(&mut selector);
                }
                MountKind::Cache(CacheMount {
                    from: steps.input(from),
                    selector,
                    id: self.cache_id(mount),
                    sharing: match mount.sharing {
                        None | Some(AskedSharing::Shared) => Sharing::Shared,
                        Some(AskedSharing::Private) => Sharing::Private,
                        Some(AskedSharing::Locked) => Sharing::Locked,
                    },
                })
            }
            _ => {
                let from = match source {
                    Some(source) => self.mount_from(at, source, mount)?,
                    None => {
                        self.use_of_main(&mount.source);
                        self.main_context()?
                    }
                };
                MountKind::Bind(Bind { from: steps.input(from), selector })
            }
        };
        steps.exec.mounts.push(Mount { target, kind, read_only: mount.read_only, output: None });
        Ok(())
    }

    /// What another stage has made.
    fn mount_from(&mut self, at: usize, source: usize, mount: &Asked) -> Result<Option<Output>, Problem> {
        if self.stages[source].progress != Progress::Done || source == at {
            let (from, target) = (quote(&mount.from), quote(&mount.target));
            let message = format!(
                "cannot mount from stage {from} to {target}, stage needs to be defined before current command"
            );
            return Err(Problem::new(message));
        }
        self.use_of(source, &mount.source);
        Ok(self.stages[source].root)
    }

    /// A cache's first content: an empty directory that belongs to somebody.
    fn owned_directory(&mut self, mount: &Asked, below: Option<Output>) -> Result<Output, Problem> {
        let id = |number: Option<u32>| Some(Id::Number(number.unwrap_or(0)));
        let mkdir = Mkdir {
            path: "/cache".to_owned(),
            mode: mount.mode.unwrap_or(0o755),
            parents: false,
            owner: Some(Owner { user: id(mount.uid), group: id(mount.gid) }),
            time: None,
        };
        let base = below.map_or(Place::Scratch, |_| Place::Input(crate::graph::Input(0)));
        let action = Action { base, change: Change::Mkdir(mkdir), output: Some(0) };
        let shown =
            Shown { name: "[internal] setting cache mount permissions".to_owned(), ..Shown::default() };
        let op = Op::File(File { actions: vec![action] });
        Ok(self.graph.add(op, below.into_iter().collect(), None, shown)?.output())
    }

    /// The same text is the same cache, whatever build asks.
    fn cache_id(&self, mount: &Asked) -> String {
        let target = dockerfile::ignore::clean(&mount.target);
        let id = if mount.id.is_empty() { &target } else { &mount.id };
        format!("{}/{id}", self.options.cache_namespace)
    }

    fn secret(&mut self, at: usize, mount: &Asked, steps: &mut Steps, lines: Lines) -> Result<(), Problem> {
        let base = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let named = if mount.source.is_empty() { &mount.id } else { &mount.source };
        let id = if named.is_empty() { base(&mount.target) } else { named.clone() };
        if id.is_empty() {
            return Err(Problem::new("one of source, target required"));
        }
        let wanted = Wanted { name: id.clone(), required: mount.required, lines };
        self.stages[at].secrets.entry(id.clone()).or_insert(wanted);
        let optional = !mount.required;
        if let Some(name) = &mount.env {
            steps.exec.secret_env.push(SecretEnv { id: id.clone(), name: name.clone(), optional });
        }
        if mount.env.is_some() && mount.target.is_empty() {
            return Ok(());
        }
        let target = match mount.target.as_str() {
            "" => format!("/run/secrets/{}", base(&id)),
            target => joined(&self.stages[at].directory, target),
        };
        let file = SecretFile {
            id,
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
            mode: mount.mode.unwrap_or(0o400),
            optional,
        };
        steps.exec.mounts.push(Mount {
            target,
            kind: MountKind::Secret(file),
            read_only: true,
            output: None,
        });
        Ok(())
    }

    fn agent(&mut self, at: usize, mount: &Asked, steps: &mut Steps, lines: Lines) -> Result<(), Problem> {
        if !mount.source.is_empty() {
            return Err(Problem::new("ssh does not support source"));
        }
        let id = if mount.id.is_empty() { "default" } else { &mount.id };
        let wanted = Wanted { name: id.to_owned(), required: mount.required, lines };
        self.stages[at].agents.entry(id.to_owned()).or_insert(wanted);
        let before = steps.exec.mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Ssh(_))).count();
        let target = match mount.target.as_str() {
            "" => format!("/run/buildkit/ssh_agent.{before}"),
            target => joined(&self.stages[at].directory, target),
        };
        if before == 0 {
            steps.exec.env.retain(|entry| !entry.starts_with("SSH_AUTH_SOCK="));
            steps.exec.env.push(format!("SSH_AUTH_SOCK={target}"));
        }
        let agent = SshMount {
            id: id.to_owned(),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
            mode: mount.mode.unwrap_or(0o600),
            optional: !mount.required,
        };
        steps.exec.mounts.push(Mount { target, kind: MountKind::Ssh(agent), read_only: false, output: None });
        Ok(())
    }
}
