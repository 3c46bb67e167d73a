//! What is in an image: a generator's program looks through it in a step of its own, by BuildKit's protocol.

use std::sync::Arc;

use build::Error;
use build::frontend::{Built, Ref};
use build::graph::{Bind, Exec, Image, Input, Mount, MountKind, Op, Pull, Shown, Source};
use build::request::Said;
use serde_json::Value;

use super::provenance;
use super::{Provenance, Sbom, Subject, Wanted, materials};
use crate::builds::error::{blocking, work};
use crate::builds::export::Exporting;
use crate::builds::files::{Look, Root};
use crate::builds::tree::Tree;
use crate::images::Statement;

/// Where the image is for the generator, and where it writes.
const SOURCE: &str = "/run/src/core/sbom";
const OUT: &str = "/run/out";
/// No generator's statement is longer, and there are no more of them.
const MAX_STATEMENT: u64 = 256 << 20;
const MAX_STATEMENTS: usize = 64;

impl Exporting<'_> {
    /// Everything that is said about one image.
    pub(in crate::builds) async fn statements(
        &self,
        wanted: &Wanted,
        built: &Built,
        tree: &Tree,
        subject: &Subject<'_>,
    ) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        let Some(result) = built.refs.get(subject.key) else { return Ok(statements) };
        if let Some(sbom) = &wanted.sbom {
            for (kind, predicate) in self.scan(sbom, result).await? {
                statements.push(subject.state(&kind, &predicate)?);
            }
        }
        if let Some(provenance) = &wanted.provenance {
            let found = materials::find(self.parts, result);
            let predicate = provenance::predicate(provenance, self.about, result, &found, tree);
            statements.push(subject.state(provenance::TYPE, &predicate)?);
        }
        Ok(statements)
    }

    /// How each result came to be, in full, for who looks at the build later.
    pub(in crate::builds) fn provenance(
        &self,
        built: &Built,
        trees: &[(String, Tree)],
    ) -> Result<Vec<Said>, Error> {
        let said = |(key, tree): &(String, Tree)| {
            let result = built.refs.get(key)?;
            let found = materials::find(self.parts, result);
            let predicate = provenance::predicate(&Provenance::full(), self.about, result, &found, tree);
            let bytes =
                serde_json::to_vec(&predicate).map_err(|e| work("write down a build's provenance", e));
            Some(bytes.map(|bytes| Said { platform: key.clone(), predicate: provenance::TYPE, bytes }))
        };
        trees.iter().filter_map(said).collect()
    }

    /// Runs the generator; what it says, with its kind.
    async fn scan(&self, sbom: &Sbom, result: &Ref) -> Result<Vec<(String, Value)>, Error> {
        let sources = self.works.sources();
        let resolved = sources.resolve(&sbom.generator, None, Pull::Missing).await?;
        let config: oci::image::ImageConfig = serde_json::from_slice(&resolved.config)
            .map_err(|e| work("read the config of the SBOM's generator", e))?;
        let mut graph = (*result.graph).clone();
        let image = Op::Source(Source::Image(Image { reference: resolved.reference, pull: Pull::Missing }));
        let shown = |name: String| Shown { name, ..Shown::default() };
        let generator = graph.add(image, Vec::new(), None, shown(format!("[sbom] {}", sbom.generator)))?;
        let inputs = [Some(generator.output()), result.output].into_iter().flatten().collect();
        let exec = exec(sbom, config.config, result.output.is_some());
        let name = format!("[sbom] generating sbom using {}", sbom.generator);
        let step = graph.add(Op::Exec(Box::new(exec)), inputs, None, shown(name))?;
        let wanted = Ref { graph: Arc::new(graph), output: Some(step.output()) };
        let Some(tree) = self.solver.solve(&wanted).await? else { return Ok(Vec::new()) };
        let works = self.works.clone();
        blocking(move || read(&*works.root(&tree)?)).await
    }
}

fn exec(sbom: &Sbom, config: oci::image::ContainerConfig, has_files: bool) -> Exec {
    let args: Vec<String> =
        config.entrypoint.into_iter().flatten().chain(config.cmd.into_iter().flatten()).collect();
    let bind = |target: &str, from: Option<Input>, read_only, output| {
        let kind = MountKind::Bind(Bind { from, selector: String::new() });
        Mount { target: target.to_owned(), kind, read_only, output }
    };
    let mut exec = Exec::new(args);
    exec.cwd = config.working_dir;
    exec.user = config.user;
    exec.env = config.env;
    exec.env.push(format!("BUILDKIT_SCAN_SOURCE={SOURCE}"));
    exec.env.push(format!("BUILDKIT_SCAN_DESTINATION={OUT}"));
    for (key, value) in &sbom.settings {
        exec.env.push(format!("BUILDKIT_SCAN_{key}={value}"));
    }
    exec.mounts = vec![
        bind("/", Some(Input(0)), false, None),
        bind(SOURCE, has_files.then_some(Input(1)), true, None),
        bind(OUT, None, false, Some(0)),
    ];
    exec
}

/// The statements that were written.
fn read(root: &Root) -> Result<Vec<(String, Value)>, Error> {
    use std::io::Read as _;
    let mut statements = Vec::new();
    for name in root.names(&[])? {
        if !name.ends_with(b".json") {
            continue;
        }
        if statements.len() == MAX_STATEMENTS {
            return Err(Error::Invalid(format!(
                "an SBOM's generator wrote more than {MAX_STATEMENTS} files"
            )));
        }
        let shown = String::from_utf8_lossy(&name).into_owned();
        let wrong =
            |e: serde_json::Error| work(format!("read what the SBOM's generator wrote to {shown}"), e);
        let file = root.open(std::slice::from_ref(&name))?;
        let statement: Value =
            serde_json::from_reader(std::io::BufReader::new(file.take(MAX_STATEMENT))).map_err(wrong)?;
        let kind = statement["predicateType"].as_str().unwrap_or_default().to_owned();
        if kind.is_empty() {
            return Err(Error::Invalid(format!("{shown} of the SBOM's generator is no in-toto statement")));
        }
        statements.push((kind, statement["predicate"].clone()));
    }
    match statements.is_empty() {
        true => Err(Error::Invalid("the SBOM's generator wrote no statement".into())),
        false => Ok(statements),
    }
}
