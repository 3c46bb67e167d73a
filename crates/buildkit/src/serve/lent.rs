//! Results of one build that are another one's input: what bake's `target:` contexts are.
//!
//! A client that has a result may ask for its definition, and give that to another build. What a built-in frontend made
//! is a graph that never was a definition, so it gets one that names the result; who has the name has the result, for as
//! long as the build that made it goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use build::frontend::Ref;
use build::graph::{LENT, Op, Shown, Source};
use prost::Message as _;

use crate::proto::pb;

const SCHEME: &str = "ketch-result://";

/// A result, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Result {
    pub(super) made: Ref,
    session: String,
    build: String,
}

impl Result {
    /// The same operation for a build of another session's: directories stay their client's.
    pub(super) fn operation(&self, op: &Op) -> Op {
        let mut op = op.clone();
        let session = match &mut op {
            Op::Source(Source::Local(local)) => &mut local.session,
            Op::Source(Source::OciLayout(layout)) => &mut layout.session,
            _ => return op,
        };
        if session.is_empty() {
            *session = format!("{LENT}{}", self.session);
        }
        op
    }

    /// What such an operation says: whose it is, too, as its client has what it needs.
    pub(super) fn shown(&self, shown: &Shown) -> Shown {
        let mut shown = shown.clone();
        shown.lent_by(std::slice::from_ref(&self.session));
        if shown.origin.is_empty() {
            shown.origin.clone_from(&self.build);
        }
        shown
    }
}

/// All results that may be asked for.
#[derive(Debug, Default)]
pub(super) struct Lent(Mutex<HashMap<String, Result>>);

impl Lent {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Result>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_back<'a>(&self, ids: impl Iterator<Item = &'a String>) {
        let mut table = self.table();
        ids.for_each(|id| drop(table.remove(id)));
    }
}

/// One session's way to lend and borrow.
#[derive(Debug, Clone, Default)]
pub(super) struct Desk {
    pub(super) lent: Arc<Lent>,
    pub(super) session: String,
    pub(super) build: String,
}

impl Desk {
    /// Makes a result known by this name, and says how a definition names it.
    pub(super) fn lend(&self, id: &str, made: Ref) -> pb::Definition {
        let result = Result { made, session: self.session.clone(), build: self.build.clone() };
        self.lent.table().insert(id.to_owned(), result);
        let source = pb::SourceOp { identifier: format!("{SCHEME}{id}"), ..pb::SourceOp::default() };
        let source = pb::Op { op: Some(pb::op::Op::Source(source)), ..pb::Op::default() }.encode_to_vec();
        let input = pb::Input { digest: oci::Digest::sha256(&source).to_string(), index: 0 };
        let end = pb::Op { inputs: vec![input], ..pb::Op::default() }.encode_to_vec();
        let def = vec![source, end];
        // BuildKit's library takes an operation without metadata for none.
        let about = |op: &Vec<u8>| (oci::Digest::sha256(op).to_string(), pb::OpMetadata::default());
        pb::Definition { metadata: def.iter().map(about).collect(), def, ..pb::Definition::default() }
    }

    /// What an operation names, if it names a result.
    pub(super) fn borrow(&self, op: &pb::Op) -> Option<std::result::Result<Result, build::Error>> {
        let Some(pb::op::Op::Source(source)) = &op.op else { return None };
        let id = source.identifier.strip_prefix(SCHEME)?;
        let found = self.lent.table().get(id).cloned();
        let gone = || build::Error::NotFound("the build whose result is wanted has ended".to_owned());
        Some(found.ok_or_else(gone))
    }
}
