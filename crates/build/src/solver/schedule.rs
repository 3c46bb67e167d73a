//! Which step may do what, and when: a state machine without clocks, threads or I/O.
//!
//! ```text
//!            inputs done            miss            a place is free
//!  Waiting ─────────────► Looking ────────► Queued ────────────────► Running
//!                            │ hit                                      │
//!                            └────────────────► Done ◄──────────────────┘
//!                                    any failure: everything ends
//! ```
//!
//! Steps are added while others are under way: a frontend builds something to look at it before it says what it wants.

use std::collections::{HashMap, VecDeque};

use oci::Digest;

/// A step's number, in the order of adding.
pub(super) type Index = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// So many inputs are not there yet.
    Waiting(usize),
    Looking,
    Queued,
    Running,
    Done,
    Failed,
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// What it makes was there.
    Hit,
    Miss,
    Ran,
    Failed,
}

/// What is to be done about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Look(Index),
    Run(Index),
}

#[derive(Debug)]
struct Step {
    state: State,
    dependents: Vec<Index>,
}

/// All steps of one build.
#[derive(Debug)]
pub(super) struct Schedule {
    steps: Vec<Step>,
    known: HashMap<Digest, Index>,
    queue: VecDeque<Index>,
    running: usize,
    /// How many may run at once.
    places: usize,
    failed: bool,
}

impl Schedule {
    pub(super) fn new(places: usize) -> Self {
        let (steps, known, queue) = (Vec::new(), HashMap::new(), VecDeque::new());
        Self { steps, known, queue, running: 0, places: places.max(1), failed: false }
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<Index> {
        self.known.get(digest).copied()
    }

    #[cfg(test)]
    pub(super) fn state(&self, step: Index) -> State {
        self.steps[step].state
    }

    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Adds a step that isn't known yet, whose inputs are. What is to be done about it now.
    pub(super) fn add(&mut self, digest: Digest, inputs: &[Index]) -> Option<Action> {
        let step = self.steps.len();
        let mut missing: Vec<Index> =
            inputs.iter().copied().filter(|input| self.steps[*input].state != State::Done).collect();
        missing.sort_unstable();
        missing.dedup();
        for input in &missing {
            self.steps[*input].dependents.push(step);
        }
        self.known.insert(digest, step);
        let ready = missing.is_empty() && !self.failed;
        let state = if ready { State::Looking } else { State::Waiting(missing.len()) };
        self.steps.push(Step { state, dependents: Vec::new() });
        ready.then_some(Action::Look(step))
    }

    /// One with as many places, and no steps.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.places)
    }

    /// Adds a step that was done before.
    pub(super) fn add_done(&mut self, digest: Digest) -> Index {
        let step = self.steps.len();
        self.known.insert(digest, step);
        self.steps.push(Step { state: State::Done, dependents: Vec::new() });
        step
    }

    /// Takes note of what happened. What doesn't fit a step's state, or comes after a failure, changes nothing.
    pub(super) fn step(&mut self, step: Index, event: Event) -> Vec<Action> {
        if self.failed {
            return Vec::new();
        }
        let state = &mut self.steps[step].state;
        match (*state, event) {
            (State::Looking, Event::Hit) => {
                *state = State::Done;
                self.done(step)
            }
            (State::Looking, Event::Miss) => {
                *state = State::Queued;
                self.queue.push_back(step);
                self.fill()
            }
            (State::Running, Event::Ran) => {
                *state = State::Done;
                self.running -= 1;
                let mut actions = self.done(step);
                actions.extend(self.fill());
                actions
            }
            (State::Looking | State::Running, Event::Failed) => {
                *state = State::Failed;
                self.failed = true;
                self.queue.clear();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn done(&mut self, step: Index) -> Vec<Action> {
        let mut actions = Vec::new();
        for dependent in std::mem::take(&mut self.steps[step].dependents) {
            let state = &mut self.steps[dependent].state;
            match *state {
                State::Waiting(1) => {
                    *state = State::Looking;
                    actions.push(Action::Look(dependent));
                }
                State::Waiting(missing) => *state = State::Waiting(missing - 1),
                _ => {}
            }
        }
        actions
    }

    fn fill(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.running < self.places
            && let Some(step) = self.queue.pop_front()
        {
            self.steps[step].state = State::Running;
            self.running += 1;
            actions.push(Action::Run(step));
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn digest(step: usize) -> Digest {
        Digest::sha256(&step.to_le_bytes())
    }

    /// Each step's inputs, all before it.
    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..30).prop_map(
            |steps| {
                let inputs = |(at, inputs): (usize, Vec<prop::sample::Index>)| {
                    inputs.iter().filter(|_| at > 0).map(|input| input.index(at)).collect()
                };
                steps.into_iter().enumerate().map(inputs).collect()
            },
        )
    }

    proptest! {
        /// Whatever the order of what happens: each step is looked for once, after all that it needs; runs only after
        /// a miss, never more than there are places; and at the end everything is done, unless something failed, after
        /// which nothing begins.
        #[test]
        fn every_step_comes_once_after_what_it_needs(
            graph in graphs(),
            places in 1..5_usize,
            choices in prop::collection::vec((any::<prop::sample::Index>(), 0..100_u8), 200),
            late in any::<prop::sample::Index>(),
            fails in any::<bool>(),
        ) {
            let mut schedule = Schedule::new(places);
            let (mut looked, mut ran) = (HashSet::new(), HashSet::new());
            let mut under_way: Vec<Action> = Vec::new();
            let late = late.index(graph.len());
            for (at, inputs) in graph.iter().enumerate().take(late) {
                under_way.extend(schedule.add(digest(at), inputs));
            }
            let mut added = late;
            for (which, luck) in choices {
                if under_way.is_empty() {
                    if added == graph.len() {
                        break;
                    }
                    for (at, inputs) in graph.iter().enumerate().skip(late) {
                        under_way.extend(schedule.add(digest(at), inputs));
                    }
                    added = graph.len();
                    continue;
                }
                let action = under_way.swap_remove(which.index(under_way.len()));
                let (step, event) = match action {
                    Action::Look(step) => {
                        prop_assert!(looked.insert(step), "looked for twice");
                        let done = |input: &usize| schedule.state(*input) == State::Done;
                        prop_assert!(graph[step].iter().all(done));
                        (step, if luck < 50 { Event::Hit } else { Event::Miss })
                    }
                    Action::Run(step) => {
                        prop_assert!(looked.contains(&step) && ran.insert(step));
                        (step, Event::Ran)
                    }
                };
                let event = if fails && luck > 95 { Event::Failed } else { event };
                let more = schedule.step(step, event);
                prop_assert!(!schedule.has_failed() || more.is_empty());
                if schedule.has_failed() {
                    return Ok(());
                }
                under_way.extend(more);
                let running = under_way.iter().filter(|action| matches!(action, Action::Run(_))).count();
                prop_assert!(running <= places);
            }
            let all = (0..added).all(|step| schedule.state(step) == State::Done);
            prop_assert!(all || !under_way.is_empty());
        }
    }

    #[test]
    fn what_comes_out_of_turn_changes_nothing() {
        let mut schedule = Schedule::new(1);
        assert_eq!(schedule.add(digest(0), &[]), Some(Action::Look(0)));
        assert_eq!(schedule.step(0, Event::Ran), []);
        assert_eq!(schedule.step(0, Event::Hit), []);
        assert_eq!(schedule.step(0, Event::Miss), []);
        assert_eq!(schedule.state(0), State::Done);
    }
}
