//! The engine as BuildKit's protocol needs it.

use std::sync::Arc;
use std::time::Duration;

use build::frontend::Frontend;
use build::lower::Dockerfile;
use build::progress::Progress;
use build::request::{Outcome, Request};
use build::session::Session;
use build::{Error, Job};
use buildkit::serve::{Device, Prune, Rule, Usage, Worker};
use diag::{Class, Explain as _};
use engine::builds::{PruneWhat, UsageEntry, UsageKind};
use engine::filters::Filters;

/// One engine.
pub(crate) struct Adapter(pub(crate) Arc<engine::Engine>);

impl buildkit::serve::Engine for Adapter {
    fn build(&self, request: Request, session: Arc<dyn Session>, progress: Progress) -> Job<'_, Outcome> {
        Box::pin(self.0.build(request, session, progress))
    }

    fn frontend(&self, name: &str) -> Option<Arc<dyn Frontend>> {
        (name == "dockerfile.v0").then(|| Arc::new(Dockerfile) as Arc<dyn Frontend>)
    }

    fn records(&self) -> std::path::PathBuf {
        self.0.builds.records()
    }

    fn remembers(&self) -> (Option<usize>, Option<Duration>) {
        let builder = &self.0.settings.builder;
        (builder.history_entries, builder.history_age)
    }

    fn worker(&self) -> Worker {
        let label = |name: &str, value: String| (format!("org.mobyproject.buildkit.worker.{name}"), value);
        let mut labels = [
            label("executor", "ketch".into()),
            label("hostname", hostname()),
            label("network", "host".into()),
            // buildx lets its docker driver export archives, push and build for several platforms where it sees this.
            label("snapshotter", "overlayfs".into()),
        ]
        .to_vec();
        if let Some(address) = self.0.networks.host_from_containers() {
            labels.push(label("moby.host-gateway-ip", address.to_string()));
        }
        let version =
            ("github.com/ketch-project/ketch", concat!("v", env!("CARGO_PKG_VERSION")), about::COMMIT);
        let devices = engine::containers::cdi::shown(&self.0.settings.cdi_folders);
        let device = |known: engine::containers::cdi::Shown| Device {
            name: known.name,
            auto_allow: known.auto_allow,
            annotations: known.annotations,
        };
        Worker {
            id: self.0.id.clone(),
            labels: labels.into_iter().collect(),
            platforms: self.0.builds.platforms(),
            version: (version.0.into(), version.1.into(), version.2.into()),
            rules: self.0.builds.rules().iter().map(rule).collect(),
            devices: devices.into_iter().map(device).collect(),
        }
    }

    fn usage(&self) -> Job<'_, Vec<Usage>> {
        let engine = self.0.clone();
        Box::pin(async move {
            let kept = blocking(move || engine.builds.usage()).await?;
            Ok(kept.into_iter().map(usage).collect())
        })
    }

    fn prune(&self, wanted: Prune) -> Job<'_, Vec<Usage>> {
        let engine = self.0.clone();
        Box::pin(async move {
            if wanted.ids.is_empty() {
                return Ok(Vec::new());
            }
            let mut filters = Filters::default();
            wanted.ids.iter().for_each(|id| filters.add("id", id));
            let what = PruneWhat {
                all: wanted.all,
                keep: wanted.keep,
                max_used: wanted.max_used,
                min_free: wanted.min_free,
                filters: Some(filters),
            };
            blocking(move || {
                let before = engine.builds.usage()?;
                let gone = engine.builds.prune(&what)?.ids;
                Ok(before.into_iter().filter(|entry| gone.contains(&entry.id)).map(usage).collect())
            })
            .await
        })
    }
}

fn rule(what: &PruneWhat) -> Rule {
    let pairs = what.filters.iter().flat_map(Filters::pairs);
    let others = pairs.filter(|(key, _)| !matches!(*key, "until" | "unused-for"));
    Rule {
        what: Prune {
            all: what.all,
            keep: what.keep,
            max_used: what.max_used,
            min_free: what.min_free,
            ids: Vec::new(),
        },
        unused_for: what.unused_for(),
        filters: others.map(|(key, value)| format!("{key}=={value}")).collect(),
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, Error> {
    let failed =
        |class: Class, source| Error::Work { doing: "look at what builds keep".into(), class, source };
    match tasks::blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(error.class(), error.into())),
        Err(error) => Err(failed(Class::Internal, error.into())),
    }
}

fn usage(entry: UsageEntry) -> Usage {
    Usage {
        id: entry.id,
        mutable: entry.kind != UsageKind::Regular,
        kind: entry.kind.word().to_owned(),
        description: entry.description,
        size: entry.size,
        in_use: entry.in_use,
        shared: entry.shared,
        made: entry.made,
        used: Some(entry.used),
        uses: entry.uses,
        parents: Vec::new(),
    }
}
