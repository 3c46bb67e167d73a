//! ADD and COPY.

use dockerfile::check::Rule;
use dockerfile::{Copy as CopyInstruction, Lines, Transfer, quote};
use oci::Digest;

use super::git;
use super::image::{self, Layer};
use super::instructions::{joined, owner};
use super::names;
use super::problem::Problem;
use super::stage::Progress;
use super::stages::{Lowering, rooted};
use crate::graph::{
    Action, Change, Copy, File, Git, Group, Http, Input, Mkfile, Mode, Op, Output, Place, Shown, Source,
};

/// One instruction on its way to a file operation.
struct Files {
    inputs: Vec<Output>,
    actions: Vec<Action>,
    /// What each copy has in common.
    pattern: Copy,
    /// What is changed at first.
    base: Place,
}

impl Files {
    fn input(&mut self, output: Option<Output>) -> Place {
        let Some(output) = output else { return Place::Scratch };
        let at = self.inputs.iter().position(|known| *known == output).unwrap_or_else(|| {
            self.inputs.push(output);
            self.inputs.len() - 1
        });
        Place::Input(Input(u32::try_from(at).unwrap_or(u32::MAX)))
    }

    /// One more source, on top of what those before have made.
    fn add(&mut self, copy: Copy) {
        let last = self.actions.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
        let base = last.map_or(self.base, Place::Action);
        self.actions.push(Action { base, change: Change::Copy(Box::new(copy)), output: None });
    }
}

/// What only one of the two instructions can do.
struct Extra<'a> {
    keyword: &'static str,
    /// What local sources are from.
    from: Option<Output>,
    parents: bool,
    transfer: &'a Transfer,
}

impl Lowering<'_> {
    pub(super) fn add_instruction(
        &mut self,
        at: usize,
        transfer: &Transfer,
        code: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        check_checksum(transfer)?;
        self.check_ignored("Add", &transfer.sources, lines);
        let local = transfer.sources.iter().any(|source| !is_remote(source));
        let from = if local { self.main_context()? } else { None };
        for source in transfer.sources.iter().filter(|source| !is_remote(source)) {
            self.use_of_main(source);
        }
        let extra = Extra { keyword: "ADD", from, parents: false, transfer };
        self.transfer(at, &extra, code, lines)
    }

    pub(super) fn copy_instruction(
        &mut self,
        at: usize,
        copy: &CopyInstruction,
        sources: &[Option<usize>],
        code: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        let transfer = &copy.transfer;
        for source in &transfer.sources {
            if git::parse(source, false)?.is_some() {
                return Err(Problem::new("source can't be a git ref for COPY"));
            }
            if is_http(source) {
                return Err(Problem::new("source can't be a URL for COPY"));
            }
        }
        let from = match sources.first().copied().flatten() {
            Some(source) => {
                if self.stages[source].progress != Progress::Done || source == at {
                    let (from, name) = (quote(&copy.from), quote(&self.stages[at].name));
                    let message = format!(
                        "cannot copy from stage {from}, it needs to be defined before current stage {name}"
                    );
                    return Err(Problem::new(message));
                }
                transfer.sources.iter().for_each(|path| self.use_of(source, path));
                self.stages[source].root
            }
            None => {
                self.check_ignored("Copy", &transfer.sources, lines);
                transfer.sources.iter().for_each(|path| self.use_of_main(path));
                if transfer.sources.is_empty() { None } else { self.main_context()? }
            }
        };
        let extra = Extra { keyword: "COPY", from, parents: copy.parents, transfer };
        self.transfer(at, &extra, code, lines)
    }

    fn transfer(&mut self, at: usize, extra: &Extra<'_>, code: &str, lines: Lines) -> Result<(), Problem> {
        let transfer = extra.transfer;
        let stage = &self.stages[at];
        let target = destination(&stage.directory, &transfer.destination);
        let mode = mode(&transfer.chmod)?;
        // An own layer: what is below isn't looked at, and can be another one next time.
        let own_layer = transfer.link && transfer.chmod.is_empty();
        let root = if own_layer { None } else { stage.root };
        let mut files = Files {
            inputs: root.into_iter().collect(),
            actions: Vec::new(),
            pattern: Copy::new(Place::Scratch, "", target),
            base: if root.is_some() { Place::Input(Input(0)) } else { Place::Scratch },
        };
        let chown = Some(transfer.chown.as_str()).filter(|chown| !chown.is_empty());
        files.pattern.owner = chown.map(|chown| owner(chown, files.base));
        files.pattern.mode = mode;
        files.pattern.exclude.clone_from(&transfer.exclude);
        files.pattern.time = self.options.time();
        files.pattern.create_target_path = true;
        let name = names::expanded(&self.lexer, code, &stage.environment);
        let platform = stage.platform.clone().unwrap_or_default();
        let name = names::numbered(&mut self.stages[at], self.options.several_platforms, &platform, &name);
        let from = extra.from;
        for source in &transfer.sources {
            self.copy_source(&mut files, source, from, extra, &name)?;
        }
        for file in &transfer.files {
            let document = self.inline(&file.name, file.content.as_bytes(), 0o644)?;
            let place = files.input(Some(document));
            let copy = Copy { from: place, source: rooted(&file.name), ..files.pattern.clone() };
            files.add(copy);
        }
        self.finish_transfer(at, files, own_layer, &name, code, lines)?;
        let text = history(extra);
        image::remember(&mut self.stages[at].image, text, Layer::Yes, self.options.epoch);
        Ok(())
    }

    fn copy_source(
        &mut self,
        files: &mut Files,
        source: &str,
        from: Option<Output>,
        extra: &Extra<'_>,
        name: &str,
    ) -> Result<(), Problem> {
        let transfer = extra.transfer;
        let shown = || Shown { name: name.to_owned(), ..Shown::default() };
        if let Some(address) = git::parse(source, false)? {
            let op = Op::Source(Source::Git(repository(address, transfer)?));
            let output = self.graph.add(op, Vec::new(), None, shown())?.output();
            let place = files.input(Some(output));
            files.add(Copy {
                from: place,
                source: "/".to_owned(),
                contents_only: true,
                ..files.pattern.clone()
            });
            return Ok(());
        }
        if is_http(source) {
            let file = file_name(source);
            let http = Http {
                url: source.to_owned(),
                checksum: checksum(&transfer.checksum)?,
                filename: Some(file.clone()),
                ..Http::default()
            };
            let output = self.graph.add(Op::Source(Source::Http(http)), Vec::new(), None, shown())?.output();
            let place = files.input(Some(output));
            let unpack = transfer.unpack == Some(true);
            files.add(Copy { from: place, source: format!("/{file}"), unpack, ..files.pattern.clone() });
            return Ok(());
        }
        let place = files.input(from);
        let mut copy = Copy { from: place, ..files.pattern.clone() };
        copy.unpack = transfer.unpack.unwrap_or(extra.keyword == "ADD");
        (copy.follow_symlinks, copy.contents_only) = (true, true);
        (copy.wildcard, copy.allow_empty_wildcard) = (true, true);
        copy.source = rooted(source);
        if extra.parents {
            with_parents(&mut copy, source);
        }
        files.add(copy);
        Ok(())
    }

    /// A file whose content is in the Dockerfile, on its own.
    pub(super) fn inline(&mut self, name: &str, data: &[u8], mode: u32) -> Result<Output, Problem> {
        let file =
            Mkfile { path: rooted(name), data: data.to_vec(), mode, owner: None, time: self.options.time() };
        let action = Action { base: Place::Scratch, change: Change::Mkfile(file), output: Some(0) };
        let shown = Shown { name: "[internal] preparing inline document".to_owned(), ..Shown::default() };
        Ok(self.graph.add(Op::File(File { actions: vec![action] }), Vec::new(), None, shown)?.output())
    }

    fn finish_transfer(
        &mut self,
        at: usize,
        mut files: Files,
        own_layer: bool,
        name: &str,
        code: &str,
        lines: Lines,
    ) -> Result<(), Problem> {
        let stage = &self.stages[at];
        let platform = stage.platform.clone();
        if let Some(last) = files.actions.last_mut() {
            last.output = Some(0);
        }
        let mut shown = names::shown(&self.options.source, name.to_owned(), lines, code);
        shown.ignore_cache = stage.no_cache;
        let group = |weak| Group { id: format!("{name}@{}", lines.first), name: name.to_owned(), weak };
        if own_layer {
            shown.group = Some(group(true));
        }
        let op = Op::File(File { actions: files.actions });
        let mut merged = shown.clone();
        let made = self.graph.add(op, files.inputs, platform.clone(), shown)?.output();
        let root = match (own_layer, stage.root) {
            (true, Some(below)) => {
                merged.group = Some(group(false));
                merged.name = linked(name);
                self.graph
                    .add(Op::Merge(vec![Input(0), Input(1)]), vec![below, made], platform, merged)?
                    .output()
            }
            _ => made,
        };
        self.stages[at].root = Some(root);
        Ok(())
    }

    fn check_ignored(&mut self, keyword: &str, sources: &[String], lines: Lines) {
        for source in sources.iter().filter(|source| !is_remote(source)) {
            let path = rooted(source);
            if self.ignore.matches(path.trim_start_matches('/')) {
                let detail = format!(
                    "Attempting to {keyword} file {} that is excluded by .dockerignore",
                    quote(source)
                );
                self.findings.add(Rule::CopyIgnoredFile, lines, detail);
            }
        }
    }
}

/// `[2/3] LINK COPY a b` for `[2/3] COPY a b`.
fn linked(name: &str) -> String {
    match name.split_once("] ") {
        Some((number, rest)) => format!("{number}] LINK {rest}"),
        None => format!("LINK {name}"),
    }
}

fn history(extra: &Extra<'_>) -> String {
    let transfer = extra.transfer;
    let mut words = vec![extra.keyword.to_owned()];
    words.extend(extra.parents.then(|| "--parents".to_owned()));
    for (flag, value) in [("--chown", &transfer.chown), ("--chmod", &transfer.chmod)] {
        words.extend((!value.is_empty()).then(|| format!("{flag}={value}")));
    }
    words.extend(transfer.sources.iter().cloned());
    words.extend(transfer.files.iter().map(|file| format!("<<{}", file.name)));
    words.push(transfer.destination.clone());
    words.join(" ")
}

/// Where the files go; a slash at the end says that it's a directory.
fn destination(directory: &str, path: &str) -> String {
    let target = joined(directory, path);
    let into = path.is_empty() || path.ends_with('/') || path == "." || path.ends_with("/.");
    if into && target != "/" { format!("{target}/") } else { target }
}

/// `--parents`: the path above is kept from `/./` on, or all of it.
fn with_parents(copy: &mut Copy, source: &str) {
    let (above, pattern) = source.split_once("/./").unwrap_or(("/", source));
    let pattern = rooted(pattern);
    copy.source = rooted(above);
    copy.include = vec![pattern.trim_start_matches('/').to_owned()];
    if !is_wild(above) && !is_wild(&pattern) {
        copy.required = vec![joined(&copy.source, pattern.trim_start_matches('/'))];
    }
}

fn is_wild(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    false
}

fn is_http(source: &str) -> bool {
    let address = source.starts_with("http://") || source.starts_with("https://");
    address && !matches!(git::parse(source, false), Ok(Some(_)))
}

fn is_remote(source: &str) -> bool {
    is_http(source) || matches!(git::parse(source, false), Ok(Some(_)))
}

/// The last part of an address' path.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    match dockerfile::ignore::clean(&format!("/{path}")).rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "__unnamed__".to_owned(),
    }
}

fn repository(address: git::Address, transfer: &Transfer) -> Result<Git, Problem> {
    let mut source = address.source;
    let keep = match (transfer.keep_git_dir, address.keep_git_dir) {
        (Some(flag), Some(query)) if flag != query => {
            return Err(Problem::new("inconsistent keep-git-dir configuration"));
        }
        (flag, query) => query.or(flag),
    };
    source.keep_git_dir = keep == Some(true);
    if !transfer.checksum.is_empty() {
        if source.checksum.as_ref().is_some_and(|known| *known != transfer.checksum) {
            let known = quote(source.checksum.as_deref().unwrap_or_default());
            return Err(Problem::new(format!("checksum mismatch {} != {known}", quote(&transfer.checksum))));
        }
        source.checksum = Some(transfer.checksum.clone());
    }
    Ok(source)
}

fn check_checksum(transfer: &Transfer) -> Result<(), Problem> {
    if transfer.checksum.is_empty() {
        return Ok(());
    }
    match transfer.sources.as_slice() {
        [only] if is_remote(only) => Ok(()),
        [_] => Err(Problem::new("checksum requires HTTP(S) or Git sources")),
        _ => Err(Problem::new("checksum can't be specified for multiple sources")),
    }
}

fn checksum(text: &str) -> Result<Option<Digest>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|why: oci::DigestError| Problem::new(why.to_string()))
}

/// `--chmod`: octal, or `u=rwX,go=rX`.
fn mode(text: &str) -> Result<Option<Mode>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let numeric = || {
        Problem::new(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        ))
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
        return bits.map(|bits| Some(Mode::Bits(bits))).ok_or_else(numeric);
    }
    if text.split(',').all(is_symbolic) {
        return Ok(Some(Mode::Symbolic(text.to_owned())));
    }
    Err(numeric().hint("write an octal mode like 0755, or one like u=rwX,go=rX"))
}

/// `[ugoa]*([-+=][rwxXstugo]*)+`
fn is_symbolic(clause: &str) -> bool {
    let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    rest.starts_with(['-', '+', '=']) && rest.chars().all(|c| "-+=rwxXstugo".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_seen_from_the_working_directory() {
        for (directory, path, expected) in [
            ("/w", "a", "/w/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", ".", "/w/"),
            ("/w", "./", "/w/"),
            ("/w", "..", "/"),
            ("", "a", "/a"),
            ("", "/", "/"),
            ("/w", "/x/../y/", "/y/"),
        ] {
            assert_eq!(destination(directory, path), expected, "{directory} {path}");
        }
    }

    #[test]
    fn files_are_called_as_their_address_ends() {
        for (url, name) in [
            ("http://h/a/b.txt?x=1#y", "b.txt"),
            ("http://h/", "__unnamed__"),
            ("http://h", "__unnamed__"),
            ("https://h/a/", "a"),
        ] {
            assert_eq!(file_name(url), name);
        }
    }

    #[test]
    fn modes_are_octal_or_symbolic() {
        assert_eq!(mode("0755"), Ok(Some(Mode::Bits(0o755))));
        assert_eq!(mode("u=rwX,go=rX"), Ok(Some(Mode::Symbolic("u=rwX,go=rX".to_owned()))));
        for wrong in ["999", "77777", "x", "u", "u=rwX,", "=z"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
