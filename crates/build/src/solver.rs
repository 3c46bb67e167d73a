//! The solver: does what a graph says, with all that can be done at once under way at once, and nothing twice.
//!
//! It knows nothing of containers, files or caches: a [`Worker`] looks for what a step would make, and makes it. Which
//! step may do what and when is decided by a state machine ([`schedule`]); here its decisions are carried out, and told
//! to those who listen. The first failure ends all that is under way; so does dropping the solver. A frontend may ask for
//! something else after it: then what was done stays, and the rest begins anew, as another round.

mod flights;
mod schedule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use oci::Digest;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use flights::Flights;
use schedule::{Action, Event, Index, Schedule};

use crate::Error;
use crate::error::Failed;
use crate::frontend::Ref;
use crate::graph::Vertex;
use crate::progress::{self, Progress, VertexState};

/// A step with what it works on.
pub struct Step<V> {
    pub vertex: Arc<Vertex>,
    /// One for each of the vertex' inputs.
    pub inputs: Vec<V>,
}

impl<V: Clone> Clone for Step<V> {
    fn clone(&self) -> Self {
        Self { vertex: self.vertex.clone(), inputs: self.inputs.clone() }
    }
}

/// What came of looking for what a step makes.
pub enum Looked<V> {
    /// It is there: one value for each output.
    Hit(Vec<V>),
    /// It isn't. The key is the same for everybody who would make the same thing.
    Miss(Digest),
}

/// Who does a build's steps.
pub trait Worker: Send + Sync + 'static {
    /// What a step makes and others work on. Whoever holds one can rely on what it stands for.
    type Value: Clone + Send + Sync + 'static;

    /// Looks for what a step would make. Sources are looked for by being fetched.
    fn look(&self, step: Step<Self::Value>) -> BoxFuture<'static, Result<Looked<Self::Value>, Error>>;

    /// Makes it, and remembers it under the key. Another build may have made it since it was looked for: who may use the
    /// cache looks once more, now that nobody else can be making it. Dropped when nobody wants it any more: nothing may be left then.
    fn run(
        &self,
        step: Step<Self::Value>,
        key: Digest,
    ) -> BoxFuture<'static, Result<Vec<Self::Value>, Error>>;
}

/// One build's steps.
pub struct Solver<W: Worker>(Arc<Inner<W>>);

struct Inner<W: Worker> {
    /// The build's name.
    build: String,
    worker: Arc<W>,
    flights: Arc<Flights<W::Value>>,
    progress: Progress,
    work: Mutex<Work<W::Value>>,
    changed: watch::Sender<u64>,
}

struct Work<V> {
    schedule: Schedule,
    steps: Vec<Known<V>>,
    failure: Option<Failed>,
    /// Nothing begins any more, in this round.
    closed: bool,
    /// Nothing begins any more at all.
    ended: bool,
    /// Failures come between rounds; what is left of one is none of the next one's business.
    round: u64,
    /// How many wait for this round.
    waiting: usize,
    counts: Counts,
}

/// How many steps ran, and how many were answered by the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub ran: u64,
    pub cached: u64,
}

struct Known<V> {
    vertex: Arc<Vertex>,
    inputs: Vec<(Index, usize)>,
    made: Option<Vec<V>>,
    key: Option<Digest>,
    task: Option<AbortHandle>,
    shown: VertexState,
}

impl<V> Known<V> {
    /// The same step came once more, from those who lent it.
    fn lent_by(&mut self, sessions: &[String]) {
        if !sessions.is_empty() {
            Arc::make_mut(&mut self.vertex).shown.lent_by(sessions);
        }
    }
}

impl<W: Worker> Drop for Solver<W> {
    fn drop(&mut self) {
        self.0.end("context canceled");
    }
}

impl<W: Worker> Solver<W> {
    /// `places` is how many steps may run at once in this build, which no other one is called as.
    pub fn new(
        build: String,
        worker: Arc<W>,
        flights: Arc<Flights<W::Value>>,
        progress: Progress,
        places: usize,
    ) -> Self {
        let (schedule, steps) = (Schedule::new(places), Vec::new());
        let work = Mutex::new(Work {
            schedule,
            steps,
            failure: None,
            closed: false,
            ended: false,
            round: 0,
            waiting: 0,
            counts: Counts::default(),
        });
        Self(Arc::new(Inner { build, worker, flights, progress, work, changed: watch::Sender::new(0) }))
    }

    /// Does what a result needs. Several may be solved at once, and share their steps. Nothing for nothing.
    pub async fn solve(&self, wanted: &Ref) -> Result<Option<W::Value>, Error> {
        let Some(output) = wanted.output else { return Ok(None) };
        let _waiting = self.0.enter();
        let target = self.0.add_all(wanted, output.vertex.index())?;
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.borrow_and_update();
            {
                let work = self.0.work();
                if let Some(failure) = &work.failure {
                    return Err(Error::Step(Box::new(failure.clone())));
                }
                if work.closed {
                    return Err(Error::Cancelled);
                }
                if let Some(made) = work.steps.get(target).and_then(|step| step.made.as_ref()) {
                    let value = made.get(output.index as usize).cloned();
                    return value.map(Some).ok_or_else(|| Error::Invalid("a step made too little".into()));
                }
            }
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    /// Ends all that is under way; nothing begins any more.
    pub fn end(&self) {
        self.0.work().ended = true;
        self.0.end("context canceled");
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.0.work().counts
    }
}

impl<W: Worker> Inner<W> {
    fn work(&self) -> MutexGuard<'_, Work<W::Value>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more waits. After a failure of which all have heard, a new round begins.
    fn enter(&self) -> Waiting<'_, W> {
        let mut work = self.work();
        if work.closed && !work.ended && work.waiting == 0 {
            work.begin_anew();
        }
        work.waiting += 1;
        Waiting(self)
    }

    /// Adds all that a vertex needs, and the vertex; its number here.
    fn add_all(self: &Arc<Self>, wanted: &Ref, target: usize) -> Result<Index, Error> {
        let graph = &wanted.graph;
        let vertices: Vec<_> = graph.iter().take(target + 1).collect();
        let mut needed = vec![false; vertices.len()];
        *needed.last_mut().ok_or_else(|| Error::Invalid("the result is made by no step".into()))? = true;
        for (id, vertex) in vertices.iter().rev() {
            if needed[id.index()] {
                vertex.inputs.iter().for_each(|input| needed[input.vertex.index()] = true);
            }
        }
        let mut numbers: Vec<Index> = vec![0; vertices.len()];
        let mut actions = Vec::new();
        let mut work = self.work();
        for (id, vertex) in vertices.iter().filter(|(id, _)| needed[id.index()]) {
            let known = work.schedule.find(vertex.digest());
            numbers[id.index()] = match known {
                Some(known) => {
                    work.steps[known].lent_by(&vertex.shown.lenders);
                    known
                }
                None => {
                    let inputs = vertex.inputs.iter();
                    let inputs = inputs.map(|input| (numbers[input.vertex.index()], input.index as usize));
                    let inputs: Vec<_> = inputs.collect();
                    self.add(&mut work, vertex, inputs, &mut actions)
                }
            };
        }
        let round = work.round;
        drop(work);
        self.carry_out(round, actions);
        Ok(numbers[target])
    }

    fn add(
        &self,
        work: &mut Work<W::Value>,
        vertex: &Vertex,
        inputs: Vec<(Index, usize)>,
        actions: &mut Vec<Action>,
    ) -> Index {
        let shown = VertexState {
            digest: vertex.digest().clone(),
            inputs: inputs.iter().map(|(step, _)| work.steps[*step].vertex.digest().clone()).collect(),
            name: vertex.shown.name.clone(),
            group: vertex.shown.group.clone(),
            started: None,
            completed: None,
            cached: false,
            error: None,
        };
        self.progress.tell(progress::Event::Vertex(shown.clone()));
        let numbers: Vec<Index> = inputs.iter().map(|(step, _)| *step).collect();
        actions.extend(work.schedule.add(vertex.digest().clone(), &numbers));
        let vertex = Arc::new(vertex.clone());
        work.steps.push(Known { vertex, inputs, made: None, key: None, task: None, shown });
        work.steps.len() - 1
    }

    fn carry_out(self: &Arc<Self>, round: u64, actions: Vec<Action>) {
        for action in actions {
            let inner = self.clone();
            let (index, task) = match action {
                Action::Look(index) => (index, tasks::spawn(async move { inner.look(round, index).await })),
                Action::Run(index) => (index, tasks::spawn(async move { inner.run(round, index).await })),
            };
            let mut work = self.work();
            match work.is_over(round) {
                // It ended between the decision and now.
                true => task.abort(),
                false => work.steps[index].task = Some(task.abort_handle()),
            }
        }
    }

    async fn look(self: Arc<Self>, round: u64, index: Index) {
        let step = {
            let mut work = self.work();
            if work.is_over(round) {
                return;
            }
            let step = work.step(index);
            let known = &mut work.steps[index];
            known.shown.started = Some(SystemTime::now());
            self.progress.tell(progress::Event::Vertex(known.shown.clone()));
            step
        };
        match self.worker.look(step).await {
            Ok(Looked::Hit(made)) => self.ended(round, index, Event::Hit, Ok(made)),
            Ok(Looked::Miss(key)) => {
                let actions = {
                    let mut work = self.work();
                    if work.is_over(round) {
                        return;
                    }
                    work.steps[index].key = Some(key);
                    work.schedule.step(index, Event::Miss)
                };
                self.carry_out(round, actions);
            }
            Err(error) => self.ended(round, index, Event::Failed, Err(Arc::new(error))),
        }
    }

    async fn run(self: Arc<Self>, round: u64, index: Index) {
        let (step, key) = {
            let work = self.work();
            if work.is_over(round) {
                return;
            }
            (work.step(index), work.steps[index].key.clone())
        };
        let Some(key) = key else { return };
        let worker = self.worker.clone();
        let anew = step.vertex.shown.ignore_cache;
        let flight_key = key.clone();
        let origin = step.vertex.shown.origin.clone();
        let build = if origin.is_empty() { self.build.clone() } else { origin };
        let make = move |cached: bool| {
            let mut step = step;
            if cached {
                Arc::make_mut(&mut step.vertex).shown.ignore_cache = false;
            }
            async move { worker.run(step, key).await.map_err(Arc::new) }.boxed()
        };
        let made = match anew {
            true => self.flights.join_anew((&build, &flight_key), make).await,
            false => self.flights.join(&flight_key, || make(false)).await,
        };
        match made {
            Ok(made) => self.ended(round, index, Event::Ran, Ok(made)),
            Err(error) => self.ended(round, index, Event::Failed, Err(error)),
        }
    }

    fn ended(
        self: &Arc<Self>,
        round: u64,
        index: Index,
        event: Event,
        made: Result<Vec<W::Value>, Arc<Error>>,
    ) {
        let mut work = self.work();
        if work.is_over(round) {
            return;
        }
        let known = &mut work.steps[index];
        known.task = None;
        known.shown.completed = Some(SystemTime::now());
        known.shown.cached = event == Event::Hit && !matches!(known.vertex.op, crate::graph::Op::Source(_));
        let (cached, source) = (known.shown.cached, matches!(known.vertex.op, crate::graph::Op::Source(_)));
        match made {
            Ok(made) => known.made = Some(made),
            Err(error) => {
                known.shown.error = Some(diag::chain(&*error));
                let failed = Failed {
                    vertex: known.vertex.digest().clone(),
                    name: known.vertex.shown.name.clone(),
                    positions: known.vertex.shown.positions.clone(),
                    cause: error,
                };
                work.failure = Some(failed);
            }
        }
        self.progress.tell(progress::Event::Vertex(work.steps[index].shown.clone()));
        work.counts.cached += u64::from(cached);
        work.counts.ran += u64::from(event == Event::Ran && !source);
        let actions = work.schedule.step(index, event);
        let failed = work.failure.is_some();
        drop(work);
        match failed {
            true => self.end("context canceled"),
            false => self.carry_out(round, actions),
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Ends all that is under way.
    fn end(&self, why: &str) {
        let mut work = self.work();
        work.closed = true;
        for known in &mut work.steps {
            let Some(task) = known.task.take() else { continue };
            task.abort();
            known.shown.completed = Some(SystemTime::now());
            known.shown.error = Some(why.to_owned());
            self.progress.tell(progress::Event::Vertex(known.shown.clone()));
        }
    }
}

/// One who waits for a result.
struct Waiting<'a, W: Worker>(&'a Inner<W>);

impl<W: Worker> Drop for Waiting<'_, W> {
    fn drop(&mut self) {
        self.0.work().waiting -= 1;
    }
}

impl<V: Clone> Work<V> {
    /// Whether what such a round's tasks have to say matters to nobody.
    fn is_over(&self, round: u64) -> bool {
        self.closed || self.round != round
    }

    /// What was done stays, and with it all that it needed.
    fn begin_anew(&mut self) {
        self.schedule = self.schedule.emptied();
        (self.failure, self.closed) = (None, false);
        self.round += 1;
        let mut numbers = vec![0; self.steps.len()];
        for (before, mut known) in std::mem::take(&mut self.steps).into_iter().enumerate() {
            if known.made.is_some() {
                known.inputs.iter_mut().for_each(|(step, _)| *step = numbers[*step]);
                numbers[before] = self.schedule.add_done(known.vertex.digest().clone());
                self.steps.push(known);
            }
        }
    }

    fn step(&self, index: Index) -> Step<V> {
        let known = &self.steps[index];
        let value = |(step, output): &(Index, usize)| {
            self.steps[*step].made.as_ref().and_then(|made| made.get(*output)).cloned()
        };
        // The schedule lets no step begin before its inputs are there, and the graph lets it name no others.
        Step { vertex: known.vertex.clone(), inputs: known.inputs.iter().filter_map(value).collect() }
    }
}

#[cfg(test)]
mod tests;
