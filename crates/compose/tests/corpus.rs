//! Projects that docker's client has read too: what it printed is what is printed here. The folder of a case is called
//! `$DIR` in what is expected, the one above it `$UP`. `arguments` are those of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use compose::{Environment, Error, Options, Project, Switches};
use diag::Explain as _;

struct Case {
    options: Options,
    profiles: Vec<String>,
    json: bool,
}

fn case(folder: &Path) -> Case {
    let environment = Environment::process([("HOME".to_owned(), "/home/user".to_owned())]);
    let mut options = Options {
        files: Vec::new(),
        directory: None,
        name: None,
        env_files: Vec::new(),
        environment,
        current: folder.to_owned(),
        switches: Switches::default(),
        remote: None,
    };
    let (mut profiles, mut json) = (Vec::new(), false);
    let line = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value").to_owned();
        match word {
            "-f" => options.files.push(value().into()),
            "-p" => options.name = Some(value()),
            "--project-directory" => options.directory = Some(value().into()),
            "--env-file" => options.env_files.push(value().into()),
            "--profile" => profiles.push(value()),
            "--format" => json = value() == "json",
            "--no-normalize" => options.switches.normalize = false,
            "--no-interpolate" => options.switches.interpolate = false,
            "--no-path-resolution" => options.switches.resolve_paths = false,
            "--no-env-resolution" => options.switches.resolve_environment = false,
            "--no-consistency" => options.switches.consistency = false,
            other => panic!("{}: {other}", folder.display()),
        }
    }
    Case { options, profiles, json }
}

fn printed(case: &Case) -> Result<String, Error> {
    let project = Project::load(&case.options, &case.profiles)?;
    Ok(if case.json { project.json() } else { project.yaml() })
}

fn folders(of: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(of);
    let entries = fs::read_dir(root).expect("the corpus");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

fn shortened(text: &str, folder: &Path) -> String {
    let text = text.replace(&*folder.to_string_lossy(), "$DIR");
    text.replace(&*folder.parent().expect("a folder above").to_string_lossy(), "$UP")
}

// covers: compose key configs
// covers: compose key configs.*
// covers: compose key configs.*.content
// covers: compose key configs.*.environment
// covers: compose key configs.*.external
// covers: compose key configs.*.file
// covers: compose key configs.*.name
// covers: compose key include
// covers: compose key include[]
// covers: compose key include[].env_file
// covers: compose key include[].path
// covers: compose key include[].path[]
// covers: compose key include[].project_directory
// covers: compose key name
// covers: compose key networks
// covers: compose key networks.*
// covers: compose key networks.*.attachable
// covers: compose key networks.*.driver
// covers: compose key networks.*.driver_opts
// covers: compose key networks.*.driver_opts.*
// covers: compose key networks.*.enable_ipv6
// covers: compose key networks.*.external
// covers: compose key networks.*.internal
// covers: compose key networks.*.ipam
// covers: compose key networks.*.ipam.config
// covers: compose key networks.*.ipam.config[]
// covers: compose key networks.*.ipam.config[].aux_addresses
// covers: compose key networks.*.ipam.config[].aux_addresses.*
// covers: compose key networks.*.ipam.config[].gateway
// covers: compose key networks.*.ipam.config[].ip_range
// covers: compose key networks.*.ipam.config[].subnet
// covers: compose key networks.*.ipam.driver
// covers: compose key networks.*.ipam.options
// covers: compose key networks.*.ipam.options.*
// covers: compose key networks.*.labels
// covers: compose key networks.*.labels.*
// covers: compose key networks.*.name
// covers: compose key secrets
// covers: compose key secrets.*
// covers: compose key secrets.*.environment
// covers: compose key secrets.*.external
// covers: compose key secrets.*.file
// covers: compose key secrets.*.labels
// covers: compose key secrets.*.labels.*
// covers: compose key services
// covers: compose key services.*
// covers: compose key services.*.annotations
// covers: compose key services.*.annotations.*
// covers: compose key services.*.attach
// covers: compose key services.*.blkio_config
// covers: compose key services.*.blkio_config.device_read_bps
// covers: compose key services.*.blkio_config.device_read_bps[]
// covers: compose key services.*.blkio_config.device_read_bps[].path
// covers: compose key services.*.blkio_config.device_read_bps[].rate
// covers: compose key services.*.blkio_config.device_write_iops
// covers: compose key services.*.blkio_config.device_write_iops[]
// covers: compose key services.*.blkio_config.device_write_iops[].path
// covers: compose key services.*.blkio_config.device_write_iops[].rate
// covers: compose key services.*.blkio_config.weight
// covers: compose key services.*.blkio_config.weight_device
// covers: compose key services.*.blkio_config.weight_device[]
// covers: compose key services.*.blkio_config.weight_device[].path
// covers: compose key services.*.blkio_config.weight_device[].weight
// covers: compose key services.*.build
// covers: compose key services.*.build.additional_contexts
// covers: compose key services.*.build.additional_contexts.*
// covers: compose key services.*.build.args
// covers: compose key services.*.build.args.*
// covers: compose key services.*.build.args[]
// covers: compose key services.*.build.context
// covers: compose key services.*.build.dockerfile
// covers: compose key services.*.build.extra_hosts
// covers: compose key services.*.build.extra_hosts[]
// covers: compose key services.*.build.labels
// covers: compose key services.*.build.labels[]
// covers: compose key services.*.build.network
// covers: compose key services.*.build.no_cache
// covers: compose key services.*.build.pull
// covers: compose key services.*.build.secrets
// covers: compose key services.*.build.secrets[]
// covers: compose key services.*.build.secrets[].mode
// covers: compose key services.*.build.secrets[].source
// covers: compose key services.*.build.secrets[].target
// covers: compose key services.*.build.shm_size
// covers: compose key services.*.build.ssh
// covers: compose key services.*.build.ssh[]
// covers: compose key services.*.build.tags
// covers: compose key services.*.build.tags[]
// covers: compose key services.*.build.target
// covers: compose key services.*.build.ulimits
// covers: compose key services.*.build.ulimits.*
// covers: compose key services.*.cap_add
// covers: compose key services.*.cap_add[]
// covers: compose key services.*.cap_drop
// covers: compose key services.*.cap_drop[]
// covers: compose key services.*.cgroup
// covers: compose key services.*.cgroup_parent
// covers: compose key services.*.command
// covers: compose key services.*.command[]
// covers: compose key services.*.configs
// covers: compose key services.*.configs[]
// covers: compose key services.*.container_name
// covers: compose key services.*.cpu_period
// covers: compose key services.*.cpu_quota
// covers: compose key services.*.cpu_shares
// covers: compose key services.*.cpus
// covers: compose key services.*.cpuset
// covers: compose key services.*.depends_on
// covers: compose key services.*.depends_on.*
// covers: compose key services.*.depends_on.*.condition
// covers: compose key services.*.depends_on.*.required
// covers: compose key services.*.depends_on.*.restart
// covers: compose key services.*.depends_on[]
// covers: compose key services.*.deploy
// covers: compose key services.*.deploy.replicas
// covers: compose key services.*.deploy.resources
// covers: compose key services.*.deploy.resources.limits
// covers: compose key services.*.deploy.resources.limits.cpus
// covers: compose key services.*.deploy.resources.limits.memory
// covers: compose key services.*.deploy.resources.limits.pids
// covers: compose key services.*.deploy.resources.reservations
// covers: compose key services.*.deploy.resources.reservations.cpus
// covers: compose key services.*.deploy.resources.reservations.memory
// covers: compose key services.*.deploy.restart_policy
// covers: compose key services.*.deploy.restart_policy.condition
// covers: compose key services.*.deploy.restart_policy.delay
// covers: compose key services.*.deploy.restart_policy.max_attempts
// covers: compose key services.*.deploy.restart_policy.window
// covers: compose key services.*.device_cgroup_rules
// covers: compose key services.*.device_cgroup_rules[]
// covers: compose key services.*.devices
// covers: compose key services.*.devices[]
// covers: compose key services.*.dns
// covers: compose key services.*.dns[]
// covers: compose key services.*.dns_opt
// covers: compose key services.*.dns_opt[]
// covers: compose key services.*.dns_search
// covers: compose key services.*.dns_search[]
// covers: compose key services.*.domainname
// covers: compose key services.*.entrypoint
// covers: compose key services.*.entrypoint[]
// covers: compose key services.*.env_file
// covers: compose key services.*.env_file[]
// covers: compose key services.*.env_file[].format
// covers: compose key services.*.env_file[].path
// covers: compose key services.*.env_file[].required
// covers: compose key services.*.environment
// covers: compose key services.*.environment.*
// covers: compose key services.*.environment[]
// covers: compose key services.*.expose
// covers: compose key services.*.expose[]
// covers: compose key services.*.extends
// covers: compose key services.*.extends.file
// covers: compose key services.*.extends.service
// covers: compose key services.*.extra_hosts
// covers: compose key services.*.extra_hosts.*
// covers: compose key services.*.extra_hosts.*[]
// covers: compose key services.*.extra_hosts[]
// covers: compose key services.*.group_add
// covers: compose key services.*.group_add[]
// covers: compose key services.*.healthcheck
// covers: compose key services.*.healthcheck.disable
// covers: compose key services.*.healthcheck.interval
// covers: compose key services.*.healthcheck.retries
// covers: compose key services.*.healthcheck.start_interval
// covers: compose key services.*.healthcheck.start_period
// covers: compose key services.*.healthcheck.test
// covers: compose key services.*.healthcheck.test[]
// covers: compose key services.*.healthcheck.timeout
// covers: compose key services.*.hostname
// covers: compose key services.*.image
// covers: compose key services.*.init
// covers: compose key services.*.ipc
// covers: compose key services.*.label_file
// covers: compose key services.*.labels
// covers: compose key services.*.labels.*
// covers: compose key services.*.labels[]
// covers: compose key services.*.links
// covers: compose key services.*.links[]
// covers: compose key services.*.logging
// covers: compose key services.*.logging.driver
// covers: compose key services.*.logging.options
// covers: compose key services.*.logging.options.*
// covers: compose key services.*.mac_address
// covers: compose key services.*.mem_limit
// covers: compose key services.*.mem_reservation
// covers: compose key services.*.mem_swappiness
// covers: compose key services.*.memswap_limit
// covers: compose key services.*.network_mode
// covers: compose key services.*.networks
// covers: compose key services.*.networks.*
// covers: compose key services.*.networks.*.aliases
// covers: compose key services.*.networks.*.aliases[]
// covers: compose key services.*.networks.*.driver_opts
// covers: compose key services.*.networks.*.driver_opts.*
// covers: compose key services.*.networks.*.gw_priority
// covers: compose key services.*.networks.*.interface_name
// covers: compose key services.*.networks.*.ipv4_address
// covers: compose key services.*.networks.*.ipv6_address
// covers: compose key services.*.networks.*.link_local_ips
// covers: compose key services.*.networks.*.link_local_ips[]
// covers: compose key services.*.networks.*.mac_address
// covers: compose key services.*.networks.*.priority
// covers: compose key services.*.networks[]
// covers: compose key services.*.oom_kill_disable
// covers: compose key services.*.oom_score_adj
// covers: compose key services.*.pid
// covers: compose key services.*.pids_limit
// covers: compose key services.*.platform
// covers: compose key services.*.ports
// covers: compose key services.*.ports[]
// covers: compose key services.*.ports[].app_protocol
// covers: compose key services.*.ports[].host_ip
// covers: compose key services.*.ports[].mode
// covers: compose key services.*.ports[].name
// covers: compose key services.*.ports[].protocol
// covers: compose key services.*.ports[].published
// covers: compose key services.*.ports[].target
// covers: compose key services.*.privileged
// covers: compose key services.*.profiles
// covers: compose key services.*.profiles[]
// covers: compose key services.*.read_only
// covers: compose key services.*.restart
// covers: compose key services.*.scale
// covers: compose key services.*.secrets
// covers: compose key services.*.secrets[]
// covers: compose key services.*.security_opt
// covers: compose key services.*.security_opt[]
// covers: compose key services.*.shm_size
// covers: compose key services.*.stdin_open
// covers: compose key services.*.stop_grace_period
// covers: compose key services.*.stop_signal
// covers: compose key services.*.sysctls
// covers: compose key services.*.sysctls.*
// covers: compose key services.*.tmpfs
// covers: compose key services.*.tmpfs[]
// covers: compose key services.*.tty
// covers: compose key services.*.ulimits
// covers: compose key services.*.ulimits.*
// covers: compose key services.*.ulimits.*.hard
// covers: compose key services.*.ulimits.*.soft
// covers: compose key services.*.user
// covers: compose key services.*.uts
// covers: compose key services.*.volumes
// covers: compose key services.*.volumes[]
// covers: compose key services.*.volumes[].bind
// covers: compose key services.*.volumes[].bind.create_host_path
// covers: compose key services.*.volumes[].bind.propagation
// covers: compose key services.*.volumes[].bind.selinux
// covers: compose key services.*.volumes[].image
// covers: compose key services.*.volumes[].image.subpath
// covers: compose key services.*.volumes[].read_only
// covers: compose key services.*.volumes[].source
// covers: compose key services.*.volumes[].target
// covers: compose key services.*.volumes[].tmpfs
// covers: compose key services.*.volumes[].tmpfs.mode
// covers: compose key services.*.volumes[].tmpfs.size
// covers: compose key services.*.volumes[].type
// covers: compose key services.*.volumes[].volume
// covers: compose key services.*.volumes[].volume.labels
// covers: compose key services.*.volumes[].volume.labels.*
// covers: compose key services.*.volumes[].volume.nocopy
// covers: compose key services.*.volumes[].volume.subpath
// covers: compose key services.*.volumes_from
// covers: compose key services.*.volumes_from[]
// covers: compose key services.*.working_dir
// covers: compose key volumes
// covers: compose key volumes.*
// covers: compose key volumes.*.driver
// covers: compose key volumes.*.driver_opts
// covers: compose key volumes.*.driver_opts.*
// covers: compose key volumes.*.external
// covers: compose key volumes.*.labels
// covers: compose key volumes.*.labels[]
// covers: compose key volumes.*.name
// covers: compose merge-rule networks.*.ipam.config
// covers: compose merge-rule networks.*.labels
// covers: compose merge-rule services.*.annotations
// covers: compose merge-rule services.*.build
// covers: compose merge-rule services.*.build.additional_contexts
// covers: compose merge-rule services.*.build.args
// covers: compose merge-rule services.*.build.extra_hosts
// covers: compose merge-rule services.*.build.labels
// covers: compose merge-rule services.*.command
// covers: compose merge-rule services.*.depends_on
// covers: compose merge-rule services.*.dns
// covers: compose merge-rule services.*.dns_opt
// covers: compose merge-rule services.*.dns_search
// covers: compose merge-rule services.*.entrypoint
// covers: compose merge-rule services.*.environment
// covers: compose merge-rule services.*.extra_hosts
// covers: compose merge-rule services.*.healthcheck.test
// covers: compose merge-rule services.*.labels
// covers: compose merge-rule services.*.logging
// covers: compose merge-rule services.*.networks
// covers: compose merge-rule services.*.sysctls
// covers: compose merge-rule services.*.tmpfs
// covers: compose merge-rule services.*.ulimits.*
// covers: compose merge-rule services.*.volumes.*.volume.labels
// covers: compose merge-rule volumes.*.labels
// covers: compose merge-rule services.*.build.tags
// covers: compose merge-rule services.*.cap_add
// covers: compose merge-rule services.*.cap_drop
// covers: compose merge-rule services.*.configs
// covers: compose merge-rule services.*.devices
// covers: compose merge-rule services.*.expose
// covers: compose merge-rule services.*.links
// covers: compose merge-rule services.*.networks.*.aliases
// covers: compose merge-rule services.*.ports
// covers: compose merge-rule services.*.profiles
// covers: compose merge-rule services.*.secrets
// covers: compose merge-rule services.*.volumes
// covers: compose syntax services.*.ports[]
// covers: compose syntax services.*.volumes[]
// covers: compose syntax services.*.devices[]
// covers: compose syntax services.*.tmpfs[]
// covers: compose syntax services.*.extra_hosts
// covers: compose syntax services.*.ulimits.*
// covers: compose syntax services.*.depends_on
// covers: compose syntax services.*.build
// covers: compose syntax services.*.build.context
// covers: compose syntax services.*.build.additional_contexts.*
// covers: compose syntax services.*.build.ssh
// covers: compose syntax services.*.env_file
// covers: compose syntax services.*.healthcheck.test
// covers: compose syntax services.*.restart
// covers: compose syntax services.*.network_mode
// covers: compose syntax services.*.ipc
// covers: compose syntax services.*.pid
// covers: compose syntax services.*.secrets[]
// covers: compose syntax services.*.configs[]
// covers: compose syntax services.*.platform
// covers: compose syntax services.*.extends
// covers: compose syntax services.*.links[]
// covers: compose syntax services.*.volumes_from[]
// covers: compose syntax services.*.expose[]
// covers: compose syntax include[]
// covers: compose syntax name
// covers: compose syntax (interpolation)
// covers: compose syntax (merge)
// covers: compose syntax (fragments)
// covers: compose syntax (extensions)
// covers: compose syntax (units)
// covers: compose syntax (files)
// covers: compose syntax (dotenv)
// covers: compose syntax (profiles)
// covers: compose key configs.*.external.name
// covers: compose key configs.*.labels
// covers: compose key configs.*.labels.*
// covers: compose key configs.*.labels[]
// covers: compose key include[].env_file[]
// covers: compose key networks.*.external.name
// covers: compose key secrets.*.external.name
// covers: compose key secrets.*.labels[]
// covers: compose key secrets.*.name
// covers: compose key volumes.*.external.name
// covers: compose key version
// covers: compose key x-*
// covers: compose merge-rule services.*.deploy.labels
// covers: compose merge-rule services.*.env_file
// covers: compose merge-rule services.*.label_file
// covers: compose merge-rule services.*.models
// covers: compose merge-rule networks.*.ipam.options
// covers: compose merge-rule services.*.build.platform
// covers: compose merge-rule services.*.networks.*.link_local_ips
#[test]
fn projects_mean_what_they_mean_to_docker() {
    let mut differing = Vec::new();
    for folder in folders("corpus") {
        let expected = fs::read_to_string(folder.join("expected")).unwrap();
        let refused = folder.join("expected.error").exists();
        match printed(&case(&folder)) {
            Ok(text) if !refused => {
                let text = shortened(&text, &folder);
                if text != expected {
                    differing
                        .push(format!("{}:\n--- docker\n{expected}\n--- ours\n{text}", folder.display()));
                }
            }
            Ok(_) => differing.push(format!("{}: is refused by docker", folder.display())),
            Err(_) if refused => {}
            Err(error) => differing.push(format!("{}: {error}", folder.display())),
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n\n"));
}

/// Each mistake is found where it stands, and told in docker's words where docker has some.
#[test]
fn mistakes_are_shown_where_they_stand() {
    let text = include_str!("wrong.txt");
    let mut seen = 0;
    for block in text.split_inclusive("\n\n") {
        let (document, expected) =
            block.trim_end().split_once("\n>>> ").expect("a document and what is wrong");
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("compose.yaml");
        fs::write(&file, format!("{document}\n")).unwrap();
        let error = printed(&case(folder)).expect_err(document).to_string();
        let first = error.lines().next().unwrap_or_default();
        let found = first.strip_prefix(&format!("{}:", file.display())).unwrap_or(first);
        assert_eq!(found.replace(&*folder.to_string_lossy(), "$DIR"), expected, "{document}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

/// Who named the file, and what is there instead.
#[test]
fn a_file_that_is_not_there_is_told_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["compose.yml", "other.yaml", "notes.txt"] {
        fs::write(folder.path().join(name), "services: {}\n").unwrap();
    }
    let mut case = case(folder.path());
    let mut said = |file: &str, variable: &str| {
        case.options.files = [file].iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        case.options.environment = Environment::process([("COMPOSE_FILE".to_owned(), variable.to_owned())]);
        let error = printed(&case).unwrap_err();
        (shortened(&error.to_string(), folder.path()), error.hint().unwrap_or_default())
    };
    assert_eq!(
        said("compose.yaml", ""),
        (
            "open $DIR/compose.yaml: no such file or directory".to_owned(),
            "--file names it; there is compose.yml, other.yaml".to_owned()
        )
    );
    assert_eq!(said("", "othre.yaml").1, "COMPOSE_FILE names it; there is other.yaml, compose.yml");
    assert_eq!(said("none/compose.yaml", "").1, "--file names it; there is no file of YAML beside it");
}

/// The hashes are docker's, so that either tool takes over what the other one started.
#[test]
fn services_have_the_hashes_that_docker_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hashes");
    let mut case = case(&folder);
    case.options.switches.resolve_environment = false;
    case.options.switches.resolve_paths = false;
    let project = Project::load(&case.options, &[]).unwrap();
    let names = project.names("services");
    let lines: Vec<_> = names.into_iter().map(|name| format!("{name} {}\n", project.hash(name))).collect();
    assert_eq!(lines.concat(), fs::read_to_string(folder.join("expected")).unwrap());
}

/// A stranger's file costs no more than it may, whatever is in it.
#[test]
fn what_has_no_end_or_is_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let says = |text: &str| {
        write("compose.yaml", text);
        printed(&case(folder)).unwrap_err().to_string()
    };
    write("b.yaml", "include: [compose.yaml]\nservices: {b: {image: x}}\n");
    let said = says("include: [b.yaml]\nservices: {a: {image: x}}\n");
    assert!(said.contains("include cycle detected"), "{said}");
    write("c.yaml", "services: {c: {extends: {file: compose.yaml, service: a}}}\n");
    let said = says("services: {a: {extends: {file: c.yaml, service: c}}}\n");
    assert!(said.contains("Circular reference"), "{said}");
    let said = says(&format!("services: {{a: {{image: \"{}\"}}}}\n", "x".repeat(64 << 20)));
    assert!(said.contains("is larger than"), "{said}");
    // Ten megabytes are a file like any other; what they say is bounded by itself.
    let large = format!(
        "# {}\nservices: {{a: {{image: x}}}}\nx-text: \"{}\"\n",
        "c".repeat(5 << 20),
        "t".repeat(5 << 20)
    );
    write("compose.yaml", &large);
    assert!(printed(&case(folder)).unwrap().contains("image: x"));
    let said = says(&format!("x-all: [{}]\nservices: {{a: {{image: x}}}}\n", "a,".repeat(5 << 20)));
    assert!(said.contains("more than 1000000 values"), "{said}");
    let said = says(&format!(
        "services: {{a: {{image: x, x-deep: {}{}}}}}\n",
        "[".repeat(5 << 20),
        "]".repeat(5 << 20)
    ));
    assert!(said.contains("compose.yaml:1:"), "{said}");
    let files: String =
        (0..1000).map(|number| format!("      - {{path: {number}.env, required: false}}\n")).collect();
    write("999.env", "A=b\n");
    write("compose.yaml", &format!("services:\n  a:\n    image: x\n    env_file:\n{files}"));
    assert!(printed(&case(folder)).unwrap().contains("A: b"), "a thousand files are read, or aren't there");
}
