use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::sync::Barrier;

use super::*;
use crate::graph::{
    Action as FileAction, Change, File, Graph, Input, Local, Mkfile, Op, Output, Place, Shown, Source,
};

/// Values are what a clean build would make: a source's content, or all inputs' with the step's own name.
#[derive(Default)]
struct Toy {
    /// Sources' content by name.
    sources: BTreeMap<String, u32>,
    cache: Arc<Mutex<HashMap<Digest, String>>>,
    ran: AtomicUsize,
    fail: Option<String>,
    meet: Option<Arc<Barrier>>,
}

impl Worker for Toy {
    type Value = String;

    fn look(&self, step: Step<String>) -> BoxFuture<'static, Result<Looked<String>, Error>> {
        let looked = match &step.vertex.op {
            Op::Source(Source::Local(local)) => {
                Looked::Hit(vec![format!("{}={}", local.name, self.sources.get(&local.name).unwrap_or(&0))])
            }
            _ => {
                let key = Digest::sha256(format!("{}{:?}", name(&step), step.inputs).as_bytes());
                let found = self.cache.lock().unwrap().get(&key).cloned();
                match found.filter(|_| !step.vertex.shown.ignore_cache) {
                    Some(found) => Looked::Hit(vec![found]),
                    None => Looked::Miss(key),
                }
            }
        };
        async move { Ok(looked) }.boxed()
    }

    fn run(&self, step: Step<String>, key: Digest) -> BoxFuture<'static, Result<Vec<String>, Error>> {
        let found = self.cache.lock().unwrap().get(&key).cloned();
        if let Some(found) = found.filter(|_| !step.vertex.shown.ignore_cache) {
            return std::future::ready(Ok(vec![found])).boxed();
        }
        self.ran.fetch_add(1, Ordering::SeqCst);
        let (cache, meet) = (self.cache.clone(), self.meet.clone());
        let fails = self.fail.as_deref() == Some(&name(&step));
        async move {
            if let Some(meet) = meet {
                meet.wait().await;
            }
            if fails {
                return Err(Error::Exit { command: "false".into(), code: 1 });
            }
            let made = format!("{}({})", name(&step), step.inputs.join(","));
            cache.lock().unwrap().insert(key, made.clone());
            Ok(vec![made])
        }
        .boxed()
    }
}

fn name(step: &Step<String>) -> String {
    match &step.vertex.op {
        Op::File(File { actions }) => match &actions[0].change {
            Change::Mkfile(file) => file.path.clone(),
            _ => String::new(),
        },
        _ => "merge".into(),
    }
}

fn source(graph: &mut Graph, name: &str) -> Output {
    let op = Op::Source(Source::Local(Local { name: name.into(), ..Local::default() }));
    graph.add(op, vec![], None, Shown::default()).unwrap().output()
}

fn step(graph: &mut Graph, name: &str, inputs: Vec<Output>) -> Output {
    let base = if inputs.is_empty() { Place::Scratch } else { Place::Input(Input(0)) };
    let file = Mkfile { path: name.into(), data: Vec::new(), mode: 0, owner: None, time: None };
    let actions = vec![FileAction { base, change: Change::Mkfile(file), output: Some(0) }];
    graph.add(Op::File(File { actions }), inputs, None, Shown::default()).unwrap().output()
}

fn solver(toy: Toy) -> (Arc<Toy>, Solver<Toy>) {
    let toy = Arc::new(toy);
    (toy.clone(), Solver::new(String::new(), toy, Arc::default(), Progress::default(), 8))
}

#[tokio::test]
async fn independent_steps_run_at_once_and_shared_ones_once() {
    let meet = Some(Arc::new(Barrier::new(2)));
    let (toy, solver) = solver(Toy { meet, ..Toy::default() });
    let mut graph = Graph::default();
    // The barrier lets none go on before both are there.
    let (a, b) = (step(&mut graph, "a", vec![]), step(&mut graph, "b", vec![]));
    let merge = Op::Merge(vec![Input(0), Input(1)]);
    let unneeded = step(&mut graph, "unneeded", vec![]);
    let both = graph.add(merge, vec![a, b], None, Shown::default()).unwrap().output();
    let graph = Arc::new(graph);
    let wanted = |output| Ref { graph: graph.clone(), output: Some(output) };
    let (first, second) = (wanted(a), wanted(b));
    let (first, second) = tokio::join!(solver.solve(&first), solver.solve(&second));
    assert_eq!((first.unwrap().unwrap(), second.unwrap().unwrap()), ("a()".into(), "b()".into()));
    assert_eq!(toy.ran.load(Ordering::SeqCst), 2);
    let _ = (both, unneeded);
}

#[tokio::test]
async fn a_failure_says_which_step_and_ends_the_others() {
    let (_, solver) = solver(Toy { fail: Some("b".into()), ..Toy::default() });
    let mut graph = Graph::default();
    let a = step(&mut graph, "a", vec![]);
    let b = step(&mut graph, "b", vec![a]);
    let c = step(&mut graph, "c", vec![b]);
    let wanted = Ref { graph: Arc::new(graph), output: Some(c) };
    let Err(Error::Step(failed)) = solver.solve(&wanted).await else { panic!("no failure") };
    assert_eq!(failed.vertex, *wanted.graph.get(b.vertex).digest());
    assert!(matches!(&*failed.cause, Error::Exit { code: 1, .. }));
}

#[tokio::test]
async fn after_a_failure_something_else_can_be_wanted() {
    let (toy, solver) = solver(Toy { fail: Some("bad".into()), ..Toy::default() });
    let mut graph = Graph::default();
    let a = step(&mut graph, "a", vec![]);
    let (bad, good) = (step(&mut graph, "bad", vec![a]), step(&mut graph, "good", vec![a]));
    let graph = Arc::new(graph);
    let wanted = |output| Ref { graph: graph.clone(), output: Some(output) };
    for _ in 0..2 {
        assert!(matches!(solver.solve(&wanted(bad)).await, Err(Error::Step(_))));
        assert_eq!(solver.solve(&wanted(good)).await.unwrap().unwrap(), "good(a())");
    }
    // `a` and `good` once, `bad` each time.
    assert_eq!(toy.ran.load(Ordering::SeqCst), 4);
    solver.end();
    assert!(matches!(solver.solve(&wanted(good)).await, Err(Error::Cancelled)));
}

#[tokio::test]
async fn two_builds_that_want_the_same_step_run_it_once() {
    let flights = Arc::new(Flights::default());
    let toy = Arc::new(Toy::default());
    let build = || Solver::new(String::new(), toy.clone(), flights.clone(), Progress::default(), 8);
    let mut graph = Graph::default();
    let a = step(&mut graph, "a", vec![]);
    let wanted = Ref { graph: Arc::new(graph), output: Some(a) };
    let (one, other) = (build(), build());
    let (first, second) = tokio::join!(one.solve(&wanted), other.solve(&wanted));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(toy.ran.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_lent_step_is_done_anew_once_for_its_lender_and_all_who_borrow_it() {
    let flights = Arc::new(Flights::default());
    let toy = Arc::new(Toy::default());
    let build =
        |name: &str| Solver::new(name.to_owned(), toy.clone(), flights.clone(), Progress::default(), 8);
    let wanted = |origin: &str| {
        let mut graph = Graph::default();
        let a = step(&mut graph, "a", vec![]);
        let shown = graph.shown_mut(a.vertex);
        (shown.ignore_cache, shown.origin) = (true, origin.to_owned());
        Ref { graph: Arc::new(graph), output: Some(a) }
    };
    let runs = || toy.ran.load(Ordering::SeqCst);
    let (lender, borrower) = (build("lender"), build("borrower"));
    let (own, lent) = (wanted(""), wanted("lender"));
    let (first, second) = tokio::join!(borrower.solve(&lent), lender.solve(&own));
    assert_eq!((first.unwrap(), runs()), (second.unwrap(), 1));
    // Who comes to it later doesn't do it once more, but another build that wants it anew does.
    build("late").solve(&lent).await.unwrap();
    assert_eq!(runs(), 1);
    build("other").solve(&own).await.unwrap();
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn a_step_that_comes_again_is_asked_for_where_it_was_lent() {
    let (_, solver) = solver(Toy::default());
    for lenders in [vec![], vec!["a".to_owned()], vec!["b".to_owned(), "a".to_owned()]] {
        let mut graph = Graph::default();
        let a = step(&mut graph, "a", vec![]);
        graph.shown_mut(a.vertex).lenders = lenders;
        solver.solve(&Ref { graph: Arc::new(graph), output: Some(a) }).await.unwrap();
    }
    assert_eq!(solver.0.work().steps[0].vertex.shown.lenders, ["a", "b"]);
}

/// A random graph over three sources.
fn graph_of(shape: &[(u8, Vec<prop::sample::Index>)]) -> (Graph, Output) {
    let mut graph = Graph::default();
    let mut outputs: Vec<Output> = ["x", "y", "z"].map(|name| source(&mut graph, name)).into();
    for (label, inputs) in shape {
        let inputs = inputs.iter().map(|input| outputs[input.index(outputs.len())]).collect();
        outputs.push(step(&mut graph, &format!("s{}", label % 8), inputs));
    }
    let last = *outputs.last().unwrap();
    (graph, last)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever changes between builds, the cache's answer is what a clean build makes.
    #[test]
    fn a_cached_build_is_what_a_clean_one_is(
        shape in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<prop::sample::Index>(), 1..3)), 1..12),
        changes in prop::collection::vec((0..3_usize, 0..3_u32), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (graph, last) = graph_of(&shape);
        let wanted = Ref { graph: Arc::new(graph), output: Some(last) };
        let cache: Arc<Mutex<HashMap<Digest, String>>> = Arc::default();
        let mut sources = BTreeMap::new();
        for (which, value) in changes {
            sources.insert(["x", "y", "z"][which].to_owned(), value);
            let build = |cache| {
                let (_, solver) = solver(Toy { sources: sources.clone(), cache, ..Toy::default() });
                runtime.block_on(solver.solve(&wanted)).unwrap()
            };
            prop_assert_eq!(build(cache.clone()), build(Arc::default()));
        }
    }
}
