//! Whether a signal can do anything at all to a container's process 1.
//!
//! The kernel drops a signal to the init of a process namespace unless that has a handler for it, and keeps it for later
//! where it is blocked. A program that knows of neither, `sleep` as much as most others, can be asked to end for as long
//! as one likes.

use std::fs;

/// From outside the namespace these two always work.
const KILL: i32 = 9;
const STOP: i32 = 19;

/// More threads than this are not looked at: the answer is then "perhaps".
const MOST_THREADS: usize = 4096;

/// Whether it is certain that a signal has no effect on this process now: it is the init of its own process namespace, and
/// none of its threads handles or blocks the signal. What can't be read counts as an effect.
pub(super) fn is_without(pid: i32, signal: i32) -> bool {
    if matches!(signal, KILL | STOP) {
        return false;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut seen = 0;
    for thread in threads {
        seen += 1;
        let Ok(thread) = thread else { return false };
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { return false };
        if seen > MOST_THREADS || !passes_by(&status, pid, signal) {
            return false;
        }
    }
    seen > 0
}

/// One thread's `status`.
fn passes_by(status: &str, pid: i32, signal: i32) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mask = |name| field(name).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    // Its number in each namespace from ours inwards: 1 in one below ours makes it an init.
    let numbers: Vec<&str> = field("NStgid:").unwrap_or_default().split_whitespace().collect();
    let is_init = numbers.len() > 1
        && numbers.first().is_some_and(|outer| outer.parse() == Ok(pid))
        && numbers.last() == Some(&"1");
    let bit = 1_u64 << (signal.clamp(1, 64) - 1);
    match (mask("SigCgt:"), mask("SigBlk:")) {
        (Some(caught), Some(blocked)) => is_init && (caught | blocked) & bit == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_init_that_neither_handles_nor_blocks_it_lets_a_signal_pass() {
        let status = |numbers: &str, caught: &str, blocked: &str| {
            format!("Name:\tx\nNStgid:\t{numbers}\nSigBlk:\t{blocked}\nSigCgt:\t{caught}\n")
        };
        let (none, term) = ("0000000000000000", "0000000000004000");
        assert!(passes_by(&status("77\t1", none, none), 77, 15));
        assert!(passes_by(&status("77\t5\t1", none, none), 77, 15));
        assert!(passes_by(&status("77\t1", term, none), 77, 2));
        for wrong in [
            status("77\t1", term, none),
            status("77\t1", none, term),
            status("77\t5", none, none),
            status("77", none, none),
            status("1", none, none),
            status("78\t1", none, none),
            "Name:\tx\n".to_owned(),
        ] {
            assert!(!passes_by(&wrong, 77, 15), "{wrong}");
        }
    }

    #[test]
    fn this_process_is_no_init_and_a_missing_one_is_nothing() {
        assert!(!is_without(std::process::id() as i32, 15));
        assert!(!is_without(i32::MAX, 15));
    }
}
