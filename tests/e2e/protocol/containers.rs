//! Containers of frontends: `NewContainer`, `ExecProcess` with its streams, and looking at their files.

use buildkit::attach::{Offer, SecretSource};
use buildkit::proto::gateway::{
    ExecMessage, FdMessage, InitMessage, NewContainerRequest, NewContainerResponse, ReadDirRequest,
    ReadDirResponse, ReadFileRequest, ReadFileResponse, ReleaseContainerRequest, ReleaseContainerResponse,
    ResizeMessage, SignalMessage, StatFileRequest, StatFileResponse, exec_message::Input,
};
use buildkit::proto::pb;
use grpc::{Status, Stream};

use super::{Build, Definition, engine};

/// One call of `ExecProcess`.
struct Programs(Stream);

/// What a program said, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ended {
    out: String,
    error: String,
    code: u32,
}

fn init(container: &str, command: &str, fds: &[u32]) -> InitMessage {
    let args = ["sh", "-c", command].map(str::to_owned).to_vec();
    let env = vec!["PATH=/bin:/sbin:/usr/bin".to_owned()];
    let meta = Some(pb::Meta { args, env, cwd: "/".into(), ..pb::Meta::default() });
    InitMessage { container_id: container.into(), meta, fds: fds.to_vec(), ..InitMessage::default() }
}

impl Programs {
    fn open(build: &Build) -> Self {
        let path = "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess";
        Self(build.channel.stream(path, &build.about).expect("the engine answers"))
    }

    async fn say(&self, id: &str, input: Input) {
        self.0
            .sender
            .send(&ExecMessage { process_id: id.into(), input: Some(input) })
            .await
            .expect("the engine answers");
    }

    async fn feed(&self, id: &str, data: &str, eof: bool) {
        self.say(id, Input::File(FdMessage { fd: 0, eof, data: data.as_bytes().to_vec() })).await;
    }

    async fn hear(&mut self) -> Result<Option<(String, Input)>, Status> {
        let message = self.0.receiver.next::<ExecMessage>().await?;
        Ok(message.map(|message| (message.process_id, message.input.expect("the engine answers"))))
    }

    async fn start(&mut self, id: &str, init: InitMessage) {
        self.say(id, Input::Init(init)).await;
        let (heard, input) = self.hear().await.expect("the engine answers").expect("the engine answers");
        assert!(heard == id && matches!(input, Input::Started(_)), "{heard} {input:?}");
    }

    /// Until one program has said its last word.
    async fn until_done(&mut self, id: &str) -> Ended {
        let mut ended = Ended::default();
        while let Some((heard, input)) = self.hear().await.expect("the engine answers") {
            assert_eq!(heard, id);
            match input {
                Input::File(FdMessage { fd: 1, data, .. }) => ended.out += &String::from_utf8_lossy(&data),
                Input::File(FdMessage { data, .. }) => ended.error += &String::from_utf8_lossy(&data),
                Input::Exit(exit) => ended.code = exit.code,
                Input::Done(_) => return ended,
                other => panic!("{other:?}"),
            }
        }
        panic!("{id} has no end: {ended:?}")
    }
}

/// A container over what a command made of the busybox.
async fn container(build: &Build, base: &str, id: &str, change: impl FnOnce(&mut NewContainerRequest)) {
    let mut definition = Definition::default();
    let root = definition.image(base);
    let made = definition.run(&root, "echo word > /word");
    let result_id = build.solve(definition.end(&made)).await.expect("the engine answers");
    let root = pb::Mount { input: -1, output: -1, dest: "/".into(), result_id, ..pb::Mount::default() };
    let mut request =
        NewContainerRequest { container_id: id.into(), mounts: vec![root], ..NewContainerRequest::default() };
    change(&mut request);
    let _: NewContainerResponse = build.ask("NewContainer", &request).await.expect("the engine answers");
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge NewContainer
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ExecProcess
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ReleaseContainer
// covers: buildkit gateway-cap FrontendAPICaps gateway.exec
// covers: buildkit gateway-cap FrontendAPICaps gateway.exec.extrahosts
// covers: buildkit gateway-cap FrontendAPICaps gateway.exec.secretenv
// covers: buildkit gateway-cap FrontendAPICaps gateway.exec.signals
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_talked_to() {
    let engine = engine();
    let base = engine.busybox();
    let secrets = [("word".to_owned(), SecretSource::Variable("PATH".into()))].into();
    let build = Build::offering(&engine, Offer { secrets, ..Offer::default() }).await;
    container(&build, &base, "c", |request| {
        request.hostname = "there".into();
        request.extra_hosts = vec![pb::HostIp { host: "named".into(), ip: "192.0.2.7".into() }];
    })
    .await;
    let mut programs = Programs::open(&build);
    // The first is process 1, and lives as long as it is spoken to.
    programs.start("first", init("c", "echo $$; cat; echo bye >&2; exit 3", &[0, 1, 2])).await;
    let (_, input) = programs.hear().await.unwrap().unwrap();
    assert!(matches!(&input, Input::File(file) if file.data == b"1\n"), "{input:?}");
    // Another one joins it, and shares all that is there.
    let mut second = Programs::open(&build);
    let command = "cat /word; hostname; grep named /etc/hosts; echo $WORD | wc -c; touch /by-second; test -d /proc/1 && cat /proc/1/comm";
    let mut asked = init("c", command, &[1, 2]);
    asked.secretenv = vec![pb::SecretEnv { id: "word".into(), name: "WORD".into(), optional: false }];
    second.start("second", asked).await;
    let length = std::env::var("PATH").unwrap().len() + 1;
    let expected = format!("word\nthere\n192.0.2.7\tnamed\n{length}\nsh\n");
    assert_eq!(second.until_done("second").await, Ended { out: expected, ..Ended::default() });
    programs.feed("first", "fed\n", false).await;
    programs.feed("first", "", true).await;
    let ended = programs.until_done("first").await;
    assert_eq!(ended, Ended { out: "fed\n".into(), error: "bye\n".into(), code: 3 });
    // With process 1 the container has ended.
    let mut late = Programs::open(&build);
    late.say("late", Input::Init(init("c", "true", &[]))).await;
    assert!(late.hear().await.is_err());
    let release = ReleaseContainerRequest { container_id: "c".into() };
    let _: ReleaseContainerResponse = build.ask("ReleaseContainer", &release).await.unwrap();
    assert!(build.ask::<ReleaseContainerResponse>("ReleaseContainer", &release).await.is_err());
    // What was written there has gone with it.
    container(&build, &base, "c", |_| {}).await;
    let mut programs = Programs::open(&build);
    programs.start("p", init("c", "ls / | grep -c by-second; trap 'echo told; exit 9' USR1; echo ready; while true; do sleep 0.1; done", &[1])).await;
    let mut heard = String::new();
    while !heard.contains("ready") {
        let (_, input) = programs.hear().await.unwrap().unwrap();
        let Input::File(file) = input else { panic!("{input:?}") };
        heard += &String::from_utf8_lossy(&file.data);
    }
    assert!(heard.starts_with("0\n"), "{heard}");
    programs.say("p", Input::Signal(SignalMessage { name: "SIGUSR1".into() })).await;
    let ended = programs.until_done("p").await;
    assert_eq!((ended.out.as_str(), ended.code), ("told\n", 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_size() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    container(&build, &base, "c", |_| {}).await;
    let mut programs = Programs::open(&build);
    let command =
        "while test \"$(stty size)\" != '33 77'; do sleep 0.05; done; tty; read line; echo got $line";
    programs.start("p", InitMessage { tty: true, ..init("c", command, &[0, 1, 2]) }).await;
    programs.say("p", Input::Resize(ResizeMessage { rows: 33, cols: 77 })).await;
    programs.feed("p", "typed\n", false).await;
    let ended = programs.until_done("p").await;
    assert!(ended.out.contains("/dev/") && ended.out.contains("got typed"), "{ended:?}");
    assert_eq!((ended.error.as_str(), ended.code), ("", 0));
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ReadFileContainer
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ReadDirContainer
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge StatFileContainer
// covers: buildkit gateway-cap FrontendAPICaps gateway.exec.filesystem
#[tokio::test(flavor = "multi_thread")]
async fn a_containers_files_are_looked_at() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    container(&build, &base, "c", |_| {}).await;
    let read = async |path: &str, mount_index: i32| {
        let file_path = path.to_owned();
        let question = ReadFileRequest { r#ref: "c".into(), file_path, mount_index, ..Default::default() };
        build.ask::<ReadFileResponse>("ReadFileContainer", &question).await
    };
    assert_eq!(read("/word", 0).await.unwrap().data, b"word\n");
    let mut programs = Programs::open(&build);
    programs
        .start(
            "p",
            init(
                "c",
                "mkdir /new; echo x > /new/file; ln -s /etc/passwd /new/link; echo ready; cat",
                &[0, 1],
            ),
        )
        .await;
    let (_, input) = programs.hear().await.unwrap().unwrap();
    assert!(matches!(&input, Input::File(file) if file.data == b"ready\n"), "{input:?}");
    assert_eq!(read("/new/file", 0).await.unwrap().data, b"x\n");
    let question = ReadDirRequest { r#ref: "c".into(), dir_path: "/new".into(), ..Default::default() };
    let listed: ReadDirResponse = build.ask("ReadDirContainer", &question).await.unwrap();
    let names: Vec<_> = listed.entries.into_iter().map(|entry| entry.path).collect();
    assert_eq!(names, ["file", "link"]);
    let question = StatFileRequest { r#ref: "c".into(), path: "/new/file".into(), ..Default::default() };
    let told: StatFileResponse = build.ask("StatFileContainer", &question).await.unwrap();
    assert_eq!(told.stat.unwrap().size, 2);
    for (path, mount) in [("/none", 0), ("/word", 1), ("/word", -1)] {
        assert!(read(path, mount).await.is_err(), "{path} {mount}");
    }
    programs.feed("p", "", true).await;
    assert_eq!(programs.until_done("p").await.code, 0);
}

/// Everything that a frontend's container can be asked for is checked where a step's is (CVE-2024-23653).
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_allowed_is_refused_there_too() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    container(&build, &base, "c", |_| {}).await;
    for (security, expected) in [
        (pb::SecurityMode::Insecure.into(), "security.insecure is not allowed"),
        (7, "security mode 7 is not supported"),
    ] {
        let mut programs = Programs::open(&build);
        programs.say("p", Input::Init(InitMessage { security, ..init("c", "true", &[1]) })).await;
        assert_eq!(programs.hear().await.unwrap_err().message, expected);
    }
    for (network, expected) in
        [(pb::NetMode::Host.into(), "network.host is not allowed"), (9, "network mode 9 is not supported")]
    {
        let mount = pb::Mount { input: -1, output: -1, dest: "/".into(), ..pb::Mount::default() };
        let request = NewContainerRequest {
            container_id: format!("n{network}"),
            mounts: vec![mount],
            network,
            ..NewContainerRequest::default()
        };
        let refused = build.ask::<NewContainerResponse>("NewContainer", &request).await.unwrap_err();
        assert_eq!(refused.message, expected);
    }
    // Names are names, and no paths.
    for (id, result, expected) in [
        ("", "", "a container without a name"),
        (&"x".repeat(4096), "", "a container without a name"),
        ("c", "", "container \"c\" exists"),
        ("../../x", "none", "no such ref: none"),
    ] {
        let mount =
            pb::Mount { input: -1, dest: "/".into(), result_id: result.into(), ..pb::Mount::default() };
        let request = NewContainerRequest {
            container_id: id.into(),
            mounts: vec![mount],
            ..NewContainerRequest::default()
        };
        let refused = build.ask::<NewContainerResponse>("NewContainer", &request).await.unwrap_err();
        assert_eq!(refused.message, expected);
    }
    let mut programs = Programs::open(&build);
    programs.say("p", Input::Init(init("none", "true", &[]))).await;
    assert_eq!(programs.hear().await.unwrap_err().message, "container details for none not found");
    let mut programs = Programs::open(&build);
    programs.feed("nobody", "x", false).await;
    assert!(programs.hear().await.unwrap_err().message.contains("nobody"));
    // A client that leaves ends its programs.
    let mut programs = Programs::open(&build);
    programs.start("p", init("c", "sleep 7654321", &[1])).await;
    let runs = || {
        let list = testkit::command::run(std::process::Command::new("ps").args(["-eo", "args"])).ok();
        list.lines().filter(|line| line.trim() == "sleep 7654321").count()
    };
    assert!(runs() > 0);
    drop(programs);
    drop(build);
    testkit::eventually(testkit::DEADLINE, || (runs() == 0).then_some(()).ok_or("a program runs on"));
}
