//! Every route of the Engine API and what becomes of it: the table that requests are matched against, and that the
//! coverage check compares with what clients may expect.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;
use crate::{build, builder, containers, images, networks, swarm, system, volumes};

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// What a route does.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Done(fn(Call) -> Answer),
    /// Never, for this reason.
    Refused(&'static str),
}

/// One route. In `path`, `{name}` stands for one component, `{name*}` for one or more.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The query parameters that are understood.
    pub(crate) query: &'static [&'static str],
    pub(crate) fate: Fate,
}

/// A route that fits, and what stood for its `{…}`.
pub(crate) struct Found {
    pub(crate) route: &'static Route,
    pub(crate) params: Vec<String>,
}

macro_rules! route {
    ($method:literal $path:literal [$($query:literal)*] $handler:path) => {
        Route { method: $method, path: $path, query: &[$($query),*], fate: Fate::Done(|call| Box::pin($handler(call))) }
    };
    ($method:literal $path:literal refused $reason:literal) => {
        Route { method: $method, path: $path, query: &[], fate: Fate::Refused($reason) }
    };
}

#[rustfmt::skip]
static ROUTES: &[Route] = &[
    // ── system ──
    route!("GET" "/_ping" [] system::ping::get),
    route!("HEAD" "/_ping" [] system::ping::get),
    route!("GET" "/version" [] system::version::get),
    route!("GET" "/info" [] system::info::get),
    route!("GET" "/events" ["since" "until" "filters"] system::events::get),
    route!("GET" "/system/df" ["type" "verbose"] system::df::get),
    route!("GET" "/system/doctor" [] system::doctor::get),
    route!("GET" "/system/ports" [] system::doctor::ports),
    route!("POST" "/auth" [] system::auth::post),
    route!("POST" "/grpc" [] builder::connections::grpc),
    route!("POST" "/session" [] builder::connections::session),
    // ── Go's own profiler ──
    route!("GET" "/debug/pprof/" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/pprof/cmdline" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/pprof/profile" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/pprof/symbol" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/pprof/trace" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/pprof/{name}" refused "there is no Go in this engine: use perf"),
    route!("GET" "/debug/vars" refused "there is no Go in this engine: send it SIGUSR1"),
    // ── containers ──
    route!("GET" "/containers/json" ["all" "limit" "size" "filters"] containers::list::get),
    route!("POST" "/containers/create" ["name" "platform"] containers::create::post),
    route!("POST" "/containers/prune" ["filters"] containers::prune::post),
    route!("GET" "/containers/{id}/json" ["size"] containers::inspect::get),
    route!("POST" "/containers/{id}/start" ["detachKeys" "checkpoint" "checkpoint-dir" "behind"] containers::start::post),
    route!("POST" "/containers/{id}/takeover" ["from" "drain"] containers::start::takeover),
    route!("POST" "/containers/{id}/stop" ["signal" "t"] containers::stop::post),
    route!("POST" "/containers/{id}/kill" ["signal"] containers::stop::kill),
    route!("POST" "/containers/{id}/wait" ["condition"] containers::wait::post),
    route!("POST" "/containers/{id}/resize" ["h" "w"] containers::attach::resize),
    route!("POST" "/containers/{id}/attach" ["detachKeys" "logs" "stream" "stdin" "stdout" "stderr"] containers::attach::post),
    route!("GET" "/containers/{id}/logs" ["follow" "stdout" "stderr" "since" "until" "timestamps" "tail" "details"] containers::logs::get),
    route!("DELETE" "/containers/{id*}" ["v" "force" "link"] containers::remove::delete),
    route!("GET" "/containers/{id}/attach/ws" ["detachKeys" "logs" "stream" "stdin" "stdout" "stderr"] containers::attach::websocket),
    route!("GET" "/containers/{id}/archive" ["path"] containers::archive::get),
    route!("HEAD" "/containers/{id}/archive" ["path"] containers::archive::head),
    route!("PUT" "/containers/{id}/archive" ["path" "noOverwriteDirNonDir" "copyUIDGID"] containers::archive::put),
    route!("GET" "/containers/{id}/changes" [] containers::files::changes),
    route!("GET" "/containers/{id}/export" [] containers::files::export),
    route!("POST" "/containers/{id}/pause" [] containers::pause::post),
    route!("POST" "/containers/{id}/unpause" [] containers::pause::unpause),
    route!("POST" "/containers/{id}/rename" ["name"] containers::rename::post),
    route!("POST" "/containers/{id}/restart" ["signal" "t"] containers::stop::restart),
    route!("GET" "/containers/{id}/stats" ["stream" "one-shot"] containers::stats::get),
    route!("GET" "/containers/{id}/top" ["ps_args"] containers::top::get),
    route!("POST" "/containers/{id}/update" [] containers::update::post),
    route!("POST" "/containers/{id}/exec" [] containers::exec::create),
    route!("GET" "/exec/{id}/json" [] containers::exec::inspect),
    route!("POST" "/exec/{id}/resize" ["h" "w"] containers::exec::resize),
    route!("POST" "/exec/{id}/start" [] containers::exec::start),
    route!("GET" "/containers/{name}/checkpoints" refused "checkpoints need CRIU, which Ketch does not use"),
    route!("POST" "/containers/{name}/checkpoints" refused "checkpoints need CRIU, which Ketch does not use"),
    route!("DELETE" "/containers/{name}/checkpoints/{checkpoint}" refused "checkpoints need CRIU, which Ketch does not use"),
    // ── images ──
    route!("GET" "/images/json" ["all" "filters" "shared-size" "digests" "manifests" "identity" "filter"] images::list::get),
    route!("POST" "/images/load" ["quiet" "platform"] images::load::post),
    route!("POST" "/images/create" ["fromImage" "fromSrc" "repo" "tag" "message" "changes" "platform"] images::create::post),
    route!("GET" "/images/get" ["names" "platform"] images::save::several),
    route!("POST" "/images/prune" ["filters"] images::prune::post),
    route!("GET" "/images/search" ["term" "limit" "filters"] images::search::get),
    route!("GET" "/images/{name*}/json" ["manifests" "platform"] images::inspect::get),
    route!("GET" "/images/{name*}/history" ["platform"] images::history::get),
    route!("GET" "/images/{name*}/get" ["platform"] images::save::one),
    route!("GET" "/images/{name*}/attestations" refused "attestations stay in the registry: an image is kept with its config and its layers"),
    route!("POST" "/images/{name*}/push" ["tag" "platform"] images::push::post),
    route!("POST" "/images/{name*}/tag" ["repo" "tag"] images::tag::post),
    route!("DELETE" "/images/{name*}" ["force" "noprune" "platforms"] images::remove::delete),
    route!("GET" "/distribution/{name*}/json" [] images::distribution::get),
    route!("POST" "/commit" ["container" "repo" "tag" "comment" "author" "pause" "changes"] images::commit::post),
    route!("POST" "/build" ["dockerfile" "t" "extrahosts" "remote" "q" "nocache" "cachefrom" "pull" "rm" "forcerm" "memory" "memswap" "cpushares" "cpusetcpus" "cpusetmems" "cpuperiod" "cpuquota" "buildargs" "shmsize" "squash" "labels" "networkmode" "platform" "target" "outputs" "version" "session" "buildid" "ulimits" "cgroupparent" "isolation" "securityopt"] build::post),
    route!("POST" "/build/prune" ["keep-storage" "reserved-space" "max-used-space" "min-free-space" "all" "filters"] build::prune),
    route!("POST" "/build/cancel" ["id"] build::cancel),
    // ── networks and volumes ──
    route!("GET" "/networks" ["filters"] networks::list),
    route!("POST" "/networks/create" [] networks::create),
    route!("POST" "/networks/prune" ["filters"] networks::prune),
    route!("GET" "/networks/{id}" ["verbose" "scope"] networks::inspect),
    route!("DELETE" "/networks/{id}" [] networks::remove),
    route!("POST" "/networks/{id}/connect" [] networks::connect),
    route!("POST" "/networks/{id}/disconnect" [] networks::disconnect),
    route!("GET" "/volumes" ["filters"] volumes::list),
    route!("POST" "/volumes/create" [] volumes::create),
    route!("POST" "/volumes/prune" ["filters"] volumes::prune),
    route!("POST" "/volumes/import" ["name" "labels"] volumes::content::import),
    route!("GET" "/volumes/{name}/export" [] volumes::content::export),
    route!("HEAD" "/volumes/{name}/archive" ["path"] volumes::content::head),
    route!("GET" "/volumes/{name}/archive" ["path"] volumes::content::get),
    route!("PUT" "/volumes/{name}/archive" ["path" "noOverwriteDirNonDir"] volumes::content::put),
    route!("POST" "/volumes/{name}/copy" [] volumes::content::copy),
    route!("POST" "/volumes/{name}/clone" [] volumes::content::clone),
    route!("POST" "/volumes/{name}/rename" ["name"] volumes::content::rename),
    route!("GET" "/volumes/{name}" [] volumes::inspect),
    route!("PUT" "/volumes/{name}" ["version"] volumes::update),
    route!("DELETE" "/volumes/{name}" ["force"] volumes::remove),
    // ── plugins: the managed kind, which are images of Docker's own sort ──
    route!("GET" "/plugins" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/create" refused "managed plugins are not part of Ketch"),
    route!("GET" "/plugins/privileges" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/pull" refused "managed plugins are not part of Ketch"),
    route!("GET" "/plugins/{name*}/json" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/{name*}/disable" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/{name*}/enable" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/{name*}/push" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/{name*}/set" refused "managed plugins are not part of Ketch"),
    route!("POST" "/plugins/{name*}/upgrade" refused "managed plugins are not part of Ketch"),
    route!("DELETE" "/plugins/{name*}" refused "managed plugins are not part of Ketch"),
    // ── swarm ──
    route!("GET" "/swarm" [] swarm::manager_only),
    route!("POST" "/swarm/init" [] swarm::join),
    route!("POST" "/swarm/join" [] swarm::join),
    route!("POST" "/swarm/leave" ["force"] swarm::leave),
    route!("POST" "/swarm/unlock" [] swarm::manager_only),
    route!("GET" "/swarm/unlockkey" [] swarm::manager_only),
    route!("POST" "/swarm/update" ["version" "rotateWorkerToken" "rotateManagerToken" "rotateManagerUnlockKey"] swarm::manager_only),
    route!("GET" "/nodes" ["filters"] swarm::manager_only),
    route!("GET" "/nodes/{id}" [] swarm::manager_only),
    route!("DELETE" "/nodes/{id}" ["force"] swarm::manager_only),
    route!("POST" "/nodes/{id}/update" ["version"] swarm::manager_only),
    route!("GET" "/services" ["filters" "status"] swarm::manager_only),
    route!("POST" "/services/create" [] swarm::manager_only),
    route!("GET" "/services/{id}" ["insertDefaults"] swarm::manager_only),
    route!("DELETE" "/services/{id}" [] swarm::manager_only),
    route!("GET" "/services/{id}/logs" ["details" "follow" "stdout" "stderr" "since" "timestamps" "tail"] swarm::manager_only),
    route!("POST" "/services/{id}/update" ["version" "registryAuthFrom" "rollback"] swarm::manager_only),
    route!("GET" "/tasks" ["filters"] swarm::manager_only),
    route!("GET" "/tasks/{id}" [] swarm::manager_only),
    route!("GET" "/tasks/{id}/logs" ["details" "follow" "stdout" "stderr" "since" "timestamps" "tail"] swarm::manager_only),
    route!("GET" "/secrets" ["filters"] swarm::manager_only),
    route!("POST" "/secrets/create" [] swarm::manager_only),
    route!("GET" "/secrets/{id}" [] swarm::manager_only),
    route!("DELETE" "/secrets/{id}" [] swarm::manager_only),
    route!("POST" "/secrets/{id}/update" ["version"] swarm::manager_only),
    route!("GET" "/configs" ["filters"] swarm::manager_only),
    route!("POST" "/configs/create" [] swarm::manager_only),
    route!("GET" "/configs/{id}" [] swarm::manager_only),
    route!("DELETE" "/configs/{id}" [] swarm::manager_only),
    route!("POST" "/configs/{id}/update" ["version"] swarm::manager_only),
];

/// The first route that fits. The table lists the special ones (`/containers/json`) before the general ones.
pub(crate) fn find(method: &str, path: &str) -> Option<Found> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some(Found { route, params: fit(route.path, &parts)? }))
}

fn fit(pattern: &str, parts: &[&str]) -> Option<Vec<String>> {
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    let many = pattern.iter().position(|part| part.ends_with("*}"));
    let surplus = match many {
        Some(_) => parts.len().checked_sub(pattern.len())?,
        None if parts.len() == pattern.len() => 0,
        None => return None,
    };
    let mut params = Vec::new();
    let mut rest = parts;
    for (index, expected) in pattern.iter().enumerate() {
        let take = if many == Some(index) { surplus + 1 } else { 1 };
        let (here, after) = rest.split_at_checked(take)?;
        rest = after;
        match expected.starts_with('{') {
            true => params.push(here.join("/")),
            false if here == [*expected] => {}
            false => return None,
        }
    }
    params.iter().all(|param| !param.is_empty()).then_some(params)
}

/// The table as data, for the coverage check.
pub fn dump() -> Value {
    let entry = |route: &Route| {
        let (state, reason) = match route.fate {
            Fate::Done(_) => ("done", ""),
            Fate::Refused(reason) => ("refused", reason),
        };
        let path = route.path.replace("*}", "}");
        json!({ "method": route.method, "path": path, "state": state, "reason": reason, "query": route.query })
    };
    ROUTES.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        find(method, path).map(|found| (found.route.path, found.params))
    }

    #[test]
    fn image_names_may_have_slashes() {
        let name = vec!["registry:5000/team/app".to_owned()];
        assert_eq!(
            found("GET", "/images/registry:5000/team/app/json"),
            Some(("/images/{name*}/json", name.clone()))
        );
        assert_eq!(found("DELETE", "/images/registry:5000/team/app"), Some(("/images/{name*}", name)));
    }

    #[test]
    fn special_routes_win_over_general_ones() {
        assert_eq!(found("GET", "/containers/json").unwrap().0, "/containers/json");
        assert_eq!(found("GET", "/images/json").unwrap().0, "/images/json");
        assert_eq!(found("POST", "/containers/create").unwrap().0, "/containers/create");
    }

    #[test]
    fn nothing_else_fits() {
        for (method, path) in [
            ("GET", "/nosuch"),
            ("PUT", "/info"),
            ("GET", "/containers//json"),
            ("GET", ""),
            ("GET", "/info/x"),
        ] {
            assert!(found(method, path).is_none(), "{method} {path}");
        }
    }
}
