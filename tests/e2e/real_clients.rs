//! Libraries by which other people's tests and tools reach Docker, unmodified: dockerode, bollard, testcontainers for Node, Python
//! and Rust.
//!
//! Each does what a test of an application does: a server is started, waited for, asked through a published port, looked into,
//! fed with files, and taken away.

use testkit::Engine;
use testkit::command::run;

/// A server that takes a moment to be ready, says so, and answers what a file says.
const SERVER: &str = "echo starting; mkdir -p /www; echo hello > /www/index.html; sleep 0.2; echo ready for connections; \
                      exec httpd -f -p 8080 -h /www";

const DOCKERODE: &str = r#"
const assert = require('assert');
const Docker = require('dockerode');
const { PassThrough } = require('stream');
const tar = require('tar-stream');
const [, tag, name, server] = process.argv;
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
(async () => {
    const docker = new Docker();
    assert.equal((await docker.ping()).toString(), 'OK');
    assert.equal((await docker.version()).Os, 'linux');

    const container = await docker.createContainer({
        Image: tag, name, Cmd: ['sh', '-c', server], ExposedPorts: { '8080/tcp': {} }, Labels: { from: 'dockerode' },
        HostConfig: { PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] } },
        Healthcheck: { Test: ['CMD-SHELL', 'wget -q -O - http://127.0.0.1:8080/'], Interval: 1e8 },
    });
    await container.start();
    // Health, as events tell it: what came before is asked for, too.
    const events = await docker.getEvents({ since: 1, filters: { container: [name], event: ['health_status'] } });
    await new Promise(resolve => events.on('data', piece => /health_status: healthy/.test(piece) && resolve()));
    events.destroy();
    const about = await container.inspect();
    const port = about.NetworkSettings.Ports['8080/tcp'][0].HostPort;
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello\n');

    await container.putArchive(pack({ 'www/other.html': 'other\n' }), { path: '/' });
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/other.html`)).text(), 'other\n');
    const extract = tar.extract();
    const found = new Promise(resolve => extract.on('entry', (header, stream, next) => {
        text(stream).then(content => { resolve([header.name, content]); next(); });
    }));
    (await container.getArchive({ path: '/www/index.html' })).pipe(extract);
    assert.deepEqual(await found, ['index.html', 'hello\n']);

    // Streams of a program without a terminal come apart, those of one with a terminal don't.
    const exec = await container.exec({ Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 3'], AttachStdout: true, AttachStderr: true });
    const both = await exec.start({ hijack: true, stdin: false });
    const [out, err] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(both, out, err);
    both.on('end', () => { out.end(); err.end(); });
    assert.deepEqual(await Promise.all([text(out), text(err)]), ['out\n', 'err\n']);
    assert.equal((await exec.inspect()).ExitCode, 3);
    const shell = await container.exec({ Cmd: ['sh'], AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true });
    const terminal = await shell.start({ hijack: true, stdin: true, Tty: true });
    await shell.resize({ h: 20, w: 70 });
    const session = text(terminal);
    terminal.write('stty size; exit\n');
    assert.match(await session, /20 70/);

    const logs = await container.logs({ follow: true, stdout: true, stderr: true, tail: 10 });
    const followed = text(logs);
    await container.stop({ t: 0 });
    assert.match(await followed, /ready for connections/);
    assert.equal((await container.inspect()).State.Running, false);
    await container.remove({ v: true });
    await assert.rejects(container.inspect(), error => error.statusCode === 404);

    const build = await docker.buildImage(
        pack({ Dockerfile: `FROM ${tag}\nCOPY f /f\nRUN cat /f > /g\n`, f: 'content\n' }), { t: `${name}-built`, networkmode: 'none' });
    const steps = await new Promise((resolve, reject) => docker.modem.followProgress(build, (e, all) => e ? reject(e) : resolve(all)));
    assert(steps.some(step => step.aux && step.aux.ID), JSON.stringify(steps));
    const printed = new PassThrough();
    const said = text(printed);
    const [result] = await docker.run(`${name}-built`, ['cat', '/g'], printed, { HostConfig: { NetworkMode: 'none', AutoRemove: true } });
    printed.end();
    assert.equal(result.StatusCode, 0);
    assert.match(await said, /content/);
    await docker.getImage(`${name}-built`).remove({ force: true });
})().catch(error => { console.error(error); process.exit(1); });
"#;

const TESTCONTAINERS_NODE: &str = r#"
const assert = require('assert');
const { GenericContainer, Network, Wait } = require('testcontainers');
const fs = require('fs');
const [, tag, name, server] = process.argv;
(async () => {
    const network = await new Network().start();
    const container = await new GenericContainer(tag)
        .withCommand(['sh', '-c', server]).withName(name).withExposedPorts(8080).withNetwork(network).withNetworkAliases('db')
        .withEnvironment({ MODE: 'test' }).withLabels({ from: 'testcontainers' })
        .withCopyContentToContainer([{ content: 'copied', target: '/copied' }])
        .withTmpFs({ '/scratch': 'rw,size=1m' })
        .withWaitStrategy(Wait.forAll([
            Wait.forLogMessage('ready for connections'), Wait.forListeningPorts(), Wait.forHttp('/', 8080).forStatusCode(200),
        ])).start();
    const url = `http://${container.getHost()}:${container.getMappedPort(8080)}/`;
    assert.equal(await (await fetch(url)).text(), 'hello\n');
    const seen = await container.exec(['sh', '-c', 'cat /copied; echo $MODE']);
    assert.deepEqual([seen.exitCode, seen.output], [0, 'copiedtest\n']);
    const client = await new GenericContainer(tag).withNetwork(network)
        .withCommand(['sh', '-c', 'wget -q -O - http://db:8080/; echo done'])
        .withWaitStrategy(Wait.forOneShotStartup()).start();
    let told = '';
    (await client.logs()).on('data', piece => told += piece).on('end', () => {});
    while (!told.includes('done')) await new Promise(resolve => setImmediate(resolve));
    assert.match(told, /hello/);
    await client.stop();
    await container.restart();
    assert.equal((await fetch(`http://${container.getHost()}:${container.getMappedPort(8080)}/`)).status, 200);
    await container.stop();

    fs.mkdirSync(process.env.HOME, { recursive: true });
    const folder = fs.mkdtempSync(`${process.env.HOME}/context-`);
    fs.writeFileSync(`${folder}/Dockerfile`, `FROM ${tag}\nARG WORD\nRUN echo $WORD > /word\n`);
    const image = await GenericContainer.fromDockerfile(folder).withBuildArgs({ WORD: 'built' }).build(`${name}-built:1`, { deleteOnExit: false });
    const built = await image.withCommand(['sh', '-c', 'cat /word; sleep 1000']).withWaitStrategy(Wait.forLogMessage('built')).start();
    await built.stop();
    await network.stop();
})().catch(error => { console.error(error); process.exit(1); });
"#;

const TESTCONTAINERS_PYTHON: &str = r#"
import sys, urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs
from testcontainers.core.image import DockerImage

tag, name, server, folder = sys.argv[1:5]
with Network() as network:
    container = (
        DockerContainer(tag).with_command(["sh", "-c", server]).with_exposed_ports(8080).with_env("MODE", "test")
        .with_name(name).with_network(network).with_network_aliases("db").with_volume_mapping(folder, "/host", "ro")
    )
    with container:
        wait_for_logs(container, "ready for connections")
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8080)}/"
        assert urllib.request.urlopen(url).read() == b"hello\n"
        code, output = container.exec(["sh", "-c", "echo $MODE; ls /host"])
        assert (code, output.decode().split()) == (0, ["test", "Dockerfile"]), (code, output)
        out, err = container.get_logs()
        assert b"starting" in out and err == b"", (out, err)
        with DockerContainer(tag).with_command(["sh", "-c", "wget -q -O - http://db:8080/"]).with_network(network) as client:
            wait_for_logs(client, "hello")
with DockerImage(path=folder, tag=f"{name}-built:1", clean_up=True) as image:
    with DockerContainer(str(image)).with_command("cat /word") as built:
        wait_for_logs(built, "built")
"#;

/// A program that gets the words after it as arguments, on an engine with busybox.
fn names(engine: &Engine) -> (String, String) {
    (engine.busybox(), engine.name("client"))
}

#[test]
fn dockerode_starts_asks_builds_and_removes() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    run(engine.node(DOCKERODE).args(["--", &tag, &name, SERVER])).ok();
}

#[test]
fn testcontainers_for_node_run_a_server_and_its_client() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    let mut program = engine.node(TESTCONTAINERS_NODE);
    // Its reaper is an image from elsewhere.
    program.env("TESTCONTAINERS_RYUK_DISABLED", "true").env("TMPDIR", engine.scratch().path());
    run(program.args(["--", &tag, &name, SERVER])).ok();
}

#[test]
fn testcontainers_for_python_run_a_server_and_its_client() {
    let engine = Engine::isolated();
    let (tag, name) = names(&engine);
    let file = format!("FROM {tag}\nRUN echo built > /word\n");
    let folder = engine.scratch().write("context/Dockerfile", file);
    let folder = folder.parent().expect("its folder");
    let mut program = engine.docker_py(TESTCONTAINERS_PYTHON);
    program.env("TESTCONTAINERS_RYUK_DISABLED", "true").env("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1");
    run(program.args([&tag, &name, SERVER]).arg(folder)).ok();
}

/// tests/rust-clients/src/bin/bollard.rs: a database's day, and builds by both of the engine's builders.
#[test]
fn bollard_runs_a_database_and_builds() {
    let engine = Engine::isolated();
    let (image, name) = (engine.redis(), engine.name("bollard"));
    run(engine.rust_client("bollard").args([&image, &name])).ok();
}

/// tests/rust-clients/src/bin/testcontainers.rs
#[test]
fn testcontainers_for_rust_run_a_database_and_build() {
    let engine = Engine::isolated();
    let (image, name) = (engine.redis(), engine.name("testcontainers"));
    let (image, tag) = image.rsplit_once(':').expect("a tag");
    let mut program = engine.rust_client("testcontainers");
    run(program.env("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1").args([image, tag, &name])).ok();
}
