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

/// What Docker's client for Go writes of a container beside what its caller gave.
const GO: &str = r#"{
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false, "Tty": false,
    "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "",
    "Entrypoint": null, "Labels": null,
    "HostConfig": {
        "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": null}, "NetworkMode": "", "PortBindings": null,
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, "AutoRemove": false, "VolumeDriver": "", "VolumesFrom": null,
        "ConsoleSize": [0, 0], "CapAdd": null, "CapDrop": null, "CgroupnsMode": "", "Dns": null, "DnsOptions": null,
        "DnsSearch": null, "ExtraHosts": null, "GroupAdd": null, "IpcMode": "", "Cgroup": "", "Links": null, "OomScoreAdj": 0,
        "PidMode": "", "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "",
        "UsernsMode": "", "ShmSize": 0, "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
        "BlkioWeight": 0, "BlkioWeightDevice": null, "BlkioDeviceReadBps": null, "BlkioDeviceWriteBps": null,
        "BlkioDeviceReadIOps": null, "BlkioDeviceWriteIOps": null, "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": null, "DeviceCgroupRules": null,
        "DeviceRequests": null, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": null, "OomKillDisable": null,
        "PidsLimit": null, "Ulimits": null, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
        "MaskedPaths": null, "ReadonlyPaths": null
    },
    "NetworkingConfig": null
}"#;

/// A container as that client writes it: what is given in the place of what isn't.
fn go(given: &Value) -> Value {
    let mut whole: Value = serde_json::from_str(GO).expect("JSON");
    for (key, value) in given.as_object().into_iter().flatten() {
        match value.as_object().filter(|_| key == "HostConfig") {
            Some(host) => host.iter().for_each(|(key, value)| whole["HostConfig"][key] = value.clone()),
            None => whole[key] = value.clone(),
        }
    }
    whole
}

/// An image that has to be pulled, and gone again before each day.
fn remote(engine: &Engine, registry: &Registry, name: &str) -> String {
    registry.receive(name, &images::busybox(name).expect("an image"));
    let image = registry.name(name);
    engine.request_unchecked(&Request::new("DELETE", &format!("/images/{image}?force=1")));
    image
}

/// An image of a job, whose id is told: asked for, missed, pulled without credentials.
fn pull(client: &Client<'_>, image: &str, platform: &str) -> String {
    client.get(&format!("/images/{image}/json")).expect(404);
    let (name, tag) = image.rsplit_once(':').expect("a tag");
    let path = client.path(&format!("/images/create?fromImage={name}&tag={tag}{platform}"));
    // Who has no credentials sends the header, and nothing in it.
    let request =
        Request::new("POST", &path).header("X-Registry-Auth", "").header("Content-Type", "text/plain");
    client.engine.request_unchecked(&request).expect(200);
    let about = client.get(&format!("/images/{image}/json")).expect(200).json();
    assert_eq!(about["RepoTags"], json!([image]));
    about["Id"].as_str().expect("an id").to_owned()
}

/// What act calls everything of one job.
struct Names {
    network: String,
    tools: String,
    job: String,
    service: String,
    action: String,
}

/// A job's day as act lives it (pkg/runner/run_context.go, pkg/container/docker_run.go): one container that does nothing, in which
/// every step is a program, another for its service, and one for each action that is an image.
fn workflow(client: &Client<'_>, image: &str, database: &str) {
    let (engine, here) = (client.engine, format!("act-{}", client.version.replace('.', "-")));
    let name = |what: &str| engine.name(&format!("{here}-{what}"));
    let names = Names {
        network: name("job-network"),
        tools: name("toolcache"),
        job: name("job"),
        service: name("job-cache"),
        action: name("job-action"),
    };
    client.get("/info").expect(200);
    pull(client, image, PLATFORM);
    // What an earlier run left would be taken away.
    assert_eq!(find(client, &names.job), None);
    assert!(!has_volume(client, &names.job) && !has_volume(client, &format!("{}-env", names.job)));
    let network = made_network(client, &names.network);

    let service = started(
        client,
        &names.service,
        &go(&json!({
            "Image": database, "WorkingDir": "/work", "ExposedPorts": {"6379/tcp": {}}, "Env": ["MODE=test"],
            "HostConfig": {"Binds": [], "Mounts": [], "NetworkMode": names.network, "PortBindings": {"6379/tcp": [{"HostIp": "", "HostPort": ""}]}},
            "NetworkingConfig": {"EndpointsConfig": {&names.network: {"Aliases": ["cache"]}}},
        })),
    );
    let job = started(
        client,
        &names.job,
        &go(&json!({
            "Image": image, "Entrypoint": ["tail", "-f", "/dev/null"], "WorkingDir": "/work",
            "Env": ["RUNNER_TOOL_CACHE=/opt/hostedtoolcache", "RUNNER_OS=Linux", "RUNNER_ARCH=X64", "RUNNER_TEMP=/tmp", "LANG=C.UTF-8"],
            "HostConfig": {
                "Binds": [format!("{}:/var/run/docker.sock", engine.socket().display())], "Mounts": volumes(&names), "NetworkMode": names.network,
            },
            "NetworkingConfig": {"EndpointsConfig": {&names.network: {"Aliases": ["Job"]}}},
        })),
    );
    steps(client, &job);
    action(client, &names, image);

    client.delete(&format!("/containers/{job}?force=1&v=1"));
    for volume in [&names.job, &format!("{}-env", names.job)] {
        assert!(has_volume(client, volume));
        client.delete(&format!("/volumes/{volume}"));
    }
    client.delete(&format!("/containers/{service}?force=1&v=1"));
    let networks = networks(client);
    let known = networks.as_array().expect("a list").iter().filter(|one| one["Name"] == names.network);
    assert_eq!(known.map(|one| one["Id"].as_str()).collect::<Vec<_>>(), [Some(&network[..])]);
    assert_eq!(client.get(&format!("/networks/{network}")).expect(200).json()["Containers"], json!({}));
    client.delete(&format!("/networks/{network}"));
    // Tools are for the next job, too.
    client.delete(&format!("/volumes/{}?force=1", names.tools));
    client.remove_image(image);
}

const PLATFORM: &str = "&platform=linux%2Famd64";

/// Asks the service until it answers.
const ASK: &str = "until echo PING | nc cache 6379 | grep -q PONG; do :; done; echo there";

/// The volumes of everything in a job.
fn volumes(names: &Names) -> Value {
    let volume = |source: &str, target: &str| json!({"Type": "volume", "Source": source, "Target": target});
    json!([
        volume(&names.tools, "/opt/hostedtoolcache"),
        volume(&format!("{}-env", names.job), "/var/run/act"),
        volume(&names.job, "/work"),
    ])
}

fn find(client: &Client<'_>, name: &str) -> Option<String> {
    let all = client.get("/containers/json?all=1").expect(200).json();
    let named = format!("/{name}");
    let found = all.as_array().expect("a list").iter().find(|one| one["Names"][0] == named);
    found.and_then(|one| one["Id"].as_str()).map(str::to_owned)
}

fn has_volume(client: &Client<'_>, name: &str) -> bool {
    let volumes = client.get("/volumes").expect(200).json();
    volumes["Volumes"].as_array().is_some_and(|all| all.iter().any(|volume| volume["Name"] == name))
}

/// All networks, of which some are the machine's own.
fn networks(client: &Client<'_>) -> Value {
    client.engine.request_unchecked(&Request::new("GET", &client.path("/networks"))).expect(200).json()
}

/// A network, unless there is one.
fn made_network(client: &Client<'_>, name: &str) -> String {
    assert!(networks(client).as_array().expect("a list").iter().all(|one| one["Name"] != name));
    let wanted = json!({
        "CheckDuplicate": true, "Driver": "bridge", "Scope": "local", "EnableIPv6": false, "IPAM": null, "Internal": false,
        "Attachable": false, "Ingress": false, "ConfigOnly": false, "ConfigFrom": null, "Options": null, "Labels": null, "Name": name,
    });
    let made = client.post("/networks/create", &wanted).expect(201).json();
    made["Id"].as_str().expect("an id").to_owned()
}

/// Found or made, started, and asked who its programs are.
fn started(client: &Client<'_>, name: &str, config: &Value) -> String {
    assert_eq!(find(client, name), None);
    client.get("/version").expect(200);
    // Clients that speak an older version can't say for which machine.
    let platform = if client.version < "1.41" { "" } else { PLATFORM };
    let made = client.post(&format!("/containers/create?name={name}{platform}"), config).expect(201).json();
    let id = made["Id"].as_str().expect("an id").to_owned();
    client.start(&id);
    for flag in ["-u", "-g"] {
        let asked = json!({"Cmd": ["id", flag], "AttachStdout": true, "AttachStderr": true});
        assert_eq!(client.exec(&id, &asked), (0, "0\n".into(), String::new()));
    }
    id
}

/// A step that is a script: files are copied to where it finds them, and what it wrote into them is copied out again.
fn steps(client: &Client<'_>, job: &str) {
    client.put(job, "/var/run/act/", &[("workflow/event.json", b"{}"), ("workflow/envs.txt", b"")]);
    let files = ["outputcmd.txt", "statecmd.txt", "pathcmd.txt", "envs.txt", "SUMMARY.md"];
    let files = files.map(|name| format!("workflow/{name}"));
    client.put(job, "/var/run/act", &files.each_ref().map(|name| (&name[..], &b""[..])));
    let rest = "echo err >&2; echo \"WORD=$INPUT\" >> \"$GITHUB_ENV\"; pwd; echo left > here; exit 3";
    let script = format!("{ASK}; {rest}");
    client.put(job, "/var/run/act", &[("workflow/0.sh", script.as_bytes())]);
    let step = json!({
        "User": "", "Privileged": false, "Tty": false, "AttachStdin": false, "AttachStderr": true, "AttachStdout": true, "Detach": false,
        "DetachKeys": "", "Env": ["GITHUB_ENV=/var/run/act/workflow/envs.txt", "INPUT=given"], "WorkingDir": "/work",
        "Cmd": ["sh", "-e", "/var/run/act/workflow/0.sh"],
    });
    assert_eq!(client.exec(job, &step), (3, "there\n/work\n".into(), "err\n".into()));
    for (name, expected) in files.iter().zip(["", "", "", "WORD=given\n", ""]) {
        let kept =
            client.get(&format!("/containers/{job}/archive?path=%2Fvar%2Frun%2Fact%2F{name}")).expect(200);
        assert!(kept.text().contains(expected));
    }
}

/// An action that is a Dockerfile: built, attached to before it starts in the job's network and volumes, waited for.
fn action(client: &Client<'_>, names: &Names, image: &str) {
    let name = &names.action;
    client.get(&format!("/images/{name}/json")).expect(404);
    let context = images::archive_of(&[
        (
            "Dockerfile",
            format!("FROM {image}\nCOPY entry.sh /entry.sh\nENTRYPOINT [\"sh\", \"/entry.sh\"]\n").as_bytes(),
        ),
        ("entry.sh", format!("{ASK}; cat here; echo $INPUT_WHO $1; echo bad >&2; exit 4").as_bytes()),
    ]);
    let nothing = "buildargs=null&cachefrom=null&cgroupparent=&cpuperiod=0&cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0\
                   &labels=null&memory=0&memswap=0&networkmode=&shmsize=0&target=&ulimits=null&version=";
    let path = client.path(&format!("/build?{nothing}&dockerfile=Dockerfile&rm=1&t={name}{PLATFORM}"));
    // No credentials for any registry.
    let request = Request::new("POST", &path).header("X-Registry-Config", "e30=");
    let request = request.header("Content-Type", "application/x-tar").body(context);
    let told = client.engine.request_unchecked(&request).expect(200).text();
    assert!(told.contains("Successfully tagged"), "{told}");
    assert_eq!(find(client, name), None);
    let id = client.create(
        name,
        &go(&json!({
            "Image": name, "Cmd": ["word"], "Env": ["INPUT_WHO=me"], "WorkingDir": "/work",
            "HostConfig": {"Mounts": volumes(names), "NetworkMode": format!("container:{}", names.job)},
        })),
    );
    let attached = client.hijack(&format!("/containers/{id}/attach?stderr=1&stdout=1&stream=1"), None);
    client.start(&id);
    assert_eq!(client.wait(&id), 4);
    assert_eq!(streams(attached), ("there\nleft\nme word\n".into(), "bad\n".into()));
    client.delete(&format!("/containers/{id}?force=1&v=1"));
    client.remove_image(name);
}

#[test]
fn a_workflow_of_githubs_runs_as_act_runs_it() {
    let (engine, registry) = (Engine::isolated(), Registry::start());
    let database = engine.redis();
    for version in VERSIONS {
        let image = remote(&engine, &registry, "act/runner:1");
        workflow(&Client { engine: &engine, version }, &image, &database);
    }
}

/// One stage of a job (executors/docker/internal/exec): attached to, started, given its script, and when its output has ended,
/// waited for and stopped, whether it has ended or not.
fn stage(client: &Client<'_>, id: &str, script: &str) -> (i64, String, String) {
    let attached =
        client.hijack(&format!("/containers/{id}/attach?stderr=1&stdin=1&stdout=1&stream=1"), None);
    client.start(id);
    let mut input = attached.stream();
    input.write_all(script.as_bytes()).expect("it reads");
    input.shutdown(Shutdown::Write).expect("a side that closes");
    let (out, err) = streams(attached);
    let wait = format!("/containers/{id}/wait?condition=not-running");
    let waiting = client.engine.stream(&Request::new("POST", &client.path(&wait)));
    let stopped = client.post(&format!("/containers/{id}/stop"), &Value::Null).status();
    assert!(matches!(stopped, 204 | 304), "{stopped}");
    let code = waiting.finish().expect("an answer").json()["StatusCode"].as_i64().expect("a code");
    (code, out, err)
}

/// The network that a job is in.
enum Lan {
    /// One of its own, where names of services are found.
    PerJob,
    /// Everybody's, where they stand in a file.
    Default,
}

/// A job of GitLab's, as the docker executor of its runner lives it.
struct Job<'c, 'e> {
    client: &'c Client<'e>,
    /// Of everything that is made.
    prefix: String,
    labels: Value,
    lan: Lan,
    /// What the runner's own programs run in, and the job and its service.
    helper: String,
    database: String,
}

impl Job<'_, '_> {
    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// The job's network, if it has one.
    fn network(&self) -> String {
        match self.lan {
            Lan::PerJob => self.name("network"),
            Lan::Default => String::new(),
        }
    }

    fn create(&self, name: &str, mut config: Value, host: &Value, aliases: &[&str]) -> String {
        let (client, network) = (self.client, self.network());
        let mut whole = json!({
            "NetworkMode": network, "LogConfig": {"Type": "json-file", "Config": null}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        });
        whole.as_object_mut().expect("an object").extend(host.as_object().cloned().unwrap_or_default());
        config["HostConfig"] = whole;
        config["Labels"] = self.labels.clone();
        // Since addresses of cards belong to networks, the default one is told by a name of its own.
        config["NetworkingConfig"] = match (&self.lan, client.version < "1.44") {
            (Lan::PerJob, _) => json!({"EndpointsConfig": {network: {"Aliases": aliases, "MacAddress": ""}}}),
            (Lan::Default, true) => json!({"EndpointsConfig": null}),
            (Lan::Default, false) => json!({"EndpointsConfig": {"default": {"MacAddress": ""}}}),
        };
        client.create(name, &go(&config))
    }

    /// What might be in the way: an earlier job's container of this name.
    fn clear(&self, name: &str) {
        networks(self.client);
        self.client
            .call(&Request::new("DELETE", &self.client.path(&format!("/containers/{name}?force=1&v=1"))))
            .expect(404);
    }

    fn remove(&self, id: &str) {
        networks(self.client);
        self.client.delete(&format!("/containers/{id}?force=1&v=1"));
    }

    /// A volume that every container of the job has, which everybody may write to.
    fn cache(&self) -> String {
        let (client, cache) = (self.client, self.name("cache-3c3f060a0374fc8bc39395164f415a70"));
        client
            .post("/volumes/create", &json!({"Name": cache, "Labels": self.labels, "DriverOpts": null}))
            .expect(201);
        let name = format!("{cache}-set-permission-1");
        let config = go(&json!({
            "Image": self.helper, "Cmd": ["chmod", "777", "/gitlab-runner-cache-init"], "Labels": self.labels,
            "HostConfig": {
                "LogConfig": {"Type": "json-file", "Config": null}, "Binds": [format!("{cache}:/gitlab-runner-cache-init")],
            },
        }));
        let id = client.create(&name, &config);
        client.start(&id);
        assert_eq!(client.wait(&id), 0);
        client.delete(&format!("/containers/{id}?force=1"));
        cache
    }

    /// The service and its address, when somebody has seen that it answers.
    fn service(&self, cache: &str) -> (String, String) {
        let (client, name) = (self.client, self.name("redis-0"));
        self.clear(&name);
        let binds = json!({"Binds": [format!("{cache}:/builds")]});
        let service = self.create(
            &name,
            json!({"Image": self.database, "Env": ["CI=true"]}),
            &binds,
            &["redis", "cache"],
        );
        client.start(&service);
        let about = client.get(&format!("/containers/{service}/json")).expect(200).json();
        assert_eq!(about["Config"]["ExposedPorts"], json!({"6379/tcp": {}}));
        let address = about["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned();
        assert_eq!(address.is_empty(), matches!(self.lan, Lan::PerJob));
        let short = &service[..12];
        let hosts = if address.is_empty() { Value::Null } else { json!([format!("{short}:{address}")]) };
        let waiting = self.create(
            &format!("{name}-wait-for-service"),
            json!({
                "Image": self.helper, "Cmd": ["sh", "-c", "until echo PING | nc $WAIT_FOR_SERVICE_TCP_ADDR $WAIT_FOR_SERVICE_6379_TCP_PORT | grep -q PONG; do :; done"],
                "Env": [format!("WAIT_FOR_SERVICE_TCP_ADDR={short}"), "WAIT_FOR_SERVICE_6379_TCP_PORT=6379"],
            }),
            &json!({"ExtraHosts": hosts}),
            &[],
        );
        client.start(&waiting);
        assert_eq!(client.wait(&waiting), 0);
        self.remove(&waiting);
        let logs = client
            .get(&format!("/containers/{service}/logs?stderr=1&stdout=1&timestamps=1&tail="))
            .expect(200);
        assert!(logs.text().contains("Ready to accept connections"));
        (service, address)
    }

    /// A container whose program is the shell that reads the stages' scripts.
    fn shell(&self, what: &str, image: &str, cache: &str, address: &str) -> String {
        let name = self.name(what);
        self.clear(&name);
        let hosts = if address.is_empty() { Value::Null } else { json!([format!("cache:{address}")]) };
        let config = json!({
            "Image": image, "Hostname": "runner", "Cmd": ["sh"], "Env": ["CI=true"], "AttachStdin": true, "AttachStdout": true,
            "AttachStderr": true, "OpenStdin": true, "StdinOnce": true,
        });
        let host = json!({"Binds": [format!("{cache}:/builds")], "ExtraHosts": hosts});
        let id = self.create(&name, config, &host, &["build", &name]);
        assert_eq!(
            self.client.get(&format!("/containers/{id}/json")).expect(200).json()["State"]["Status"],
            "created"
        );
        id
    }

    fn run(&self) {
        let client = self.client;
        let network = match self.lan {
            Lan::PerJob => {
                let made = made_network(client, &self.network());
                client.get(&format!("/networks/{made}")).expect(200);
                Some(made)
            }
            Lan::Default => None,
        };
        let cache = self.cache();
        let (service, address) = self.service(&cache);
        // The helper's container is started once for each of its stages, the job's own one once.
        let predefined = self.shell("predefined", &self.helper, &cache, &address);
        let nothing = String::new;
        assert_eq!(stage(client, &predefined, "echo fetched > /builds/source\n"), (0, nothing(), nothing()));
        let build = self.shell("build", &self.database, &cache, &address);
        let script = "cat /builds/source; redis-cli -h cache SET built yes; echo artifact > /builds/out; echo failed >&2; exit 5\n";
        assert_eq!(stage(client, &build, script), (5, "fetched\nOK\n".into(), "failed\n".into()));
        assert_eq!(
            client.get(&format!("/containers/{build}/json")).expect(200).json()["State"]["ExitCode"],
            5
        );
        assert_eq!(stage(client, &predefined, "cat /builds/out\n"), (0, "artifact\n".into(), nothing()));

        for id in [&service, &predefined, &build] {
            self.remove(id);
        }
        client.delete(&format!("/volumes/{cache}?force=1"));
        if let Some(network) = network {
            let left = client.get(&format!("/networks/{network}")).expect(200).json();
            assert_eq!(left["Containers"], json!({}));
            client.delete(&format!("/networks/{network}"));
        }
    }
}

#[test]
fn a_job_of_gitlabs_runs_as_its_docker_executor_runs_it() {
    let (engine, registry) = (Engine::isolated(), Registry::start());
    let database = engine.redis();
    for version in VERSIONS {
        let image = remote(&engine, &registry, "gitlab/helper:1");
        let client = Client { engine: &engine, version };
        client.get("/info").expect(200);
        // Containers are made of ids, so that nobody can change what a name means meanwhile.
        let helper = pull(&client, &image, "");
        let known = client.get(&format!("/images/{database}/json")).expect(200).json();
        let database = known["Id"].as_str().expect("an id").to_owned();
        for (lan, name) in [(Lan::PerJob, "own"), (Lan::Default, "default")] {
            let prefix = engine.name(&format!("runner-{}-{name}", version.replace('.', "-")));
            let labels =
                json!({"com.gitlab.gitlab-runner.managed": "true", "com.gitlab.gitlab-runner.job.id": "7"});
            let (helper, database) = (helper.clone(), database.clone());
            Job { client: &client, prefix, labels, lan, helper, database }.run();
        }
        client.remove_image(&image);
    }
}
