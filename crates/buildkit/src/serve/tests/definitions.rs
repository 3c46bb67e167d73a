//! Definitions, real ones and such as nobody should send.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::graph::{Op, Source};
use proptest::prelude::*;
use prost::Message as _;

use crate::proto::pb;
use crate::serve::decode_definition;
use crate::serve::lent::{Desk, Lent};
use crate::serve::llb::decode_at;

/// What BuildKit's own frontend asks for first: the directory with the Dockerfile.
const RECORDED: &str = "GsUBChJsb2NhbDovL2RvY2tlcmZpbGUSFAoMbG9jYWwuZGlmZmVyEgRub25lEkoKEWxvY2FsLmZvbGxvd3BhdGhzEjVbIkRvY2tlcmZpbGUi\
LCJEb2NrZXJmaWxlLmRvY2tlcmlnbm9yZSIsImRvY2tlcmZpbGUiXRIqCg1sb2NhbC5zZXNzaW9uEhl0cXdoOXZ2NmFxdnE5NzVhanY5dWczYmNoEiEKE2xvY2Fs\
LnNoYXJlZGtleWhpbnQSCmRvY2tlcmZpbGU=";

fn digest(bytes: &[u8]) -> String {
    oci::Digest::sha256(bytes).to_string()
}

fn input(bytes: &[u8], index: i64) -> pb::Input {
    pb::Input { digest: digest(bytes), index }
}

fn op(inputs: Vec<pb::Input>, op: Option<pb::op::Op>) -> Vec<u8> {
    pb::Op { inputs, op, ..pb::Op::default() }.encode_to_vec()
}

fn source(identifier: &str, attrs: &[(&str, &str)]) -> Vec<u8> {
    let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    op(vec![], Some(pb::op::Op::Source(pb::SourceOp { identifier: identifier.into(), attrs })))
}

fn definition(def: Vec<Vec<u8>>) -> pb::Definition {
    pb::Definition { def, ..pb::Definition::default() }
}

/// A definition whose result is the first output of its last operation.
fn ending(mut def: Vec<Vec<u8>>) -> pb::Definition {
    let end = op(vec![input(&def[def.len() - 1], 0)], None);
    def.push(end);
    definition(def)
}

#[test]
fn what_buildkit_writes_is_read() {
    let bytes = STANDARD.decode(RECORDED).unwrap();
    let mut given = ending(vec![bytes.clone()]);
    let description = [("llb.customname".to_owned(), "[internal] load".to_owned())].into();
    let caps = [("source.local.followpaths".to_owned(), true)].into();
    let metadata = pb::OpMetadata { description, caps, ignore_cache: true, ..pb::OpMetadata::default() };
    given.metadata.insert(digest(&bytes), metadata);
    let made = decode_definition(&given).unwrap();
    let vertex = made.graph.get(made.output.unwrap().vertex);
    let Op::Source(Source::Local(local)) = &vertex.op else { panic!("{:?}", vertex.op) };
    assert_eq!((local.name.as_str(), local.follow.len()), ("dockerfile", 3));
    assert_eq!((vertex.shown.name.as_str(), vertex.shown.ignore_cache), ("[internal] load", true));
}

#[test]
fn nothing_is_scratch() {
    assert!(decode_definition(&definition(vec![])).unwrap().output.is_none());
}

#[test]
fn a_long_chain_and_a_wide_one_are_read() {
    let mut chain = vec![source("local://context", &[])];
    for _ in 0..5000 {
        let last = input(&chain[chain.len() - 1], 0);
        let merge = pb::MergeOp { inputs: vec![pb::MergeInput { input: 0 }] };
        chain.push(op(vec![last], Some(pb::op::Op::Merge(merge))));
    }
    assert_eq!(decode_definition(&ending(chain)).unwrap().graph.len(), 5001);
    // Each needs all before it.
    let mut wide = vec![source("local://context", &[])];
    for _ in 0..100 {
        let all: Vec<pb::Input> = wide.iter().map(|bytes| input(bytes, 0)).collect();
        let inputs = (0..all.len()).map(|at| pb::MergeInput { input: at as i64 }).collect();
        wide.push(op(all, Some(pb::op::Op::Merge(pb::MergeOp { inputs }))));
    }
    assert_eq!(decode_definition(&ending(wide)).unwrap().graph.len(), 101);
}

#[test]
fn definitions_that_make_no_sense_are_refused_by_what_is_wrong() {
    let local = source("local://context", &[]);
    let merge = |input: i64| Some(pb::op::Op::Merge(pb::MergeOp { inputs: vec![pb::MergeInput { input }] }));
    let with_metadata = |cap: &str| {
        let mut given = ending(vec![local.clone()]);
        let metadata = pb::OpMetadata { caps: [(cap.to_owned(), true)].into(), ..Default::default() };
        given.metadata.insert(digest(&local), metadata);
        given
    };
    let exec = |exec: pb::ExecOp| {
        ending(vec![local.clone(), op(vec![input(&local, 0)], Some(pb::op::Op::Exec(exec)))])
    };
    let meta = || Some(pb::Meta { args: vec!["true".into()], ..Default::default() });
    let root = || pb::Mount { input: 0, dest: "/".into(), ..Default::default() };
    for (expected, given) in [
        ("missing input digest", definition(vec![op(vec![input(b"absent", 0)], None)])),
        ("cannot decode", definition(vec![vec![0xff; 9]])),
        ("one input", definition(vec![op(vec![], None)])),
        ("made by no step", definition(vec![local.clone(), op(vec![input(&local, 7)], None)])),
        ("no output -1", definition(vec![local.clone(), op(vec![input(&local, -1)], None)])),
        ("an input that can't be", ending(vec![local.clone(), op(vec![input(&local, 0)], merge(-5))])),
        ("names an input", ending(vec![local.clone(), op(vec![input(&local, 0)], merge(9))])),
        ("no meta", exec(pb::ExecOp::default())),
        ("one root", exec(pb::ExecOp { meta: meta(), ..Default::default() })),
        (
            "mode 7",
            exec(pb::ExecOp { meta: meta(), mounts: vec![root()], security: 7, ..Default::default() }),
        ),
        (
            "mode -3",
            exec(pb::ExecOp { meta: meta(), mounts: vec![root()], network: -3, ..Default::default() }),
        ),
        (
            "mount type",
            exec(pb::ExecOp {
                meta: meta(),
                mounts: vec![pb::Mount { mount_type: 99, ..root() }],
                ..Default::default()
            }),
        ),
        ("a build within a build", ending(vec![op(vec![], Some(pb::op::Op::Build(pb::BuildOp::default())))])),
        ("source containerd://", ending(vec![source("containerd://x", &[])])),
        ("oci.layerlimit", ending(vec![source("oci-layout://x@y", &[("oci.layerlimit", "1")])])),
        ("image.layerlimit", ending(vec![source("docker-image://busybox", &[("image.layerlimit", "1")])])),
        ("no list", ending(vec![source("local://context", &[("local.followpaths", "x")])])),
        ("invalid reference", ending(vec![source("context", &[])])),
        ("source.teleport", with_metadata("source.teleport")),
    ] {
        let error = decode_definition(&given).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error} has no {expected:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_graph_or_an_error(def in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4)) {
        let _ = decode_definition(&definition(def));
    }
}

#[test]
fn who_lent_a_step_is_known_through_a_chain_of_builds() {
    let lent: Arc<Lent> = Arc::default();
    let desk = |name: &str| Desk { lent: lent.clone(), session: name.into(), build: format!("of {name}") };
    let (above, third, last) = (desk("above"), desk("third"), desk("last"));
    let own = ending(vec![source("docker-image://docker.io/library/busybox:latest", &[])]);
    let made = decode_at(&own, &above).unwrap();
    let made = decode_at(&above.lend("a", made), &third).unwrap();
    let made = decode_at(&third.lend("t", made), &last).unwrap();
    let shown = &made.graph.get(made.output.unwrap().vertex).shown;
    assert_eq!((shown.lenders.join(" "), shown.origin.as_str()), ("above third".to_owned(), "of above"));
    // One's own steps were lent by nobody.
    let own = decode_at(&own, &last).unwrap();
    assert!(own.graph.get(own.output.unwrap().vertex).shown.lenders.is_empty());
}
