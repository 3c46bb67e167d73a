//! The Kubernetes objects of a project: what they say, and that Kubernetes' own types know every field of them.

use std::path::Path;

use compose::kube::{Objects, objects};
use compose::{Environment, Options, Project, Switches};
use k8s_openapi::api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const FILE: &str = r#"
name: shop
services:
  web:
    image: nginx:1.27
    ports: ["127.0.0.1:9000:9000", "53:53/udp", { target: 80, published: "8080", app_protocol: http }]
    environment: { DB_HOST: db, PRICE: "$$(A)", EMPTY: }
    deploy:
      replicas: 3
      update_config: { order: start-first }
      resources: { limits: { cpus: "0.5", memory: 64M }, reservations: { cpus: "0.25", memory: 32M } }
    healthcheck: { test: "curl -f localhost", interval: 10s, timeout: 2s, retries: 4, start_period: 30s }
    configs: [{ source: site, target: /etc/nginx/conf.d/site.conf }]
    secrets: [key]
    read_only: true
    tmpfs: [/run]
    user: "101:102"
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    x-ingress: shop.example.org
    sysctls: { net.core.somaxconn: 1024 }
    extra_hosts: ["other:203.0.113.7"]
    dns: [192.0.2.53]
    stop_grace_period: 25s
    logging: { driver: json-file }
    volumes: ["./static:/static:ro"]
  db:
    image: postgres:17
    volumes: ["data:/var/lib/postgresql/data:idmap"]
    expose: ["5432"]
    restart: unless-stopped
  migrate:
    build: .
    command: ["migrate", "--all"]
    restart: "on-failure:3"
    depends_on: [db]
  worker_one:
    image: worker
    user: nobody
    gpus: [{ count: 1 }]
    platform: linux/arm64/v8
    labels: { team: "a b" }
    annotations: { note: x }
    init: true
    cpu_shares: 512
    networks: { default: { aliases: [other] }, back: }
    depends_on: [db]
    storage_opt: { size: 1G }
    deploy: { placement: { constraints: [node.role==x] }, update_config: { parallelism: 2 } }
networks: { back: {} }
volumes: { data: {} }
configs: { site: { content: "server {}" } }
secrets: { key: { environment: KEY } }
"#;

fn project(text: &str) -> Project {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("compose.yaml");
    std::fs::write(&path, text).expect("the test's own");
    let options = Options {
        files: vec![path],
        directory: None,
        name: None,
        env_files: Vec::new(),
        environment: Environment::process([("KEY".to_owned(), "secret".to_owned())]),
        current: Path::new("/").to_owned(),
        switches: Switches::default(),
        remote: None,
    };
    Project::load(&options, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn find<'o>(objects: &'o Objects, kind: &str, name: &str) -> &'o Value {
    let found = objects.objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}: {:#?}", objects.objects))
}

/// Read into the type and written again, nothing is lost: the type knows every field.
fn is_known<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    assert_eq!(serde_json::to_value(typed).expect("it was read"), *object);
}

#[test]
fn every_object_is_one_that_kubernetes_knows() {
    let all = objects(&project(FILE), Some("shops")).unwrap();
    for object in &all.objects {
        assert_eq!(object["metadata"]["namespace"], "shops");
        match object["kind"].as_str().unwrap() {
            "ConfigMap" => is_known::<api::core::v1::ConfigMap>(object),
            "Secret" => is_known::<api::core::v1::Secret>(object),
            "Service" => is_known::<api::core::v1::Service>(object),
            "PersistentVolumeClaim" => is_known::<api::core::v1::PersistentVolumeClaim>(object),
            "Deployment" => is_known::<api::apps::v1::Deployment>(object),
            "StatefulSet" => is_known::<api::apps::v1::StatefulSet>(object),
            "Job" => is_known::<api::batch::v1::Job>(object),
            "Ingress" => is_known::<api::networking::v1::Ingress>(object),
            other => panic!("{other} is none of ours"),
        }
    }
}

#[test]
fn a_service_is_a_deployment_with_everything_that_it_says() {
    let all = objects(&project(FILE), None).unwrap();
    let web = &find(&all, "Deployment", "web")["spec"];
    assert_eq!(web["replicas"], 3);
    assert_eq!(web["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    let pod = &web["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "nginx:1.27");
    let env = container["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "DB_HOST", "value": "db"})), "{env:?}");
    assert!(env.contains(&json!({"name": "PRICE", "value": "$$(A)"})), "{env:?}");
    assert_eq!(container["resources"]["limits"], json!({"cpu": "0.5", "memory": "67108864"}));
    assert_eq!(container["resources"]["requests"], json!({"cpu": "0.25", "memory": "33554432"}));
    let ready = &container["readinessProbe"];
    assert_eq!(ready["exec"]["command"], json!(["/bin/sh", "-c", "curl -f localhost"]));
    assert_eq!([&ready["periodSeconds"], &ready["timeoutSeconds"], &ready["failureThreshold"]], [10, 2, 4]);
    assert_eq!(container["startupProbe"]["failureThreshold"], 10);
    let security = &container["securityContext"];
    assert_eq!([&security["runAsUser"], &security["runAsGroup"]], [101, 102]);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"], json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}));
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["mountPath"] == "/etc/nginx/conf.d/site.conf" && mount["subPath"] == "site")
    );
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/run/secrets/key"));
    assert_eq!(pod["terminationGracePeriodSeconds"], 25);
    assert_eq!(pod["hostAliases"], json!([{"ip": "203.0.113.7", "hostnames": ["other"]}]));
    assert_eq!(pod["securityContext"]["sysctls"], json!([{"name": "net.core.somaxconn", "value": "1024"}]));
    assert_eq!(find(&all, "ConfigMap", "site")["data"]["site"], "server {}");
    assert_eq!(find(&all, "Secret", "key")["data"]["key"], "c2VjcmV0");
}

#[test]
fn data_and_tasks_are_kept_by_what_is_for_them() {
    let all = objects(&project(FILE), None).unwrap();
    let db = &find(&all, "StatefulSet", "db")["spec"]["template"]["spec"];
    assert_eq!(db["volumes"][0]["persistentVolumeClaim"]["claimName"], "data");
    find(&all, "PersistentVolumeClaim", "data");
    let migrate = &find(&all, "Job", "migrate")["spec"];
    assert_eq!(
        (&migrate["backoffLimit"], &migrate["template"]["spec"]["restartPolicy"]),
        (&json!(3), &json!("OnFailure"))
    );
    let worker = &find(&all, "Deployment", "worker-one")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(worker["resources"]["limits"]["nvidia.com/gpu"], "1");
    let template = &find(&all, "Deployment", "worker-one")["spec"]["template"];
    assert_eq!(
        template["spec"]["nodeSelector"],
        json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"})
    );
    assert_eq!(template["metadata"]["annotations"], json!({"team": "a b", "note": "x"}));
    assert!(!all.objects.iter().any(|one| one["kind"] == "Service" && one["metadata"]["name"] == "migrate"));
}

#[test]
fn names_and_published_ports_lead_to_the_pods() {
    let all = objects(&project(FILE), None).unwrap();
    let web = &find(&all, "Service", "web")["spec"];
    assert_eq!(web["type"], "LoadBalancer");
    let ports: Vec<(u64, u64, &str)> = web["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| {
            (
                port["port"].as_u64().unwrap(),
                port["targetPort"].as_u64().unwrap(),
                port["protocol"].as_str().unwrap(),
            )
        })
        .collect();
    for port in [(80, 80, "TCP"), (8080, 80, "TCP"), (53, 53, "UDP"), (9000, 9000, "TCP")] {
        assert!(ports.contains(&port), "{port:?}: {ports:?}");
    }
    for port in web["ports"].as_array().unwrap() {
        assert_eq!(port.get("appProtocol"), (port["targetPort"] == 80).then_some(&json!("http")), "{port}");
    }
    assert_eq!(find(&all, "Service", "db")["spec"]["ports"][0]["port"], 5432);
    assert_eq!(find(&all, "Service", "worker-one")["spec"]["clusterIP"], "None");
    let rule = &find(&all, "Ingress", "web")["spec"]["rules"][0];
    assert_eq!(
        (&rule["host"], &rule["http"]["paths"][0]["backend"]["service"]["name"]),
        (&json!("shop.example.org"), &json!("web"))
    );
}

#[test]
fn what_has_no_counterpart_is_told() {
    let told = objects(&project(FILE), None).unwrap().told.join("\n");
    for line in [
        "web: ports: 127.0.0.1 is this machine's alone",
        "web: logging: logs are the cluster's",
        "at /static (bind) is this machine's",
        "migrate: build: the cluster pulls shop-migrate",
        "worker_one: user: nobody is a name",
        "worker_one: init: a pod has none",
        "worker_one: cpu_shares: is the node's",
        "worker_one: networks.default.aliases: make a Service of that name",
        "worker_one: networks: back: pods reach each other",
        "worker_one: depends_on: pods start at once",
        "worker_one: storage_opt: is the node's",
        "worker_one: deploy.placement: is the cluster's",
        "worker_one: deploy.update_config.parallelism: is the cluster's",
        "db: volumes: data isn't filled",
        "db: volumes: x-idmap of /var/lib/postgresql/data: set fsGroup by hand",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

/// Of what a plain service says nothing is told: what is told is worth reading.
#[test]
fn a_plain_service_says_nothing_that_is_lost() {
    let all = objects(&project("name: p\nservices: {web: {image: a, ports: ['80:80'], command: [x]}}"), None)
        .unwrap();
    assert_eq!(all.told, Vec::<String>::new());
}

#[test]
fn the_documents_are_what_was_meant() {
    let all = objects(&project(FILE), None).unwrap();
    let text = all.yaml();
    let documents: Vec<&str> = text.split("---\n").filter(|part| !part.is_empty()).collect();
    assert_eq!(documents.len(), all.objects.len());
    for (document, object) in documents.iter().zip(&all.objects) {
        let read: Value = yaml::from_str(document).unwrap_or_else(|error| panic!("{error:?}: {document}"));
        assert_eq!(read, *object);
    }
}
