//! Ids and names that nobody chose.

use std::fmt::Write as _;

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    // Up to 256 bytes come whole and uninterrupted once the pool is ready; before that the call waits.
    while filled < N {
        if let Ok(count) =
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
        {
            filled += count;
        }
    }
    bytes
}

/// 64 hexadecimal digits. Like docker, never such that its first twelve could be read as a number.
pub(crate) fn container_id() -> String {
    loop {
        let id = hex(&random::<32>());
        if !id[..12].bytes().all(|digit| digit.is_ascii_digit()) {
            return id;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A name such as `brisk_halyard`, for a container that was given none.
pub(crate) fn container_name(attempt: u32) -> String {
    let [a, b, c] = random::<3>();
    let name = format!("{}_{}", MOODS[usize::from(a) % MOODS.len()], PARTS[usize::from(b) % PARTS.len()]);
    if attempt == 0 { name } else { format!("{name}{}", u32::from(c) % 10 + attempt) }
}

const MOODS: &[&str] = &[
    "able", "agile", "amber", "ardent", "balmy", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "clear", "clever", "cosy", "crisp", "dapper", "daring", "deft", "eager", "early", "easy", "fair",
    "fleet", "fond", "frank", "fresh", "gentle", "gifted", "glad", "golden", "grand", "happy", "hardy",
    "honest", "humble", "jolly", "jovial", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow",
    "merry", "mighty", "modest", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud",
    "quick", "quiet", "ready", "robust", "salty", "serene", "sharp", "silent", "sleek", "smooth", "snug",
    "sober", "spry", "steady", "stout", "sturdy", "sunny", "swift", "tidal", "tidy", "trim", "trusty",
    "upbeat", "vivid", "warm", "wise", "witty", "young", "zesty",
];

const PARTS: &[&str] = &[
    "anchor",
    "ballast",
    "beacon",
    "berth",
    "binnacle",
    "boatswain",
    "bollard",
    "boom",
    "bosun",
    "bow",
    "bowline",
    "bowsprit",
    "bulkhead",
    "bulwark",
    "buoy",
    "cabin",
    "capstan",
    "cargo",
    "chart",
    "cleat",
    "clew",
    "coaming",
    "compass",
    "crew",
    "davit",
    "deck",
    "dinghy",
    "dock",
    "fairlead",
    "fathom",
    "fender",
    "forestay",
    "gaff",
    "galley",
    "gangway",
    "gunwale",
    "halyard",
    "harbour",
    "hatch",
    "hawser",
    "heading",
    "helm",
    "hull",
    "jib",
    "keel",
    "ketch",
    "lanyard",
    "lantern",
    "lighthouse",
    "locker",
    "log",
    "mainsail",
    "mast",
    "mizzen",
    "mooring",
    "oar",
    "outhaul",
    "pier",
    "pilot",
    "porthole",
    "quay",
    "ratline",
    "reef",
    "rigging",
    "rowlock",
    "rudder",
    "sail",
    "sextant",
    "sheet",
    "shroud",
    "skipper",
    "spar",
    "spinnaker",
    "stanchion",
    "stay",
    "stern",
    "tack",
    "tender",
    "tide",
    "tiller",
    "topsail",
    "transom",
    "trysail",
    "vane",
    "wake",
    "winch",
    "windlass",
    "yard",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_hex_digits_and_differ() {
        let (a, b) = (container_id(), container_id());
        assert!(a.len() == 64 && a.bytes().all(|digit| digit.is_ascii_hexdigit()), "{a}");
        assert_ne!(a, b);
    }

    #[test]
    fn names_are_two_words() {
        let name = container_name(0);
        assert_eq!(name.split('_').count(), 2, "{name}");
    }
}
