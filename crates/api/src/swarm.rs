//! Swarm's routes, answered as by an engine that is in no swarm. Clients take that for an answer; several machines are
//! Kubernetes' business.

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;

const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                             connect this node to swarm and try again.";
const NOT_IN_A_SWARM: &str = "This node is not part of a swarm";
const NO_SWARM: &str = "Swarm is not part of Ketch: for more than one machine, use Kubernetes";

pub(crate) async fn manager_only(_: Call) -> Result<Reply, Error> {
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, NOT_A_MANAGER))
}

pub(crate) async fn leave(_: Call) -> Result<Reply, Error> {
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, NOT_IN_A_SWARM))
}

pub(crate) async fn join(_: Call) -> Result<Reply, Error> {
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, NO_SWARM))
}
