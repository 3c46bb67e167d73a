//! What CI's programs ask of an engine, call by call, as their sources have it: `act`, which runs GitHub's workflows on one's own
//! machine, and the docker executor of GitLab's runner. Both pin or negotiate a version of the API, so each day is lived in
//! several, and every answer is compared with what dockerd answers in that version.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::{Value, json};
use testkit::http::{Exchange, Reply, Request};
use testkit::{Engine, Registry, images};

/// The versions that clients of the last years speak.
const VERSIONS: [&str; 4] = ["1.24", "1.40", "1.44", "1.51"];

/// A client that speaks one version of the API.
struct Client<'e> {
    engine: &'e Engine,
    version: &'e str,
}

impl Client<'_> {
    fn path(&self, path: &str) -> String {
        format!("/v{}{path}", self.version)
    }

    /// An answer of a kind that was recorded is compared with what dockerd says in that version.
    #[track_caller]
    fn call(&self, request: &Request) -> Reply {
        let reply = self.engine.request_unchecked(request);
        let mut list = self.engine.deviations(request, &reply);
        list.retain(|deviation| !deviation.ends_with("which was never recorded"));
        assert!(list.is_empty(), "otherwise than dockerd:\n{}\nbody: {}", list.join("\n"), reply.text());
        reply
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.call(&Request::new("GET", &self.path(path)))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(&Request::new("POST", &self.path(path)).json(body))
    }

    /// Without an answer but that it was done.
    #[track_caller]
    fn delete(&self, path: &str) {
        self.call(&Request::new("DELETE", &self.path(path))).expect(204);
    }

    #[track_caller]
    fn remove_image(&self, image: &str) {
        self.call(&Request::new("DELETE", &self.path(&format!("/images/{image}?force=1")))).expect(200);
    }

    /// A call that becomes a stream in both directions.
    #[track_caller]
    fn hijack(&self, path: &str, body: Option<&Value>) -> Exchange {
        let request = Request::new("POST", &self.path(path));
        // What is in a request that needs no body is the program's input already.
        let request = body.map_or(request.clone(), |body| request.json(body));
        let exchange = self.engine.stream(&request.header("Upgrade", "tcp").header("Connection", "Upgrade"));
        assert_eq!(exchange.head.status, 101);
        exchange
    }

    #[track_caller]
    fn create(&self, name: &str, config: &Value) -> String {
        let made = self.post(&format!("/containers/create?name={name}"), config).expect(201).json();
        made["Id"].as_str().expect("an id").to_owned()
    }

    #[track_caller]
    fn start(&self, id: &str) {
        self.post(&format!("/containers/{id}/start"), &Value::Null).expect(204);
    }

    /// The exit code, when the container has ended.
    #[track_caller]
    fn wait(&self, id: &str) -> i64 {
        let reply =
            self.post(&format!("/containers/{id}/wait?condition=not-running"), &Value::Null).expect(200);
        reply.json()["StatusCode"].as_i64().expect("a code")
    }

    /// A program in a container: its exit code and both its streams.
    #[track_caller]
    fn exec(&self, id: &str, config: &Value) -> (i64, String, String) {
        let exec = self.post(&format!("/containers/{id}/exec"), config).expect(201).json();
        let exec = exec["Id"].as_str().expect("an id").to_owned();
        let stream =
            self.hijack(&format!("/exec/{exec}/start"), Some(&json!({"Detach": false, "Tty": false})));
        let (out, err) = streams(stream);
        let about = self.get(&format!("/exec/{exec}/json")).expect(200).json();
        (about["ExitCode"].as_i64().expect("a code"), out, err)
    }

    #[track_caller]
    fn put(&self, id: &str, path: &str, files: &[(&str, &[u8])]) {
        let path = self.path(&format!("/containers/{id}/archive?noOverwriteDirNonDir=true&path={path}"));
        let request = Request::new("PUT", &path).header("Content-Type", "application/x-tar");
        self.call(&request.body(images::archive_of(files))).expect(200);
    }
}

/// Both streams of a program without a terminal, to their end.
fn streams(mut stream: Exchange) -> (String, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a stream that ends");
    let (mut rest, mut texts) = (&bytes[..], [Vec::new(), Vec::new()]);
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        texts[usize::from(head[0]) - 1].extend_from_slice(&tail[..length]);
        rest = &tail[length..];
    }
    let [out, err] = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
    (out, err)
}

/// An image that has to be pulled, and gone again before each day.
fn remote(engine: &Engine, registry: &Registry, name: &str) -> String {
    registry.receive(name, &images::busybox(name).expect("an image"));
    let image = registry.name(name);
    engine.request_unchecked(&Request::new("DELETE", &format!("/images/{image}?force=1")));
    image
}

/// The image of a job: asked for, missed, pulled.
fn pull(client: &Client<'_>, image: &str) {
    client.get(&format!("/images/{image}/json")).expect(404);
    let (name, tag) = image.rsplit_once(':').expect("a tag");
    let request = Request::new(
        "POST",
        &client.path(&format!("/images/create?fromImage={name}&tag={tag}&platform=linux%2Famd64")),
    );
    // No credentials, as a client without any says it.
    let request = request.header("X-Registry-Auth", "e30=").header("Content-Type", "text/plain");
    client.engine.request_unchecked(&request).expect(200);
    assert_eq!(client.get(&format!("/images/{image}/json")).expect(200).json()["RepoTags"], json!([image]));
}

fn workflow(client: &Client<'_>, image: &str) {
    let (engine, here) = (client.engine, format!("act-{}", client.version.replace('.', "-")));
    let name = |what: &str| engine.name(&format!("{here}-{what}"));
    let (network, tools, job) = (name("network"), name("toolcache"), name("job"));
    client.get("/info").expect(200);
    pull(client, image);
    let networks =
        client.engine.request_unchecked(&Request::new("GET", &client.path("/networks"))).expect(200).json();
    assert!(networks.as_array().expect("a list").iter().all(|one| one["Name"] != network));
    let wanted = json!({"Name": network, "Driver": "bridge", "Scope": "local", "CheckDuplicate": true});
    let made = client.post("/networks/create", &wanted).expect(201).json();
    let made = made["Id"].as_str().expect("an id");

    let id = client.create(&job, &json!({
        "Image": image, "Entrypoint": ["tail", "-f", "/dev/null"], "Cmd": null, "WorkingDir": "/work", "Tty": false,
        "Env": ["RUNNER_TOOL_CACHE=/opt/hostedtoolcache", "RUNNER_OS=Linux", "LANG=C.UTF-8"],
        "HostConfig": {
            "Binds": [format!("{}:/var/run/docker.sock", engine.socket().display())],
            "Mounts": [{"Type": "volume", "Source": tools, "Target": "/opt/hostedtoolcache"}],
            "NetworkMode": network, "Privileged": false, "UsernsMode": "", "CapAdd": null, "PortBindings": {},
        },
        "NetworkingConfig": {"EndpointsConfig": {&network: {"Aliases": ["job"]}}},
    }));
    let all = client.get("/containers/json?all=1").expect(200).json();
    assert!(all.as_array().expect("a list").iter().any(|one| one["Names"][0] == format!("/{job}")));
    client.start(&id);
    let root = |words: &[&str]| json!({"Cmd": words, "User": "0", "AttachStdout": true, "AttachStderr": true, "Tty": false});
    assert_eq!(client.exec(&id, &root(&["mkdir", "-m", "0777", "-p", "/var/run/act/workflow"])).0, 0);
    let script = b"echo out; echo err >&2; echo \"WORD=$INPUT\" >> \"$GITHUB_ENV\"; pwd; exit 3";
    client.put(
        &id,
        "/var/run/act",
        &[("workflow/event.json", b"{}"), ("workflow/envs.txt", b""), ("workflow/1.sh", script)],
    );
    let step = json!({
        "Cmd": ["sh", "-e", "/var/run/act/workflow/1.sh"], "WorkingDir": "/tmp", "AttachStdout": true, "AttachStderr": true,
        "Env": ["GITHUB_ENV=/var/run/act/workflow/envs.txt", "INPUT=given"],
    });
    assert_eq!(client.exec(&id, &step), (3, "out\n/tmp\n".into(), "err\n".into()));
    let kept =
        client.get(&format!("/containers/{id}/archive?path=/var/run/act/workflow/envs.txt")).expect(200);
    assert!(kept.text().contains("WORD=given\n"));
    action(client, &name("action"), &network, image);

    client.delete(&format!("/containers/{id}?force=1&v=1"));
    let volumes = client.get("/volumes").expect(200).json();
    assert!(volumes["Volumes"].as_array().expect("a list").iter().any(|volume| volume["Name"] == tools));
    client.delete(&format!("/volumes/{tools}?force=1"));
    assert_eq!(client.get(&format!("/networks/{made}")).expect(200).json()["Containers"], json!({}));
    client.delete(&format!("/networks/{made}"));
    client.remove_image(image);
}

/// An action that is a Dockerfile: built, attached to before it starts, waited for.
fn action(client: &Client<'_>, name: &str, network: &str, image: &str) {
    let context = images::archive_of(&[
        (
            "Dockerfile",
            format!("FROM {image}\nCOPY entry.sh /entry.sh\nENTRYPOINT [\"sh\", \"/entry.sh\"]\n").as_bytes(),
        ),
        (
            "entry.sh",
            b"wget -q -O /dev/null http://job:1/ 2>/dev/null; echo $INPUT_WHO $1; echo bad >&2; exit 4",
        ),
    ]);
    let path = client.path(&format!("/build?dockerfile=Dockerfile&t={name}&platform=linux%2Famd64"));
    let request = Request::new("POST", &path).header("Content-Type", "application/x-tar").body(context);
    let told = client.engine.request_unchecked(&request).expect(200).text();
    assert!(told.contains("Successfully tagged"), "{told}");
    let id = client.create(name, &json!({
        "Image": name, "Cmd": ["word"], "Env": ["INPUT_WHO=me"], "HostConfig": {"NetworkMode": network, "AutoRemove": false},
    }));
    let attached = client.hijack(&format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1"), None);
    client.start(&id);
    assert_eq!(client.wait(&id), 4);
    assert_eq!(streams(attached), ("me word\n".into(), "bad\n".into()));
    client.delete(&format!("/containers/{id}?force=1&v=1"));
    client.remove_image(name);
}

#[test]
fn a_workflow_of_githubs_runs_as_act_runs_it() {
    let (engine, registry) = (Engine::isolated(), Registry::start());
    for version in VERSIONS {
        let image = remote(&engine, &registry, "act/runner:1");
        workflow(&Client { engine: &engine, version }, &image);
    }
}

/// One stage of a job: attached to, started, given its script, waited for.
fn stage(client: &Client<'_>, id: &str, script: &str) -> (i64, String, String) {
    let attached =
        client.hijack(&format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1"), None);
    client.start(id);
    let mut input = attached.stream();
    input.write_all(script.as_bytes()).expect("it reads");
    input.shutdown(Shutdown::Write).expect("a side that closes");
    let (out, err) = streams(attached);
    (client.wait(id), out, err)
}

fn job(client: &Client<'_>, helper: &str, database: &str) {
    let (engine, here) = (client.engine, format!("runner-{}", client.version.replace('.', "-")));
    let name = |what: &str| engine.name(&format!("{here}-{what}"));
    let (network, cache) = (name("network"), name("cache"));
    let labels = json!({"com.gitlab.gitlab-runner.managed": "true", "com.gitlab.gitlab-runner.job.id": "7"});
    client.get("/info").expect(200);
    pull(client, helper);
    let wanted = json!({"Name": network, "Labels": labels, "EnableIPv6": false, "Options": {}, "CheckDuplicate": true});
    let made = client.post("/networks/create", &wanted).expect(201).json();
    let made = made["Id"].as_str().expect("an id");
    client
        .post("/volumes/create", &json!({"Name": cache, "Labels": labels, "Driver": "", "DriverOpts": null}))
        .expect(201);
    let host = |more: Value| {
        let mut host = json!({
            "NetworkMode": network, "LogConfig": {"Type": "json-file"}, "Binds": [format!("{cache}:/builds")],
            "RestartPolicy": {"Name": "no"}, "Privileged": false, "DNS": null, "ExtraHosts": null,
        });
        host.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        host
    };
    // Who may write to the cache.
    let id = client.create(&name("permissions"), &json!({
        "Image": helper, "Cmd": ["chmod", "777", "/builds"], "Labels": labels, "HostConfig": host(json!({"NetworkMode": "none"})),
    }));
    client.start(&id);
    assert_eq!(client.wait(&id), 0);
    client.delete(&format!("/containers/{id}?v=1&force=1"));

    // The service, and somebody who waits until it answers.
    let service = client.create(
        &name("service"),
        &json!({
            "Image": database, "Labels": labels, "Env": ["CI=true"], "HostConfig": host(Value::Null),
            "NetworkingConfig": {"EndpointsConfig": {&network: {"Aliases": ["redis", "cache"]}}},
        }),
    );
    client.start(&service);
    let exposed = client.get(&format!("/containers/{service}/json")).expect(200).json();
    assert_eq!(exposed["Config"]["ExposedPorts"], json!({"6379/tcp": {}}));
    let waiting = client.create(&name("wait-for-service"), &json!({
        "Image": database, "Cmd": ["sh", "-c", "until redis-cli -h $WAIT_FOR_SERVICE_TCP_ADDR ping; do :; done"],
        "Env": ["WAIT_FOR_SERVICE_TCP_ADDR=redis", "WAIT_FOR_SERVICE_TCP_PORT=6379"], "Labels": labels, "HostConfig": host(Value::Null),
    }));
    client.start(&waiting);
    assert_eq!(client.wait(&waiting), 0);
    client.delete(&format!("/containers/{waiting}?v=1&force=1"));
    let logs =
        client.get(&format!("/containers/{service}/logs?stdout=1&stderr=1&timestamps=1&tail=50")).expect(200);
    assert!(logs.text().contains("Ready to accept connections"));

    // The helper's container is started once for each of its stages, the job's own one once.
    let interactive = |image: &str| {
        json!({
            "Image": image, "Hostname": "runner", "Cmd": ["sh"], "Labels": labels, "Tty": false, "Env": ["CI=true"], "HostConfig": host(Value::Null),
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "OpenStdin": true, "StdinOnce": true,
        })
    };
    let predefined = client.create(&name("predefined"), &interactive(helper));
    assert_eq!(
        stage(client, &predefined, "echo fetched > /builds/source\n"),
        (0, String::new(), String::new())
    );
    let build = client.create(&name("build"), &interactive(database));
    let script = "cat /builds/source; redis-cli -h cache SET built yes; echo artifact > /builds/out; echo failed >&2; exit 5\n";
    assert_eq!(stage(client, &build, script), (5, "fetched\nOK\n".into(), "failed\n".into()));
    assert_eq!(client.get(&format!("/containers/{build}/json")).expect(200).json()["State"]["ExitCode"], 5);
    assert_eq!(stage(client, &predefined, "cat /builds/out\n"), (0, "artifact\n".into(), String::new()));

    client.post(&format!("/containers/{service}/stop?t=0"), &Value::Null).expect(204);
    for id in [&service, &build, &predefined] {
        client
            .post(&format!("/networks/{made}/disconnect"), &json!({"Container": id, "Force": true}))
            .expect(200);
        client.delete(&format!("/containers/{id}?v=1&force=1"));
    }
    client.delete(&format!("/networks/{made}"));
    client.delete(&format!("/volumes/{cache}?force=1"));
    client.remove_image(helper);
}

#[test]
fn a_job_of_gitlabs_runs_as_its_docker_executor_runs_it() {
    let (engine, registry) = (Engine::isolated(), Registry::start());
    let database = engine.redis();
    for version in VERSIONS {
        let helper = remote(&engine, &registry, "gitlab/helper:1");
        job(&Client { engine: &engine, version }, &helper, &database);
    }
}
