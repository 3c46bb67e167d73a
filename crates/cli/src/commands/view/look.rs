//! What the engine has, as a view's lines.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use client::Engine;
use live::{Life, Room, Sample, Thing};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{INTERVAL, News};
use crate::commands::containers::{self, short_id};
use crate::commands::stats;
use crate::commands::units;
use crate::listing::Row;

/// Asks again and again.
pub(super) struct Looker {
    engine: Arc<Engine>,
    news: mpsc::Sender<News>,
    begun: Instant,
    /// The figures of the last time, by container.
    seen: HashMap<String, Value>,
}

impl Looker {
    pub(super) fn new(engine: Arc<Engine>, news: mpsc::Sender<News>) -> Self {
        Self { engine, news, begun: Instant::now(), seen: HashMap::new() }
    }

    /// Until nobody looks any more.
    pub(super) async fn run(mut self, mut room: watch::Receiver<Room>) {
        loop {
            let wanted = *room.borrow_and_update();
            if let Err(error) = self.look(wanted).await
                && self.news.send(News::Failed(error.to_string())).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                changed = room.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn look(&mut self, room: Room) -> Result<(), client::Error> {
        let listed = self.engine.get("/containers/json?all=1").await?;
        let all = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        let things = match room {
            Room::Containers => return self.look_at_containers(all).await,
            Room::Images => images(&self.engine.get("/images/json").await?, all),
            Room::Networks => networks(&self.engine.get("/networks").await?, all),
            Room::Volumes => volumes(&self.engine.get("/volumes").await?["Volumes"], all),
        };
        self.tell(News::Things(room, things)).await;
        Ok(())
    }

    async fn tell(&self, news: News) {
        // Nobody looks any more: `run` ends at its next turn.
        let _ = self.news.send(news).await;
    }

    /// The list at once, with the figures that are known; then what each uses.
    async fn look_at_containers(&mut self, all: &[Value]) -> Result<(), client::Error> {
        let ids: HashSet<&str> = all.iter().map(|container| text(container, "Id")).collect();
        self.seen.retain(|id, _| ids.contains(id.as_str()));
        let mut things = Vec::new();
        let mut samples = Vec::new();
        for container in all {
            let id = text(container, "Id");
            let figures = match life(container) {
                Life::Stopped => None,
                Life::Running | Life::Paused => self.figures(id, &mut samples).await?,
            };
            things.push(thing(container, figures));
        }
        self.tell(News::Things(Room::Containers, things)).await;
        for (id, sample) in samples {
            self.tell(News::Sample(id, sample)).await;
        }
        Ok(())
    }

    /// What a container uses; nothing of one that has gone since it was listed.
    async fn figures(
        &mut self,
        id: &str,
        samples: &mut Vec<(String, Sample)>,
    ) -> Result<Option<Row>, client::Error> {
        let now = match stats::figures(&self.engine, id).await {
            Ok(now) => now,
            Err(error) if error.is_status(404) || error.is_status(409) => return Ok(None),
            Err(error) => return Err(error),
        };
        let before = self.seen.get(id);
        let row = stats::row(id, &now, before, false);
        if before.is_some() {
            samples.push((id.to_owned(), stats::sample(self.begun.elapsed().as_secs_f64(), &now, before)));
        }
        self.seen.insert(id.to_owned(), now);
        Ok(Some(row))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn life(container: &Value) -> Life {
    match text(container, "State") {
        "running" | "restarting" | "removing" => Life::Running,
        "paused" => Life::Paused,
        _ => Life::Stopped,
    }
}

fn cell(row: &Row, key: &str) -> String {
    row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn thing(container: &Value, figures: Option<Row>) -> Thing {
    let row = containers::row(container, false);
    let figures = figures.unwrap_or_default();
    let memory = cell(&figures, "MemUsage");
    let cells = vec![
        cell(&row, "Names"),
        cell(&row, "Status"),
        cell(&figures, "CPUPerc"),
        memory.split(" / ").next().unwrap_or_default().to_owned(),
        cell(&row, "Image"),
        cell(&figures, "NetIO"),
        cell(&figures, "BlockIO"),
        cell(&row, "Ports"),
    ];
    Thing {
        key: text(container, "Id").to_owned(),
        name: cells[0].clone(),
        life: Some(life(container)),
        cells,
    }
}

/// The names of the containers that this is true of.
fn users(containers: &[Value], uses: impl Fn(&Value) -> bool) -> String {
    let names: Vec<String> = containers
        .iter()
        .filter(|container| uses(container))
        .map(|container| cell(&containers::row(container, false), "Names"))
        .collect();
    names.join(", ")
}

/// One line for each name, as `images` has it.
fn images(listed: &Value, containers: &[Value]) -> Vec<Thing> {
    let mut things = Vec::new();
    for image in listed.as_array().into_iter().flatten() {
        let id = text(image, "Id");
        let used = users(containers, |container| text(container, "ImageID") == id);
        let mut names: Vec<&str> =
            image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        names.retain(|name| *name != "<none>:<none>");
        if names.is_empty() {
            names.push("<none>");
        }
        for name in names {
            let cells = vec![
                name.to_owned(),
                units::size(image["Size"].as_f64().unwrap_or_default(), 3),
                units::ago(image["Created"].as_i64().unwrap_or_default()),
                short_id(id).to_owned(),
                used.clone(),
            ];
            let key = if name == "<none>" { id } else { name };
            things.push(Thing { key: key.to_owned(), name: cells[0].clone(), life: None, cells });
        }
    }
    things
}

fn networks(listed: &Value, containers: &[Value]) -> Vec<Thing> {
    let thing = |network: &Value| {
        let name = text(network, "Name");
        let subnets = network["IPAM"]["Config"].as_array().into_iter().flatten();
        let subnets: Vec<&str> = subnets.filter_map(|config| config["Subnet"].as_str()).collect();
        let cells = vec![
            name.to_owned(),
            text(network, "Driver").to_owned(),
            subnets.join(", "),
            short_id(text(network, "Id")).to_owned(),
            users(containers, |container| !container["NetworkSettings"]["Networks"][name].is_null()),
        ];
        Thing { key: text(network, "Id").to_owned(), name: name.to_owned(), life: None, cells }
    };
    listed.as_array().into_iter().flatten().map(thing).collect()
}

fn volumes(listed: &Value, containers: &[Value]) -> Vec<Thing> {
    let thing = |volume: &Value| {
        let name = text(volume, "Name");
        let mounted = |container: &Value| {
            container["Mounts"].as_array().into_iter().flatten().any(|mount| text(mount, "Name") == name)
        };
        let created = units::seconds_of(text(volume, "CreatedAt"));
        let cells = vec![
            name.to_owned(),
            text(volume, "Driver").to_owned(),
            created.map(units::ago).unwrap_or_default(),
            users(containers, mounted),
            text(volume, "Mountpoint").to_owned(),
        ];
        Thing { key: name.to_owned(), name: name.to_owned(), life: None, cells }
    };
    listed.as_array().into_iter().flatten().map(thing).collect()
}
