//! Users and groups with other numbers on the host than in a container.

use std::fmt::Write;

/// Whose numbers the host knows by others. Empty, everybody's are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap {
    users: Vec<Span>,
    groups: Vec<Span>,
}

/// So many numbers from `inside` on are those from `host` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub inside: u32,
    pub host: u32,
    pub count: u32,
}

impl IdMap {
    pub fn new(users: Vec<Span>, groups: Vec<Span>) -> Self {
        Self { users, groups }
    }

    pub fn users(&self) -> &[Span] {
        &self.users
    }

    pub fn groups(&self) -> &[Span] {
        &self.groups
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// As the host numbers a container's user and group; whoever it doesn't map is nobody.
    pub fn on_host(&self, uid: u32, gid: u32) -> (u32, u32) {
        let go = |spans: &[Span], id| moved(spans, id, |span| (span.inside, span.host));
        (go(&self.users, uid), go(&self.groups, gid))
    }

    /// As the container numbers a user and group of the host.
    pub fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let go = |spans: &[Span], id| moved(spans, id, |span| (span.host, span.inside));
        (go(&self.users, uid), go(&self.groups, gid))
    }

    /// What the kernel is told, of users and of groups.
    pub fn tables(&self) -> (String, String) {
        (table(&self.users), table(&self.groups))
    }
}

/// The kernel's nobody.
const NOBODY: u32 = 65534;

fn moved(spans: &[Span], id: u32, ends: impl Fn(&Span) -> (u32, u32)) -> u32 {
    if spans.is_empty() {
        return id;
    }
    let place = spans.iter().find_map(|span| {
        let (from, to) = ends(span);
        let offset = id.checked_sub(from).filter(|offset| *offset < span.count)?;
        Some(to + offset)
    });
    place.unwrap_or(NOBODY)
}

fn table(spans: &[Span]) -> String {
    let mut text = String::new();
    for Span { inside, host, count } in spans {
        let _ = writeln!(text, "{inside} {host} {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back_and_strangers_are_nobody() {
        let spans =
            vec![Span { inside: 0, host: 5000, count: 10 }, Span { inside: 10, host: 1000, count: 1 }];
        let map = IdMap::new(spans, vec![Span { inside: 0, host: 7000, count: 5 }]);
        assert_eq!(map.on_host(3, 4), (5003, 7004));
        assert_eq!(map.inside(5003, 7004), (3, 4));
        assert_eq!((map.on_host(10, 5), map.inside(1000, 0)), ((1000, NOBODY), (10, NOBODY)));
        assert_eq!(map.tables(), ("0 5000 10\n10 1000 1\n".to_owned(), "0 7000 5\n".to_owned()));
        assert_eq!(IdMap::default().on_host(7, u32::MAX), (7, u32::MAX));
    }
}
