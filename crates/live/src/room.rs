//! The four lists, and what stands in them.

/// A list of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Containers,
    Images,
    Networks,
    Volumes,
}

/// A column: its title, the least that it is worth being shown for, and its share of what is left.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) least: u16,
    pub(crate) share: u16,
}

const fn column(title: &'static str, least: u16, share: u16) -> Column {
    Column { title, least, share }
}

/// Those further right make room first.
const CONTAINERS: &[Column] = &[
    column("NAME", 14, 3),
    column("STATUS", 16, 6),
    column("CPU", 7, 0),
    column("MEMORY", 10, 0),
    column("IMAGE", 14, 3),
    column("NET I/O", 17, 0),
    column("BLOCK I/O", 17, 0),
    column("PORTS", 16, 3),
];
const IMAGES: &[Column] = &[
    column("IMAGE", 20, 4),
    column("SIZE", 9, 0),
    column("CREATED", 15, 0),
    column("ID", 12, 0),
    column("USED BY", 12, 3),
];
const NETWORKS: &[Column] = &[
    column("NAME", 14, 3),
    column("DRIVER", 8, 0),
    column("SUBNET", 18, 2),
    column("ID", 12, 0),
    column("USED BY", 12, 3),
];
const VOLUMES: &[Column] = &[
    column("NAME", 16, 3),
    column("DRIVER", 8, 0),
    column("CREATED", 15, 0),
    column("USED BY", 12, 2),
    column("MOUNTPOINT", 20, 3),
];

impl Room {
    pub const ALL: [Self; 4] = [Self::Containers, Self::Images, Self::Networks, Self::Volumes];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Images => "Images",
            Self::Networks => "Networks",
            Self::Volumes => "Volumes",
        }
    }

    /// One of its things.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Containers => "container",
            Self::Images => "image",
            Self::Networks => "network",
            Self::Volumes => "volume",
        }
    }

    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Containers => CONTAINERS,
            Self::Images => IMAGES,
            Self::Networks => NETWORKS,
            Self::Volumes => VOLUMES,
        }
    }

    /// The one so many further, round about.
    pub(crate) fn further(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Whether a container's processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    Paused,
    Stopped,
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// What the engine is asked for it by.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// A container's.
    pub life: Option<Life>,
    /// One for each column.
    pub cells: Vec<String>,
}

/// A list, which of its lines are wanted, and the line that is meant.
#[derive(Debug, Default)]
pub(crate) struct List {
    things: Vec<Thing>,
    pub(crate) filter: String,
    selected: Option<String>,
}

impl List {
    /// What is there now. The line that is meant stays so; where it is gone, the one in its place is meant.
    pub(crate) fn set(&mut self, things: Vec<Thing>) {
        let place = self.place();
        self.things = things;
        if self.shown().all(|thing| Some(&thing.key) != self.selected.as_ref()) {
            self.select(place);
        }
    }

    /// Those with the filter's text in one of their cells.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Thing> {
        let wanted = self.filter.to_lowercase();
        self.things
            .iter()
            .filter(move |thing| thing.cells.iter().any(|cell| cell.to_lowercase().contains(&wanted)))
    }

    /// The number of the line that is meant.
    pub(crate) fn place(&self) -> usize {
        self.shown().position(|thing| Some(&thing.key) == self.selected.as_ref()).unwrap_or(0)
    }

    pub(crate) fn select(&mut self, place: usize) {
        let last = self.shown().count().saturating_sub(1);
        let meant = self.shown().nth(place.min(last)).map(|thing| thing.key.clone());
        self.selected = meant;
    }

    pub(crate) fn meant(&self) -> Option<&Thing> {
        self.shown().nth(self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(name: &str) -> Thing {
        Thing { key: name.to_owned(), name: name.to_owned(), life: None, cells: vec![name.to_owned()] }
    }

    #[test]
    fn the_meant_line_survives_what_comes_and_goes() {
        let mut list = List::default();
        assert!(list.meant().is_none());
        list.set(vec![thing("a"), thing("b"), thing("c")]);
        list.select(1);
        list.set(vec![thing("new"), thing("a"), thing("b"), thing("c")]);
        assert_eq!((list.place(), list.meant().unwrap().name.as_str()), (2, "b"));
        list.set(vec![thing("new"), thing("a"), thing("c")]);
        assert_eq!(list.meant().unwrap().name, "c");
        list.select(99);
        list.set(vec![thing("new")]);
        assert_eq!(list.meant().unwrap().name, "new");
        list.filter = "NE".to_owned();
        assert_eq!(list.shown().count(), 1);
        list.filter = "q".to_owned();
        assert!(list.meant().is_none());
    }
}
