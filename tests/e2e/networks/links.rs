//! `--link` in the default network: another container under another name.

use testkit::{DEADLINE, command, eventually};

use super::Site;

/// The line of the file of hosts that begins a name's line with an address, as the container sees it.
fn host(site: &Site, container: &str, name: &str) -> Option<String> {
    let (_, hosts) = site.exec(container, "cat /etc/hosts");
    let line = hosts.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
    line.split_whitespace().next().map(str::to_owned)
}

// covers: cli docker run --link
// covers: cli docker create --link
// covers: cli docker container run --link
// covers: cli docker container create --link
#[test]
fn a_linked_container_is_known_by_its_alias_and_in_the_environment() {
    let site = Site::isolated();
    let flags = ["-e", "SECRET=x=y", "--expose", "5432", "--expose", "53/udp"];
    let database = site.stays("db", &flags);
    let address = site.inspect(&database, "{{.NetworkSettings.IPAddress}}");
    for (number, ours) in [(1, true), (2, false)] {
        let name = site.engine.name(&format!("web{number}"));
        let link = format!("{database}:my-data");
        let mut client = site.client(ours);
        client.args(["run", "-d", "--name", &name, "--link", &link, "-e", "MY_DATA_ENV_SECRET2=own"]);
        command::run(client.args([&site.image, "sh", "-c", "env; cat /etc/hosts; exec sleep 1000"])).ok();
        let printed = eventually(DEADLINE, || {
            let printed = site.docker(&["logs", &name]);
            if printed.contains(&format!("{address}\tmy-data ")) { Ok(printed) } else { Err(printed) }
        });
        for line in [
            format!("MY_DATA_PORT=tcp://{address}:5432"),
            format!("MY_DATA_PORT_5432_TCP=tcp://{address}:5432"),
            format!("MY_DATA_PORT_5432_TCP_ADDR={address}"),
            "MY_DATA_PORT_5432_TCP_PORT=5432".to_owned(),
            "MY_DATA_PORT_5432_TCP_PROTO=tcp".to_owned(),
            format!("MY_DATA_PORT_53_UDP=udp://{address}:53"),
            format!("MY_DATA_NAME=/{name}/my-data"),
            "MY_DATA_ENV_SECRET=x=y".to_owned(),
        ] {
            assert!(printed.lines().any(|known| known == line), "{line} is not in\n{printed}");
        }
        let id = site.inspect(&database, "{{slice .Id 0 12}}");
        assert!(printed.contains(&format!("{address}\tmy-data {id} {database}")), "{printed}");
        // A process that joins knows it too.
        assert_eq!(site.exec(&name, "echo $MY_DATA_PORT_53_UDP_PORT").1, "53");
        assert_eq!(
            site.inspect(&name, "{{json .HostConfig.Links}}"),
            format!("[\"/{database}:/{name}/my-data\"]")
        );
        site.docker(&["rm", "-f", &name]);
    }
}

// covers: cli docker rm --link
// covers: cli docker container rm --link
// covers: cli docker container remove --link
// covers: api DELETE /containers/{id} ?link
#[test]
fn a_link_is_a_name_until_it_is_removed() {
    let site = Site::isolated();
    let (database, web) = (site.stays("db", &[]), site.engine.name("web"));
    for ours in [true, false] {
        site.docker(&["create", "--name", &web, "--link", &database, &site.image, "true"]);
        let linked = format!("{web}/{database}");
        let filter = format!("name={database}");
        let listed = |ours: bool| {
            let words = ["ps", "--no-trunc", "--filter", &filter, "--format", "{{.Names}}"];
            command::run(site.client(ours).args(words)).ok()
        };
        assert_eq!(listed(ours), format!("{database},{linked}"));
        let wrong =
            command::run(site.client(ours).args(["rm", "--link", &format!("{web}/nosuch")])).assert_code(1);
        assert!(wrong.stderr.contains(&format!("No such container: {web}/nosuch")), "{}", wrong.stderr);
        let wrong = command::run(site.client(ours).args(["rm", "--link", &web])).assert_code(1);
        assert!(
            wrong.stderr.contains("cannot remove the default link name of the container"),
            "{}",
            wrong.stderr
        );
        command::run(site.client(ours).args(["container", "rm", "--link", &linked])).ok();
        assert_eq!(listed(ours), database);
        assert_eq!(site.inspect(&web, "{{json .HostConfig.Links}}"), "null");
        site.docker(&["rm", &web]);
    }
}

#[test]
fn a_link_follows_its_container_and_needs_it_running() {
    let site = Site::isolated();
    let database = site.stays("db", &[]);
    let web = site.stays("web", &["--link", &format!("{database}:data")]);
    let first = site.inspect(&database, "{{.NetworkSettings.IPAddress}}");
    assert_eq!(host(&site, &web, "data"), Some(first.clone()));
    // What the container wrote itself stays.
    site.exec(&web, "echo '10.9.9.9\tmine' >> /etc/hosts");
    site.docker(&["stop", "-t", "0", &database]);
    let other = site.stays("other", &[]);
    site.docker(&["start", &database]);
    let second = site.inspect(&database, "{{.NetworkSettings.IPAddress}}");
    assert_ne!(first, second);
    assert_eq!(host(&site, &web, "data"), Some(second));
    assert_eq!(host(&site, &web, "mine").as_deref(), Some("10.9.9.9"));
    site.docker(&["rm", "-f", &other]);
    site.docker(&["stop", "-t", "0", &database, &web]);
    let said = site.refused(&["start", &web]);
    assert!(
        said.contains(&format!("Cannot link to a non running container: /{database} AS /{web}/data")),
        "{said}"
    );
    site.docker(&["rm", &database]);
    assert_eq!(site.inspect(&web, "{{json .HostConfig.Links}}"), "null");
    site.docker(&["start", &web]);
    assert_eq!(host(&site, &web, "data"), None);
}

#[test]
fn what_cannot_be_linked_says_why() {
    let site = Site::isolated();
    let network = site.network("n", &[]);
    let elsewhere = site.stays("elsewhere", &["--network", &network]);
    let id = site.inspect(&elsewhere, "{{.Id}}");
    let name = site.engine.name("c");
    for (flags, expected) in [
        (
            vec!["--link", "nosuch:y"],
            "could not get container for nosuch: No such container: nosuch".to_owned(),
        ),
        (vec!["--link", ":z"], "could not get container for : invalid name or ID supplied: \"\"".to_owned()),
        (vec!["--link", &elsewhere], format!("container {id} not attached to default bridge network")),
        (
            vec!["--network", "host", "--link", &elsewhere],
            "conflicting options: host type networking can't be used with links.".to_owned(),
        ),
    ] {
        let said = site.refused(&[&["create", "--name", &name], &flags[..], &[&site.image, "true"]].concat());
        assert!(said.contains(&expected), "{said}");
    }
}
