//! What a container uses: the kernel's figures of its cgroup, as docker tells them.
//!
//! Reading is one thing and understanding another: [`v1`] and [`v2`] get a way to read a file of a controller by its name
//! and are otherwise pure.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::Handle;

const CGROUPS: &str = "/sys/fs/cgroup";
/// A tick of the kernel's clock for user space, on every architecture that Linux has.
const TICK: u64 = 10_000_000;

/// One look at a running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub at: SystemTime,
    pub cpu: Cpu,
    /// All processors' time since the machine began, in nanoseconds.
    pub system: u64,
    pub processors: u32,
    pub memory: Memory,
    pub processes: Processes,
    pub block: Block,
    /// Of each link that it has, by name.
    pub links: BTreeMap<String, Link>,
}

/// What came in by a link and went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    pub received: Traffic,
    pub sent: Traffic,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    pub total: u64,
    /// v1 alone.
    pub each: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
}

/// Bytes, and all figures of `memory.stat` by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub usage: u64,
    /// v1 alone.
    pub most: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
    /// What the machine has, where that is less.
    pub limit: u64,
    pub figures: BTreeMap<String, u64>,
}

/// How many there are, and may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processes {
    pub current: u64,
    pub limit: Option<u64>,
}

/// Of each device and each kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    pub bytes: Vec<Operation>,
    pub operations: Vec<Operation>,
}

/// One figure of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub major: u64,
    pub minor: u64,
    pub name: String,
    pub value: u64,
}

/// Reads a file of a controller: `("memory", "memory.stat")`.
type Read<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

impl Handle {
    /// Looks now; nothing where it doesn't run. Blocking, and never for long: these are files of the kernel's.
    pub fn sample(&self) -> Option<Sample> {
        let view = self.view();
        let live = view.container.state.live()?;
        let table = fs::read_to_string(format!("/proc/{}/cgroup", live.pid)).ok()?;
        let id = self.id();
        let read = |controller: &str, file: &str| {
            fs::read_to_string(folder(&table, id, controller)?.join(file)).ok()
        };
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let most = memory_of_machine(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let is_v1 = read("memory", "memory.usage_in_bytes").is_some();
        let (cpu, memory, processes, block) = if is_v1 { v1(&read, most) } else { v2(&read, most) };
        let (system, processors) = of_machine(&machine);
        let links = match view.container.host.network_mode.as_str() {
            // Those are everybody's.
            "host" => BTreeMap::new(),
            _ => links(&fs::read_to_string(format!("/proc/{}/net/dev", live.pid)).unwrap_or_default()),
        };
        Some(Sample { at: SystemTime::now(), cpu, system, processors, memory, processes, block, links })
    }
}

/// The table of `/proc/net/dev`, without the loopback.
fn links(table: &str) -> BTreeMap<String, Link> {
    let row = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let traffic = |from: usize| {
            let &[bytes, packets, errors, dropped] = figures.get(from..from + 4)? else { return None };
            Some(Traffic { bytes, packets, errors, dropped })
        };
        Some((name.trim().to_owned(), Link { received: traffic(0)?, sent: traffic(8)? }))
    };
    table.lines().filter_map(row).filter(|(name, _)| name != "lo").collect()
}

/// The container's own folder of a controller: one that isn't called so is somebody else's by now.
fn folder(table: &str, container: &str, controller: &str) -> Option<PathBuf> {
    let rows = table.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let mut unified = None;
    for (controllers, path) in rows.filter(|(_, path)| path.contains(container)) {
        if controllers.is_empty() {
            unified = Some(path);
        } else if controllers.split(',').any(|name| name == controller) {
            let mounted =
                [controllers, controller].map(|name| PathBuf::from(format!("{CGROUPS}/{name}/{path}")));
            return mounted.into_iter().find(|folder| folder.is_dir());
        }
    }
    let root = if PathBuf::from(format!("{CGROUPS}/unified")).is_dir() { "/unified" } else { "" };
    unified.map(|path| PathBuf::from(format!("{CGROUPS}{root}/{path}")))
}

type Figures = (Cpu, Memory, Processes, Block);

fn v1(read: Read<'_>, most: u64) -> Figures {
    let number = |controller, file| read(controller, file).and_then(|text| text.trim().parse::<u64>().ok());
    let table = |controller, file| figures(&read(controller, file).unwrap_or_default());
    let (times, throttling) = (table("cpuacct", "cpuacct.stat"), table("cpu", "cpu.stat"));
    let of = |table: &BTreeMap<String, u64>, key: &str| table.get(key).copied().unwrap_or_default();
    let each = read("cpuacct", "cpuacct.usage_percpu").unwrap_or_default();
    let cpu = Cpu {
        total: number("cpuacct", "cpuacct.usage").unwrap_or_default(),
        each: each.split_whitespace().filter_map(|time| time.parse().ok()).collect(),
        kernel: of(&times, "system") * TICK,
        user: of(&times, "user") * TICK,
        periods: of(&throttling, "nr_periods"),
        throttled_periods: of(&throttling, "nr_throttled"),
        throttled: of(&throttling, "throttled_time"),
    };
    let memory = Memory {
        usage: number("memory", "memory.usage_in_bytes").unwrap_or_default(),
        most: number("memory", "memory.max_usage_in_bytes"),
        failures: number("memory", "memory.failcnt").unwrap_or_default(),
        limit: number("memory", "memory.limit_in_bytes").map_or(most, |limit| limit.min(most)),
        figures: known(table("memory", "memory.stat")),
    };
    let operations = |file: &str| {
        let text = read("blkio", file).unwrap_or_default();
        text.lines().filter_map(v1_operation).collect()
    };
    let block = Block {
        bytes: operations("blkio.throttle.io_service_bytes_recursive"),
        operations: operations("blkio.throttle.io_serviced_recursive"),
    };
    (cpu, memory, processes(read), block)
}

/// Newer kernels have figures that docker's clients never heard of in the first version.
fn known(mut figures: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    figures.retain(|name, _| {
        let own = name.strip_prefix("total_").unwrap_or(name);
        !matches!(own, "shmem" | "swap" | "swapcached") && !own.starts_with("workingset_")
    });
    figures
}

/// `8:0 Read 4096`.
fn v1_operation(line: &str) -> Option<Operation> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [device, name, value] = words[..] else { return None };
    let (major, minor) = device.split_once(':')?;
    Some(Operation {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        name: name.to_lowercase(),
        value: value.parse().ok()?,
    })
}

fn v2(read: Read<'_>, most: u64) -> Figures {
    let number = |controller, file| read(controller, file).and_then(|text| text.trim().parse::<u64>().ok());
    let table = |controller, file| figures(&read(controller, file).unwrap_or_default());
    let of = |table: &BTreeMap<String, u64>, key: &str| table.get(key).copied().unwrap_or_default();
    let times = table("cpu", "cpu.stat");
    let cpu = Cpu {
        total: of(&times, "usage_usec") * 1000,
        each: Vec::new(),
        kernel: of(&times, "system_usec") * 1000,
        user: of(&times, "user_usec") * 1000,
        periods: of(&times, "nr_periods"),
        throttled_periods: of(&times, "nr_throttled"),
        throttled: of(&times, "throttled_usec") * 1000,
    };
    let memory = Memory {
        usage: number("memory", "memory.current").unwrap_or_default(),
        most: None,
        failures: of(&table("memory", "memory.events"), "oom"),
        limit: number("memory", "memory.max").map_or(most, |limit| limit.min(most)),
        figures: table("memory", "memory.stat"),
    };
    let mut block = Block::default();
    for line in read("io", "io.stat").unwrap_or_default().lines() {
        v2_operations(line, &mut block);
    }
    (cpu, memory, processes(read), block)
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn v2_operations(line: &str, block: &mut Block) {
    let mut words = line.split_whitespace();
    let device = words.next().and_then(|device| device.split_once(':'));
    let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
        return;
    };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let Ok(value) = value.parse() else { continue };
        let (list, name) = match key {
            "rbytes" => (&mut block.bytes, "read"),
            "wbytes" => (&mut block.bytes, "write"),
            "rios" => (&mut block.operations, "read"),
            "wios" => (&mut block.operations, "write"),
            _ => continue,
        };
        list.push(Operation { major, minor, name: name.to_owned(), value });
    }
}

fn processes(read: Read<'_>) -> Processes {
    let number = |file| read("pids", file).and_then(|text| text.trim().parse::<u64>().ok());
    Processes { current: number("pids.current").unwrap_or_default(), limit: number("pids.max") }
}

/// `name number` in each line.
fn figures(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// From `/proc/stat`: user, nice, system, idle, iowait, irq and softirq of all processors, and how many there are.
fn of_machine(text: &str) -> (u64, u32) {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: u64 =
        all.into_iter().flat_map(str::split_whitespace).take(7).filter_map(|t| t.parse::<u64>().ok()).sum();
    let each = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let count = text.lines().filter(each).count();
    (ticks * TICK, u32::try_from(count).unwrap_or(u32::MAX))
}

fn memory_of_machine(text: &str) -> u64 {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.map_or(u64::MAX, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading<'a>(files: &'a [(&'a str, &'a str)]) -> impl Fn(&str, &str) -> Option<String> + 'a {
        move |_, wanted| files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn links_are_read_from_the_kernels_table() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
             lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0\n  \
             eth0: 1296      16    1    2    0     0          0         0      42       3    4    5    0     0       0          0\n";
        let found = links(table);
        let link = Link {
            received: Traffic { bytes: 1296, packets: 16, errors: 1, dropped: 2 },
            sent: Traffic { bytes: 42, packets: 3, errors: 4, dropped: 5 },
        };
        assert_eq!(found, BTreeMap::from([("eth0".to_owned(), link)]));
        assert!(links("nonsense: 1 2\n: x").is_empty());
    }

    #[test]
    fn the_first_version_has_a_file_for_each_figure() {
        let read = reading(&[
            ("cpuacct.usage", "5000\n"),
            ("cpuacct.usage_percpu", "2000 3000 \n"),
            ("cpuacct.stat", "user 2\nsystem 1\n"),
            ("cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 99\n"),
            ("memory.usage_in_bytes", "100\n"),
            ("memory.max_usage_in_bytes", "200\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "cache 5\ntotal_inactive_file 7\n"),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
            ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n"),
        ]);
        let (cpu, memory, processes, block) = v1(&read, 1000);
        assert_eq!((cpu.total, cpu.each, cpu.kernel, cpu.user), (5000, vec![2000, 3000], TICK, 2 * TICK));
        assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled), (4, 2, 99));
        assert_eq!((memory.usage, memory.most, memory.limit), (100, Some(200), 1000));
        assert_eq!(memory.figures["total_inactive_file"], 7);
        assert_eq!(processes, Processes { current: 3, limit: None });
        let read = Operation { major: 8, minor: 0, name: "read".into(), value: 4096 };
        assert_eq!((block.bytes.first(), block.bytes.len()), (Some(&read), 2));
    }

    #[test]
    fn the_second_version_counts_in_microseconds() {
        let read = reading(&[
            (
                "cpu.stat",
                "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n",
            ),
            ("memory.current", "100\n"),
            ("memory.max", "50\n"),
            ("memory.events", "low 0\noom 2\noom_kill 1\n"),
            ("memory.stat", "anon 1\ninactive_file 9\n"),
            ("pids.current", "3\n"),
            ("pids.max", "7\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nbroken\n"),
        ]);
        let (cpu, memory, processes, block) = v2(&read, 1000);
        assert_eq!((cpu.total, cpu.user, cpu.kernel, cpu.throttled), (5000, 3000, 2000, 7000));
        assert_eq!((memory.usage, memory.limit, memory.failures), (100, 50, 2));
        assert_eq!(processes, Processes { current: 3, limit: Some(7) });
        let values = |list: &[Operation]| list.iter().map(|operation| operation.value).collect::<Vec<_>>();
        assert_eq!((values(&block.bytes), values(&block.operations)), (vec![1, 2], vec![3, 4]));
    }

    #[test]
    fn the_machines_time_is_that_of_all_its_processors() {
        let text = "cpu  1 2 3 4 5 6 7 800 0 0\ncpu0 1 1 1 1 1 1 1 1\ncpu1 0 0 0 0 0 0 0 0\nintr 5\n";
        assert_eq!(of_machine(text), (28 * TICK, 2));
        assert_eq!(memory_of_machine("MemTotal:       16 kB\nMemFree: 1 kB\n"), 16384);
    }

    #[test]
    fn the_folder_is_the_containers_own() {
        let table = "4:memory:/ketch/other\n0::/ketch/other\n";
        assert_eq!(folder(table, "mine", "memory"), None);
    }
}
