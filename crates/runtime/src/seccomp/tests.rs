//! The compiled program against what the profile means, both evaluated here: on random profiles, and on Docker's
//! against the filter that runc made of it.

use oci_spec::runtime::{
    Arch as Named, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator as Op, LinuxSyscall,
};
use proptest::prelude::*;

use super::arch::X32_BIT;
use super::assemble::{AND, JUMP, LOAD, RETURN};
use super::*;

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
struct Call {
    token: u32,
    number: u32,
    args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.token,
            16..64 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
            _ => panic!("the kernel refuses to load from {offset}"),
        }
    }
}

/// What the kernel does.
fn interpret(program: &[u64], call: &Call) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let bytes = program[at].to_ne_bytes();
        let code = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let (jt, jf) = (usize::from(bytes[2]), usize::from(bytes[3]));
        let k = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let jump = |taken: bool| if taken { jt } else { jf };
        at += 1;
        match code {
            LOAD => accumulator = call.word(k),
            AND => accumulator &= k,
            RETURN => return k,
            JUMP => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x45 => at += jump(accumulator & k != 0),
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What the profile means, rule by rule.
fn meaning(profile: &LinuxSeccomp, native: Arch, call: &Call) -> u32 {
    let mut named = vec![native];
    named.extend(profile.architectures().iter().flatten().filter_map(|name| Arch::named(*name, native)));
    let is_x32 = call.token == Arch::X32.token() && call.number >= X32_BIT;
    let default = value(profile.default_action(), profile.default_errno_ret());
    if is_x32 && native == Arch::X86_64 && !named.contains(&Arch::X32) {
        return if call.number == u32::MAX { default } else { 0 };
    }
    let fits = |arch: &&Arch| arch.token() == call.token && (**arch == Arch::X32) == is_x32;
    let Some(arch) = named.iter().filter(|arch| arch.runs_on(native)).find(fits) else { return 0 };
    let rules = profile.syscalls().as_deref().unwrap_or_default();
    let about = |rule: &&LinuxSyscall| rule.names().iter().any(|name| arch.number(name) == Some(call.number));
    let acts = |rule: &&LinuxSyscall| value(rule.action(), rule.errno_ret()) != default;
    let mine: Vec<_> = rules.iter().filter(about).filter(acts).collect();
    let unconditional = |rule: &&&LinuxSyscall| rule.args().as_ref().is_none_or(Vec::is_empty);
    let wide = matches!(arch, Arch::X86_64 | Arch::Aarch64);
    let holding = || mine.iter().find(|rule| holds(rule, call, wide));
    let decides = mine.iter().find(unconditional).or_else(holding);
    if let Some(rule) = decides {
        return value(rule.action(), rule.errno_ret());
    }
    // Arm's own calls say nothing about how new a profile is, but a rule for one makes it known.
    if !mine.is_empty() {
        return default;
    }
    let numbers = rules.iter().flat_map(LinuxSyscall::names).filter_map(|name| arch.number(name));
    let newest = numbers.filter(|number| *arch != Arch::Arm || *number < 0xf0000).max();
    let permits = [Action::ScmpActAllow, Action::ScmpActLog, Action::ScmpActTrace];
    match newest {
        Some(newest) if call.number > newest && !permits.contains(&profile.default_action()) => 0x50026,
        _ => default,
    }
}

fn value(action: Action, data: Option<u32>) -> u32 {
    action.as_u32(data)
}

fn holds(rule: &LinuxSyscall, call: &Call, wide: bool) -> bool {
    let args = rule.args().as_deref().unwrap_or_default();
    let width = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let one = |arg: &LinuxSeccompArg| {
        let (given, value) = (call.args[arg.index()] & width, arg.value() & width);
        match arg.op() {
            Op::ScmpCmpNe => given != value,
            Op::ScmpCmpLt => given < value,
            Op::ScmpCmpLe => given <= value,
            Op::ScmpCmpEq => given == value,
            Op::ScmpCmpGe => given >= value,
            Op::ScmpCmpGt => given > value,
            Op::ScmpCmpMaskedEq => given & value == arg.value_two().unwrap_or(0) & value,
        }
    };
    let mut seen = [false; 6];
    let repeated = args.iter().any(|arg| std::mem::replace(&mut seen[arg.index()], true));
    if repeated { args.iter().any(one) } else { args.iter().all(one) }
}

/// Few enough that rules and calls meet; none of them goes through x86's multiplexers.
const NAMES: &[&str] = &[
    "read",
    "clone",
    "clone3",
    "personality",
    "openat",
    "arch_prctl",
    "cacheflush",
    "mseal",
    "no_such_call",
    "rt_sigaction",
    "ioctl",
];

/// Values around which comparisons change.
fn number() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 40, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0028, u64::MAX - 1, u64::MAX];
    prop_oneof![proptest::sample::select(edges.to_vec()), any::<u64>(), 0u64..4]
}

fn action_and_data() -> impl Strategy<Value = (Action, Option<u32>)> {
    let plain = [
        Action::ScmpActKill,
        Action::ScmpActKillProcess,
        Action::ScmpActTrap,
        Action::ScmpActNotify,
        Action::ScmpActLog,
        Action::ScmpActAllow,
    ];
    let numbered = proptest::sample::select(vec![Action::ScmpActErrno, Action::ScmpActTrace]);
    prop_oneof![
        proptest::sample::select(plain.to_vec()).prop_map(|action| (action, None)),
        (numbered, proptest::option::of(0u32..4096)),
    ]
}

fn argument() -> impl Strategy<Value = LinuxSeccompArg> {
    let ops = vec![
        Op::ScmpCmpNe,
        Op::ScmpCmpLt,
        Op::ScmpCmpLe,
        Op::ScmpCmpEq,
        Op::ScmpCmpGe,
        Op::ScmpCmpGt,
        Op::ScmpCmpMaskedEq,
    ];
    let parts = (0usize..6, number(), proptest::option::of(number()), proptest::sample::select(ops));
    parts.prop_map(|(index, value, second, op)| {
        let mut arg = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
        if let Some(second) = second {
            arg = arg.value_two(second);
        }
        arg.build().unwrap()
    })
}

fn rule() -> impl Strategy<Value = LinuxSyscall> {
    let names = proptest::collection::vec(proptest::sample::select(NAMES.to_vec()), 1..4);
    let args = proptest::option::of(proptest::collection::vec(argument(), 0..4));
    (names, action_and_data(), args).prop_map(|(names, (action, data), args)| {
        let mut rule = LinuxSyscall::default();
        rule.set_names(names.into_iter().map(str::to_owned).collect());
        rule.set_action(action).set_errno_ret(data).set_args(args);
        rule
    })
}

fn profile() -> impl Strategy<Value = LinuxSeccomp> {
    let names = [
        Named::ScmpArchX86_64,
        Named::ScmpArchX86,
        Named::ScmpArchX32,
        Named::ScmpArchAarch64,
        Named::ScmpArchArm,
        Named::ScmpArchMips,
        Named::ScmpArchNative,
    ];
    let architectures = proptest::option::of(proptest::sample::subsequence(names.to_vec(), 0..=7));
    let rules = proptest::collection::vec(rule(), 0..12);
    (action_and_data(), architectures, rules).prop_map(|((action, data), architectures, rules)| {
        let mut profile = LinuxSeccomp::default();
        profile.set_default_action(action).set_default_errno_ret(data);
        profile.set_architectures(architectures).set_syscalls(Some(rules));
        profile
    })
}

fn call() -> impl Strategy<Value = Call> {
    let all = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];
    let named = (proptest::sample::select(NAMES.to_vec()), proptest::sample::select(all.to_vec()));
    let numbers = prop_oneof![
        named.prop_map(|(name, arch)| arch.number(name).unwrap_or(0)),
        0u32..600,
        X32_BIT..X32_BIT + 600,
        0xf0000u32..0xf0008,
        Just(u32::MAX),
        any::<u32>(),
    ];
    let tokens = vec![0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 8];
    let args = proptest::array::uniform6(number());
    let parts = (proptest::sample::select(tokens), numbers, args);
    parts.prop_map(|(token, number, args)| Call { token, number, args })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_filter_does_what_its_profile_means(
        profile in profile(),
        calls in proptest::collection::vec(call(), 64),
        arm in any::<bool>(),
    ) {
        let native = if arm { Arch::Aarch64 } else { Arch::X86_64 };
        let filter = compile_for(&profile, native).unwrap();
        for call in calls {
            prop_assert_eq!(interpret(&filter.program, &call), meaning(&profile, native, &call), "{:?}", call);
        }
    }
}

fn parse(text: &str) -> LinuxSeccomp {
    serde_json::from_str(text).unwrap()
}

/// What runc 1.3.6 with libseccomp 2.6.1 loaded for this profile, read back from the kernel.
fn runcs(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|chunk| u64::from_ne_bytes(chunk.try_into().unwrap())).collect()
}

/// Every number, with arguments at the edges of everything that the profiles compare.
fn probes() -> impl Iterator<Item = Call> {
    let edges = [0, 1, 2, 7, 8, 9, 38, 39, 40, 41, 0x20000, 0x20008, 0x1000_0000, 0x7e02_0000, 0xffff_ffff];
    let edges = edges.into_iter().chain([0x1_0000_0000, 0x1_0000_0028, 1 << 40, u64::MAX]);
    let edges: Vec<u64> = edges.collect();
    let numbers = (0..700).chain(X32_BIT..X32_BIT + 700).chain([X32_BIT - 1, u32::MAX - 1, u32::MAX]);
    let tokens = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0];
    let calls = tokens.into_iter().flat_map(move |token| numbers.clone().map(move |number| (token, number)));
    calls.flat_map(move |(token, number)| {
        let edges = edges.clone();
        (0..edges.len()).map(move |at| {
            let next = |by: usize| edges[(at + by) % edges.len()];
            // What a 32-bit program passes has no upper half.
            let width = if token == 0x4000_0003 { u64::from(u32::MAX) } else { u64::MAX };
            let args = [at, at + 1, at + 3, at + 5, at + 7, at + 11].map(|by| next(by - at) & width);
            Call { token, number, args }
        })
    })
}

/// libseccomp lets x86's `socketcall` make every socket when a rule lets `socket` make some; we let it make none.
fn is_stricter(call: &Call) -> bool {
    call.token == Arch::X86.token()
        && Some(call.number) == Arch::X86.number("socketcall")
        && call.args[0] == 1
}

fn assert_alike(profile: &str, theirs: &[u8]) {
    let ours = compile_for(&parse(profile), Arch::X86_64).unwrap();
    let theirs = runcs(theirs);
    assert!(ours.program.len() < theirs.len(), "{} and {}", ours.program.len(), theirs.len());
    for call in probes().filter(|call| !is_stricter(call)) {
        assert_eq!(interpret(&ours.program, &call), interpret(&theirs, &call), "{call:?}");
    }
}

#[test]
fn dockers_profile_is_compiled_as_runc_does() {
    assert_alike(
        include_str!("../../tests/seccomp/docker.json"),
        include_bytes!("../../tests/seccomp/docker.bpf"),
    );
}

#[test]
fn every_operator_and_action_is_compiled_as_runc_does() {
    let profile = include_str!("../../tests/seccomp/operators.json");
    assert_alike(profile, include_bytes!("../../tests/seccomp/operators.bpf"));
}

fn refusal(text: &str) -> String {
    compile(&parse(text)).unwrap_err().to_string()
}

#[test]
fn what_makes_no_sense_is_refused() {
    let with = |rule: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rule}]}}"#);
    let read = |rest: &str| with(&format!(r#"{{"names":["read"],{rest}}}"#));
    assert_eq!(
        refusal(&read(r#""action":"SCMP_ACT_ALLOW","errnoRet":1"#)),
        "the specification's linux.seccomp has errnoRet for SCMP_ACT_ALLOW, which has no number"
    );
    assert_eq!(
        refusal(&read(r#""action":"SCMP_ACT_ERRNO","errnoRet":4096"#)),
        "the specification's linux.seccomp has errnoRet 4096, more than 4095"
    );
    assert_eq!(
        refusal(&read(r#""action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]"#)),
        "the specification's linux.seccomp has a condition on argument 6"
    );
    assert_eq!(
        refusal(&with(r#"{"names":[],"action":"SCMP_ACT_ALLOW"}"#)),
        "the specification's linux.seccomp has a rule without names"
    );
    assert_eq!(
        refusal(&read(r#""action":"SCMP_ACT_NOTIFY""#)),
        "the specification's linux.seccomp has SCMP_ACT_NOTIFY and no listenerPath"
    );
}

#[test]
fn a_profile_too_large_for_the_kernel_is_refused() {
    let one = |n: u32| {
        format!(
            r#"{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":{n},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<String> = (0..1000).map(one).collect();
    let text = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#, rules.join(","));
    let error = refusal(&text);
    assert!(error.ends_with("instructions, more than the kernel takes"), "{error}");
}
