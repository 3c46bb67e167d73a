//! docker-py, the library that most Python programs reach Docker with.

use testkit::{Engine, command, images};

/// What a program does with it: every step asserts what came back.
const PROGRAM: &str = r#"
import docker, sys, time

tag, name, archive = sys.argv[1:4]
client = docker.from_env()
assert client.ping() is True
version = client.version()
assert version["Os"] == "linux" and version["ApiVersion"], version
info = client.info()
assert info["OSType"] == "linux" and info["NCPU"] > 0, info

since = int(time.time())
with open(archive, "rb") as file:
    images = client.images.load(file.read())
assert any(tag in image.tags for image in images), images
image = client.images.get(tag)
assert image.attrs["Os"] == "linux", image.attrs

container = client.containers.create(
    tag, ["sh", "-c", "echo out; echo err >&2; echo $GREETING; exit 3"],
    name=name, network_mode="none", environment={"GREETING": "hello"}, labels={"from": "docker-py"},
)
assert container.status == "created", container.status
container.start()
assert container.wait()["StatusCode"] == 3
container.reload()
assert container.status == "exited" and container.attrs["State"]["ExitCode"] == 3, container.attrs
assert container.logs(stdout=True, stderr=False) == b"out\nhello\n", container.logs()
assert container.logs(stdout=False, stderr=True) == b"err\n", container.logs()
listed = client.containers.list(all=True, filters={"label": "from=docker-py", "name": name})
assert [found.id for found in listed] == [container.id], listed
try:
    client.containers.create(tag, "true", name=name, network_mode="none")
    raise AssertionError("the name was given twice")
except docker.errors.APIError as error:
    assert error.status_code == 409, error
container.remove()
try:
    client.containers.get(name)
    raise AssertionError("it is still there")
except docker.errors.NotFound:
    pass

told = client.containers.run(tag, ["echo", "at once"], name=name, network_mode="none", remove=True)
assert told == b"at once\n", told

actions = []
filters = {"type": "container", "container": name}
for event in client.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True):
    actions.append(event["Action"])
assert actions[:4] == ["create", "start", "die", "destroy"], actions
usage = client.df()
# It speaks the newest version that the engine offers, and there the key has another name.
assert usage.get("Images") or usage["ImagesUsage"]["TotalCount"] > 0, usage
client.close()
print("done")
"#;

#[test]
fn a_python_program_finds_what_it_knows() {
    let engine = Engine::isolated();
    let (tag, name) = (format!("{}:1", engine.name("busybox")), engine.name("c"));
    let archive = engine.scratch().write("busybox.tar", images::busybox(&tag).unwrap());
    let told = command::run(engine.docker_py(PROGRAM).args([&tag, &name]).arg(archive));
    assert_eq!(told.ok(), "done");
}
