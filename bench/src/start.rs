//! The engine and the commands of every day.

use crate::case::{Against, Case, EXEC, Owed, RUN};
use crate::processes::{memory, peer_memory, ready};
use crate::stage::timed;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "ready",
        what: "engine started and listening",
        unit: "ms",
        rounds: 20,
        owed: &[],
        against: Against::Docker,
        ours: ready,
        theirs: None,
    },
    Case {
        name: "memory",
        what: "engine resident, idle",
        unit: "MB",
        rounds: 5,
        owed: &[Owed::Below(20.0)],
        against: Against::Docker,
        ours: memory,
        theirs: Some(peer_memory),
    },
    Case {
        name: "version",
        what: "`version`",
        unit: "ms",
        rounds: 40,
        owed: &[],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(&["version"])),
        theirs: Some(|bench| timed(&mut bench.docker(&["version"]))),
    },
    Case {
        name: "run",
        what: "`run --rm --network none busybox true`",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(15.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(RUN)),
        theirs: Some(|bench| timed(&mut bench.docker(RUN))),
    },
    Case {
        name: "exec",
        what: "`exec` of true",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(12.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(EXEC)),
        theirs: Some(|bench| timed(&mut bench.docker(EXEC))),
    },
    Case {
        name: "ps",
        what: "`ps`",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(10.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(&["ps"])),
        theirs: Some(|bench| timed(&mut bench.docker(&["ps"]))),
    },
];
