//! Swarm's routes answer as an engine that isn't in a swarm.

use testkit::Engine;
use testkit::cases::SWARM;

use crate::errors::differences;

// covers: api GET /swarm
// covers: api POST /swarm/leave
// covers: api POST /swarm/unlock
// covers: api GET /swarm/unlockkey
// covers: api POST /swarm/update
// covers: api GET /configs
// covers: api POST /configs/create
// covers: api GET /configs/{id}
// covers: api DELETE /configs/{id}
// covers: api POST /configs/{id}/update
// covers: api GET /nodes
// covers: api GET /nodes/{id}
// covers: api DELETE /nodes/{id}
// covers: api POST /nodes/{id}/update
// covers: api GET /secrets
// covers: api POST /secrets/create
// covers: api GET /secrets/{id}
// covers: api DELETE /secrets/{id}
// covers: api POST /secrets/{id}/update
// covers: api GET /services
// covers: api POST /services/create
// covers: api GET /services/{id}
// covers: api DELETE /services/{id}
// covers: api GET /services/{id}/logs
// covers: api POST /services/{id}/update
// covers: api GET /tasks
// covers: api GET /tasks/{id}
// covers: api GET /tasks/{id}/logs
#[test]
fn every_route_of_swarm_is_refused_in_dockerds_words() {
    let engine = Engine::isolated();
    let list = differences(&engine, SWARM, "swarm");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}
