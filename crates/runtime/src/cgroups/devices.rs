//! Device rules: lines for v1's files, a program for v2.
//!
//! Rules are in order and the last that matches decides. On v1 the kernel keeps the list; on v2 a program looks at the
//! rules from the last to the first and returns at the first that matches.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    allow: bool,
    kind: Option<Kind>,
    major: Option<u32>,
    minor: Option<u32>,
    /// Bits of [`MKNOD`], [`READ`] and [`WRITE`].
    access: u32,
}

/// The kernel's numbers in the program's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Character = 2,
}

const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const ALL: u32 = MKNOD | READ | WRITE;

/// What every container may use, whatever its rules: making nodes of any device (which the capability governs, and which
/// can't be opened), and opening those that the runtime puts into `/dev`. As with runc and crun, after the rules.
const ALWAYS: [Rule; 10] = [
    Rule { allow: true, kind: Some(Kind::Character), major: None, minor: None, access: MKNOD },
    Rule { allow: true, kind: Some(Kind::Block), major: None, minor: None, access: MKNOD },
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    character(5, Some(0)),
    character(5, Some(2)),
    character(136, None),
];

const fn character(major: u32, minor: Option<u32>) -> Rule {
    Rule { allow: true, kind: Some(Kind::Character), major: Some(major), minor, access: ALL }
}

/// The specification's rules and what every container may; nothing where there are no rules.
pub(super) fn rules(given: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, Error> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let mut rules = given.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    rules.extend(ALWAYS);
    Ok(rules)
}

fn rule(given: &LinuxDeviceCgroup) -> Result<Rule, Error> {
    let invalid = |why: String| Error::Invalid { field: "linux.resources.devices", why };
    let kind = match given.typ() {
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(Kind::Character),
        Some(LinuxDeviceType::B) => Some(Kind::Block),
        Some(LinuxDeviceType::A) | None => None,
        Some(LinuxDeviceType::P) => return Err(invalid("have a FIFO among them".into())),
    };
    let number = |n: Option<i64>| match n {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| invalid(format!("have the number {n}"))),
    };
    let mut access = 0;
    for letter in given.access().as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm").chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            other => return Err(invalid(format!("have the access {other:?}"))),
        };
    }
    Ok(Rule {
        allow: given.allow(),
        kind,
        major: number(given.major())?,
        minor: number(given.minor())?,
        access,
    })
}

impl Rule {
    /// v1's file and the line for it.
    pub(super) fn v1_line(&self) -> (&'static str, String) {
        let kind = match self.kind {
            None => "a",
            Some(Kind::Block) => "b",
            Some(Kind::Character) => "c",
        };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
        let access: String =
            letters.iter().filter(|(bit, _)| self.access & bit != 0).map(|(_, c)| c).collect();
        let file = if self.allow { "devices.allow" } else { "devices.deny" };
        (file, format!("{kind} {}:{} {access}", number(self.major), number(self.minor)))
    }

    fn is_unconditional(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }

    /// Whether both are about all access to numbers of one kind, and say the same of them.
    fn is_alike(&self, other: &Self) -> bool {
        let about_numbers = |rule: &Self| rule.access == ALL && rule.major.is_some();
        about_numbers(self) && about_numbers(other) && (self.allow, self.kind) == (other.allow, other.kind)
    }
}

const LOAD_WORD: u8 = 0x61;
/// The one that is two instructions long.
const SET_LONG: u8 = 0x18;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xbc;
const SET: u8 = 0xb4;
const LONG_MOVE: u8 = 0xbf;
const LONG_SHIFT_LEFT: u8 = 0x67;
const LONG_OR: u8 = 0x4f;
const JUMP: u8 = 0x05;
const JUMP_IF: u8 = 0x16;
const JUMP_IF_NOT: u8 = 0x56;
const JUMP_IF_NOT_REGISTER: u8 = 0x5e;
const LONG_JUMP_IF_REGISTER: u8 = 0x1d;
const EXIT: u8 = 0x95;
/// Registers: the result, the context, what was read from it, one to compute in, and both numbers in one.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;
const NUMBERS: u8 = 7;

/// Compiles rules for v2. What no rule speaks of is refused.
///
/// The kernel follows each branch when it checks the program, at every start of a container, so there are few: rules
/// about numbers that stand together have one answer and are one comparison each.
pub(super) fn compile(rules: &[Rule]) -> Vec<u64> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE, ACCESS, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        instruction(LONG_MOVE, NUMBERS, MAJOR, 0, 0),
        instruction(LONG_SHIFT_LEFT, NUMBERS, 0, 0, 32),
        instruction(LONG_OR, NUMBERS, MINOR, 0, 0),
    ];
    let rules = of_any_kind(rules);
    for group in rules.chunk_by(|one, other| one.is_alike(other)) {
        program.extend(match group {
            [only] => compile_rule(only),
            group => compile_group(group),
        });
        if group.iter().any(Rule::is_unconditional) {
            // Nothing comes after it, and the kernel refuses instructions that can't be reached.
            return program;
        }
    }
    program.extend([instruction(SET, RESULT, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

/// The last rule first, and two that differ in their kind alone as one: there are two kinds.
fn of_any_kind(rules: &[Rule]) -> Vec<Rule> {
    let mut merged: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules.iter().rev() {
        match merged.last_mut() {
            Some(last) if last.kind != rule.kind && Rule { kind: rule.kind, ..*last } == *rule => {
                last.kind = None;
            }
            _ => merged.push(*rule),
        }
    }
    merged
}

/// Rules that are [`Rule::is_alike`].
fn compile_group(group: &[Rule]) -> Vec<u64> {
    let mut tests = Vec::new();
    for rule in group {
        let (major, minor) = (rule.major.unwrap_or_default(), rule.minor);
        match minor {
            Some(minor) => tests.extend([
                (SET_LONG, SCRATCH, 0, minor),
                (0, 0, 0, major),
                (LONG_JUMP_IF_REGISTER, NUMBERS, SCRATCH, 0),
            ]),
            None => tests.push((JUMP_IF, MAJOR, 0, major)),
        }
    }
    let count = tests.len();
    let kind = group[0].kind.map(|kind| {
        // Over the tests, the jump after them, and the answer.
        instruction(JUMP_IF_NOT, KIND, 0, (count + 3) as i16, kind as u32)
    });
    let encoded = tests.into_iter().enumerate().map(|(at, (code, to, from, value))| {
        // To the answer, over the tests after it and the jump.
        let skip = if matches!(code, JUMP_IF | LONG_JUMP_IF_REGISTER) { (count - at) as i16 } else { 0 };
        instruction(code, to, from, skip, value)
    });
    let over = instruction(JUMP, 0, 0, 2, 0);
    kind.into_iter().chain(encoded).chain([over]).chain(answer(group[0].allow)).collect()
}

fn answer(allow: bool) -> [u64; 2] {
    [instruction(SET, RESULT, 0, 0, u32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn compile_rule(rule: &Rule) -> Vec<u64> {
    let mut tests: Vec<(u8, u8, u8, u32)> = Vec::new();
    if let Some(kind) = rule.kind {
        tests.push((JUMP_IF_NOT, KIND, 0, kind as u32));
    }
    if rule.access != ALL {
        tests.push((MOVE, SCRATCH, ACCESS, 0));
        tests.push((AND, SCRATCH, 0, rule.access));
        tests.push(match rule.allow {
            // All that is asked for must be allowed; any of it may be denied.
            true => (JUMP_IF_NOT_REGISTER, SCRATCH, ACCESS, 0),
            false => (JUMP_IF, SCRATCH, 0, 0),
        });
    }
    tests.extend(rule.major.map(|major| (JUMP_IF_NOT, MAJOR, 0, major)));
    tests.extend(rule.minor.map(|minor| (JUMP_IF_NOT, MINOR, 0, minor)));
    let count = tests.len();
    let encoded = tests.into_iter().enumerate().map(|(at, (code, to, from, value))| {
        // A test that fails skips the tests after it and the two instructions of the answer.
        let jumps = matches!(code, JUMP_IF | JUMP_IF_NOT | JUMP_IF_NOT_REGISTER);
        let skip = if jumps { (count - at - 1 + 2) as i16 } else { 0 };
        instruction(code, to, from, skip, value)
    });
    encoded.chain(answer(rule.allow)).collect()
}

/// `struct bpf_insn`: opcode, two registers of four bits, offset, constant; little-endian on what we build for.
fn instruction(code: u8, to: u8, from: u8, offset: i16, value: u32) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = value.to_ne_bytes();
    u64::from_ne_bytes([code, to | (from << 4), low, high, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the rules mean, said once more and differently.
    fn allowed(rules: &[Rule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let matches = |rule: &&Rule| {
            rule.kind.is_none_or(|k| k as u32 == kind)
                && rule.major.is_none_or(|m| m == major)
                && rule.minor.is_none_or(|m| m == minor)
                && if rule.allow { access & !rule.access == 0 } else { access & rule.access != 0 }
        };
        rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
    }

    /// Just enough of a processor.
    fn execute(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
        let (mut registers, mut at) = ([0u64; 8], 0usize);
        loop {
            let [code, both, low, high, a, b, c, d] = program[at].to_ne_bytes();
            let (to, from) = (usize::from(both & 15), usize::from(both >> 4));
            let offset = i16::from_ne_bytes([low, high]);
            let value = u64::from(u32::from_ne_bytes([a, b, c, d]));
            let (left, right) = (registers[to], registers[from]);
            let short = |number: u64| number & u64::from(u32::MAX);
            let mut jump = false;
            match code {
                LOAD_WORD => registers[to] = [access << 16 | kind, major, minor][offset as usize / 4].into(),
                SET_LONG => {
                    at += 1;
                    registers[to] = program[at] & 0xffff_ffff_0000_0000 | value;
                }
                AND => registers[to] = short(left) & value,
                SHIFT_RIGHT => registers[to] = short(left) >> value,
                MOVE => registers[to] = short(right),
                SET => registers[to] = value,
                LONG_MOVE => registers[to] = right,
                LONG_SHIFT_LEFT => registers[to] <<= value,
                LONG_OR => registers[to] |= right,
                JUMP => jump = true,
                JUMP_IF => jump = short(left) == value,
                JUMP_IF_NOT => jump = short(left) != value,
                JUMP_IF_NOT_REGISTER => jump = short(left) != short(right),
                LONG_JUMP_IF_REGISTER => jump = left == right,
                EXIT => return registers[usize::from(RESULT)] as u32,
                other => panic!("instruction {other:#x}"),
            }
            at += 1 + if jump { offset as usize } else { 0 };
        }
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let kind = prop_oneof![Just(None), Just(Some(Kind::Block)), Just(Some(Kind::Character))];
        let number = || proptest::option::of(0u32..3);
        // Mostly all access, so that rules stand together.
        let access = prop_oneof![1u32..8, Just(ALL), Just(ALL)];
        (any::<bool>(), kind, number(), number(), access)
            .prop_map(|(allow, kind, major, minor, access)| Rule { allow, kind, major, minor, access })
    }

    proptest! {
        #[test]
        fn the_program_decides_as_the_rules_do(
            rules in proptest::collection::vec(any_rule(), 0..9), kind in 1u32..3, access in 1u32..8,
            major in 0u32..3, minor in 0u32..3,
        ) {
            let decision = execute(&compile(&rules), kind, access, major, minor);
            prop_assert_eq!(decision == 1, allowed(&rules, kind, access, major, minor));
        }
    }

    #[test]
    fn lines_are_as_v1_reads_them() {
        assert_eq!(ALWAYS[0].v1_line(), ("devices.allow", "c *:* m".to_owned()));
        assert_eq!(ALWAYS[9].v1_line(), ("devices.allow", "c 136:* rwm".to_owned()));
        let none = Rule { allow: false, kind: None, major: None, minor: None, access: ALL };
        assert_eq!(none.v1_line(), ("devices.deny", "a *:* rwm".to_owned()));
    }

    #[test]
    fn both_numbers_count_whole() {
        let rule = |major| Rule { major: Some(major), minor: Some(u32::MAX), ..ALWAYS[2] };
        let program = compile(&[rule(u32::MAX), rule(7)]);
        for (major, minor, decision) in
            [(7, u32::MAX, 1), (u32::MAX, u32::MAX, 1), (7, 7, 0), (u32::MAX, 7, 0)]
        {
            assert_eq!(execute(&program, Kind::Character as u32, READ, major, minor), decision);
        }
    }

    #[test]
    fn the_kernel_takes_the_program() {
        let name = format!("/sys/fs/cgroup/unified/ketch-test-devices-{}", std::process::id());
        let unified = std::path::Path::new("/sys/fs/cgroup/unified").is_dir();
        let path = if unified { name } else { name.replace("/unified", "") };
        std::fs::create_dir(&path).unwrap();
        let folder = std::fs::File::open(&path).unwrap();
        let none = Rule { allow: false, kind: None, major: None, minor: None, access: ALL };
        let mut rules = vec![none];
        rules.extend(ALWAYS);
        let attached = sys::attach_device_program(std::os::fd::AsFd::as_fd(&folder), &compile(&rules));
        std::fs::remove_dir(&path).unwrap();
        attached.unwrap();
    }
}
