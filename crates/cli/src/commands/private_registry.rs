//! `ketch registry …`: the private registry, where its content is stored.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use registry::{Admin, Config, Options, Plan};

use super::units;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing;
use crate::ui;

fn options(call: &Call) -> Options {
    let path = |name: &str| call.flags().find(name).map(PathBuf::from);
    Options { config: path("config"), root: path("root"), ..Options::default() }
}

/// `registry serve`.
pub(crate) fn serve(call: &Call) -> Outcome {
    let flags = call.flags();
    let text = |name: &str| flags.find(name).map(str::to_owned);
    let mut options = Options {
        address: text("addr"),
        debug_address: text("debug-addr"),
        certificate: text("tls-cert").map(PathBuf::from),
        key: text("tls-key").map(PathBuf::from),
        htpasswd: text("htpasswd").map(PathBuf::from),
        read_only: flags.bool("read-only"),
        no_delete: flags.bool("no-delete"),
        log_level: text("log-level"),
        ..options(call)
    };
    // docker's registry takes the file as an argument.
    match (call.args().first(), &options.config) {
        (Some(_), Some(_)) => return Err(Error::Usage("the configuration is given twice".into())),
        (Some(file), None) => options.config = Some(file.into()),
        (None, _) => {}
    }
    let config = Config::load(&options)?;
    if flags.bool("validate") {
        registry::validate(&config)?;
        ui::err("configuration OK");
        return Ok(0);
    }
    registry::serve(config)?;
    Ok(0)
}

fn admin(call: &Call) -> Result<Admin, Error> {
    Ok(Admin::open(&Config::load(&options(call))?)?)
}

fn table(rows: &[String]) -> Result<(), Error> {
    ui::out(&listing::align(&rows.concat()))
}

/// `registry ls`.
pub(crate) fn ls(call: &Call) -> Outcome {
    let rows = admin(call)?.list()?;
    if call.flags().bool("quiet") {
        rows.iter().try_for_each(|row| ui::out(&format!("{}\n", row.name)))?;
        return Ok(0);
    }
    let line = |row: &registry::Row| {
        let size = units::size(bytes(row.bytes), 3);
        format!("{}\t{}\t{}\t{size}\n", row.name, row.tags, row.manifests)
    };
    let head = "REPOSITORY\tTAGS\tMANIFESTS\tSIZE\n".to_owned();
    table(&[head].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>())?;
    Ok(0)
}

/// `registry tags`.
pub(crate) fn tags(call: &Call) -> Outcome {
    let rows = admin(call)?.tags(&call.args()[0])?;
    if call.flags().bool("quiet") {
        rows.iter().try_for_each(|row| ui::out(&format!("{}\n", row.tag)))?;
        return Ok(0);
    }
    let line = |row: &registry::TagRow| {
        let age = SystemTime::now().duration_since(row.pushed).unwrap_or_default();
        let (size, age) =
            (units::size(bytes(row.bytes), 3), units::age(i64::try_from(age.as_secs()).unwrap_or(i64::MAX)));
        format!("{}\t{}\t{size}\t{age} ago\n", row.tag, row.digest)
    };
    let head = "TAG\tDIGEST\tSIZE\tPUSHED\n".to_owned();
    table(&[head].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>())?;
    Ok(0)
}

/// `registry rm`: all of them are tried, and what failed is said.
pub(crate) fn rm(call: &Call) -> Outcome {
    let admin = admin(call)?;
    let mut failed = 0;
    for reference in call.args() {
        match admin.remove(reference) {
            Ok(lines) => lines.iter().try_for_each(|line| ui::out(&format!("Removed: {line}\n")))?,
            Err(error) => {
                ui::err(&diag::render(&error));
                failed = 1;
            }
        }
    }
    Ok(failed)
}

/// `registry gc`.
pub(crate) fn gc(call: &Call) -> Outcome {
    let (admin, flags) = (admin(call)?, call.flags());
    let usual = admin.plan();
    let grace = if flags.changed("grace") { duration(flags.text("grace"))? } else { usual.grace };
    let dry_run = flags.bool("dry-run");
    let plan = Plan { grace, untagged: usual.untagged || flags.bool("untagged"), dry_run };
    let (tags, collected) = admin.collect(plan)?;
    let word = if dry_run { "Would remove" } else { "Removed" };
    tags.iter().try_for_each(|tag| ui::out(&format!("{word}: {tag}\n")))?;
    ui::out(&format!(
        "{word} {} manifests and {} blobs: {}\n",
        collected.manifests,
        collected.blobs.max(if dry_run { collected.links } else { 0 }),
        units::size(bytes(collected.bytes), 3)
    ))?;
    Ok(0)
}

fn duration(text: &str) -> Result<Duration, Error> {
    flags::go::parse_duration(text).map_err(Error::Usage)
}

/// `registry du`.
pub(crate) fn du(call: &Call) -> Outcome {
    let admin = admin(call)?;
    let rows = admin.list()?;
    let mut lines = vec!["REPOSITORY\tSIZE\n".to_owned()];
    lines.extend(rows.iter().map(|row| format!("{}\t{}\n", row.name, units::size(bytes(row.bytes), 3))));
    let together = rows.iter().map(|row| row.bytes).sum::<u64>();
    let used = admin.used()?;
    table(&lines)?;
    ui::out(&format!(
        "\nOn disk: {} (shared: {})\n",
        units::size(bytes(used), 3),
        units::size(bytes(together.saturating_sub(used)), 3)
    ))?;
    Ok(0)
}

/// `registry export`.
pub(crate) fn export(call: &Call) -> Outcome {
    let exported = admin(call)?.export(&call.args()[0], call.args()[1].as_ref())?;
    ui::out(&format!("Exported {} manifests and {} blobs\n", exported.manifests, exported.blobs))?;
    Ok(0)
}

/// `registry import`.
pub(crate) fn import(call: &Call) -> Outcome {
    let admin = Admin::create(&Config::load(&options(call))?)?;
    let imported = admin.import(call.args()[0].as_ref(), &call.args()[1])?;
    ui::out(&format!("Imported {} manifests and {} blobs\n", imported.manifests, imported.blobs))?;
    Ok(0)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(count: u64) -> f64 {
    count as f64
}
