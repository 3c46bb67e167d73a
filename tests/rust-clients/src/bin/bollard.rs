//! A database's day by bollard: `bollard IMAGE NAME`, where the image has Redis and busybox.

use std::collections::HashMap;

use bollard::body_full;
use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecResults};
use bollard::grpc::build::{ImageBuildFrontendOptions, ImageBuildLoadInput, ImageBuildNetworkMode};
use bollard::grpc::driver::Build;
use bollard::grpc::driver::moby::Moby;
use bollard::models::{ContainerCreateBody, ExecConfig, HealthConfig, HostConfig, PortBinding};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
    EventsOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt, TryStreamExt};
use rust_clients::{Result, statement, tar};
use tokio::io::AsyncWriteExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let (image, name) = (arguments.next().expect("an image"), arguments.next().expect("a name"));
    let docker = Docker::connect_with_unix(&std::env::var("DOCKER_HOST")?, 120, API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    assert_eq!(docker.ping().await?, "OK");
    database(&docker, &image, &name).await?;
    classic_build(&docker, &image, &format!("{name}-classic")).await?;
    buildkit(&docker, &image, &format!("{name}-buildkit")).await
}

async fn database(docker: &Docker, image: &str, name: &str) -> Result {
    let port = create(docker, image, name).await?;
    assert_eq!(statement(port, "SET greeting hello").await?, "OK");
    assert_eq!(statement(port, "GET greeting").await?, "hello");

    // Files in and out.
    let into = UploadToContainerOptionsBuilder::default().path("/data").build();
    docker
        .upload_to_container(name, Some(into), body_full(tar(&[("note", "from outside\n")])?.into()))
        .await?;
    let (code, said) = exec(docker, name, &["sh", "-c", "cat /data/note; echo wrong >&2; exit 3"]).await?;
    assert_eq!((code, &said[..]), (3, &["from outside\n".to_owned(), "wrong\n".to_owned()][..]));
    exec(docker, name, &["redis-cli", "SAVE"]).await?;
    let from = DownloadFromContainerOptionsBuilder::default().path("/data/dump.rdb").build();
    let dump = docker.download_from_container(name, Some(from)).try_fold(Vec::new(), gathered).await?;
    assert!(dump.windows(8).any(|window| window == b"greeting"), "the dump knows nothing of the statement");

    session(docker, name).await?;
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let logs = docker.logs(name, Some(options));
    docker.stop_container(name, Some(StopContainerOptionsBuilder::default().t(10).build())).await?;
    let logs = text(logs).await?;
    assert!(logs.contains("Ready to accept connections") && logs.contains("bye bye"), "{logs}");
    let mut waiting = docker.wait_container(name, None::<WaitContainerOptions>);
    let ended = waiting.next().await.expect("an answer")?;
    assert_eq!(ended.status_code, 0);
    docker.remove_container(name, Some(RemoveContainerOptionsBuilder::default().v(true).build())).await?;
    let gone = docker.inspect_container(name, None).await.expect_err("it is there");
    assert!(
        matches!(gone, bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }),
        "{gone}"
    );
    Ok(())
}

/// Starts the database, waits until events say that it is healthy, and tells its port on the host.
async fn create(docker: &Docker, image: &str, name: &str) -> Result<u16> {
    let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(String::new()) };
    let body = ContainerCreateBody {
        image: Some(image.into()),
        exposed_ports: Some(vec!["6379/tcp".into()]),
        labels: Some(HashMap::from([("from".into(), "bollard".into())])),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["CMD".into(), "redis-cli".into(), "PING".into()]),
            interval: Some(100_000_000),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([("6379/tcp".into(), Some(vec![binding]))])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let named = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(named), body).await?;
    docker.start_container(name, None).await?;
    let filters = HashMap::from([("container", vec![name]), ("event", vec!["health_status"])]);
    let events = EventsOptionsBuilder::default().since("1").filters(&filters).build();
    let mut events = docker.events(Some(events));
    loop {
        let event = events.next().await.expect("events go on")?;
        if event.action.as_deref() == Some("health_status: healthy") {
            break;
        }
    }
    let about = docker.inspect_container(name, None).await?;
    let ports = about.network_settings.and_then(|settings| settings.ports).expect("ports");
    let bound = ports.get("6379/tcp").cloned().flatten().expect("the port is published");
    Ok(bound[0].host_port.as_deref().expect("a port").parse()?)
}

/// A program's exit code, what it wrote and what it complained of.
async fn exec(docker: &Docker, name: &str, words: &[&str]) -> Result<(i64, [String; 2])> {
    let config = ExecConfig {
        cmd: Some(words.iter().map(|word| (*word).into()).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let id = docker.create_exec(name, config).await?.id;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&id, None).await? else {
        return Err("the program runs by itself".into());
    };
    let mut said = [String::new(), String::new()];
    while let Some(piece) = output.next().await {
        let piece = piece?;
        let stream = usize::from(matches!(piece, LogOutput::StdErr { .. }));
        said[stream] += &String::from_utf8_lossy(&piece.into_bytes());
    }
    let code = docker.inspect_exec(&id).await?.exit_code.expect("a code");
    Ok((code, said))
}

/// A person in a shell, whose terminal changes its size.
async fn session(docker: &Docker, name: &str) -> Result {
    let config = ExecConfig {
        cmd: Some(vec!["sh".into()]),
        tty: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let id = docker.create_exec(name, config).await?.id;
    let StartExecResults::Attached { output, mut input } = docker.start_exec(&id, None).await? else {
        return Err("the shell runs by itself".into());
    };
    docker.resize_exec(&id, ResizeExecOptions { height: 33, width: 111 }).await?;
    input.write_all(b"stty size; redis-cli GET greeting; exit 4\n").await?;
    let screen = text(output).await?;
    assert!(screen.contains("33 111") && screen.contains("\"hello\""), "{screen}");
    assert_eq!(docker.inspect_exec(&id).await?.exit_code, Some(4));
    Ok(())
}

async fn classic_build(docker: &Docker, image: &str, name: &str) -> Result {
    let dockerfile = format!("FROM {image}\nCOPY f /f\nARG WORD\nRUN echo $WORD >> /f\nLABEL from=bollard\n");
    let context = tar(&[("Dockerfile", dockerfile.as_str()), ("f", "copied\n")])?;
    let arguments = HashMap::from([("WORD", "argued")]);
    let options = BuildImageOptionsBuilder::default()
        .t(name)
        .rm(true)
        .networkmode("none")
        .buildargs(&arguments)
        .build();
    let told: Vec<_> =
        docker.build_image(options, None, Some(body_full(context.into()))).try_collect().await?;
    assert!(
        told.iter()
            .any(|step| step.stream.as_deref().is_some_and(|said| said.contains("Successfully tagged"))),
        "{told:?}"
    );
    assert_eq!(once(docker, name, &["cat", "/f"]).await?, "copied\nargued\n");
    docker.remove_image(name, Some(RemoveImageOptionsBuilder::default().force(true).build()), None).await?;
    Ok(())
}

/// BuildKit's protocol: a step whose cache mount keeps what the first build left there.
async fn buildkit(docker: &Docker, image: &str, name: &str) -> Result {
    for (round, lines) in [("one", "one\n"), ("two", "one\ntwo\n")] {
        let step =
            "--mount=type=cache,id=NAME,target=/cache echo $ROUND >> /cache/rounds && cp /cache/rounds /rounds".replace("NAME", name);
        let dockerfile = format!("FROM {image}\nARG ROUND\nRUN {step}\n");
        let options = ImageBuildFrontendOptions::builder()
            .buildarg("ROUND", round)
            .force_network_mode(&ImageBuildNetworkMode::None)
            .build();
        let context = ImageBuildLoadInput::Upload(tar(&[("Dockerfile", dockerfile.as_str())])?.into());
        Moby::new(docker).docker_build(name, options, context, None, None).await?;
        assert_eq!(once(docker, name, &["cat", "/rounds"]).await?, lines);
    }
    docker.remove_image(name, Some(RemoveImageOptionsBuilder::default().force(true).build()), None).await?;
    Ok(())
}

/// What a program of an image says.
async fn once(docker: &Docker, image: &str, words: &[&str]) -> Result<String> {
    let body = ContainerCreateBody {
        image: Some(image.into()),
        cmd: Some(words.iter().map(|word| (*word).into()).collect()),
        host_config: Some(HostConfig { network_mode: Some("none".into()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None, body).await?.id;
    docker.start_container(&id, None).await?;
    let codes: Vec<_> = docker.wait_container(&id, None::<WaitContainerOptions>).try_collect().await?;
    assert_eq!(codes.len(), 1);
    let said = text(docker.logs(&id, Some(LogsOptionsBuilder::default().stdout(true).build()))).await?;
    docker.remove_container(&id, None).await?;
    Ok(said)
}

async fn text(
    stream: impl Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>>,
) -> Result<String> {
    let all = stream.map_ok(LogOutput::into_bytes).try_fold(Vec::new(), gathered).await?;
    Ok(String::from_utf8_lossy(&all).into_owned())
}

async fn gathered(
    mut all: Vec<u8>,
    piece: bytes::Bytes,
) -> std::result::Result<Vec<u8>, bollard::errors::Error> {
    all.extend_from_slice(&piece);
    Ok(all)
}
