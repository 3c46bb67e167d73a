//! How often a test that breaks things does so: a tenth of the full number, or what `KETCH_FAULTS` says in percent.

use std::time::Duration;

/// The suite breaks the same things each time, so that what it says is about the change at hand; `cargo xtask soak` looks for
/// new ones, each time from another seed.
const SEED: u64 = 0x6b_6574_6368;

/// The count for one fault loop, and a small generator whose seed is printed, so that a failure can be repeated with
/// `KETCH_SEED`.
#[derive(Debug, Clone)]
pub struct Faults {
    pub count: u64,
    state: u64,
}

impl Faults {
    /// `full` is the number that `cargo xtask soak` runs.
    pub fn of(full: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let percent = number("KETCH_FAULTS").unwrap_or(10);
        let seed = number("KETCH_SEED").unwrap_or(SEED);
        let count = (full * percent / 100).max(1);
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        println!("faults: {test}: {count} of {full}, KETCH_SEED={seed}");
        Self { count, state: seed | 1 }
    }

    /// Lets a random time pass that is shorter than `longest`: when the fault comes is the fault, and nothing waits for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the moment is random on purpose, and no condition is waited for"
    )]
    pub fn moment(&mut self, longest: Duration) {
        let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        std::thread::sleep(Duration::from_nanos(self.below(nanoseconds)));
    }

    /// A number below `bound` (xorshift: repeatable, nothing more is asked of it).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound.max(1)
    }
}
