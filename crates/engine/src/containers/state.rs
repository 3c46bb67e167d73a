//! The life of a container, as one enum and one pure step.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How process 1 ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: i32,
    pub oom_killed: bool,
    pub at: SystemTime,
    /// Why it never ran, or what befell it; empty for an ordinary end.
    pub error: String,
}

/// A container that has a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub pid: i32,
    pub since: SystemTime,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Created,
    /// On disk before the shim is launched, so that a crash in between leaves a trace to clean up.
    Starting,
    Running(Live),
    Exited {
        exit: Exit,
        started: Option<SystemTime>,
    },
    Removing,
}

/// What can happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Start,
    Started(Live),
    /// The start came to nothing.
    Failed(Exit),
    Died(Exit),
    Remove,
}

/// A step that the present state doesn't allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub state: State,
}

impl State {
    /// The only way a container changes state.
    pub fn step(self, event: Event) -> Result<Self, Refused> {
        use {Event as E, State as S};
        Ok(match (self, event) {
            (S::Created | S::Exited { .. }, E::Start) => S::Starting,
            (S::Starting, E::Started(live)) => S::Running(live),
            // As dockerd has it: a container that never ran goes back to "created" and keeps the error.
            (S::Starting, E::Failed(exit)) => S::Exited { exit, started: None },
            (S::Running(live), E::Died(exit)) => S::Exited { exit, started: Some(live.since) },
            (S::Created | S::Exited { .. }, E::Remove) => S::Removing,
            (state, _) => return Err(Refused { state }),
        })
    }

    /// Docker's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            // A failed start shows as `created` in dockerd's list.
            Self::Created | Self::Starting | Self::Exited { started: None, .. } => "created",
            Self::Running(_) => "running",
            Self::Exited { .. } => "exited",
            Self::Removing => "removing",
        }
    }

    /// The running process, if there is one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Running(live) => Some(live),
            _ => None,
        }
    }

    /// The last exit, if it ended.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited { exit, .. } => Some(exit),
            _ => None,
        }
    }

    /// Whether a process may exist.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Starting | Self::Running(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> Exit {
        Exit { code, oom_killed: false, at: SystemTime::UNIX_EPOCH, error: String::new() }
    }

    fn live() -> Live {
        Live { pid: 7, since: SystemTime::UNIX_EPOCH }
    }

    fn ended() -> State {
        State::Exited { exit: exit(3), started: Some(SystemTime::UNIX_EPOCH) }
    }

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        let table = [
            (State::Created, Event::Start, Some(State::Starting)),
            (State::Created, Event::Remove, Some(State::Removing)),
            (State::Created, Event::Died(exit(0)), None),
            (State::Starting, Event::Started(live()), Some(State::Running(live()))),
            (
                State::Starting,
                Event::Failed(exit(127)),
                Some(State::Exited { exit: exit(127), started: None }),
            ),
            (State::Starting, Event::Remove, None),
            (State::Running(live()), Event::Died(exit(3)), Some(ended())),
            (State::Running(live()), Event::Start, None),
            (State::Running(live()), Event::Remove, None),
            (ended(), Event::Start, Some(State::Starting)),
            (ended(), Event::Remove, Some(State::Removing)),
            (State::Removing, Event::Start, None),
        ];
        for (state, event, expected) in table {
            let label = format!("{state:?} + {event:?}");
            assert_eq!(state.step(event).ok(), expected, "{label}");
        }
    }
}
