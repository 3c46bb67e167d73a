//! Whom a step asks for what it needs of a client.
//!
//! What one build lends to another is made with what the lender's client has, whichever of the builds comes to it first. So the
//! clients of those who lent a step are asked before the build's own, the one whose step it is first of all. One that has
//! left, or doesn't have what is wanted, leaves it to the next. Directories and layouts are no part of this: a source says
//! whose it is.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use build::graph::Local;
use build::session::{Credentials, Duplex, Receive, Secret, Session, Token, TokenRequest, Tree};
use build::{Error, Job};
use oci::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// The clients for a step that was lent by these sessions.
pub(super) fn of(own: &Arc<dyn Session>, lenders: &[String]) -> Arc<dyn Session> {
    let others = lenders.iter().filter(|id| *id != own.id());
    let lenders: Vec<_> = others.filter_map(|id| own.named(id)).collect();
    match lenders.is_empty() {
        true => own.clone(),
        false => Arc::new(Clients { lenders, own: own.clone() }),
    }
}

/// A build's client, with those whose steps it was lent.
struct Clients {
    lenders: Vec<Arc<dyn Session>>,
    own: Arc<dyn Session>,
}

impl Clients {
    /// The first answer that isn't nothing. A failure counts only where nobody has one.
    async fn first<'a, T>(
        &'a self,
        ask: impl Fn(&'a dyn Session) -> Job<'a, Option<T>>,
    ) -> Result<Option<T>, Error> {
        let mut failed = None;
        for client in self.lenders.iter().chain([&self.own]) {
            match ask(&**client).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn with_agent<'a>(&'a self, id: &'a str) -> Result<Option<&'a dyn Session>, Error> {
        self.first(|client| Box::pin(async move { Ok(client.has_ssh(id).await?.then_some(client)) })).await
    }
}

impl Session for Clients {
    fn id(&self) -> &str {
        self.own.id()
    }

    fn shared_key(&self) -> &str {
        self.own.shared_key()
    }

    fn named(&self, id: &str) -> Option<Arc<dyn Session>> {
        self.own.named(id)
    }

    fn send<'a>(&'a self, wanted: &'a Local, into: Box<dyn Receive>) -> Job<'a, ()> {
        self.own.send(wanted, into)
    }

    fn secret<'a>(&'a self, id: &'a str) -> Job<'a, Option<Secret>> {
        Box::pin(self.first(move |client| client.secret(id)))
    }

    fn has_ssh<'a>(&'a self, id: &'a str) -> Job<'a, bool> {
        Box::pin(async move { Ok(self.with_agent(id).await?.is_some()) })
    }

    fn ssh<'a>(&'a self, id: &'a str) -> Job<'a, Box<dyn Duplex>> {
        Box::pin(async move { self.with_agent(id).await?.unwrap_or(&*self.own).ssh(id).await })
    }

    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> Job<'a, Option<Token>> {
        Box::pin(self.first(move |client| client.token(wanted)))
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> Job<'a, Option<Credentials>> {
        Box::pin(self.first(move |client| client.credentials(registry)))
    }

    fn upload<'a>(&'a self, name: &'a str) -> Job<'a, Box<dyn AsyncRead + Send + Unpin>> {
        let asked = self.first(move |client| Box::pin(async move { client.upload(name).await.map(Some) }));
        Box::pin(async move { asked.await?.ok_or_else(|| Error::NotFound(format!("the upload {name:?}"))) })
    }

    fn blob<'a>(&'a self, store: &'a str, digest: &'a Digest, into: mpsc::Sender<Vec<u8>>) -> Job<'a, ()> {
        self.own.blob(store, digest, into)
    }

    fn give_blob<'a>(
        &'a self,
        store: &'a str,
        blob: (&'a Digest, u64),
        bytes: Box<dyn Read + Send>,
    ) -> Job<'a, ()> {
        self.own.give_blob(store, blob, bytes)
    }

    fn take_archive<'a>(
        &'a self,
        exporter: usize,
        metadata: BTreeMap<String, String>,
    ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>> {
        self.own.take_archive(exporter, metadata)
    }

    fn take_tree<'a>(&'a self, exporter: usize, tree: Box<dyn Tree>) -> Job<'a, ()> {
        self.own.take_tree(exporter, tree)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A client with some secrets, an agent or none, and credentials of its name; it knows others.
    #[derive(Clone, Default)]
    struct Client {
        name: &'static str,
        secrets: Vec<(&'static str, &'static str)>,
        agent: bool,
        gone: bool,
        others: HashMap<&'static str, Client>,
    }

    impl Client {
        fn answer<T: Send + 'static>(&self, answer: T) -> Job<'_, T> {
            let answer = if self.gone { Err(Error::NotFound(self.name.into())) } else { Ok(answer) };
            Box::pin(async { answer })
        }
    }

    impl Session for Client {
        fn id(&self) -> &str {
            self.name
        }

        fn shared_key(&self) -> &str {
            ""
        }

        fn named(&self, id: &str) -> Option<Arc<dyn Session>> {
            self.others.get(id).map(|client| Arc::new(client.clone()) as Arc<dyn Session>)
        }

        fn send<'a>(&'a self, _: &'a Local, _: Box<dyn Receive>) -> Job<'a, ()> {
            self.answer(())
        }

        fn secret<'a>(&'a self, id: &'a str) -> Job<'a, Option<Secret>> {
            let found = self.secrets.iter().find(|(name, _)| *name == id);
            self.answer(found.map(|(_, value)| Secret(value.as_bytes().to_vec())))
        }

        fn has_ssh<'a>(&'a self, _: &'a str) -> Job<'a, bool> {
            self.answer(self.agent)
        }

        fn ssh<'a>(&'a self, _: &'a str) -> Job<'a, Box<dyn Duplex>> {
            Box::pin(async { Err(Error::NotFound(format!("agent of {}", self.name))) })
        }

        fn credentials<'a>(&'a self, _: &'a str) -> Job<'a, Option<Credentials>> {
            self.answer(Some(Credentials { username: self.name.into(), secret: String::new() }))
        }

        fn take_archive<'a>(
            &'a self,
            _: usize,
            _: BTreeMap<String, String>,
        ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>> {
            Box::pin(async { Err(Error::NotFound(self.name.into())) })
        }

        fn take_tree<'a>(&'a self, _: usize, _: Box<dyn Tree>) -> Job<'a, ()> {
            self.answer(())
        }
    }

    fn lent(others: Vec<Client>, own: Client, lenders: &[&str]) -> Arc<dyn Session> {
        let others = others.into_iter().map(|client| (client.name, client)).collect();
        let own: Arc<dyn Session> = Arc::new(Client { others, ..own });
        of(&own, &lenders.iter().map(|&id| id.to_owned()).collect::<Vec<_>>())
    }

    fn client(name: &'static str, secrets: &[(&'static str, &'static str)], agent: bool) -> Client {
        Client { name, secrets: secrets.to_vec(), agent, ..Client::default() }
    }

    async fn secret(session: &dyn Session, id: &str) -> Option<String> {
        session.secret(id).await.unwrap().map(|secret| String::from_utf8(secret.0).unwrap())
    }

    #[tokio::test]
    async fn a_lent_step_has_what_its_lenders_have() {
        let above = client("above", &[("s", "above's")], true);
        let third = client("third", &[("s", "third's"), ("t", "third's")], false);
        let own = client("own", &[("s", "own"), ("u", "own")], false);
        let all = lent(vec![above.clone(), third.clone()], own.clone(), &["above", "third"]);
        assert_eq!(all.id(), "own");
        for (id, whose) in [("s", Some("above's")), ("t", Some("third's")), ("u", Some("own")), ("v", None)] {
            assert_eq!(secret(&*all, id).await.as_deref(), whose, "{id}");
        }
        assert!(all.has_ssh("default").await.unwrap());
        assert!(all.ssh("default").await.err().unwrap().to_string().contains("agent of above"));
        assert_eq!(all.credentials("r").await.unwrap().unwrap().username, "above");
        // A step of its own has its own alone.
        let alone = lent(vec![above, third], own, &[]);
        assert_eq!(secret(&*alone, "s").await.as_deref(), Some("own"));
        assert!(!alone.has_ssh("default").await.unwrap());
    }

    #[tokio::test]
    async fn who_has_left_leaves_it_to_the_next() {
        let gone = Client { gone: true, ..client("gone", &[("s", "lost")], true) };
        let own = client("own", &[("s", "own")], true);
        let all = lent(vec![gone], own, &["nobody", "gone"]);
        assert_eq!(secret(&*all, "s").await.as_deref(), Some("own"));
        assert!(all.has_ssh("default").await.unwrap());
        // But it isn't said that nobody has it where one couldn't be asked.
        assert!(all.secret("t").await.is_err());
    }
}
