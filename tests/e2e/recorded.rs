//! The recorder's own pass, made against the engine under test: every covered route, in every version.

use testkit::Engine;
use testkit::http::{Reply, Request};
use testkit::recording::versions;
use testkit::scenario::{self, Caller};

/// Goes on after a deviation, so that one run tells them all.
struct Checked<'a> {
    engine: &'a Engine,
    deviations: Vec<String>,
}

impl Caller for Checked<'_> {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let reply = self.engine.request_unchecked(request);
        self.deviations.extend(self.engine.deviations(request, &reply));
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
#[test]
fn every_recorded_route_has_the_recorded_shape() {
    let engine = Engine::isolated();
    let mut checked = Checked { engine: &engine, deviations: Vec::new() };
    for version in versions() {
        scenario::run(&mut checked, &version).unwrap();
    }
    let list = checked.deviations;
    assert!(list.is_empty(), "{} deviations\n{}", list.len(), list.join("\n"));
}
