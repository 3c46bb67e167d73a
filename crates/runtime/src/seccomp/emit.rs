//! From rules to instructions.
//!
//! ```text
//! which architecture? ── unknown ─► kill
//!   └─ which number? binary search over the ranges of numbers that are treated alike
//!        └─ an action, or the conditions on the arguments one after the other, then the default
//! ```
//!
//! Everything that doesn't look at arguments uses only the instructions that the kernel evaluates ahead of time, so that
//! from 5.11 on an allowed call costs one look into a bitmap.

use super::arch::{Arch, X32_BIT};
use super::assemble::{Assembler, Label, Test};
use super::rules::{Calls, Compare, Conditional, Decision, NO_SUCH_CALL};

/// `struct seccomp_data`.
const NUMBER: u32 = 0;
const TOKEN: u32 = 4;
const ARGUMENTS: u32 = 16;
const LOW: u32 = 0;
const HIGH: u32 = 4;

/// What libseccomp does to an architecture that the profile doesn't name.
const KILL_THREAD: u32 = 0;

/// Numbers from `first` to the next range's are treated alike.
struct Range<'a> {
    first: u32,
    outcome: Outcome<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome<'a> {
    Action(u32),
    Conditions { rules: &'a [Conditional], wide: bool },
}

/// The whole program: for each architecture its calls.
pub(super) fn emit(architectures: &[Calls], default: u32) -> Assembler {
    let mut out = Assembler::default();
    out.load(TOKEN);
    let sections: Vec<(u32, Label)> = tokens(architectures).map(|token| (token, out.label())).collect();
    for (token, section) in &sections {
        out.jump_if(Test::Equal, *token, *section);
    }
    out.give(KILL_THREAD);
    for (token, section) in sections {
        out.place(section);
        out.load(NUMBER);
        let ranges = ranges(architectures, token, default);
        Section { out: &mut out, default, returns: Vec::new() }.emit(&ranges);
    }
    out
}

/// Each token once: x86_64 and x32 have the same.
fn tokens(architectures: &[Calls]) -> impl Iterator<Item = u32> {
    let token = |at: usize| architectures[at].arch.token();
    let first = move |at: &usize| (0..*at).all(|before| token(before) != token(*at));
    (0..architectures.len()).filter(first).map(token)
}

/// All numbers that can come with a token, in order and without gaps.
fn ranges<'a>(architectures: &'a [Calls], token: u32, default: u32) -> Vec<Range<'a>> {
    let has = |arch: Arch| architectures.iter().any(|calls| calls.arch == arch);
    let mut ranges = Vec::new();
    let mut mine: Vec<&Calls> = architectures.iter().filter(|calls| calls.arch.token() == token).collect();
    // x32's numbers follow x86_64's.
    mine.sort_unstable_by_key(|calls| calls.arch);
    for calls in mine {
        section(calls, default, &mut ranges);
    }
    if token == Arch::X86_64.token() && !has(Arch::X32) {
        push(&mut ranges, X32_BIT, Outcome::Action(KILL_THREAD));
        // How a tracer says that the call is to be skipped.
        push(&mut ranges, u32::MAX, Outcome::Action(default));
    }
    ranges
}

fn section<'a>(calls: &'a Calls, default: u32, ranges: &mut Vec<Range<'a>>) {
    let unknown = |number: u32| match calls.newest {
        Some(newest) if number > newest => NO_SUCH_CALL,
        _ => default,
    };
    let mut next = if calls.arch == Arch::X32 { X32_BIT } else { 0 };
    for (number, decision) in &calls.decisions {
        gap(ranges, next, *number, calls.newest, unknown);
        let outcome = match decision {
            Decision::Always(action) => Outcome::Action(*action),
            Decision::If(rules) => Outcome::Conditions { rules, wide: calls.arch.has_wide_arguments() },
        };
        push(ranges, *number, outcome);
        next = number + 1;
    }
    gap(ranges, next, u32::MAX, calls.newest, unknown);
}

/// Numbers without a rule, of which the greatest may be newer than the profile.
fn gap<'a>(
    ranges: &mut Vec<Range<'a>>,
    from: u32,
    until: u32,
    newest: Option<u32>,
    unknown: impl Fn(u32) -> u32,
) {
    if from < until {
        push(ranges, from, Outcome::Action(unknown(from)));
        if let Some(newest) = newest.filter(|newest| (from..until - 1).contains(newest)) {
            push(ranges, newest + 1, Outcome::Action(unknown(newest + 1)));
        }
    }
}

fn push<'a>(ranges: &mut Vec<Range<'a>>, first: u32, outcome: Outcome<'a>) {
    let alike =
        ranges.last().is_some_and(|last| last.outcome == outcome && matches!(outcome, Outcome::Action(_)));
    if !alike {
        ranges.push(Range { first, outcome });
    }
}

/// The calls of one token, with the number in the accumulator. Every range ends in an action, so nothing falls out of it.
struct Section<'a> {
    out: &'a mut Assembler,
    default: u32,
    /// Actions that the search jumps to, which come once, after it: the shorter the program, the sooner it is loaded.
    returns: Vec<(u32, Label)>,
}

impl Section<'_> {
    fn emit(mut self, ranges: &[Range<'_>]) {
        self.search(ranges);
        for (action, label) in std::mem::take(&mut self.returns) {
            self.out.place(label);
            self.out.give(action);
        }
    }

    fn search(&mut self, ranges: &[Range<'_>]) {
        match ranges {
            [] => self.out.give(self.default),
            [only] => match only.outcome {
                Outcome::Action(action) => self.out.give(action),
                Outcome::Conditions { rules, wide } => self.conditions(rules, wide),
            },
            _ => {
                let (lower, upper) = ranges.split_at(ranges.len() / 2);
                let (below, above) = (self.shared(lower), self.shared(upper));
                let yes = above.unwrap_or_else(|| self.out.label());
                self.out.branch(Test::GreaterOrEqual, upper[0].first, Some(yes), below);
                if below.is_none() {
                    self.search(lower);
                }
                if above.is_none() {
                    self.out.place(yes);
                    self.search(upper);
                }
            }
        }
    }

    /// Where ranges that are nothing but one action are dealt with.
    fn shared(&mut self, ranges: &[Range<'_>]) -> Option<Label> {
        let [Range { outcome: Outcome::Action(action), .. }] = ranges else { return None };
        if let Some((_, label)) = self.returns.iter().find(|(known, _)| known == action) {
            return Some(*label);
        }
        let label = self.out.label();
        self.returns.push((*action, label));
        Some(label)
    }

    fn conditions(&mut self, rules: &[Conditional], wide: bool) {
        for rule in rules {
            let fails = self.out.label();
            for condition in &rule.conditions {
                let offset = ARGUMENTS + condition.argument * 8;
                Check { out: self.out, offset, wide, fails }.emit(condition.compare);
            }
            self.out.give(rule.action);
            self.out.place(fails);
        }
        self.out.give(self.default);
    }
}

/// One comparison, which goes on when it holds and jumps when it fails.
struct Check<'a> {
    out: &'a mut Assembler,
    /// Where the argument is.
    offset: u32,
    /// Whether it has 64 bits. The machine has 32, so the upper half is looked at first.
    wide: bool,
    fails: Label,
}

impl Check<'_> {
    fn emit(mut self, compare: Compare) {
        match compare {
            Compare::Greater(value) => self.above(Test::Greater, value),
            Compare::GreaterOrEqual(value) => self.above(Test::GreaterOrEqual, value),
            Compare::Less(value) => self.not_above(Test::GreaterOrEqual, value),
            Compare::LessOrEqual(value) => self.not_above(Test::Greater, value),
            Compare::Equal(value) => self.masked(u64::MAX, value),
            Compare::Masked { mask, value } => self.masked(mask, value),
            Compare::NotEqual(value) => self.not_equal(value),
        }
    }

    /// `test` of the whole: decided by the upper half unless that is equal.
    fn above(&mut self, test: Test, value: u64) {
        let holds = self.out.label();
        if self.wide {
            self.out.load(self.offset + HIGH);
            self.out.jump_if(Test::Greater, high(value), holds);
            self.out.jump_unless(Test::Equal, high(value), self.fails);
        }
        self.out.load(self.offset + LOW);
        self.out.jump_unless(test, low(value), self.fails);
        self.out.place(holds);
    }

    /// The opposite of `test` of the whole.
    fn not_above(&mut self, test: Test, value: u64) {
        let holds = self.out.label();
        if self.wide {
            self.out.load(self.offset + HIGH);
            self.out.jump_if(Test::Greater, high(value), self.fails);
            self.out.jump_unless(Test::Equal, high(value), holds);
        }
        self.out.load(self.offset + LOW);
        self.out.jump_if(test, low(value), self.fails);
        self.out.place(holds);
    }

    fn not_equal(&mut self, value: u64) {
        let holds = self.out.label();
        if self.wide {
            self.out.load(self.offset + HIGH);
            self.out.jump_unless(Test::Equal, high(value), holds);
        }
        self.out.load(self.offset + LOW);
        self.out.jump_if(Test::Equal, low(value), self.fails);
        self.out.place(holds);
    }

    fn masked(&mut self, mask: u64, value: u64) {
        if self.wide {
            self.masked_half(HIGH, high(mask), high(value));
        }
        self.masked_half(LOW, low(mask), low(value));
    }

    fn masked_half(&mut self, half: u32, mask: u32, value: u32) {
        if mask == 0 {
            return;
        }
        self.out.load(self.offset + half);
        match mask {
            u32::MAX => self.out.jump_unless(Test::Equal, value, self.fails),
            _ if value == 0 => self.out.jump_if(Test::AnyBit, mask, self.fails),
            _ => {
                self.out.and(mask);
                self.out.jump_unless(Test::Equal, value, self.fails);
            }
        }
    }
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

fn low(value: u64) -> u32 {
    value as u32
}
