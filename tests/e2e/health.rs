//! Health checks.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, command, eventually};

use crate::life::{actions, inspected, now, post};

fn checked(engine: &Engine, name: &str, test: &Value, more: &Value) -> String {
    let (tag, name) = (engine.busybox(), engine.name(name));
    let mut check = json!({"Test": test, "Interval": 20_000_000, "Retries": 2});
    for (key, value) in more.as_object().into_iter().flatten() {
        check[key] = value.clone();
    }
    let config = json!({
        "Image": tag, "Cmd": ["sleep", "1000"], "Healthcheck": check, "HostConfig": {"NetworkMode": "none"},
        "Labels": more["Labels"],
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    post(engine, &format!("/containers/{name}/start")).expect(204);
    name
}

fn becomes(engine: &Engine, name: &str, status: &str) -> Value {
    let mut health = Value::Null;
    eventually(DEADLINE, || {
        health = inspected(engine, name)["State"]["Health"].clone();
        if health["Status"] == status { Ok(()) } else { Err(health.clone()) }
    });
    health
}

fn exec(engine: &Engine, name: &str, script: &str) {
    command::run(engine.ketch_command().args(["exec", name, "sh", "-c", script])).ok();
}

// covers: value event-action events health_status
// covers: value event-action events health_status: healthy
// covers: value event-action events health_status: unhealthy
// covers: value filter docker container ls health
#[test]
fn health_follows_the_checks_exit_codes() {
    let engine = Engine::isolated();
    let since = now();
    let name = checked(&engine, "c", &json!(["CMD-SHELL", "cat /well || exit 1"]), &json!({}));
    let sick = becomes(&engine, &name, "unhealthy");
    assert!(sick["FailingStreak"].as_u64() >= Some(2), "{sick}");
    let last = &sick["Log"][0];
    assert_eq!(
        (&last["ExitCode"], last["Output"].as_str().unwrap().contains("No such file")),
        (&json!(1), true)
    );
    exec(&engine, &name, "echo fine > /well");
    let well = becomes(&engine, &name, "healthy");
    assert_eq!(well["FailingStreak"], 0);
    let log = well["Log"].as_array().unwrap();
    assert!(log.len() <= 5 && log.last().unwrap()["Output"] == "fine\n", "{well}");
    let told: Vec<String> =
        actions(&engine, &since, &name).into_iter().filter(|action| action.starts_with("health")).collect();
    assert_eq!(told, ["health_status: unhealthy", "health_status: healthy"]);
    for mut client in crate::life::both(&engine) {
        client.args(["ps", "--filter", "health=healthy", "--filter", &format!("name={name}")]);
        let line = command::run(client.args(["--format", "{{.Status}}"])).ok();
        assert!(line.starts_with("Up ") && line.ends_with(" (healthy)"), "{line}");
    }
    let none =
        engine.ketch(["ps", "-q", "--filter", "health=none", "--filter", &format!("name={name}")]).ok();
    assert_eq!(none, "");
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    let engine = Engine::isolated();
    let name = checked(&engine, "c", &json!(["CMD", "sleep", "600"]), &json!({"Timeout": 50_000_000}));
    let sick = becomes(&engine, &name, "unhealthy");
    let first = &sick["Log"][0];
    assert_eq!(
        (&first["ExitCode"], &first["Output"]),
        (&json!(-1), &json!("Health check exceeded timeout (50ms)"))
    );
    // What it was checked by has ended with its time.
    eventually(DEADLINE, || match engine.ketch(["top", &name]).ok() {
        table if table.matches("sleep 600").count() <= 1 => Ok(()),
        table => Err(table),
    });
}

#[test]
fn a_start_period_forgives_until_the_first_success() {
    let engine = Engine::isolated();
    let more = json!({"StartPeriod": 600_000_000_000_u64, "StartInterval": 10_000_000});
    let name = checked(&engine, "c", &json!(["CMD", "test", "-e", "/well"]), &more);
    eventually(DEADLINE, || match inspected(&engine, &name)["State"]["Health"].clone() {
        health if health["Log"].as_array().is_some_and(|log| log.len() == 5) => {
            assert_eq!((&health["Status"], &health["FailingStreak"]), (&json!("starting"), &json!(0)));
            Ok(())
        }
        health => Err(health),
    });
    let line = engine.ketch(["ps", "--filter", &format!("name={name}"), "--format", "{{.Status}}"]).ok();
    assert!(line.ends_with(" (health: starting)"), "{line}");
    exec(&engine, &name, "touch /well");
    becomes(&engine, &name, "healthy");
    exec(&engine, &name, "rm /well");
    becomes(&engine, &name, "unhealthy");
}

#[test]
fn who_asks_for_it_has_the_unhealthy_restarted() {
    let engine = Engine::ours();
    let labels = json!({"Labels": {"ketch.restart-on-unhealthy": "true"}});
    let name = checked(&engine, "c", &json!(["CMD", "test", "-e", "/dev/shm/well"]), &labels);
    let first = inspected(&engine, &name)["State"]["Pid"].clone();
    eventually(DEADLINE, || match inspected(&engine, &name)["State"].clone() {
        state if state["Running"] == true && state["Pid"] != first && state["Pid"] != 0 => Ok(()),
        state => Err(state),
    });
}

#[test]
fn checks_go_on_under_the_next_engine() {
    let mut engine = Engine::ours();
    let name = checked(&engine, "c", &json!(["CMD", "true"]), &json!({}));
    becomes(&engine, &name, "healthy");
    engine.crash_and_restart();
    becomes(&engine, &name, "healthy");
    // One that checks nothing has no health.
    let off = checked(&engine, "off", &json!(["NONE"]), &json!({}));
    assert_eq!(inspected(&engine, &off)["State"]["Health"], Value::Null);
    let wrong = json!({"Image": engine.busybox(), "Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}});
    let reply = engine.request_unchecked(&Request::new("POST", "/containers/create").json(&wrong));
    assert_eq!(
        (reply.status(), reply.message().as_str()),
        (400, "Retries in Healthcheck cannot be negative")
    );
}
