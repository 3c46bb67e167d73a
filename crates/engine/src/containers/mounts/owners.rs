//! `idmap`: what a container's user writes belongs to whoever owns the folder, and what that one has is the user's.

use std::path::Path;

use oci_spec::runtime as rt;

use crate::Error;

/// Behind all ids that there can be.
const END: u32 = u32::MAX;

/// Lets the two change places in a mount that is ready to be told to the runtime. All other owners stay who they are.
pub(super) fn exchange(mount: &mut rt::Mount, user: (u32, u32)) -> Result<(), Error> {
    let source = mount.source().clone().unwrap_or_default();
    let owner = rustix::fs::stat(&source).map_err(|errno| failed(&source, errno.into()))?;
    let (users, groups) = (exchanged(owner.st_uid, user.0), exchanged(owner.st_gid, user.1));
    if (users.len(), groups.len()) != (1, 1) {
        mount.set_uid_mappings(Some(mappings(&users))).set_gid_mappings(Some(mappings(&groups)));
    }
    Ok(())
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::File { doing: "see who owns", path: path.to_owned(), source }
}

/// Ranges as (on disk, in the container, how many).
fn exchanged(a: u32, b: u32) -> Vec<(u32, u32, u32)> {
    let (low, high) = (a.min(b), a.max(b));
    if low == high {
        return vec![(0, 0, END)];
    }
    let ranges = [
        (0, 0, low),
        (low, high, 1),
        (low + 1, low + 1, high - low - 1),
        (high, low, 1),
        (high.saturating_add(1), high.saturating_add(1), END.saturating_sub(high).saturating_sub(1)),
    ];
    ranges.into_iter().filter(|(.., count)| *count > 0).collect()
}

fn mappings(ranges: &[(u32, u32, u32)]) -> Vec<rt::LinuxIdMapping> {
    // With all three given there is nothing that the builder could miss.
    let mapping = |(disk, inside, count): &(u32, u32, u32)| {
        let builder = rt::LinuxIdMappingBuilder::default();
        builder.container_id(*disk).host_id(*inside).size(*count).build().ok()
    };
    ranges.iter().filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_change_places_and_nobody_is_left_out() {
        assert_eq!(exchanged(1000, 1000), [(0, 0, END)]);
        let ranges = exchanged(1000, 0);
        assert_eq!(ranges, [(0, 1000, 1), (1, 1, 999), (1000, 0, 1), (1001, 1001, END - 1001)]);
        assert_eq!(exchanged(5, 6)[..3], [(0, 0, 5), (5, 6, 1), (6, 5, 1)]);
        for (a, b) in [(0, 1), (7, 70_000), (3, END - 1)] {
            assert_eq!(
                exchanged(a, b).iter().map(|(.., count)| u64::from(*count)).sum::<u64>(),
                u64::from(END)
            );
        }
    }
}
