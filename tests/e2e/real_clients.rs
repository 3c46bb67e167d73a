//! Libraries by which other people's tests and tools reach Docker, unmodified: dockerode, docker-py, bollard, testcontainers for
//! Node, Python and Rust; and docker's own command line.
//!
//! Each lives a database's day, as a test of an application does: it is started, waited for, given statements through a published
//! port, looked into in a terminal, fed with files and asked for files, stopped while its log is followed, and taken away. Then an
//! image is built twice, and the second build finds what the first one left in a cache mount, also where Docker's own builder for
//! such a client has none.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;

use testkit::command::run;
use testkit::{DEADLINE, Engine, Terminal, eventually};

const DOCKERODE: &str = r#"
const assert = require('assert');
const net = require('net');
const Docker = require('dockerode');
const { PassThrough } = require('stream');
const tar = require('tar-stream');
const [, tag, name] = process.argv;
const text = stream => new Promise((resolve, reject) => {
    let all = '';
    stream.on('data', piece => all += piece).on('end', () => resolve(all)).on('error', reject);
});
const pack = files => {
    const archive = tar.pack();
    for (const [path, content] of Object.entries(files)) archive.entry({ name: path }, content);
    archive.finalize();
    return archive;
};
const statement = (port, words) => new Promise((resolve, reject) => {
    const server = net.connect(port, '127.0.0.1', () => server.end(words + '\r\n'));
    text(server).then(resolve, reject);
});
(async () => {
    const docker = new Docker();
    assert.equal((await docker.ping()).toString(), 'OK');
    assert.equal((await docker.version()).Os, 'linux');

    const container = await docker.createContainer({
        Image: tag, name, ExposedPorts: { '6379/tcp': {} }, Labels: { from: 'dockerode' },
        HostConfig: { PortBindings: { '6379/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] } },
        Healthcheck: { Test: ['CMD', 'redis-cli', 'PING'], Interval: 1e8 },
    });
    await container.start();
    // Health, as events tell it: what came before is asked for, too.
    const events = await docker.getEvents({ since: 1, filters: { container: [name], event: ['health_status'] } });
    await new Promise(resolve => events.on('data', piece => /health_status: healthy/.test(piece) && resolve()));
    events.destroy();
    const about = await container.inspect();
    const port = about.NetworkSettings.Ports['6379/tcp'][0].HostPort;
    assert.equal(await statement(port, 'SET greeting hello'), '+OK\r\n');
    assert.equal(await statement(port, 'GET greeting'), '$5\r\nhello\r\n');

    // Streams of a program without a terminal come apart, those of one with a terminal don't.
    await container.putArchive(pack({ note: 'from outside\n' }), { path: '/data' });
    const exec = await container.exec({
        Cmd: ['sh', '-c', 'cat /data/note; redis-cli SAVE; echo wrong >&2; exit 3'], AttachStdout: true, AttachStderr: true,
    });
    const both = await exec.start({ hijack: true, stdin: false });
    const [out, err] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(both, out, err);
    both.on('end', () => { out.end(); err.end(); });
    assert.deepEqual(await Promise.all([text(out), text(err)]), ['from outside\nOK\n', 'wrong\n']);
    assert.equal((await exec.inspect()).ExitCode, 3);
    const extract = tar.extract();
    const found = new Promise(resolve => extract.on('entry', (header, stream, next) => {
        text(stream).then(content => { resolve([header.name, content.includes('greeting')]); next(); });
    }));
    (await container.getArchive({ path: '/data/dump.rdb' })).pipe(extract);
    assert.deepEqual(await found, ['dump.rdb', true]);
    const shell = await container.exec({ Cmd: ['sh'], AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true });
    const terminal = await shell.start({ hijack: true, stdin: true, Tty: true });
    await shell.resize({ h: 20, w: 70 });
    const session = text(terminal);
    terminal.write('stty size; redis-cli GET greeting; exit\n');
    assert.match(await session, /20 70[^]*"hello"/);

    const logs = await container.logs({ follow: true, stdout: true, stderr: true, tail: 10 });
    const followed = text(logs);
    await container.stop({ t: 10 });
    assert.match(await followed, /Ready to accept connections[^]*bye bye/);
    assert.deepEqual(await container.wait(), { StatusCode: 0 });
    await container.remove({ v: true });
    await assert.rejects(container.inspect(), error => error.statusCode === 404);

    const build = async (tag, file, options) => {
        const stream = await docker.buildImage(pack({ Dockerfile: file, f: 'content\n' }), { t: tag, networkmode: 'none', ...options });
        return new Promise((resolve, reject) => docker.followProgress(stream, (e, all) => e ? reject(e) : resolve(all)));
    };
    const ran = async (image, ...words) => {
        const printed = new PassThrough();
        const said = text(printed);
        const [result] = await docker.run(image, words, printed, { HostConfig: { NetworkMode: 'none', AutoRemove: true } });
        assert.equal(result.StatusCode, 0);
        return (await said).replaceAll('\r', '');
    };
    const steps = await build(`${name}-classic`, `FROM ${tag}\nCOPY f /f\nRUN cat /f > /g\n`, {});
    assert(steps.some(step => step.aux && step.aux.ID), JSON.stringify(steps));
    assert.equal(await ran(`${name}-classic`, 'cat', '/g'), 'content\n');
    // By BuildKit, whose steps may have caches.
    for (const [round, lines] of [['one', 'one\n'], ['two', 'one\ntwo\n']]) {
        const step = `--mount=type=cache,id=${name},target=/cache echo $ROUND >> /cache/rounds && cp /cache/rounds /rounds`;
        await build(`${name}-buildkit`, `FROM ${tag}\nARG ROUND\nRUN ${step}\n`, { version: '2', buildargs: { ROUND: round } });
        assert.equal(await ran(`${name}-buildkit`, 'cat', '/rounds'), lines);
    }
    await docker.getImage(`${name}-classic`).remove({ force: true });
    await docker.getImage(`${name}-buildkit`).remove({ force: true });
})().catch(error => { console.error(error); process.exit(1); });
"#;

const TESTCONTAINERS_NODE: &str = r#"
const assert = require('assert');
const net = require('net');
const { GenericContainer, Network, Wait } = require('testcontainers');
const fs = require('fs');
const [, tag, name] = process.argv;
const text = stream => new Promise((resolve, reject) => {
    let all = '';
    stream.on('data', piece => all += piece).on('end', () => resolve(all)).on('error', reject);
});
const statement = (container, words) => new Promise((resolve, reject) => {
    const port = container.getMappedPort(6379);
    const server = net.connect(port, container.getHost(), () => server.end(words + '\r\n'));
    text(server).then(resolve, reject);
});
(async () => {
    const network = await new Network().start();
    let heard = '';
    const container = await new GenericContainer(tag)
        .withName(name).withExposedPorts(6379).withNetwork(network).withNetworkAliases('db')
        .withEnvironment({ MODE: 'test' }).withLabels({ from: 'testcontainers' })
        .withCopyContentToContainer([{ content: 'copied in\n', target: '/data/note' }])
        .withTmpFs({ '/scratch': 'rw,size=1m' })
        .withHealthCheck({ test: ['CMD', 'redis-cli', 'PING'], interval: 100, timeout: 10000, retries: 100, startPeriod: 0 })
        .withLogConsumer(stream => stream.on('data', piece => heard += piece))
        .withWaitStrategy(Wait.forAll([
            Wait.forLogMessage('Ready to accept connections'), Wait.forListeningPorts(), Wait.forHealthCheck(),
        ])).start();
    assert.equal(await statement(container, 'SET greeting hello'), '+OK\r\n');
    assert.equal(await statement(container, 'GET greeting'), '$5\r\nhello\r\n');

    const seen = await container.exec(['sh', '-c', 'cat /data/note; echo $MODE; redis-cli SAVE; exit 3']);
    assert.deepEqual([seen.exitCode, seen.output], [3, 'copied in\ntest\nOK\n']);
    assert.match(await text(await container.copyArchiveFromContainer('/data/dump.rdb')), /greeting/);
    await container.copyContentToContainer([{ content: 'later\n', target: '/data/later' }]);
    assert.equal((await container.exec(['cat', '/data/later'])).stdout, 'later\n');

    // Another container asks by the first one's name in their network.
    const client = await new GenericContainer(tag).withNetwork(network)
        .withCommand(['redis-cli', '-h', 'db', 'GET', 'greeting']).withWaitStrategy(Wait.forOneShotStartup()).start();
    assert.match(await text(await client.logs()), /hello/);
    await client.stop();
    await container.restart();
    assert.equal(await statement(container, 'GET greeting'), '$5\r\nhello\r\n');
    const followed = text(await container.logs());
    await container.stop({ timeout: 10000 });
    assert.match(await followed, /bye bye/);
    assert.match(heard, /Ready to accept connections/);
    await network.stop();

    fs.mkdirSync(process.env.HOME, { recursive: true });
    const folder = fs.mkdtempSync(`${process.env.HOME}/context-`);
    const built = async (round, step, builder) => {
        fs.writeFileSync(`${folder}/Dockerfile`, `FROM ${tag}\nARG ROUND\nRUN ${step}\n`);
        const image = await builder(GenericContainer.fromDockerfile(folder).withBuildArgs({ ROUND: round }))
            .build(`${name}-built:${round}`, { deleteOnExit: false });
        const container = await image.withCommand(['sh', '-c', 'cat /rounds; echo end; sleep 1000'])
            .withWaitStrategy(Wait.forLogMessage('end')).start();
        const said = (await container.exec(['cat', '/rounds'])).stdout;
        await container.stop({ timeout: 0 });
        return said;
    };
    const cached = `--mount=type=cache,id=${name},target=/cache echo $ROUND >> /cache/rounds && cp /cache/rounds /rounds`;
    assert.equal(await built('one', cached, image => image.withBuildkit()), 'one\n');
    assert.equal(await built('two', cached, image => image), 'one\ntwo\n');
})().catch(error => { console.error(error); process.exit(1); });
"#;

/// What docker-py's and testcontainers' programs share.
const STATEMENT: &str = r#"
import socket

def statement(port, words, host="127.0.0.1"):
    with socket.create_connection((host, port)) as server:
        server.sendall(words.encode() + b"\r\n")
        server.shutdown(socket.SHUT_WR)
        return server.makefile("rb").read()
"#;

const DOCKER_PY: &str = r#"
import docker, io, sys, tarfile, threading

tag, name = sys.argv[1:3]
client = docker.from_env()

def pack(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()

database = client.containers.run(
    tag, name=name, detach=True, ports={"6379/tcp": ("127.0.0.1", None)}, labels={"from": "docker-py"},
    healthcheck={"test": ["CMD", "redis-cli", "PING"], "interval": 100_000_000},
)
for event in client.events(since=1, filters={"container": name, "event": "health_status"}, decode=True):
    if event["Action"] == "health_status: healthy":
        break
database.reload()
assert database.health == "healthy", database.health
port = int(database.ports["6379/tcp"][0]["HostPort"])
assert statement(port, "SET greeting hello") == b"+OK\r\n"
assert statement(port, "GET greeting") == b"$5\r\nhello\r\n"

assert database.put_archive("/data", pack({"note": b"from outside\n"}))
code, (out, err) = database.exec_run(["sh", "-c", "cat /data/note; redis-cli SAVE; echo wrong >&2; exit 3"], demux=True)
assert (code, out, err) == (3, b"from outside\nOK\n", b"wrong\n"), (code, out, err)
pieces, about = database.get_archive("/data/dump.rdb")
with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
    assert b"greeting" in tar.extractfile("dump.rdb").read()
assert about["name"] == "dump.rdb" and about["size"] > 0, about

# A person in a terminal.
shell = client.api.exec_create(database.id, ["sh"], stdin=True, tty=True)["Id"]
terminal = client.api.exec_start(shell, tty=True, socket=True)
client.api.exec_resize(shell, height=20, width=70)
terminal._sock.sendall(b"stty size; redis-cli GET greeting; exit 4\n")
screen = terminal.read()
assert b"20 70" in screen and b'"hello"' in screen, screen
assert client.api.exec_inspect(shell)["ExitCode"] == 4

lines = []
follower = threading.Thread(target=lambda: lines.extend(database.logs(stream=True, follow=True)))
follower.start()
database.stop(timeout=10)
follower.join()
log = b"".join(lines)
assert b"Ready to accept connections" in log and b"bye bye" in log, log
assert database.wait()["StatusCode"] == 0
database.remove(v=True)

# Its builds are the first builder's. Docker's has no caches; this engine's is the same as BuildKit's.
for round, lines in [("one", b"one\n"), ("two", b"one\ntwo\n")]:
    step = f"--mount=type=cache,id={name},target=/cache cat /round >> /cache/rounds && cp /cache/rounds /rounds"
    context = pack({"Dockerfile": f"FROM {tag}\nCOPY round /round\nRUN {step}\n".encode(), "round": round.encode() + b"\n"})
    image, said = client.images.build(
        fileobj=io.BytesIO(context), custom_context=True, tag=f"{name}-built", network_mode="none", rm=True,
    )
    assert any("Successfully tagged" in line.get("stream", "") for line in said)
    assert client.containers.run(f"{name}-built", ["cat", "/rounds"], network_mode="none", remove=True) == lines
client.images.remove(image.id, force=True)
"#;

const TESTCONTAINERS_PYTHON: &str = r#"
import io, pathlib, sys, tarfile
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy, LogMessageWaitStrategy
from testcontainers.core.waiting_utils import wait_for_logs

tag, name, folder = sys.argv[1:4]
with Network() as network:
    container = (
        DockerContainer(tag).with_exposed_ports(6379).with_env("MODE", "test").with_name(name).with_network(network)
        .with_network_aliases("db").with_volume_mapping(folder, "/host", "ro")
        .with_copy_into_container(b"copied in\n", "/data/note")
        .with_kwargs(healthcheck={"test": ["CMD", "redis-cli", "PING"], "interval": 100_000_000})
        .waiting_for(HealthcheckWaitStrategy())
    )
    with container as database:
        wait_for_logs(database, LogMessageWaitStrategy("Ready to accept connections"))
        host, port = database.get_container_host_ip(), database.get_exposed_port(6379)
        assert statement(port, "SET greeting hello", host) == b"+OK\r\n"
        assert statement(port, "GET greeting", host) == b"$5\r\nhello\r\n"
        code, output = database.exec(["sh", "-c", "cat /data/note; echo $MODE; ls /host; redis-cli SAVE; exit 3"])
        assert (code, output) == (3, b"copied in\ntest\nDockerfile\nOK\n"), (code, output)
        copy = pathlib.Path(folder).parent / "dump.rdb"
        database.copy_from_container("/data/dump.rdb", copy)
        assert b"greeting" in copy.read_bytes()
        with DockerContainer(tag).with_command("redis-cli -h db GET greeting").with_network(network) as client:
            # testcontainers waits for no line of one that has ended.
            assert client.wait() == 0
            assert client.get_logs()[0] == b"hello\n", client.get_logs()
        wrapped = database.get_wrapped_container()
        wrapped.stop(timeout=10)
        out, err = database.get_logs()
        assert b"bye bye" in out and err == b"", (out, err)
# It builds by docker-py.
for round in ["one", "two"]:
    with DockerImage(path=folder, tag=f"{name}-built:{round}", buildargs={"ROUND": round}) as image:
        with DockerContainer(str(image)).with_command("cat /rounds") as built:
            assert built.wait() == 0
            assert built.get_logs()[0] == (b"one\n" if round == "one" else b"one\ntwo\n"), built.get_logs()
"#;

/// A Dockerfile whose step finds in its cache what it left there when it was made with other arguments.
fn cached(image: &str, name: &str) -> String {
    let step = "echo $ROUND >> /cache/rounds && cp /cache/rounds /rounds";
    format!("FROM {image}\nARG ROUND\nRUN --mount=type=cache,id={name},target=/cache {step}\n")
}

/// The database's image and a name for what is made of it.
fn names(engine: &Engine) -> (String, String) {
    (engine.redis(), engine.name("client"))
}

#[test]
fn dockerode_runs_a_database_and_builds() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    run(engine.node(DOCKERODE).args(["--", &tag, &name])).ok();
}

#[test]
fn testcontainers_for_node_run_a_database_and_build() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    let mut program = engine.node(TESTCONTAINERS_NODE);
    // Its reaper is an image from elsewhere.
    program.env("TESTCONTAINERS_RYUK_DISABLED", "true").env("TMPDIR", engine.scratch().path());
    run(program.args(["--", &tag, &name])).ok();
}

#[test]
fn docker_py_runs_a_database_and_builds() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    run(engine.docker_py(&[STATEMENT, DOCKER_PY].concat()).args([&tag, &name])).ok();
}

#[test]
fn testcontainers_for_python_run_a_database_and_build() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    let folder = engine.scratch().write("context/Dockerfile", cached(&tag, &name));
    let folder = folder.parent().expect("its folder");
    let mut program = engine.docker_py(&[STATEMENT, TESTCONTAINERS_PYTHON].concat());
    program.env("TESTCONTAINERS_RYUK_DISABLED", "true").env("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1");
    run(program.args([&tag, &name]).arg(folder)).ok();
}

/// tests/rust-clients/src/bin/bollard.rs: a database's day, and builds by both of the engine's builders.
#[test]
fn bollard_runs_a_database_and_builds() {
    let engine = Engine::isolated();
    let (image, name) = names(&engine);
    run(engine.rust_client("bollard").args([&image, &name])).ok();
}

/// tests/rust-clients/src/bin/testcontainers.rs
#[test]
fn testcontainers_for_rust_run_a_database_and_build() {
    let engine = Engine::isolated();
    let (image, name) = names(&engine);
    let (image, tag) = image.rsplit_once(':').expect("a tag");
    let mut program = engine.rust_client("testcontainers");
    run(program.env("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1").args([image, tag, &name])).ok();
}

/// One statement to the database, by anything that speaks TCP.
fn statement(address: &str, words: &str) -> String {
    let mut server = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    server.write_all(format!("{words}\r\n").as_bytes()).expect("it listens");
    server.shutdown(Shutdown::Write).expect("a side that closes");
    let mut answer = String::new();
    server.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The command line that most people mean by Docker, with buildx.
#[test]
fn docker_runs_a_database_and_builds() {
    let engine = Engine::isolated().with_plugins();
    let (image, name) = names(&engine);
    let port = ["--publish", "127.0.0.1::6379"];
    let health = ["--health-cmd", "redis-cli PING", "--health-interval", "100ms"];
    let mut start = engine.docker_command();
    run(start.args(["run", "--detach", "--name", &name]).args(port).args(health).arg(&image)).ok();
    eventually(DEADLINE, || {
        let told = engine.docker(["inspect", "--format", "{{.State.Health.Status}}", &name]).ok();
        (told == "healthy").then_some(()).ok_or(told)
    });
    let address = engine.docker(["port", &name, "6379/tcp"]).ok();
    assert_eq!(statement(&address, "SET greeting hello"), "+OK\r\n");
    assert_eq!(statement(&address, "GET greeting"), "$5\r\nhello\r\n");

    let note = engine.scratch().write("note", "from outside\n");
    engine.docker(["cp", &note.display().to_string(), &format!("{name}:/data/note")]).ok();
    let looked = engine.docker(["exec", &name, "sh", "-c", "cat /data/note; redis-cli SAVE; exit 3"]);
    assert_eq!((&looked.stdout[..], looked.code), ("from outside\nOK\n", 3));
    let dump = engine.scratch().join("dump.rdb");
    engine.docker(["cp", &format!("{name}:/data/dump.rdb"), &dump.display().to_string()]).ok();
    let dump = std::fs::read(dump).expect("the database");
    assert!(dump.windows(8).any(|window| window == b"greeting"));

    let mut shell = engine.docker_command();
    let mut terminal = Terminal::start(shell.env("TERM", "xterm").args(["exec", "-it", &name, "sh"]), 31, 97);
    terminal.type_in("stty size; redis-cli GET greeting; exit 4\r");
    assert_eq!(terminal.wait(), Some(4));
    let shown = terminal.shown();
    assert!(shown.contains("31 97") && shown.contains("\"hello\""), "{shown}");

    let mut follow = engine.docker_command();
    let follow = follow.args(["logs", "--follow", &name]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let followed = follow.spawn().expect("docker");
    engine.docker(["stop", &name]).ok();
    let followed = followed.wait_with_output().expect("the log's end").stdout;
    let followed = String::from_utf8_lossy(&followed);
    assert!(followed.contains("Ready to accept connections") && followed.contains("bye bye"), "{followed}");
    assert_eq!(engine.docker(["wait", &name]).ok(), "0");
    engine.docker(["rm", "--volumes", &name]).ok();

    let built = format!("{name}-built");
    let file = engine.scratch().write("context/Dockerfile", cached(&image, &name));
    let context = file.parent().expect("its folder").display().to_string();
    for (round, lines) in [("one", "one"), ("two", "one\ntwo")] {
        let argument = format!("ROUND={round}");
        let words = ["build", "--quiet", "--network", "none", "--tag", &built, "--build-arg", &argument];
        run(engine.docker_command().args(words).arg(&context)).ok();
        let said = engine.docker(["run", "--rm", "--network", "none", &built, "cat", "/rounds"]).ok();
        assert_eq!(said, lines);
    }
    engine.docker(["rmi", &built]).ok();
}

const PROJECT: &str = "services:
  db:
    image: IMAGE
    ports: ['127.0.0.1::6379']
    healthcheck: {test: [CMD, redis-cli, PING], interval: 100ms}
    volumes: ['kept:/data']
  ask:
    build: {context: ., dockerfile_inline: 'FROM IMAGE'}
    image: ASK
    command: redis-cli -h db INCR asked
    depends_on: {db: {condition: service_healthy}}
volumes: {kept: }
";

/// The same by a project's file: the real Compose waits for the database's health before it starts who asks it.
#[test]
fn docker_compose_runs_a_database_and_who_asks_it() {
    let engine = Engine::isolated().with_plugins();
    let (image, name) = names(&engine);
    let text = PROJECT.replace("IMAGE", &image).replace("ASK", &format!("{name}-ask"));
    let file = engine.scratch().write("project/compose.yaml", text).display().to_string();
    let compose = |words: &[&str]| {
        let mut command = engine.docker_command();
        run(command
            .args(["compose", "--progress", "quiet", "--file", &file, "--project-name", &name])
            .args(words))
    };
    compose(&["up", "--detach", "--build", "--wait", "db", "ask"]);
    let address = compose(&["port", "db", "6379"]).ok();
    eventually(DEADLINE, || {
        let asked = statement(&address, "GET asked");
        (asked == "$1\r\n1\r\n").then_some(()).ok_or(asked)
    });
    assert_eq!(compose(&["exec", "-T", "db", "redis-cli", "SET", "greeting", "hello"]).ok(), "OK");
    assert_eq!(
        compose(&["run", "--rm", "-T", "ask", "redis-cli", "-h", "db", "GET", "greeting"]).ok(),
        "hello"
    );
    compose(&["down"]).ok();
    compose(&["up", "--detach", "--wait", "db"]).ok();
    let address = compose(&["port", "db", "6379"]).ok();
    assert_eq!(statement(&address, "GET greeting"), "$5\r\nhello\r\n");
    compose(&["down", "--volumes", "--rmi", "local"]).ok();
    assert_eq!(engine.docker(["ps", "--all", "--quiet"]).ok(), "");
    assert_eq!(engine.docker(["volume", "ls", "--quiet", "--filter", "name=kept"]).ok(), "");
}
