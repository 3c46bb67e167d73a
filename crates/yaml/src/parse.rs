//! From text to nodes. Aliases are written out, merge keys (`<<`) are carried out, and both are bounded: a page of text
//! can't become a gigabyte.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{At, FileId, Map, Node, Tag, Value, plain};

/// Values of one file, aliases written out: a thousand services have a few ten thousand.
const MOST_NODES: usize = 1_000_000;
/// Mappings and lists within each other.
const DEEPEST: usize = 200;

/// What is wrong with the text, and where.
#[derive(Debug)]
pub struct Trouble {
    pub at: At,
    pub what: String,
}

/// The documents of a file. One that says nothing is left out.
pub fn parse(text: &str, file: FileId) -> Result<Vec<Node>, Trouble> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        anchors: HashMap::new(),
        open: Vec::new(),
        nodes: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(..) => reader.anchors.clear(),
            event => documents.push(reader.node(event, &span, 0)?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    file: FileId,
    anchors: HashMap<usize, Anchored>,
    /// Anchors of what is being read: an alias to one would have no end.
    open: Vec<usize>,
    nodes: usize,
}

struct Anchored {
    node: Node,
    /// Values in it, itself included.
    size: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Trouble> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let at = self.place(error.marker().line(), error.marker().col());
                Err(Trouble { at, what: error.info() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, line: usize, column: usize) -> At {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        At { file: self.file, line: number(line.max(1)), column: number(column.saturating_add(1)) }
    }

    fn at(&self, span: &Span) -> At {
        self.place(span.start.line(), span.start.col())
    }

    fn count(&mut self, more: usize, at: At) -> Result<(), Trouble> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            let what = format!("the file has more than {MOST_NODES} values, its aliases written out");
            return Err(Trouble { at, what });
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Trouble> {
        let at = self.at(span);
        if depth > DEEPEST {
            return Err(Trouble { at, what: format!("nested more than {DEEPEST} deep") });
        }
        self.count(1, at)?;
        let before = self.nodes - 1;
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| (tag.handle(), tag.suffix()));
                let (value, tag) = self.scalar(&text, style, tag, at)?;
                (Node { tag, ..Node::new(value, at) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_ref().map(|tag| (tag.handle(), tag.suffix())), at)?;
                self.open.push(anchor);
                let list = self.list(depth)?;
                self.open.pop();
                (Node { tag, ..Node::new(Value::List(list), at) }, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_ref().map(|tag| (tag.handle(), tag.suffix())), at)?;
                self.open.push(anchor);
                let map = self.map(depth)?;
                self.open.pop();
                (Node { tag, ..Node::map(map, at) }, anchor)
            }
            _ => return Err(Trouble { at, what: "a value was expected here".to_owned() }),
        };
        if anchor != 0 {
            let size = self.nodes - before;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: At) -> Result<Node, Trouble> {
        if self.open.contains(&id) {
            return Err(Trouble { at, what: "this alias stands within what it stands for".to_owned() });
        }
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(Trouble { at, what: "this alias has no anchor before it".to_owned() });
        };
        let (node, size) = (anchored.node.clone(), anchored.size);
        self.count(size, at)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Trouble> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::SequenceEnd => return Ok(list),
                event => list.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, Trouble> {
        let mut map = Map::default();
        let mut merged: Vec<Map> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let at = self.at(&span);
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if *text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let Some(name) = key.scalar().or_else(|| key.is_null().then(String::new)) else {
                return Err(Trouble { at, what: format!("a key is a text, not {}", key.kind()) });
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, &span, depth + 1)?;
            if is_merge {
                merged.extend(self.merged(value)?);
                continue;
            }
            value.key = at;
            if let Some(earlier) = map.get(&name) {
                let line = earlier.key.line;
                return Err(Trouble {
                    at,
                    what: format!("mapping key {name:?} already defined at line {line}"),
                });
            }
            map.insert(name, value);
        }
        // What is written here counts more than what is merged in, and what is merged first more than the rest.
        for earlier in merged {
            for (name, value) in earlier {
                map.entry(name).or_insert(value);
            }
        }
        Ok(map)
    }

    /// The mappings below a merge key.
    fn merged(&self, value: Node) -> Result<Vec<Map>, Trouble> {
        let wrong =
            |at| Trouble { at, what: "map merge requires map or sequence of maps as the value".to_owned() };
        match value.value {
            Value::Map(map) => Ok(vec![map]),
            Value::List(list) => {
                let maps = list.into_iter().map(|node| match node.value {
                    Value::Map(map) => Ok(map),
                    _ => Err(wrong(node.at)),
                });
                maps.collect()
            }
            _ => Err(wrong(value.at)),
        }
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<(&str, &str)>,
        at: At,
    ) -> Result<(Value, Tag), Trouble> {
        let literal = || Value::Text(text.to_owned());
        let value = match tag {
            Some(("tag:yaml.org,2002:", "str")) => return Ok((literal(), Tag::None)),
            Some(("tag:yaml.org,2002:", _)) => return Ok((plain(text), Tag::None)),
            _ if style == ScalarStyle::Plain => plain(text),
            _ => literal(),
        };
        Ok((value, self.tag(tag, at)?))
    }

    fn tag(&self, tag: Option<(&str, &str)>, at: At) -> Result<Tag, Trouble> {
        match tag {
            None | Some(("tag:yaml.org,2002:", _)) => Ok(Tag::None),
            Some(("!", "reset")) => Ok(Tag::Reset),
            Some(("!", "override")) => Ok(Tag::Override),
            Some((handle, suffix)) => {
                let what =
                    format!("the tag {handle}{suffix} means nothing here; there are !reset and !override");
                Err(Trouble { at, what })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text, FileId(0)).unwrap().remove(0)
    }

    fn wrong(text: &str) -> String {
        parse(text, FileId(0)).unwrap_err().what
    }

    #[test]
    fn values_know_their_places() {
        let node = one("a:\n  b: [1, two]\n");
        let two = &node.get("a").unwrap().get("b").unwrap().as_list().unwrap()[1];
        assert_eq!((two.at.line, two.at.column), (2, 10));
        assert_eq!(node.get("a").unwrap().get("b").unwrap().key.column, 3);
    }

    #[test]
    fn merge_keys_fill_in_what_is_not_written() {
        let node = one("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\n");
        let z = node.get("z").unwrap();
        let number = |key| z.get(key).unwrap().value.clone();
        assert_eq!((number("a"), number("b"), number("c")), (Value::Int(0), Value::Int(2), Value::Int(4)));
    }

    #[test]
    fn bombs_and_circles_end() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(wrong(&bomb).contains("aliases written out"));
        assert!(wrong("a: &a [*a]\n").contains("within what it stands for"));
        assert!(!wrong(&"[".repeat(100_000)).is_empty());
    }

    #[test]
    fn a_key_comes_once() {
        assert_eq!(wrong("a: 1\nb: 2\na: 3\n"), "mapping key \"a\" already defined at line 1");
    }

    #[test]
    fn tags_are_known_or_refused() {
        assert_eq!(one("a: !reset null\n").get("a").unwrap().tag, Tag::Reset);
        assert_eq!(one("a: !override [x]\n").get("a").unwrap().tag, Tag::Override);
        assert!(wrong("a: !other x\n").contains("!other"));
        assert_eq!(one("a: !!str 12\n").get("a").unwrap().value, Value::Text("12".into()));
    }
}
