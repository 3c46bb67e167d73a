//! `develop.watch`: which changed files concern which service, and what is then done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dockerfile::ignore::{self, Matcher};
use serde_json::Value as Json;

use crate::container::{list, text};
use crate::project::Project;

/// What nobody means to have watched: version control's own files, and what editors leave beside a file that they write.
const NOBODYS: &[&str] = &[
    "**/.git",
    "**/.idea",
    "**/*~",
    "**/.*.sw?",
    "**/.*.swx",
    "**/.#*",
    "**/#*#",
    "**/4913",
    "**/___jb_tmp___",
    "**/___jb_old___",
    "**/.DS_Store",
];

/// What a change leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Rebuild,
    Restart,
    Sync,
    SyncRestart,
    SyncExec,
}

impl Action {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "rebuild" => Self::Rebuild,
            "restart" => Self::Restart,
            "sync" => Self::Sync,
            "sync+restart" => Self::SyncRestart,
            "sync+exec" => Self::SyncExec,
            _ => return None,
        })
    }

    fn copies(self) -> bool {
        matches!(self, Self::Sync | Self::SyncRestart | Self::SyncExec)
    }
}

/// One entry of a service's list.
#[derive(Debug)]
pub struct Rule {
    pub service: String,
    pub action: Action,
    /// The file or folder of the host.
    pub path: PathBuf,
    /// Where it is in the container.
    pub target: String,
    /// The command of `sync+exec`, as a hook.
    pub exec: Json,
    pub initial_sync: bool,
    include: Option<Matcher>,
    ignore: Matcher,
    /// The build's context with its ignore file.
    context: Option<(PathBuf, Matcher)>,
}

impl Rule {
    /// Whether a change of this path concerns it.
    pub fn takes(&self, path: &Path) -> bool {
        let Some(inner) = below(&self.path, path) else { return false };
        let included = match (&self.include, inner) {
            (Some(include), inner) if !inner.is_empty() => include.matches(inner),
            _ => true,
        };
        included && !self.ignores(path, inner)
    }

    /// Whether nothing below this folder can concern it.
    pub fn skips(&self, folder: &Path) -> bool {
        let Some(inner) = below(&self.path, folder) else { return !self.path.starts_with(folder) };
        let excepts = |matcher: &Matcher| !inner.is_empty() && matcher.may_except_below(inner);
        !inner.is_empty() && self.ignores(folder, inner) && !excepts(&self.ignore)
    }

    fn ignores(&self, path: &Path, inner: &str) -> bool {
        // What the whole rule is about isn't ignored, whatever its name.
        if inner.is_empty() {
            return false;
        }
        let in_context = self.context.as_ref().is_some_and(|(context, matcher)| {
            below(context, path).is_some_and(|inner| !inner.is_empty() && matcher.matches(inner))
        });
        in_context || self.ignore.matches(inner)
    }

    /// Where a file of the host goes in the container.
    pub fn place(&self, path: &Path) -> String {
        match below(&self.path, path) {
            Some(inner) if !inner.is_empty() => format!("{}/{inner}", self.target.trim_end_matches('/')),
            _ => self.target.clone(),
        }
    }
}

/// The rest of a path below a folder; a path that is no text is nobody's.
fn below<'p>(folder: &Path, path: &'p Path) -> Option<&'p str> {
    path.strip_prefix(folder).ok()?.to_str()
}

/// A file that appeared, changed or went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub path: PathBuf,
    pub is_gone: bool,
}

/// A file of the host, where it goes, and whether it goes away there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub from: PathBuf,
    pub to: String,
    pub is_gone: bool,
}

/// What changes lead to, each service once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub rebuild: BTreeSet<String>,
    pub sync: BTreeMap<String, Vec<Copy>>,
    pub restart: BTreeSet<String>,
    /// Rules by their place, whose commands run.
    pub exec: BTreeSet<usize>,
}

impl Work {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What these changes lead to.
pub fn work(rules: &[Rule], changes: &[Change]) -> Work {
    let mut work = Work::default();
    for change in changes {
        let taking = rules.iter().enumerate().filter(|(_, rule)| rule.takes(&change.path));
        for (place, rule) in taking {
            let service = rule.service.clone();
            if rule.action.copies() {
                let copy =
                    Copy { from: change.path.clone(), to: rule.place(&change.path), is_gone: change.is_gone };
                work.sync.entry(service.clone()).or_default().push(copy);
            }
            match rule.action {
                Action::Rebuild => drop(work.rebuild.insert(service)),
                Action::Restart | Action::SyncRestart => drop(work.restart.insert(service)),
                Action::SyncExec => drop(work.exec.insert(place)),
                Action::Sync => {}
            }
        }
    }
    // What is built anew starts anew, and has what its context has.
    work.restart.retain(|service| !work.rebuild.contains(service));
    work
}

/// The rules of these services, with what a person should know of those that are left out.
pub fn rules(project: &Project, services: &[String]) -> Result<(Vec<Rule>, Vec<String>), String> {
    let (mut rules, mut warnings) = (Vec::new(), Vec::new());
    for service in services {
        let spec = project.service(service).unwrap_or(&Json::Null);
        for entry in list(&spec["develop"], "watch") {
            let rule = rule(service, spec, entry)?;
            match rule.action.copies() && is_mounted(spec, &rule.path) {
                true => warnings.push(format!(
                    "path '{}' also declared by a bind mount volume, this path won't be monitored!",
                    rule.path.display()
                )),
                false => rules.push(rule),
            }
        }
    }
    if rules.is_empty() && warnings.is_empty() {
        return Err(
            "none of the selected services is configured for watch, consider setting a 'develop' section"
                .into(),
        );
    }
    Ok((rules, warnings))
}

fn rule(service: &str, spec: &Json, entry: &Json) -> Result<Rule, String> {
    let action = Action::read(text(entry, "action"))
        .ok_or_else(|| format!("service {service:?}: unknown watch action {}", entry["action"]))?;
    if action == Action::Rebuild && spec["build"].is_null() {
        return Err(format!("can't watch service {service:?} with action rebuild without a build context"));
    }
    if action == Action::SyncExec && list(&entry["exec"], "command").is_empty() {
        return Err(format!("can't watch with action \"sync+exec\" on service {service} without a command"));
    }
    let target = text(entry, "target").to_owned();
    if action.copies() && target.is_empty() {
        return Err(format!("service {service:?}: a watch action that syncs needs a target"));
    }
    let patterns = |key: &str| list(entry, key).iter().filter_map(Json::as_str).collect::<Vec<_>>();
    let matcher = |patterns: Vec<&str>| {
        Matcher::new(patterns).map_err(|problem| format!("service {service:?}: develop.watch: {problem}"))
    };
    let include = patterns("include");
    Ok(Rule {
        service: service.to_owned(),
        action,
        path: PathBuf::from(text(entry, "path").trim_end_matches('/')),
        target,
        exec: entry["exec"].clone(),
        initial_sync: entry["initial_sync"] == true,
        include: if include.is_empty() { None } else { Some(matcher(include)?) },
        ignore: matcher(NOBODYS.iter().copied().chain(patterns("ignore")).collect())?,
        context: context(service, spec)?,
    })
}

/// A folder that is built, and what its ignore file says.
fn context(service: &str, spec: &Json) -> Result<Option<(PathBuf, Matcher)>, String> {
    let context = PathBuf::from(text(&spec["build"], "context"));
    if !context.is_absolute() {
        return Ok(None);
    }
    let file = context.join(".dockerignore");
    let said = match std::fs::read(&file) {
        Ok(said) => said,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("service {service:?}: cannot read {}: {error}", file.display())),
    };
    let matcher = ignore::read(&said).and_then(Matcher::new);
    let matcher = matcher.map_err(|problem| format!("{}: {problem}", file.display()))?;
    Ok(Some((context, matcher)))
}

/// Whether a bind mount shows the container this path already.
fn is_mounted(spec: &Json, path: &Path) -> bool {
    let binds = list(spec, "volumes").iter().filter(|mount| text(mount, "type") == "bind");
    binds.into_iter().any(|mount| path.starts_with(text(mount, "source")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(entry: &Json) -> Rule {
        rule("web", &json!({ "build": { "context": "." } }), entry).expect("a rule")
    }

    fn change(path: &str) -> Change {
        Change { path: path.into(), is_gone: false }
    }

    #[test]
    fn a_rule_takes_what_is_below_its_path_and_not_ignored() {
        let rule = of(&json!({
            "action": "sync", "path": "/p/src", "target": "/app/", "ignore": ["node_modules", "*.log", "!keep.log"],
        }));
        assert_eq!(rule.place(Path::new("/p/src/a/b.js")), "/app/a/b.js");
        for taken in ["/p/src/a/b.js", "/p/src/keep.log", "/p/src"] {
            assert!(rule.takes(Path::new(taken)), "{taken}");
        }
        for left in [
            "/p/srcs/a",
            "/p/other",
            "/p/src/x.log",
            "/p/src/node_modules/m/i.js",
            "/p/src/.git/HEAD",
            "/p/src/a/.b.js.swp",
        ] {
            assert!(!rule.takes(Path::new(left)), "{left}");
        }
        assert!(rule.skips(Path::new("/p/other")) && !rule.skips(Path::new("/p")));
        assert!(rule.skips(Path::new("/p/src/.git")) || rule.ignore.has_exceptions());
    }

    #[test]
    fn only_what_is_included_is_taken() {
        let rule = of(&json!({ "action": "sync", "path": "/p", "target": "/app", "include": ["**/*.py"] }));
        assert!(rule.takes(Path::new("/p/a/b.py")) && !rule.takes(Path::new("/p/a/b.js")));
    }

    #[test]
    fn a_file_can_be_a_rules_whole_path() {
        let rule =
            of(&json!({ "action": "sync+restart", "path": "/p/proxy.conf", "target": "/etc/proxy.conf" }));
        assert!(rule.takes(Path::new("/p/proxy.conf")) && !rule.takes(Path::new("/p/proxy.conf2")));
        assert_eq!(rule.place(Path::new("/p/proxy.conf")), "/etc/proxy.conf");
    }

    #[test]
    fn changes_become_work_once_for_each_service() {
        let rules = [
            of(&json!({ "action": "sync", "path": "/p/src", "target": "/app" })),
            of(
                &json!({ "action": "sync+exec", "path": "/p/css", "target": "/css", "exec": { "command": ["x"] } }),
            ),
            of(&json!({ "action": "sync+restart", "path": "/p/conf", "target": "/conf" })),
            of(&json!({ "action": "rebuild", "path": "/p/package.json" })),
        ];
        let one =
            work(&rules, &[change("/p/src/a"), change("/p/css/b"), change("/p/css/c"), change("/p/conf/d")]);
        assert_eq!(
            one.sync["web"].iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(),
            ["/app/a", "/css/b", "/css/c", "/conf/d"]
        );
        assert_eq!((one.restart.len(), one.exec, one.rebuild.len()), (1, BTreeSet::from([1]), 0));
        let built = work(&rules, &[change("/p/package.json"), change("/p/conf/d")]);
        assert!(built.restart.is_empty() && built.rebuild.contains("web"));
        assert!(work(&rules, &[change("/p/other")]).is_nothing());
    }

    #[test]
    fn what_can_t_be_done_is_refused() {
        let spec = json!({});
        for (entry, why) in [
            (json!({ "action": "rebuild", "path": "/p" }), "without a build context"),
            (json!({ "action": "sync+exec", "path": "/p", "target": "/t" }), "without a command"),
            (json!({ "action": "sync", "path": "/p" }), "needs a target"),
            (json!({ "action": "sync", "path": "/p", "target": "/t", "ignore": ["[a"] }), "syntax error"),
        ] {
            let error = rule("web", &spec, &entry).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
