//! Tests of an application by testcontainers: `testcontainers IMAGE TAG NAME`, where the image has Redis and busybox.

use rust_clients::{Result, statement};
use testcontainers::core::logs::LogFrame;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::core::{
    BuildImageOptions, CmdWaitFor, ExecCommand, Healthcheck, IntoContainerPort, Mount, WaitFor,
};
use testcontainers::runners::{AsyncBuilder, AsyncRunner};
use testcontainers::{GenericBuildableImage, GenericImage, ImageExt};
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("IMAGE TAG NAME");
    let (image, tag, name) = (next(), next(), next());
    database(&image, &tag, &name).await?;
    built(&image, &tag, &format!("{name}-built")).await
}

async fn database(image: &str, tag: &str, name: &str) -> Result {
    let network = format!("{name}-net");
    let (says, heard) = std::sync::mpsc::channel();
    let health =
        Healthcheck::cmd_shell("redis-cli PING").with_interval(std::time::Duration::from_millis(100));
    let server = GenericImage::new(image, tag)
        .with_exposed_port(6379.tcp())
        .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
        .with_wait_for(WaitFor::healthcheck())
        .with_container_name(name)
        .with_network(&network)
        .with_env_var("MODE", "test")
        .with_label("from", "testcontainers")
        .with_mount(Mount::tmpfs_mount("/scratch"))
        .with_copy_to("/data/note", b"copied in".to_vec())
        .with_health_check(health)
        .with_log_consumer(move |line: &LogFrame| {
            says.send(String::from_utf8_lossy(line.bytes()).into_owned()).unwrap_or_default();
        })
        .start()
        .await?;
    let port = server.get_host_port_ipv4(6379).await?;
    assert_eq!(statement(port, "SET greeting hello").await?, "OK");
    assert_eq!(statement(port, "GET greeting").await?, "hello");

    let words = ["sh", "-c", "cat /data/note; echo $MODE >&2; exit 3"];
    let mut program =
        server.exec(ExecCommand::new(words).with_cmd_ready_condition(CmdWaitFor::exit_code(3))).await?;
    assert_eq!(program.stdout_to_vec().await?, b"copied in");
    assert_eq!(program.stderr_to_vec().await?, b"test\n");
    server.exec(ExecCommand::new(["redis-cli", "SAVE"]).with_cmd_ready_condition(CmdWaitFor::exit())).await?;
    let mut dump: Vec<u8> = Vec::new();
    server.copy_file_from("/data/dump.rdb", &mut dump).await?;
    assert!(dump.starts_with(b"REDIS"), "not a database");

    // Another container asks by the first one's name.
    let client = GenericImage::new(image, tag)
        .with_wait_for(WaitFor::exit(ExitWaitStrategy::new().with_exit_code(0)))
        .with_network(&network)
        .with_cmd(["redis-cli", "-h", name, "GET", "greeting"])
        .start()
        .await?;
    assert_eq!(client.stdout_to_vec().await?, b"hello\n");

    let mut follows = server.stdout(true);
    server.stop_with_timeout(Some(10)).await?;
    let mut logs = String::new();
    follows.read_to_string(&mut logs).await?;
    assert!(logs.contains("bye bye"), "{logs}");
    assert_eq!(server.exit_code().await?, Some(0));
    assert!(heard.try_iter().any(|line| line.contains("Ready to accept connections")));
    server.start().await?;
    assert!(server.is_running().await?);
    client.rm().await?;
    server.rm().await?;
    Ok(())
}

/// Its images are built by BuildKit's protocol: the cache mount keeps what the first build left there.
async fn built(image: &str, tag: &str, name: &str) -> Result {
    for (round, lines) in [("one", "one\n"), ("two", "one\ntwo\n")] {
        let step = "--mount=type=cache,id=NAME,target=/cache cat /round >> /cache/rounds && cp /cache/rounds /rounds".replace("NAME", name);
        let built = GenericBuildableImage::new(name, round)
            .with_dockerfile_string(format!("FROM {image}:{tag}\nCOPY round /round\nRUN {step}\n"))
            .with_data(format!("{round}\n").into_bytes(), "./round")
            .build_image_with(BuildImageOptions::new())
            .await?;
        let container = built
            .with_wait_for(WaitFor::exit(ExitWaitStrategy::new().with_exit_code(0)))
            .with_cmd(["cat", "/rounds"])
            .start()
            .await?;
        assert_eq!(String::from_utf8(container.stdout_to_vec().await?)?, lines);
        container.rm().await?;
    }
    Ok(())
}
