//! What each layer of an image did to those below it.

use std::collections::BTreeMap;

/// A name in a layer that takes another one away.
const AWAY: &str = ".wh.";
/// Takes away whatever lower layers have in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// A layer's names as its archive has them.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The bytes of each file; folders and links have none.
    pub(super) entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) is_folder: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Changed,
    Removed,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) path: String,
    /// What this layer has of it; what was there, where it is removed.
    pub(super) size: u64,
}

/// A file that is in the image more often than it is seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waste {
    pub(super) times: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Image {
    /// For each layer, lowest first, in the order of the paths.
    pub(super) layers: Vec<Vec<Change>>,
    /// Bytes that each layer hid of those below it.
    pub(super) hidden: Vec<u64>,
    /// By path: what nobody sees and everybody pulls.
    pub(super) wasted: BTreeMap<String, Waste>,
    seen: BTreeMap<String, Entry>,
}

impl Image {
    pub(super) fn of(layers: &[&Listing]) -> Self {
        let mut image = Self::default();
        for layer in layers {
            image.add(layer);
        }
        image
    }

    fn add(&mut self, layer: &Listing) {
        self.hidden.push(0);
        self.layers.push(Vec::new());
        // What is taken away was in lower layers, wherever the archive names it.
        for path in layer.entries.keys() {
            let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |split| split);
            match name.strip_prefix(AWAY) {
                Some(_) if name == OPAQUE => self.remove_below(folder, layer),
                Some(rest) => self.remove(&join(folder, rest)),
                None => {}
            }
        }
        for (path, entry) in layer.entries.iter().filter(|(path, _)| !is_mark(path)) {
            self.put(path, *entry);
        }
        if let Some(changes) = self.layers.last_mut() {
            changes.sort_by(|a, b| a.path.cmp(&b.path));
        }
    }

    fn put(&mut self, path: &str, entry: Entry) {
        let before = self.seen.insert(path.to_owned(), entry);
        // Archives name the folders on the way to what they change.
        if before.is_some_and(|before| before.is_folder && entry.is_folder) {
            return;
        }
        let kind = if before.is_some() { Kind::Changed } else { Kind::Added };
        if let Some(before) = before {
            self.hide(path, before);
            if before.is_folder {
                self.remove_all_below(path);
            }
        }
        self.tell(kind, path, entry.size);
    }

    fn remove(&mut self, path: &str) {
        if let Some(entry) = self.seen.remove(path) {
            self.hide(path, entry);
            self.tell(Kind::Removed, path, entry.size);
        }
        self.remove_all_below(path);
    }

    /// An opaque folder: what the layer has itself is a change then, not a loss.
    fn remove_below(&mut self, folder: &str, layer: &Listing) {
        for path in self.below(folder) {
            if !layer.entries.contains_key(&path) {
                self.remove(&path);
            }
        }
    }

    fn remove_all_below(&mut self, folder: &str) {
        for path in self.below(folder) {
            if let Some(entry) = self.seen.remove(&path) {
                self.hide(&path, entry);
                self.tell(Kind::Removed, &path, entry.size);
            }
        }
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.seen.range(start.clone()..);
        from.take_while(|(path, _)| path.starts_with(&start)).map(|(path, _)| path.clone()).collect()
    }

    fn hide(&mut self, path: &str, entry: Entry) {
        if entry.is_folder {
            return;
        }
        let waste = self.wasted.entry(path.to_owned()).or_default();
        waste.times += 1;
        waste.bytes += entry.size;
        if let Some(hidden) = self.hidden.last_mut() {
            *hidden += entry.size;
        }
    }

    fn tell(&mut self, kind: Kind, path: &str, size: u64) {
        if let Some(changes) = self.layers.last_mut() {
            changes.push(Change { kind, path: path.to_owned(), size });
        }
    }
}

fn is_mark(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(AWAY))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, i64)]) -> Listing {
        let entry = |size: i64| Entry { size: size.max(0).unsigned_abs(), is_folder: size < 0 };
        Listing { entries: entries.iter().map(|(path, size)| ((*path).to_owned(), entry(*size))).collect() }
    }

    fn image(layers: &[Listing]) -> Image {
        Image::of(&layers.iter().collect::<Vec<_>>())
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let letter = |kind| match kind {
            Kind::Added => 'A',
            Kind::Changed => 'C',
            Kind::Removed => 'D',
        };
        changes
            .iter()
            .map(|change| format!("{} {} {}", letter(change.kind), change.path, change.size))
            .collect()
    }

    #[test]
    fn each_layer_adds_changes_and_removes() {
        let image = image(&[
            layer(&[("a", -1), ("a/x", 10), ("a/y", 20), ("b", 5), ("keep", 1)]),
            layer(&[("a", -1), ("a/x", 11), ("a/.wh.y", 0), ("c", 3)]),
            layer(&[(".wh.a", 0), ("b", -1), ("b/z", 2)]),
        ]);
        assert_eq!(told(&image.layers[0]), ["A a 0", "A a/x 10", "A a/y 20", "A b 5", "A keep 1"]);
        assert_eq!(told(&image.layers[1]), ["C a/x 11", "D a/y 20", "A c 3"]);
        assert_eq!(told(&image.layers[2]), ["D a 0", "D a/x 11", "C b 0", "A b/z 2"]);
        assert_eq!(image.hidden, [0, 30, 16]);
        let wasted: Vec<_> =
            image.wasted.iter().map(|(path, waste)| (path.as_str(), waste.times, waste.bytes)).collect();
        assert_eq!(wasted, [("a/x", 2, 21), ("a/y", 1, 20), ("b", 1, 5)]);
    }

    #[test]
    fn an_opaque_folder_hides_what_was_in_it_and_nothing_else() {
        let image = image(&[
            layer(&[("d", -1), ("d/old", 4), ("d/same", 6), ("dx", 1)]),
            layer(&[("d", -1), ("d/.wh..wh..opq", 0), ("d/same", 7)]),
        ]);
        assert_eq!(told(&image.layers[1]), ["D d/old 4", "C d/same 7"]);
        assert_eq!(image.hidden, [0, 10]);
    }
}
