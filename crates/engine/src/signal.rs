//! Signals by name or number, as Docker reads them.

use crate::Error;

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `RTMAX-2`.
pub fn parse(text: &str) -> Result<i32, Error> {
    let invalid = || Error::InvalidSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number).ok_or_else(invalid);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let base = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    if let Some(number) = base(name) {
        return Ok(number);
    }
    let offset = |prefix: &str, sign: i32| {
        let digits: i32 = name.strip_prefix(prefix)?.parse().ok().filter(|n| (1..=30).contains(n))?;
        Some(base(&prefix[..5])? + sign * digits)
    };
    let number = offset("RTMIN+", 1).or_else(|| offset("RTMAX-", -1));
    number.filter(|number| (34..=64).contains(number)).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("RTMIN+3", 37), ("SIGRTMAX-2", 62)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["0", "65", "-1", "SIG", "SIGFOO", "RTMIN+99", "RTMIN+", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
