//! The recorder's own pass, made against the engine under test: every covered route, in every version.

use std::collections::BTreeMap;

use testkit::Engine;
use testkit::http::{Reply, Request};
use testkit::recording::{Answers, Recordings, add, route, versions};
use testkit::scenario::{self, Caller};

/// Goes on after a deviation, so that one run tells them all.
struct Checked<'a> {
    engine: &'a Engine,
    deviations: Vec<String>,
    /// All answers of the version at hand.
    routes: BTreeMap<String, Answers>,
}

impl Caller for Checked<'_> {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let reply = self.engine.request_unchecked(request);
        self.deviations.extend(self.engine.deviations(request, &reply));
        add(self.routes.entry(route(&request.method, &request.path)).or_default(), &reply);
        Ok(reply)
    }
}

// covers: api POST /auth
// covers: api GET /containers/json
// covers: api GET /containers/{id}/json
// covers: api GET /containers/{id}/logs
// covers: api POST /containers/create
// covers: api POST /containers/{id}/kill
// covers: api POST /containers/{id}/start
// covers: api POST /containers/{id}/wait
// covers: api DELETE /containers/{id}
// covers: api GET /images/json
// covers: api GET /images/json ?filters
// covers: api GET /images/{name}/history
// covers: api POST /images/{name}/tag
// covers: api POST /images/{name}/tag ?repo
// covers: api POST /images/{name}/tag ?tag
// covers: api GET /images/{name}/json
// covers: api POST /images/load
// covers: api DELETE /images/{name}
// covers: api GET /networks
// covers: api GET /networks ?filters
// covers: api POST /networks/create
// covers: api POST /networks/prune
// covers: api POST /networks/prune ?filters
// covers: api DELETE /networks/{id}
// covers: api GET /networks/{id}
// covers: api GET /networks/{id} ?verbose
// covers: api GET /networks/{id} ?scope
// covers: api POST /networks/{id}/connect
// covers: api POST /networks/{id}/disconnect
// covers: field NetworkingConfig EndpointsConfig
// covers: field NetworkingConfig EndpointsConfig.*
// covers: field NetworkSummary (all of)
// covers: field NetworkInspect (all of)
// covers: field NetworkConnectRequest Container
// covers: field NetworkConnectRequest EndpointConfig
// covers: field NetworkDisconnectRequest Container
// covers: api GET /distribution/{name}/json
// covers: api POST /images/{name}/push
// refuses: field ImageInspect Identity because signatures are not verified, and an image does not remember what it came by
// refuses: field ImageManifestSummary AttestationData because attestations stay in the registry
// refuses: field OCIDescriptor urls because no layer is fetched from an address that an image names
// refuses: field OCIDescriptor urls[] because no layer is fetched from an address that an image names
// refuses: field OCIDescriptor annotations because what an index notes of an image stays in the registry
// refuses: field OCIDescriptor annotations.* because what an index notes of an image stays in the registry
// refuses: field OCIDescriptor data because what a descriptor points at is fetched and never believed from the descriptor
// refuses: field OCIDescriptor artifactType because what is no image stays in the registry
#[test]
fn every_recorded_route_has_the_recorded_shape() {
    let engine = Engine::isolated();
    let mut checked = Checked { engine: &engine, deviations: Vec::new(), routes: BTreeMap::new() };
    let recordings = Recordings::committed();
    for version in versions() {
        checked.routes.clear();
        scenario::run(&mut checked, &version).unwrap();
        if scenario::knows_platforms(&version) {
            scenario::platforms(&mut checked, &version).unwrap();
        }
        let whole_machine = |route: &str| route == "GET /info" || route == "GET /system/df";
        for (route, found) in checked.routes.iter().filter(|(route, _)| !whole_machine(route)) {
            let unsaid = recordings.unsaid(&version, route, found).unwrap();
            let told = unsaid.into_iter().map(|at| format!("{version} {route} {}: {}", at.path, at.what));
            checked.deviations.extend(told);
        }
    }
    let list = checked.deviations;
    assert!(list.is_empty(), "{} deviations\n{}", list.len(), list.join("\n"));
}
