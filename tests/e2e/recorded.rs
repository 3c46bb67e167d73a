//! The recorder's own pass, made against the engine under test: every covered route, in every version.

use testkit::Engine;
use testkit::http::{Reply, Request};
use testkit::recording::versions;
use testkit::scenario::{self, Caller};

struct Checked<'a>(&'a Engine);

impl Caller for Checked<'_> {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply> {
        Ok(self.0.request(request))
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
// covers: api GET /images/{name}/json
// covers: api POST /images/load
// covers: api DELETE /images/{name}
#[test]
fn every_recorded_route_has_the_recorded_shape() {
    let engine = Engine::isolated();
    for version in versions() {
        scenario::run(&mut Checked(&engine), &version).unwrap();
    }
}
