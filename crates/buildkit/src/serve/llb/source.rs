//! Sources: where files come from.

use std::collections::HashMap;

use build::Error;
use build::graph::{Git, Http, Image, Local, OciLayout, Op, Pull, Source};

use crate::proto::pb;

/// What is asked of a source, one attribute after the other.
struct Attributes<'a> {
    left: HashMap<&'a str, &'a str>,
    source: &'a str,
}

impl<'a> Attributes<'a> {
    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.left.remove(name).filter(|value| !value.is_empty())
    }

    fn text(&mut self, name: &str) -> String {
        self.take(name).unwrap_or_default().to_owned()
    }

    fn flag(&mut self, name: &str) -> Result<bool, Error> {
        match self.take(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => {
                Err(Error::Invalid(format!("{name} is {other:?}, which is neither true nor false")))
            }
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, Error> {
        let wrong = |text: &str| Error::Invalid(format!("{name} is {text:?}, which is no number"));
        self.take(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// A list as JSON.
    fn list(&mut self, name: &str) -> Result<Vec<String>, Error> {
        let Some(text) = self.take(name) else { return Ok(Vec::new()) };
        serde_json::from_str(text).map_err(|e| Error::Invalid(format!("{name} is no list: {e}")))
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), Error> {
        match self.left.into_iter().find(|(_, value)| !value.is_empty()) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Unsupported { what: format!("{name} of source {}", self.source) }),
        }
    }
}

pub(in crate::serve) fn decode(source: &pb::SourceOp) -> Result<(Op, String), Error> {
    let identifier = source.identifier.as_str();
    let left = source.attrs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut attributes = Attributes { left, source: identifier };
    let Some((scheme, rest)) = identifier.split_once("://") else {
        return Err(Error::Invalid(format!("failed to parse {identifier:?}: invalid reference")));
    };
    let made = match scheme {
        "docker-image" => Source::Image(image(rest, &mut attributes)?),
        "local" => Source::Local(local(rest, &mut attributes)?),
        "oci-layout" => Source::OciLayout(layout(rest, &mut attributes)),
        "git" => Source::Git(git(rest, &mut attributes)?),
        "http" | "https" => Source::Http(http(identifier, &mut attributes)?),
        _ => return Err(Error::Unsupported { what: format!("source {scheme}://") }),
    };
    attributes.end()?;
    Ok((Op::Source(made), identifier.to_owned()))
}

fn image(reference: &str, attributes: &mut Attributes<'_>) -> Result<Image, Error> {
    let pull = pull(attributes.take("image.resolvemode").unwrap_or_default())?;
    // Why it is kept: only of interest to who empties the cache.
    attributes.take("image.recordtype");
    Ok(Image { reference: reference.to_owned(), pull })
}

fn layout(reference: &str, attributes: &mut Attributes<'_>) -> OciLayout {
    let (store, session) = (attributes.text("oci.store"), attributes.text("oci.session"));
    OciLayout { reference: reference.to_owned(), store, session }
}

/// BuildKit's word for when a registry is asked.
pub(crate) fn pull(mode: &str) -> Result<Pull, Error> {
    match mode {
        "pull" => Ok(Pull::Always),
        "" | "default" | "local" => Ok(Pull::Missing),
        other => Err(Error::Invalid(format!("invalid resolve mode {other:?}"))),
    }
}

fn local(name: &str, attributes: &mut Attributes<'_>) -> Result<Local, Error> {
    // They tell how the sender is asked and what another build finds again; what arrives is the same.
    attributes.take("local.unique");
    attributes.take("local.differ");
    Ok(Local {
        name: name.to_owned(),
        include: attributes.list("local.includepattern")?,
        exclude: attributes.list("local.excludepatterns")?,
        follow: attributes.list("local.followpaths")?,
        shared_key: attributes.text("local.sharedkeyhint"),
        session: attributes.text("local.session"),
    })
}

fn git(rest: &str, attributes: &mut Attributes<'_>) -> Result<Git, Error> {
    let (address, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let full = attributes.take("git.fullurl").map(str::to_owned);
    let checksum = attributes.take("git.checksum").map(str::to_owned);
    let by_commit = checksum.as_deref().filter(|commit| commit.len() == 40);
    let reference = match (attributes.flag("git.fetchbycommit")?, by_commit) {
        (false, _) => reference,
        (true, Some(commit)) => commit,
        (true, None) => {
            return Err(Error::Invalid("git.fetchbycommit needs a full commit in git.checksum".into()));
        }
    };
    Ok(Git {
        remote: full.unwrap_or_else(|| format!("https://{address}")),
        reference: reference.to_owned(),
        subdir: subdir.to_owned(),
        keep_git_dir: attributes.flag("git.keepgitdir")?,
        skip_submodules: attributes.flag("git.skipsubmodules")?,
        checksum: checksum.clone(),
        auth_token_secret: attributes.text("git.authtokensecret"),
        auth_header_secret: attributes.text("git.authheadersecret"),
        mount_ssh: attributes.text("git.mountsshsock"),
        known_hosts: attributes.text("git.knownsshhosts"),
    })
}

fn http(url: &str, attributes: &mut Attributes<'_>) -> Result<Http, Error> {
    let checksum = attributes.take("http.checksum").map(str::parse).transpose();
    let checksum = checksum.map_err(|e| Error::Invalid(format!("http.checksum of {url}: {e}")))?;
    let mode = attributes.take("http.perm").map(|text| u32::from_str_radix(text.trim_start_matches("0o"), 8));
    let mode = mode.transpose().map_err(|e| Error::Invalid(format!("http.perm of {url}: {e}")))?;
    let mut headers: Vec<(String, String)> = Vec::new();
    attributes.left.retain(|name, value| match name.strip_prefix("http.header.") {
        Some(header) => {
            headers.push((header.to_ascii_lowercase(), (*value).to_owned()));
            false
        }
        None => true,
    });
    headers.sort_unstable();
    Ok(Http {
        url: url.to_owned(),
        checksum,
        filename: attributes.take("http.filename").map(str::to_owned),
        mode,
        uid: attributes.number("http.uid")?.unwrap_or(0),
        gid: attributes.number("http.gid")?.unwrap_or(0),
        headers,
        auth_header_secret: attributes.text("http.authheadersecret"),
    })
}
