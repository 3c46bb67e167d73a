//! The architectures whose system calls a process on this machine can make.

use oci_spec::runtime::Arch as Named;

use super::table::{CALLS, NONE};

/// One way of calling the kernel. Its value is its column in the table of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arch {
    X86_64 = 0,
    X86 = 1,
    /// x86_64's other numbering: its calls come with [`X32_BIT`] and x86_64's token.
    X32 = 2,
    Aarch64 = 3,
    Arm = 4,
}

/// Set in the number of every x32 call, and in no other of x86_64 but -1.
pub(super) const X32_BIT: u32 = 1 << 30;

/// Numbers from here on are private to arm and say nothing about how new a call is.
const ARM_PRIVATE: u32 = 0xf0000;

/// On x86 calls that are also reached through `socketcall`, in the order of their numbers there, from 1.
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// On x86 calls that are also reached through `ipc`, with their numbers there.
const IPC_CALLS: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

impl Arch {
    /// What this program was built for; nothing where there are no tables for it.
    pub(super) fn native() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// Whether a kernel of the native architecture may run this one's programs.
    pub(super) fn runs_on(self, native: Self) -> bool {
        match native {
            Self::X86_64 => matches!(self, Self::X86_64 | Self::X86 | Self::X32),
            Self::Aarch64 => matches!(self, Self::Aarch64 | Self::Arm),
            other => self == other,
        }
    }

    /// The profile's name for an architecture. Nothing for those that no machine of ours can run.
    pub(super) fn named(name: Named, native: Self) -> Option<Self> {
        match name {
            Named::ScmpArchNative => Some(native),
            Named::ScmpArchX86_64 => Some(Self::X86_64),
            Named::ScmpArchX86 => Some(Self::X86),
            Named::ScmpArchX32 => Some(Self::X32),
            Named::ScmpArchAarch64 => Some(Self::Aarch64),
            Named::ScmpArchArm => Some(Self::Arm),
            _ => None,
        }
    }

    /// The kernel's `AUDIT_ARCH_*`, which a filter sees.
    pub(super) fn token(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether the upper halves of arguments mean anything. On the others nobody looks at them, neither the kernel nor,
    /// therefore, a filter.
    pub(super) fn has_wide_arguments(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    /// A call's number as a filter sees it.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let at = CALLS.binary_search_by_key(&name, |(known, _)| known).ok()?;
        let number = CALLS[at].1[self as usize];
        match self {
            _ if number == NONE => None,
            Self::X32 => Some(number | X32_BIT),
            _ => Some(number),
        }
    }

    /// The call through which another can be reached as well, and the first argument that selects it.
    pub(super) fn multiplexed(self, name: &str) -> Option<(u32, u64)> {
        if self != Self::X86 {
            return None;
        }
        if let Some(at) = SOCKET_CALLS.iter().position(|known| *known == name) {
            return Some((self.number("socketcall")?, at as u64 + 1));
        }
        let (_, selector) = IPC_CALLS.iter().find(|(known, _)| *known == name)?;
        Some((self.number("ipc")?, *selector))
    }

    /// Whether a number's place in the table tells how new the call is.
    pub(super) fn is_ordinary(self, number: u32) -> bool {
        self != Self::Arm || number < ARM_PRIVATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_the_headers_numbers() {
        assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0));
        let numbers = |name| {
            [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm].map(|arch| arch.number(name))
        };
        assert_eq!(numbers("execve"), [Some(59), Some(11), Some(X32_BIT | 520), Some(221), Some(11)],);
        assert_eq!(numbers("open"), [Some(2), Some(5), Some(X32_BIT | 2), None, Some(5)]);
        assert_eq!(numbers("clone3"), [Some(435), Some(435), Some(X32_BIT | 435), Some(435), Some(435)]);
        assert_eq!(numbers("no_such_call"), [None; 5]);
    }
}
