//! What containers use.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

use crate::life::{both, post, runs};

/// What the recordings hold has no limits.
fn figures(engine: &Engine, path: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/containers/{path}"))).expect(200).json()
}

/// One that has something to show: pages of its own and a busy moment behind it.
fn busy(engine: &Engine) -> String {
    let script = "head -c 4000000 /dev/zero > /dev/shm/x; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000";
    let name = runs(engine, "busy", script, &json!({"Memory": 64 << 20, "PidsLimit": 40}));
    eventually(DEADLINE, || match figures(engine, &format!("{name}/stats?stream=0&one-shot=1")) {
        figures if figures["memory_stats"]["usage"].as_u64() > Some(4_000_000) => Ok(()),
        figures => Err(figures),
    });
    name
}

fn line(stream: &mut testkit::http::Exchange) -> String {
    stream.next_line().expect("a stream of figures").unwrap_or_default()
}

// covers: api GET /containers/{id}/stats
// covers: api GET /containers/{id}/stats ?stream
// covers: api GET /containers/{id}/stats ?one-shot
#[test]
fn figures_are_the_kernels() {
    let engine = Engine::isolated();
    let name = busy(&engine);
    let first = figures(&engine, &format!("{name}/stats?stream=0"));
    assert_eq!(first["name"], format!("/{name}"));
    assert_eq!(
        (&first["memory_stats"]["limit"], &first["pids_stats"]["limit"]),
        (&json!(64 << 20), &json!(40))
    );
    let number = |path: &str| first.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    assert!(number("/pids_stats/current") >= 1);
    let total = number("/cpu_stats/cpu_usage/total_usage");
    assert!(total > 0 && total >= number("/precpu_stats/cpu_usage/total_usage"));
    assert!(number("/cpu_stats/system_cpu_usage") > number("/precpu_stats/system_cpu_usage"));
    assert!(number("/cpu_stats/online_cpus") >= 1);
    // One look has nothing before it.
    let once = figures(&engine, &format!("{name}/stats?stream=0&one-shot=1"));
    assert_eq!(once["preread"], "0001-01-01T00:00:00Z");
    let wrong =
        engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/stats?one-shot=1")));
    assert_eq!(
        (wrong.status(), wrong.message().as_str()),
        (400, "cannot have stream=true and one-shot=true")
    );
    // A stream goes on until the container is removed.
    let mut stream = engine.stream(&Request::new("GET", &format!("/containers/{name}/stats")));
    let (one, two) = (line(&mut stream), line(&mut stream));
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    assert_eq!(read(&one)["read"], read(&two)["preread"]);
    post(&engine, &format!("/containers/{name}/kill")).expect(204);
    let stopped = figures(&engine, &format!("{name}/stats?stream=0"));
    assert_eq!((&stopped["read"], &stopped["memory_stats"]), (&json!("0001-01-01T00:00:00Z"), &json!({})));
}

// covers: cli docker stats
// covers: cli docker stats --all
// covers: cli docker stats --format
// covers: cli docker stats --no-stream
// covers: cli docker stats --no-trunc
// covers: cli docker container stats
// covers: cli docker container stats --all
// covers: cli docker container stats --format
// covers: cli docker container stats --no-stream
// covers: cli docker container stats --no-trunc
// covers: value format-field docker container stats .Container
// covers: value format-field docker container stats .Name
// covers: value format-field docker container stats .ID
// covers: value format-field docker container stats .CPUPerc
// covers: value format-field docker container stats .MemUsage
// covers: value format-field docker container stats .NetIO
// covers: value format-field docker container stats .BlockIO
// covers: value format-field docker container stats .MemPerc
// covers: value format-field docker container stats .PIDs
// covers: value format-method container.statsContext .BlockIO
// covers: value format-method container.statsContext .CPUPerc
// covers: value format-method container.statsContext .Container
// covers: value format-method container.statsContext .ID
// covers: value format-method container.statsContext .MemPerc
// covers: value format-method container.statsContext .MemUsage
// covers: value format-method container.statsContext .Name
// covers: value format-method container.statsContext .NetIO
// covers: value format-method container.statsContext .PIDs
#[test]
fn the_table_shows_each_container() {
    let engine = Engine::isolated();
    let name = busy(&engine);
    let id = crate::life::inspected(&engine, &name)["Id"].as_str().unwrap().to_owned();
    let rested = crate::life::created(&engine, "rested", "true", &json!({}));
    for command in ["stats", "container stats"] {
        for mut client in both(&engine) {
            client.args(command.split(' ')).args(["--no-stream", &name]);
            let table = testkit::command::run(&mut client).ok();
            let lines: Vec<&str> = table.lines().collect();
            let head: Vec<&str> =
                lines[0].split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
            assert_eq!(
                head,
                [
                    "CONTAINER ID",
                    "NAME",
                    "CPU %",
                    "MEM USAGE / LIMIT",
                    "MEM %",
                    "NET I/O",
                    "BLOCK I/O",
                    "PIDS"
                ]
            );
            assert!(lines[1].starts_with(&id[..12]) && lines[1].contains("/ 64MiB"), "{table}");
        }
        for mut client in both(&engine) {
            let format = "{{.Container}} {{.Name}} {{.ID}} {{.MemPerc}} {{.NetIO}} {{.PIDs}} {{.CPUPerc}} {{.BlockIO}} {{.MemUsage}}";
            client.args(command.split(' ')).args(["--no-stream", "--no-trunc", "--format", format, &name]);
            let line = testkit::command::run(&mut client).ok();
            assert!(
                line.starts_with(&format!("{name} {name} {id} ")) && line.contains("% 0B / 0B 1 "),
                "{line}"
            );
        }
        if engine.is_peer() {
            continue;
        }
        for mut client in both(&engine) {
            client.args(command.split(' ')).args(["--no-stream", "--all", "--format", "{{.Name}} {{.PIDs}}"]);
            let mut lines: Vec<String> =
                testkit::command::run(&mut client).ok().lines().map(str::to_owned).collect();
            lines.sort();
            assert_eq!(lines, [format!("{name} 1"), format!("{rested} 0")]);
        }
    }
}
