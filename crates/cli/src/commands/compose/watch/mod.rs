//! `watch`: what changes here goes into the running containers, or makes them anew.

mod sync;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use client::{Engine, encode};
use compose::Project;
use compose::plan::Recreate;
use compose::watch::{Rule, Work, rules, work};
use http::Method;

use super::create::{self, Wish, converge};
use super::observe::{self, OneOff};
use super::report::Report;
use super::roll::Turns;
use super::{build, each, project, pull, run, up};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::ui;

use tree::Tree;

/// What a watch needs to know.
pub(super) struct Watch<'a> {
    call: &'a Call,
    engine: &'a Engine,
    project: &'a Project,
    rules: Vec<Rule>,
    /// Whether images that a rebuild replaced go.
    prune: bool,
    quiet: bool,
}

/// `compose watch`.
pub(crate) fn watch(call: &Call) -> Outcome {
    let flags = call.flags();
    if call.is_dry() {
        return Err(Error::Usage("\"compose watch\" has no dry run".into()));
    }
    let project = project::load(call, call.args())?;
    let services: Vec<String> = project.with_dependencies(call.args())?.into_iter().collect();
    call.with_engine(|engine| async move {
        let watch = Watch::new(call, &engine, &project, &services, flags.bool("prune"), flags.bool("quiet"))?;
        if !flags.bool("no-up") {
            let wish = watch.wish(&services, Recreate::Changed)?;
            converge(call, &engine, &project, &wish).await?;
            up::start_all(&engine, &project, &wish, None).await?;
        }
        let mut interrupts = interrupt::listen()?;
        tokio::select! {
            ended = watch.run() => ended?,
            _ = interrupts.recv() => say("Watch disabled")?,
        }
        Ok(0)
    })
}

fn say(text: &str) -> Result<(), Error> {
    ui::out(&format!("{text}\n"))
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        call: &'a Call,
        engine: &'a Engine,
        project: &'a Project,
        services: &[String],
        prune: bool,
        quiet: bool,
    ) -> Result<Self, Error> {
        let (rules, warnings) = rules(project, services).map_err(Error::Usage)?;
        for warning in warnings {
            ui::err(&diag::printable(&format!("WARN[0000] {warning}")));
        }
        Ok(Self { call, engine, project, rules, prune, quiet })
    }

    /// Watches until it is given up.
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut roots: Vec<PathBuf> = self.rules.iter().map(|rule| rule.path.clone()).collect();
        roots.sort_unstable();
        roots.dedup();
        let mut tree = Tree::new(&roots, |folder| self.rules.iter().all(|rule| rule.skips(folder)))?;
        self.initial(&tree, |_| true).await?;
        say("Watch enabled")?;
        loop {
            let changes = tree.changes().await?;
            let work = work(&self.rules, &changes);
            // A step that fails is told, and the next change is the next attempt.
            if let Err(error) = self.carry_out(&work, &tree).await {
                ui::err(&diag::printable(&format!(
                    "WARN[0000] Error handling changed files: {}",
                    diag::chain(&error)
                )));
            }
        }
    }

    /// What `initial_sync` wants to be there from the beginning.
    async fn initial<S: Fn(&std::path::Path) -> bool>(
        &self,
        tree: &Tree<S>,
        of: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let mut all = BTreeMap::<&str, Vec<_>>::new();
        for rule in self.rules.iter().filter(|rule| rule.initial_sync && of(&rule.service)) {
            let work = work(std::slice::from_ref(rule), &tree.all());
            all.entry(&rule.service).or_default().extend(work.sync.into_values().flatten());
        }
        for (service, copies) in all {
            sync::sync(self.engine, &self.running(service).await?, &copies).await?;
        }
        Ok(())
    }

    async fn running(&self, service: &str) -> Result<Vec<serde_json::Value>, Error> {
        let there = observe::containers(self.engine, &self.project.name, OneOff::Without).await?;
        let mut own = observe::of_services(there, &[service.to_owned()]);
        own.retain(|one| one["State"] == "running");
        Ok(own)
    }

    async fn carry_out<S: Fn(&std::path::Path) -> bool>(
        &self,
        work: &Work,
        tree: &Tree<S>,
    ) -> Result<(), Error> {
        if !work.rebuild.is_empty() {
            self.rebuild(&work.rebuild).await?;
            self.initial(tree, |service| work.rebuild.contains(service)).await?;
        }
        for (service, copies) in work.sync.iter().filter(|(service, _)| !work.rebuild.contains(*service)) {
            say(&format!("Syncing service {service:?} after {} changes were detected", copies.len()))?;
            sync::sync(self.engine, &self.running(service).await?, copies).await?;
        }
        if !work.restart.is_empty() {
            let services: Vec<String> = work.restart.iter().cloned().collect();
            each::restart_services(self.engine, self.project, &services, self.report()?).await?;
            say(&format!("service(s) {services:?} restarted"))?;
        }
        for rule in work.exec.iter().filter_map(|place| self.rules.get(*place)) {
            for one in self.running(&rule.service).await? {
                run::hook(self.engine, &rule.service, observe::id(&one), &rule.exec).await?;
            }
        }
        Ok(())
    }

    fn report(&self) -> Result<Report, Error> {
        Report::new(self.call, self.quiet)
    }

    async fn rebuild(&self, services: &BTreeSet<String>) -> Result<(), Error> {
        let services: Vec<String> = services.iter().cloned().collect();
        say(&format!("Rebuilding service(s) {services:?} after changes were detected..."))?;
        let mut before = Vec::new();
        for service in &services {
            before.extend(create::image_id(self.engine, &self.project.image(service)).await?);
        }
        build::services(self.call, self.project, &services, &build::Flags::quiet(self.quiet))?;
        say(&format!("service(s) {services:?} successfully built"))?;
        let wish = self.wish(&services, Recreate::Force)?;
        converge(self.call, self.engine, self.project, &wish).await?;
        up::start_all(self.engine, self.project, &wish, None).await?;
        if self.prune {
            for image in before {
                self.prune(&image).await?;
            }
        }
        Ok(())
    }

    /// Removes an image that lost its name, unless somebody still has a use for it.
    async fn prune(&self, image: &str) -> Result<(), Error> {
        let path = format!("/images/{}", encode(image));
        let named = match self.engine.get(&format!("{path}/json")).await {
            Ok(found) => found["RepoTags"].as_array().is_some_and(|tags| !tags.is_empty()),
            Err(error) if error.is_status(404) => true,
            Err(error) => return Err(error.into()),
        };
        if named {
            return Ok(());
        }
        match self.engine.call(Method::DELETE, &path, None).await {
            Err(error) if !error.is_status(409) && !error.is_status(404) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn wish(&self, services: &[String], recreate: Recreate) -> Result<Wish, Error> {
        let services: BTreeSet<String> = services.iter().cloned().collect();
        Ok(Wish {
            named: services.clone(),
            services,
            recreate,
            recreate_dependencies: Recreate::Changed,
            scale: BTreeMap::new(),
            pull: pull::Policy::File,
            quiet_pull: self.quiet,
            // `watch` builds before it begins; what is rebuilt has just been built.
            build: if recreate == Recreate::Force { build::When::Never } else { build::When::Always },
            quiet_build: self.quiet,
            renew_volumes: false,
            remove_orphans: false,
            timeout: None,
            report: self.report()?,
            starts: true,
            turns: Turns::default(),
        })
    }
}
