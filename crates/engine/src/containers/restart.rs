//! Restart policies: whether a container that ended is started again, and when.

use std::time::Duration;

use super::config::RestartPolicy;
use super::record::Past;
use crate::Error;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length was no failed start: the next pause is the first one again.
const LONG_RUN: Duration = Duration::from_secs(10);

/// Refuses a policy that doesn't exist, in dockerd's words.
pub(super) fn check(policy: &RestartPolicy) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::Invalid(format!("invalid restart policy: {why}")));
    match (policy.name.as_str(), policy.maximum_retry_count) {
        ("" | "no" | "always" | "unless-stopped", 0) => Ok(()),
        ("no" | "always" | "unless-stopped", count) => invalid(format!(
            "maximum retry count can only be used with 'on-failure'{}",
            if count < 0 { " and cannot be negative" } else { "" }
        )),
        ("on-failure", count) if count < 0 => invalid("maximum retry count cannot be negative".into()),
        ("on-failure", _) => Ok(()),
        ("", _) => invalid("maximum retry count cannot be used with empty policy".into()),
        (other, _) => invalid(format!(
            "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}

/// Whether a container that ended with this code is to be started again.
pub(super) fn is_wanted(policy: &RestartPolicy, code: i32, past: &Past) -> bool {
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !past.stopped_by_hand,
        "on-failure" => {
            let most = u32::try_from(policy.maximum_retry_count).unwrap_or_default();
            code != 0 && (most == 0 || past.restarts < most)
        }
        _ => false,
    }
}

/// The pauses between an end and the next start: each twice as long as the one before.
#[derive(Debug, Default)]
pub(super) struct Backoff(Option<Duration>);

impl Backoff {
    /// The pause after a run that lasted so long.
    pub(super) fn after(&mut self, run: Duration) -> Duration {
        let next = match self.0.filter(|_| run < LONG_RUN) {
            None => FIRST,
            Some(last) => (last * 2).min(LONGEST),
        };
        self.0 = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, maximum_retry_count: i64) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count }
    }

    #[test]
    fn each_policy_wants_what_it_says() {
        let past = |restarts, stopped_by_hand| Past { restarts, stopped_by_hand, ..Past::default() };
        for (policy, code, past, wanted) in [
            (policy("no", 0), 1, past(0, false), false),
            (policy("always", 0), 0, past(9, true), true),
            (policy("unless-stopped", 0), 0, past(9, false), true),
            (policy("unless-stopped", 0), 1, past(0, true), false),
            (policy("on-failure", 0), 1, past(99, true), true),
            (policy("on-failure", 0), 0, past(0, false), false),
            (policy("on-failure", 2), 1, past(1, false), true),
            (policy("on-failure", 2), 1, past(2, false), false),
        ] {
            assert_eq!(is_wanted(&policy, code, &past), wanted, "{policy:?} {code} {past:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut backoff = Backoff::default();
        let mut after = |seconds| backoff.after(Duration::from_secs(seconds)).as_millis();
        assert_eq!([after(0), after(9), after(0)], [100, 200, 400]);
        let later: Vec<u128> = (0..10).map(|_| after(0)).collect();
        assert_eq!((later[6], later[7], later[9]), (51_200, 60_000, 60_000));
        assert_eq!([after(10), after(0)], [100, 200]);
    }

    #[test]
    fn what_is_no_policy_is_refused_in_dockerds_words() {
        let told = |name, count| check(&policy(name, count)).unwrap_err().to_string();
        let prefix = "invalid restart policy: ";
        assert_eq!(
            told("foo", 0),
            format!(
                "{prefix}unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )
        );
        let only = format!("{prefix}maximum retry count can only be used with 'on-failure'");
        assert_eq!((told("always", 3), told("no", 3)), (only.clone(), only));
        assert_eq!(told("on-failure", -1), format!("{prefix}maximum retry count cannot be negative"));
        for (name, count) in [("", 0), ("no", 0), ("always", 0), ("on-failure", 0), ("on-failure", 5)] {
            check(&policy(name, count)).unwrap();
        }
    }
}
