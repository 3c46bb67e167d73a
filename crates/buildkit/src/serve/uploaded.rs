//! A client whose context came with its request, and whose session has all else: docker's `POST /build?version=2` with a tar.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use build::Job;
use build::graph::Local;
use build::session::{Credentials, Duplex, Receive, Secret, Session, Token, TokenRequest, Tree};
use oci::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::caller::Caller;

pub(super) struct Uploaded {
    pub(super) client: Arc<Caller>,
    pub(super) context: Arc<dyn Session>,
}

impl Session for Uploaded {
    fn id(&self) -> &str {
        self.client.id()
    }

    /// Nothing tells one such context from another.
    fn shared_key(&self) -> &str {
        ""
    }

    fn named(&self, id: &str) -> Option<Arc<dyn Session>> {
        self.client.named(id)
    }

    fn send<'a>(&'a self, wanted: &'a Local, into: Box<dyn Receive>) -> Job<'a, ()> {
        self.context.send(wanted, into)
    }

    fn secret<'a>(&'a self, id: &'a str) -> Job<'a, Option<Secret>> {
        self.client.secret(id)
    }

    fn has_ssh<'a>(&'a self, id: &'a str) -> Job<'a, bool> {
        self.client.has_ssh(id)
    }

    fn ssh<'a>(&'a self, id: &'a str) -> Job<'a, Box<dyn Duplex>> {
        self.client.ssh(id)
    }

    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> Job<'a, Option<Token>> {
        self.client.token(wanted)
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> Job<'a, Option<Credentials>> {
        self.client.credentials(registry)
    }

    fn upload<'a>(&'a self, name: &'a str) -> Job<'a, Box<dyn AsyncRead + Send + Unpin>> {
        self.client.upload(name)
    }

    fn blob<'a>(&'a self, store: &'a str, digest: &'a Digest, to: mpsc::Sender<Vec<u8>>) -> Job<'a, ()> {
        self.client.blob(store, digest, to)
    }

    fn give_blob<'a>(
        &'a self,
        store: &'a str,
        blob: (&'a Digest, u64),
        from: Box<dyn Read + Send>,
    ) -> Job<'a, ()> {
        self.client.give_blob(store, blob, from)
    }

    fn take_archive<'a>(
        &'a self,
        exporter: usize,
        metadata: BTreeMap<String, String>,
    ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>> {
        self.client.take_archive(exporter, metadata)
    }

    fn take_tree<'a>(&'a self, exporter: usize, tree: Box<dyn Tree>) -> Job<'a, ()> {
        self.client.take_tree(exporter, tree)
    }
}
