//! STOPSIGNAL: a number or a name of Linux' signals.

use super::problem::Problem;

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

pub(super) fn check(signal: &str) -> Result<(), Problem> {
    if let Ok(number) = signal.parse::<i64>() {
        return if number == 0 { Err(Problem::new(format!("invalid signal: {signal}"))) } else { Ok(()) };
    }
    let upper = signal.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let distance = |prefix: &str| name.strip_prefix(prefix)?.parse::<u8>().ok();
    let real_time = distance("RTMIN+").is_some_and(|n| (1..=15).contains(&n))
        || distance("RTMAX-").is_some_and(|n| (1..=14).contains(&n));
    if NAMES.contains(&name) || real_time {
        return Ok(());
    }
    Err(Problem::new(format!("invalid signal: {signal}")).hint("use a name like SIGTERM or a number"))
}
