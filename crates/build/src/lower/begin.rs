//! What a stage begins with: nothing, an image, or a context.

use dockerfile::quote;
use oci::Reference;
use oci::image::{ImageConfig, Platform};

use super::context::{self, Context};
use super::environment::Environment;
use super::problem::Problem;
use super::stage::Progress;
use super::stages::Lowering;
use super::{Need, checks, image, names, platform};
use crate::graph::{self, Op, Source};

impl Lowering<'_> {
    /// What a stage begins with, if that is no other stage.
    pub(super) fn resolve(&mut self, at: usize) -> Result<(), Problem> {
        if self.stages[at].progress != Progress::Listed {
            return Ok(());
        }
        if let Some(key) = self.stages[at].replaced_by.clone() {
            let platform = self.stages[at].platform.clone();
            return self.begin_with_context(
                at,
                &key,
                platform.unwrap_or_else(|| self.options.target_platform().clone()),
            );
        }
        if self.stages[at].base.is_some() {
            return Ok(());
        }
        let target = self.options.target_platform().clone();
        if self.stages[at].reference == "scratch" {
            let stage = &mut self.stages[at];
            stage.image = image::empty(&target);
            stage.platform = Some(target);
            stage.progress = if stage.implicit { Progress::Done } else { Progress::Resolved };
            return Ok(());
        }
        let typed = self.stages[at].reference.clone();
        let reference =
            Reference::parse(&typed).map_err(|why| unparsable(&typed, self.stages[at].implicit, &why))?;
        let wanted = self.stages[at].platform.clone().unwrap_or(target);
        if let Some(key) = self.named_context(&reference.to_string(), Some(&wanted))? {
            return self.begin_with_context(at, &key, wanted);
        }
        self.begin_with_image(at, &reference.to_string(), &typed, wanted)
    }

    fn begin_with_image(
        &mut self,
        at: usize,
        reference: &str,
        typed: &str,
        wanted: Platform,
    ) -> Result<(), Problem> {
        let several = self.options.several_platforms;
        let prefix = if several {
            format!("[{} internal]", platform::format(&wanted))
        } else {
            "[internal]".to_owned()
        };
        let name = format!("{prefix} load metadata for {reference}");
        let Some((resolved, config)) = self.image(at, reference, typed, &wanted, name)? else {
            return Ok(());
        };
        let layers =
            !config.rootfs.diff_ids.is_empty() || config.history.iter().any(|entry| !entry.empty_layer);
        let stage_platform = self.detected(at, &config, wanted);
        let raw = self.known.image(reference, &self.wanted_of(at)).map(|found| found.config.clone());
        let (lines, typed) = (self.stages[at].lines, typed.to_owned());
        let stage = &mut self.stages[at];
        stage.base_config = raw;
        stage.image = ImageConfig { created: None, ..config };
        if layers {
            let name = names::numbered(stage, several, &stage_platform, &format!("FROM {resolved}"));
            let shown = names::shown(&self.options.source, name, lines, &stage.code);
            let op = Op::Source(Source::Image(graph::Image { reference: resolved, pull: self.options.pull }));
            stage.root = Some(self.graph.add(op, Vec::new(), Some(stage_platform.clone()), shown)?.output());
            checks::base_platform(&typed, &stage_platform, &stage.image.platform, lines, self.findings);
        }
        stage.platform = Some(stage_platform);
        stage.progress = if stage.implicit { Progress::Done } else { Progress::Resolved };
        Ok(())
    }

    fn wanted_of(&self, at: usize) -> Platform {
        self.stages[at].platform.clone().unwrap_or_else(|| self.options.target_platform().clone())
    }

    /// The platform that an image has, where nobody said which it should be for.
    fn detected(&self, at: usize, config: &ImageConfig, wanted: Platform) -> Platform {
        let host = &self.options.build_platform;
        let implied = self.stages[at].platform.is_none() && self.options.target_platform.is_none();
        let same = host.os == config.platform.os && host.architecture == config.platform.architecture;
        if implied && same { host.clone() } else { wanted }
    }

    /// An image's configuration, with the name to which it resolved; or the need for it.
    fn image(
        &mut self,
        at: usize,
        reference: &str,
        typed: &str,
        platform: &Platform,
        name: String,
    ) -> Result<Option<(String, ImageConfig)>, Problem> {
        let Some(found) = self.known.image(reference, platform) else {
            let lines = self.stages[at].lines;
            self.needs.insert(Need::Image {
                reference: reference.to_owned(),
                typed: typed.to_owned(),
                platform: platform::format(platform),
                name,
                lines: (lines.first, lines.last),
            });
            return Ok(None);
        };
        let config = serde_json::from_slice(&found.config)
            .map_err(|why| Problem::new(format!("failed to parse image config: {why}")))?;
        Ok(Some((found.reference.clone(), config)))
    }

    /// The key of the context that goes under a name, for a platform before for all.
    pub(super) fn named_context(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<String>, Problem> {
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return Ok(None);
        }
        let Ok(reference) = Reference::parse(name) else {
            return Err(Problem::new(format!("invalid context name {name}")));
        };
        let familiar = reference.familiar();
        let familiar = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        let platform = platform::normalized(platform.unwrap_or_else(|| self.options.target_platform()));
        let keys = [format!("{familiar}::{}", platform::format(&platform)), familiar.to_owned()];
        Ok(keys.into_iter().find(|key| self.options.contexts.contains_key(key)))
    }

    fn begin_with_context(&mut self, at: usize, key: &str, platform: Platform) -> Result<(), Problem> {
        let Some(found) = self.options.contexts.get(key) else { return Ok(()) };
        let done = self.stages[at].implicit || self.stages[at].replaced_by.is_some();
        let mut config = image::empty(self.options.target_platform());
        let root = match found {
            Context::Image(reference) if reference == "scratch" => None,
            Context::Image(reference) => {
                let (canonical, shown) = match graph::OciLayout::at(reference) {
                    Some(layout) => (reference.clone(), layout.named(key).reference),
                    None => {
                        let parsed = Reference::parse(reference);
                        let name = parsed.map_err(|why| Problem::new(why.to_string()))?.to_string();
                        (name.clone(), name)
                    }
                };
                let name = format!("[context {key}] load metadata for {shown}");
                let Some((resolved, image)) = self.image(at, &canonical, reference, &platform, name)? else {
                    return Ok(());
                };
                config = ImageConfig { created: None, ..image };
                self.stages[at].base_config =
                    self.known.image(&canonical, &platform).map(|found| found.config.clone());
                Context::Image(resolved).add(&mut self.graph, key, &[], Vec::new(), &platform)?
            }
            Context::Local { name, .. } => {
                let Some(ignore) = self.known.ignores.get(key) else {
                    self.needs.insert(Need::Ignore { key: key.to_owned(), local: name.clone() });
                    return Ok(());
                };
                let follow = context::follow(self.followed.and_then(|paths| paths.get(key)));
                self.stages[at].context = Some(key.to_owned());
                found.add(&mut self.graph, key, ignore, follow, &platform)?
            }
            Context::Input(_, given) => {
                if let Some(given) = given {
                    config = ImageConfig { created: None, ..(**given).clone() };
                }
                found.add(&mut self.graph, key, &[], Vec::new(), &platform)?
            }
            Context::Git(..) | Context::Http(_) => {
                found.add(&mut self.graph, key, &[], Vec::new(), &platform)?
            }
        };
        let stage = &mut self.stages[at];
        stage.root = root;
        stage.image = config;
        stage.platform = Some(platform);
        stage.environment = Environment::of(&stage.image.config.env);
        stage.progress = if done { Progress::Done } else { Progress::Resolved };
        Ok(())
    }
}

fn unparsable(typed: &str, implicit: bool, why: &oci::ReferenceError) -> Problem {
    if implicit && typed.contains('$') {
        return Problem::new(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
             scope as a workaround",
        );
    }
    let problem = Problem::new(format!("failed to parse stage name {}: {why}", quote(typed)));
    match diag::Explain::hint(why) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
