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
    /// The same of one that had ended: until it runs, it is to clients what it was, as with dockerd.
    StartingAgain(Box<State>),
    Running(Live),
    /// All its processes are held still.
    Paused(Live),
    /// It ended, and its restart policy will start it again.
    Restarting {
        exit: Exit,
        started: SystemTime,
    },
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
    /// The start came to nothing; with the time of an earlier start that did not.
    Failed(Exit, Option<SystemTime>),
    Died(Exit, Next),
    Pause,
    Unpause,
    /// Nobody will start it again, after all.
    GiveUp,
    Remove,
}

/// What comes after an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Rest,
    Restart,
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
            (S::Created, E::Start) => S::Starting,
            (before @ (S::Exited { .. } | S::Restarting { .. }), E::Start) => {
                S::StartingAgain(Box::new(before))
            }
            (S::Starting | S::StartingAgain(_), E::Started(live)) => S::Running(live),
            // As dockerd has it: a container that never ran goes back to "created" and keeps the error.
            (S::Starting | S::StartingAgain(_), E::Failed(exit, started)) => S::Exited { exit, started },
            (S::Running(live) | S::Paused(live), E::Died(exit, next)) => match next {
                Next::Rest => S::Exited { exit, started: Some(live.since) },
                Next::Restart => S::Restarting { exit, started: live.since },
            },
            (S::Running(live), E::Pause) => S::Paused(live),
            (S::Paused(live), E::Unpause) => S::Running(live),
            (S::Restarting { exit, started }, E::GiveUp) => S::Exited { exit, started: Some(started) },
            // Also again: a removal that was begun may have failed, or its engine may have been killed.
            (S::Created | S::Exited { .. } | S::Removing, E::Remove) => S::Removing,
            (state, _) => return Err(Refused { state }),
        })
    }

    /// What clients are to see.
    pub fn shown(&self) -> &Self {
        match self {
            Self::StartingAgain(before) => before,
            state => state,
        }
    }

    /// Whether a shim is being launched.
    pub fn is_starting(&self) -> bool {
        matches!(self, Self::Starting | Self::StartingAgain(_))
    }

    /// Docker's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::StartingAgain(before) => before.word(),
            // A failed start shows as `created` in dockerd's list.
            Self::Created | Self::Starting | Self::Exited { started: None, .. } => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Exited { .. } => "exited",
            Self::Removing => "removing",
        }
    }

    /// The running process, if there is one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Running(live) | Self::Paused(live) => Some(live),
            _ => None,
        }
    }

    /// Whether it runs in docker's sense: also held still, or about to be started again.
    pub fn is_running(&self) -> bool {
        matches!(self.shown(), Self::Running(_) | Self::Paused(_) | Self::Restarting { .. })
    }

    /// The last exit, if it ended.
    pub fn exit(&self) -> Option<&Exit> {
        match self.shown() {
            Self::Exited { exit, .. } | Self::Restarting { exit, .. } => Some(exit),
            _ => None,
        }
    }

    /// Whether a process may exist, or will again without anybody's asking.
    pub fn is_active(&self) -> bool {
        self.is_starting() || self.is_running()
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

    fn restarting() -> State {
        State::Restarting { exit: exit(3), started: SystemTime::UNIX_EPOCH }
    }

    fn ended() -> State {
        State::Exited { exit: exit(3), started: Some(SystemTime::UNIX_EPOCH) }
    }

    fn again(before: State) -> State {
        State::StartingAgain(Box::new(before))
    }

    #[test]
    fn what_is_started_again_is_shown_as_it_was() {
        for (before, word) in [(restarting(), "restarting"), (ended(), "exited")] {
            let state = again(before.clone());
            assert_eq!((state.word(), state.is_running()), (word, before.is_running()));
            assert_eq!((state.exit(), state.is_active()), (before.exit(), true));
        }
    }

    /// As engines wrote it that didn't say what was before.
    #[test]
    fn an_older_record_of_a_start_is_read() {
        assert_eq!(serde_json::from_str::<State>("\"Starting\"").unwrap(), State::Starting);
    }

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        let table = [
            (State::Created, Event::Start, Some(State::Starting)),
            (State::Created, Event::Remove, Some(State::Removing)),
            (State::Created, Event::Died(exit(0), Next::Rest), None),
            (State::Starting, Event::Started(live()), Some(State::Running(live()))),
            (
                State::Starting,
                Event::Failed(exit(127), None),
                Some(State::Exited { exit: exit(127), started: None }),
            ),
            (State::Starting, Event::Remove, None),
            (State::Running(live()), Event::Died(exit(3), Next::Rest), Some(ended())),
            (State::Running(live()), Event::Died(exit(3), Next::Restart), Some(restarting())),
            (State::Paused(live()), Event::Died(exit(3), Next::Rest), Some(ended())),
            (State::Running(live()), Event::Pause, Some(State::Paused(live()))),
            (State::Paused(live()), Event::Pause, None),
            (State::Paused(live()), Event::Unpause, Some(State::Running(live()))),
            (State::Running(live()), Event::Unpause, None),
            (State::Paused(live()), Event::Remove, None),
            (restarting(), Event::Start, Some(again(restarting()))),
            (again(restarting()), Event::Started(live()), Some(State::Running(live()))),
            (
                again(ended()),
                Event::Failed(exit(127), None),
                Some(State::Exited { exit: exit(127), started: None }),
            ),
            (again(ended()), Event::Remove, None),
            (restarting(), Event::GiveUp, Some(ended())),
            (restarting(), Event::Remove, None),
            (ended(), Event::GiveUp, None),
            (State::Running(live()), Event::Start, None),
            (State::Running(live()), Event::Remove, None),
            (ended(), Event::Start, Some(again(ended()))),
            (ended(), Event::Remove, Some(State::Removing)),
            (State::Removing, Event::Start, None),
            (State::Removing, Event::Remove, Some(State::Removing)),
        ];
        for (state, event, expected) in table {
            let label = format!("{state:?} + {event:?}");
            assert_eq!(state.step(event).ok(), expected, "{label}");
        }
    }
}
