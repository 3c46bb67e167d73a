//! Both ends of a session against each other, over a pipe; and the engine's end against clients that lie.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::attach::{Fetching, Keyring, Offer, Place, SecretSource, Session};
use crate::proto::auth;
use crate::serve::Caller;
use build::Error;
use build::graph::Local;
use build::session::{Entry, Kind, Receive, Session as _, TokenRequest, Tree, Want};
use fsutil::packet::{Packet, Stat, go_mode};
use grpc::{Call, Channel, Metadata, Service, Status};
use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) type Files = Arc<Mutex<BTreeMap<String, (Kind, Vec<u8>)>>>;

/// Keeps what arrives.
#[derive(Default)]
pub(super) struct Kept {
    files: Files,
    names: BTreeMap<u32, String>,
    ended: Arc<Mutex<bool>>,
}

impl Kept {
    pub(super) fn files(&self) -> Files {
        self.files.clone()
    }
}

impl Receive for Kept {
    fn entry(&mut self, number: u32, entry: Entry) -> Result<Want, Error> {
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let want = if matches!(entry.kind, Kind::File { .. }) { Want::Content } else { Want::Nothing };
        self.files.lock().unwrap().insert(name.clone(), (entry.kind, Vec::new()));
        self.names.insert(number, name);
        Ok(want)
    }

    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        let name = &self.names[&number];
        self.files.lock().unwrap().get_mut(name).unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn file_end(&mut self, _: u32) -> Result<(), Error> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        *self.ended.lock().unwrap() = true;
        Ok(())
    }
}

pub(super) fn headers(session: &Session) -> HeaderMap {
    let pair = |(name, value): (&str, String)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in session.headers().into_iter().map(pair) {
        map.append(name, value);
    }
    map
}

async fn joined(offer: Offer) -> Caller {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let session = Session::new("key".into(), offer).unwrap();
    let headers = headers(&session);
    tokio::spawn(session.serve(theirs));
    Caller::over(&headers, ours, &Arc::default()).await.unwrap()
}

fn local(name: &str) -> Local {
    Local { name: name.into(), ..Local::default() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn names(caller: &Caller, wanted: &Local) -> Vec<String> {
    let files = Files::default();
    let kept = Kept { files: files.clone(), ..Kept::default() };
    caller.send(wanted, Box::new(kept)).await.unwrap();
    let files = files.lock().unwrap();
    files.keys().cloned().collect()
}

pub(super) fn tree(top: &Path) {
    std::fs::create_dir_all(top.join("a/b")).unwrap();
    std::fs::write(top.join("a/b/large"), vec![7; 300_000]).unwrap();
    std::fs::write(top.join("a/empty"), "").unwrap();
    std::fs::write(top.join("a-z"), "x").unwrap();
    std::fs::hard_link(top.join("a-z"), top.join("other")).unwrap();
    symlink("a/b", top.join("link")).unwrap();
}

// covers: buildkit rpc moby.filesync.v1.FileSync DiffCopy
#[tokio::test]
async fn a_directory_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let directories = [("context".to_owned(), folder.path().to_owned())].into();
    let caller = joined(Offer { directories, ..Offer::default() }).await;
    let kept = Kept::default();
    let (files, ended) = (kept.files.clone(), kept.ended.clone());
    caller.send(&local("context"), Box::new(kept)).await.unwrap();
    assert!(*ended.lock().unwrap());
    let files = files.lock().unwrap();
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        ["a", "a-z", "a/b", "a/b/large", "a/empty", "link", "other"]
    );
    assert_eq!(files["a/b/large"].1, vec![7; 300_000]);
    assert_eq!(files["other"].0, Kind::Hardlink { to: b"a-z".to_vec() });
    assert_eq!(files["link"].0, Kind::Symlink { to: b"a/b".to_vec() });
}

#[tokio::test]
async fn patterns_are_applied_by_the_client() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let directories = [("context".to_owned(), folder.path().to_owned())].into();
    let caller = joined(Offer { directories, ..Offer::default() }).await;
    let excluding = |patterns: &[&str]| Local { exclude: words(patterns), ..local("context") };
    assert_eq!(names(&caller, &excluding(&["a"])).await, ["a-z", "link", "other"]);
    assert_eq!(names(&caller, &excluding(&["*", "!a/b/large"])).await, ["a", "a/b", "a/b/large"]);
    let following = Local { follow: words(&["link/large"]), ..local("context") };
    assert_eq!(names(&caller, &following).await, ["a", "a/b", "a/b/large", "link"]);
    let including = Local { include: words(&["größe", "a-?"]), ..local("context") };
    assert_eq!(names(&caller, &including).await, ["a-z"]);
    let absent = caller.send(&local("secrets"), Box::new(Kept::default())).await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "{absent:?}");
}

// covers: buildkit rpc moby.buildkit.secrets.v1.Secrets GetSecret
#[tokio::test]
async fn secrets_are_given_by_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    std::fs::write(&path, "hidden").unwrap();
    let secrets = [("s".to_owned(), SecretSource::File(path.clone()))].into();
    let caller = joined(Offer { secrets, ..Offer::default() }).await;
    assert_eq!(caller.secret("s").await.unwrap().unwrap().0, b"hidden");
    assert_eq!(caller.secret("other").await.unwrap(), None);
    std::fs::write(&path, vec![0; 600_000]).unwrap();
    assert!(caller.secret("s").await.is_err());
    // A client that offers no secrets has none.
    assert_eq!(joined(Offer::default()).await.secret("s").await.unwrap(), None);
}

// covers: buildkit rpc moby.sshforward.v1.SSH CheckAgent
// covers: buildkit rpc moby.sshforward.v1.SSH ForwardAgent
#[tokio::test]
async fn an_agent_is_talked_to_through_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        word.reverse();
        stream.write_all(&word).await.unwrap();
    });
    let agents = [("default".to_owned(), socket)].into();
    let caller = joined(Offer { agents, ..Offer::default() }).await;
    assert!(caller.has_ssh("").await.unwrap());
    assert!(!caller.has_ssh("other").await.unwrap());
    let mut agent = caller.ssh("default").await.unwrap();
    agent.write_all(b"ping").await.unwrap();
    let mut answer = Vec::new();
    agent.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"gnip");
}

/// Three entries, one of them large.
struct Exported(Vec<Entry>);

impl Tree for Exported {
    fn next(&mut self) -> Option<Result<Entry, Error>> {
        self.0.pop().map(Ok)
    }

    fn open(&self, _: &[u8]) -> Result<Box<dyn std::io::Read + Send>, Error> {
        Ok(Box::new(std::io::repeat(9)))
    }
}

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    let mtime = 1_000_000_000_000_000_000;
    Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
}

// covers: buildkit rpc moby.filesync.v1.FileSend DiffCopy
#[tokio::test]
async fn results_go_where_the_client_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, directory) = (folder.path().join("out.tar"), folder.path().join("out"));
    let places = [(0, Place::File(archive.clone())), (2, Place::Directory(directory.clone()))].into();
    let caller = joined(Offer { places, ..Offer::default() }).await;
    let mut writer = caller.take_archive(0, BTreeMap::new()).await.unwrap();
    writer.write_all(&vec![1; 500_000]).await.unwrap();
    writer.shutdown().await.unwrap();
    assert_eq!(std::fs::read(&archive).unwrap(), vec![1; 500_000]);

    let exported = vec![
        entry("d/f", Kind::File { size: 100_000 }, 0o640),
        entry("d", Kind::Directory, 0o700),
        entry("a", Kind::Symlink { to: b"d".to_vec() }, 0o777),
    ];
    caller.take_tree(2, Box::new(Exported(exported))).await.unwrap();
    let file = directory.join("d/f");
    assert_eq!(std::fs::read(&file).unwrap(), vec![9; 100_000]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_link(directory.join("a")).unwrap(), Path::new("d"));
    let modified = std::fs::metadata(directory.join("d")).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_000_000_000);
    // There is no third place.
    let mut nowhere = caller.take_archive(1, BTreeMap::new()).await.unwrap();
    let _ = nowhere.write_all(b"x").await;
    assert!(nowhere.shutdown().await.is_err());
}

/// A client that sends these packets, whatever it is asked.
struct Liar(Vec<Packet>);

impl Service for Liar {
    async fn call(&self, mut call: Call) -> Result<(), Status> {
        for packet in &self.0 {
            call.sender.send(packet).await?;
        }
        while call.receiver.next::<Packet>().await?.is_some() {}
        Ok(())
    }
}

fn file(path: &str, size: i64) -> Packet {
    Packet::stat(Some(Stat { path: path.into(), mode: go_mode(0o100_644), size, ..Stat::default() }))
}

fn told(path: &str, mode: u32, linkname: &str) -> Packet {
    let stat = Stat { path: path.into(), mode, linkname: linkname.into(), ..Stat::default() };
    Packet::stat(Some(stat))
}

/// What a client that sends this makes of a directory.
async fn receive(packets: Vec<Packet>, into: Kept) -> Result<(), Error> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(grpc::serve(theirs, Arc::new(Liar(packets))));
    let mut headers = HeaderMap::new();
    headers.insert("x-docker-expose-session-uuid", "liar".parse().unwrap());
    let method = "/moby.filesync.v1.FileSync/DiffCopy".parse().unwrap();
    headers.insert("x-docker-expose-session-grpc-method", method);
    let caller = Caller::over(&headers, ours, &Arc::default()).await.unwrap();
    caller.send(&local("context"), Box::new(into)).await
}

#[tokio::test]
async fn a_file_that_changes_is_what_comes_of_it() {
    let data = |id, bytes: &'static [u8]| Packet::data(id, bytes.into());
    let grown = [data(0, b"1234"), data(0, b"")];
    let shrunk = [data(1, b"12"), data(1, b"")];
    let told = [file("x", 3), file("y", 3), Packet::stat(None)];
    let kept = Kept::default();
    let files = kept.files();
    let packets = [&told[..], &grown, &shrunk, &[Packet::fin()]].concat();
    receive(packets, kept).await.unwrap();
    let files = files.lock().unwrap();
    assert_eq!((&files["x"].1[..], &files["y"].1[..]), (&b"1234"[..], &b"12"[..]));
}

#[tokio::test]
async fn clients_that_lie_are_refused() {
    let data = |id, bytes: &'static [u8]| Packet::data(id, bytes.into());
    let lies: Vec<(&str, Vec<Packet>)> = vec![
        ("leads outside", vec![file("../x", 0)]),
        ("absolute", vec![file("/etc/passwd", 0)]),
        ("no parent", vec![file("d/x", 0)]),
        ("twice", vec![file("x", 0), file("x", 0)]),
        ("through a link", vec![told("l", go_mode(0o120_777), "/etc"), file("l/passwd", 0)]),
        ("negative", vec![file("x", -1)]),
        ("not asked for", vec![file("x", 1), data(1, b"1")]),
        ("after the end", vec![Packet::stat(None), file("x", 0)]),
        ("ends early", vec![file("x", 1), Packet::fin()]),
        ("a link to nothing", vec![told("x", go_mode(0o100_644), "y")]),
        ("a link without a target", vec![told("x", go_mode(0o120_777), "")]),
        ("no kind of file", vec![told("x", 1 << 31 | 1 << 27, "")]),
        ("asks for a file", vec![Packet::request(0)]),
        ("says so itself", vec![Packet::error("no")]),
        ("another kind", vec![Packet { kind: 99, ..Packet::default() }]),
    ];
    for (name, packets) in lies {
        let kept = Kept::default();
        let ended = kept.ended.clone();
        let received = receive(packets, kept).await;
        assert!(received.is_err(), "{name}");
        assert!(!*ended.lock().unwrap(), "{name}");
    }
}

/// Somebody with a password, or nobody.
struct Keys {
    password: &'static str,
    fetches: bool,
}

impl Keyring for Keys {
    fn find(&self, _: &str) -> Result<(String, String), String> {
        Ok(("me".into(), self.password.into()))
    }

    fn fetches_tokens(&self) -> bool {
        self.fetches
    }

    fn token(&self, wanted: auth::FetchTokenRequest) -> Fetching<'_> {
        let told = [&wanted.host, &wanted.realm, &wanted.service].map(String::as_str).join(" ");
        let answer = match wanted.service.as_str() {
            "closed" => Err("wrong password".to_owned()),
            _ => Ok(auth::FetchTokenResponse {
                token: format!("{told} {}", wanted.scopes.join("+")),
                expires_in: 300,
                issued_at: 0,
            }),
        };
        Box::pin(async { answer })
    }
}

fn keys(password: &'static str, fetches: bool) -> Offer {
    Offer { keyring: Some(Arc::new(Keys { password, fetches })), ..Offer::default() }
}

// covers: buildkit rpc moby.filesync.v1.Auth FetchToken
#[tokio::test]
async fn a_token_is_fetched_where_the_password_is() {
    let wanted = |service: &str| TokenRequest {
        host: "docker.io".into(),
        realm: "https://a.example/token".into(),
        service: service.into(),
        scopes: words(&["repository:a:pull", "repository:b:pull"]),
    };
    let caller = joined(keys("secret", true)).await;
    let token = caller.token(&wanted("hub")).await.unwrap().unwrap();
    let expected = "registry-1.docker.io https://a.example/token hub repository:a:pull+repository:b:pull";
    assert_eq!((token.text.as_str(), token.seconds), (expected, Some(300)));
    assert!(!format!("{token:?}").contains("hub"));
    let why = diag::chain(&caller.token(&wanted("closed")).await.unwrap_err());
    assert!(why.contains("wrong password"), "{why}");
    // Who fetches none is asked for the password, and who has no keys for neither.
    let caller = joined(keys("secret", false)).await;
    assert_eq!(caller.token(&wanted("hub")).await.unwrap(), None);
    assert_eq!(caller.credentials("a.example").await.unwrap().unwrap().secret, "secret");
    let caller = joined(Offer::default()).await;
    assert_eq!(caller.token(&wanted("hub")).await.unwrap(), None);
    assert!(caller.credentials("a.example").await.unwrap().is_none());
}

/// An engine of BuildKit's gives what one session's token is good for to another that proves to have the same key.
// covers: buildkit rpc moby.filesync.v1.Auth GetTokenAuthority
// covers: buildkit rpc moby.filesync.v1.Auth VerifyTokenAuthority
#[tokio::test]
async fn a_client_proves_that_it_is_the_same() {
    async fn channel(offer: Offer) -> Channel {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(Session::new("key".into(), offer).unwrap().serve(theirs));
        Channel::over(ours).await.unwrap()
    }
    async fn key(channel: &Channel, host: &str, salt: &str) -> Result<Vec<u8>, Status> {
        let (host, salt) = (host.to_owned(), salt.into());
        let question = auth::GetTokenAuthorityRequest { host, salt };
        let path = "/moby.filesync.v1.Auth/GetTokenAuthority";
        let answer: auth::GetTokenAuthorityResponse =
            channel.unary(path, &Metadata::default(), &question).await?;
        Ok(answer.public_key)
    }
    let somebody = channel(keys("secret", true)).await;
    let public = key(&somebody, "a", "salt").await.unwrap();
    assert_eq!(public, key(&channel(keys("secret", true)).await, "a", "salt").await.unwrap());
    let nobody = key(&channel(keys("", true)).await, "a", "salt").await.unwrap();
    for other in
        [&key(&somebody, "a", "pepper").await.unwrap(), &key(&somebody, "b", "salt").await.unwrap(), &nobody]
    {
        assert_ne!(other, &public);
    }
    let question = auth::VerifyTokenAuthorityRequest {
        host: "a".into(),
        payload: b"payload".to_vec(),
        salt: b"salt".to_vec(),
    };
    let path = "/moby.filesync.v1.Auth/VerifyTokenAuthority";
    let answer: auth::VerifyTokenAuthorityResponse =
        somebody.unary(path, &Metadata::default(), &question).await.unwrap();
    let (signature, payload) = answer.signed.split_at(64);
    assert_eq!(payload, b"payload");
    let verifier = |public| ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
    verifier(&public).verify(payload, signature).unwrap();
    assert!(verifier(&nobody).verify(payload, signature).is_err());
    let refused = key(&channel(keys("secret", false)).await, "a", "salt").await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (grpc::Code::Unavailable, "client side tokens disabled")
    );
}
