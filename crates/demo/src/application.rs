//! An application of two services: one counts its visitors in a volume, the other one visits it by its name.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::asker::{self, Asker};
use crate::image;
use crate::story::{Error, Stage, expect, io, say, wait_until};

/// What the Compose file calls it.
pub(crate) const PROJECT: &str = "ketch-demo";
/// A second copy.
pub(crate) const BESIDE: &str = "ketch-demo-beside";
const DOCKERFILE: &str = "FROM BASE
COPY greeting.txt /greeting.txt
ENTRYPOINT [\"/ketch\", \"__demo\", \"serve\"]
";
const COMPOSE: &str = "name: ketch-demo
services:
  web:
    build: .
    image: ketch-demo-web:latest
    ports: [\"127.0.0.1::80\"]
    volumes: [\"visits:/data\"]
    deploy: {update_config: {order: start-first, monitor: 100ms}}
    develop: {watch: [{action: sync, path: ./greeting.txt, target: /greeting.txt}]}
  friend:
    build:
      dockerfile_inline: |
        FROM BASE
        CMD [\"visit\", \"web\"]
    image: ketch-demo-friend:latest
    depends_on: [web]
volumes:
  visits: {}
";
/// Files alone, for machines of two kinds.
const FILES: &str = "FROM scratch
COPY greeting.txt /greeting.txt
";
const FILES_IMAGE: &str = "ketch-demo-files:latest";
/// What the application is called.
pub(crate) const IMAGE: &str = "ketch-demo-web:latest";
const FRIEND: &str = "ketch-demo-friend:latest";

/// Builds, starts, updates and takes down the application.
pub(crate) fn show(stage: &Stage) -> Result<(), Error> {
    say("\nAn application from a Dockerfile and a Compose file:");
    let folder = stage.path("app");
    write(&folder, "hello")?;
    let file = folder.join("compose.yaml");
    let compose = |words: &[&str]| {
        let file = file.to_string_lossy();
        stage.ketch(&[&["compose", "--progress", "quiet", "-f", &file], words].concat())
    };
    say("(neither image is built on the other one: they are built at once)");
    compose(&["up", "--detach", "--quiet-build"])?;
    let said = wait_until(|| {
        compose_quietly(stage, &file, &["logs", "friend"]).ok().filter(|log| log.contains("visitor"))
    });
    say(&format!("  {}", said.unwrap_or_default().trim_end()));
    let first = visit(stage, &file)?;
    expect(&first, "hello, visitor")?;

    write(&folder, "welcome back")?;
    say(
        "(the greeting changes: one service is made anew, its volume stays, and somebody asks it all the while)",
    );
    let asker = Asker::start(&address(stage, &file)?);
    compose(&["up", "--detach", "--build", "--quiet-build"])?;
    say(&format!("{} answers meanwhile, and none that didn't come", asker.stop()?));
    let second = visit(stage, &file)?;
    expect(&second, "welcome back, visitor")?;
    if number(&second) <= number(&first) {
        return Err(Error::Wrong(format!("the count was lost: {first:?}, then {second:?}")));
    }
    say("\nWhat the Dockerfile added to the image that it stands on:");
    expect(&stage.ketch(&["image", "explore", "--layer", "2", IMAGE])?, "/greeting.txt")?;
    live(stage, &folder, &file)?;
    beside(stage, &file)?;
    platforms(stage, &folder)?;
    outgrown(stage, &file)?;
    compose(&["down", "--volumes", "--timeout", "0"])?;
    stage.quietly(&["rmi", IMAGE, FRIEND])?;
    stage.quietly(&["builder", "prune", "--all", "--force"]).map(drop)
}

/// A file that changes here is in the running container: which has neither a shell nor tar.
fn live(stage: &Stage, folder: &Path, file: &Path) -> Result<(), Error> {
    let mut watch = stage.start(&["compose", "-f", &file.to_string_lossy(), "watch", "--no-up"])?;
    let mut output = BufReader::new(watch.0.stdout.take().ok_or_else(|| Error::Wrong("no pipe".into()))?);
    let mut enabled = String::new();
    output.read_line(&mut enabled).map_err(io("read what a command says"))?;
    expect(&enabled, "Watch enabled")?;
    say("(the greeting changes again: it is copied into the container, which runs on)");
    write(folder, "here you are")?;
    let seen = wait_until(|| page(stage, file).ok().filter(|page| page.contains("here you are")));
    let seen = seen.ok_or_else(|| Error::Wrong("the changed greeting didn't arrive".into()))?;
    say(&seen);
    Ok(())
}

/// Another copy of the application at the same time: with a port, a network and visitors of its own.
fn beside(stage: &Stage, file: &Path) -> Result<(), Error> {
    let before = page(stage, file)?;
    say("(a second copy beside it, with a volume and a port of its own)");
    let file_name = file.to_string_lossy();
    let copy = ["compose", "--progress", "quiet", "-f", &file_name, "--project-name", BESIDE];
    stage.ketch(&[&copy[..], &["up", "--detach", "web"]].concat())?;
    let address = stage.quietly(&[&copy[..], &["port", "web", "80"]].concat())?;
    let first = answer(address.trim())?;
    say(&first);
    if number(&first) != 1 {
        return Err(Error::Wrong(format!("the second copy has somebody else's visitors: {first:?}")));
    }
    stage.ketch(&[&copy[..], &["down", "--volumes", "--timeout", "0"]].concat())?;
    let after = visit(stage, file)?;
    match number(&after) > number(&before) {
        true => Ok(()),
        false => Err(Error::Wrong(format!("the first copy's count was lost: {before:?}, then {after:?}"))),
    }
}

/// One build, and an image for each kind of machine; nothing of the other kind is run.
fn platforms(stage: &Stage, folder: &Path) -> Result<(), Error> {
    let dockerfile = folder.join("Dockerfile.files");
    fs::write(&dockerfile, FILES).map_err(io("write the application"))?;
    let (dockerfile, folder) = (dockerfile.to_string_lossy(), folder.to_string_lossy());
    let kinds = "linux/amd64,linux/arm64";
    stage.ketch(&[
        "build",
        "--quiet",
        "--platform",
        kinds,
        "--tag",
        FILES_IMAGE,
        "--file",
        &dockerfile,
        &folder,
    ])?;
    let tree = stage.ketch(&["images", "--tree", FILES_IMAGE])?;
    expect(&tree, "linux/amd64").and_then(|()| expect(&tree, "linux/arm64"))?;
    stage.quietly(&["rmi", FILES_IMAGE]).map(drop)
}

/// The same application for a cluster.
fn outgrown(stage: &Stage, file: &Path) -> Result<(), Error> {
    let objects = compose_quietly(stage, file, &["kube", "--quiet"])?;
    let kinds: Vec<&str> = objects.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    expect(&objects, "kind: StatefulSet")?;
    say(&format!("$ ketch compose kube    (for a cluster: {})", kinds.join(", ")));
    Ok(())
}

fn write(folder: &Path, greeting: &str) -> Result<(), Error> {
    let write = io("write the application");
    fs::create_dir_all(folder).map_err(&write)?;
    for (name, text) in [("Dockerfile", DOCKERFILE), ("compose.yaml", COMPOSE), ("greeting.txt", greeting)] {
        fs::write(folder.join(name), text.replace("BASE", image::NAME)).map_err(&write)?;
    }
    Ok(())
}

fn compose_quietly(stage: &Stage, file: &Path, words: &[&str]) -> Result<String, Error> {
    stage.quietly(&[&["compose", "-f", &file.to_string_lossy()], words].concat())
}

/// A page of the service, from the host, shown.
fn visit(stage: &Stage, file: &Path) -> Result<String, Error> {
    let page = page(stage, file)?;
    say(&page);
    Ok(page)
}

/// The same at the port that the service was given, as soon as it answers.
fn page(stage: &Stage, file: &Path) -> Result<String, Error> {
    answer(&address(stage, file)?)
}

fn answer(address: &str) -> Result<String, Error> {
    let page = wait_until(|| asker::page(address).ok())
        .ok_or_else(|| Error::Wrong(format!("nothing answers at {address}")))?;
    Ok(format!("$ curl {address}\n{page}"))
}

/// Where the host finds the service.
fn address(stage: &Stage, file: &Path) -> Result<String, Error> {
    Ok(compose_quietly(stage, file, &["port", "web", "80"])?.trim().to_owned())
}

fn number(page: &str) -> u32 {
    page.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
