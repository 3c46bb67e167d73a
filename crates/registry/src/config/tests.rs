use super::*;

fn load(text: &str) -> Result<Config, Error> {
    Config::check(parse(text)?, &Options::default())
}

fn refused(text: &str) -> String {
    load(text).err().unwrap_or_else(|| panic!("accepted: {text}")).to_string()
}

// covers: registry config-key version version
// covers: registry config-key log log
// covers: registry config-key log log.fields
// covers: registry config-key log log.fields.service
// covers: registry config-key storage storage
// covers: registry config-key storage storage.cache
// covers: registry config-key storage storage.cache.blobdescriptor
// covers: registry config-key storage storage.filesystem
// covers: registry config-key storage storage.filesystem.rootdirectory
// covers: registry config-key health health
// covers: registry config-key health health.storagedriver
// covers: registry config-key health health.storagedriver.enabled
// covers: registry config-key health health.storagedriver.interval
// covers: registry config-key health health.storagedriver.threshold
// covers: registry config-key http http
// covers: registry config-key http http.addr
#[test]
fn the_file_that_docker_ships_is_understood() {
    let config = load(
        "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
         filesystem:\n    rootdirectory: /data\n  delete:\n    enabled: false\nhttp:\n  addr: :5000\n  headers:\n    \
         X-Content-Type-Options: [nosniff]\nauth:\n  htpasswd:\n    realm: basic-realm\n    path: /x\nhealth:\n  \
         storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\n",
    );
    let config = config.unwrap();
    assert_eq!(config.root, Path::new("/data"));
    assert_eq!(config.address.to_string(), "0.0.0.0:5000");
    assert!(!config.settings.delete && !config.settings.read_only);
    assert_eq!(config.check_interval, Some((Duration::from_secs(10), 3)));
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    assert!(refused("storage:\n  azure:\n    container: x\n").contains("storage.azure is not supported"));
    assert!(refused("redis:\n  addr: x\n").contains("redis is not supported"));
    assert!(refused("storage:\n  filesystm: {}\n").contains("filesystm"));
    assert!(refused("http:\n  http2:\n    disabled: true\n").contains("can't be disabled"));
    assert!(refused("proxy:\n  remoteurl: https://x\n  exec:\n    command: y\n").contains("proxy.exec"));
}

#[test]
fn values_are_checked() {
    assert!(refused("http:\n  addr: nowhere\n").contains("http.addr"));
    assert!(refused("http:\n  tls:\n    certificate: /x\n").contains("http.tls.key"));
    assert!(refused("access:\n- users: [ann]\n  actions: [pull]\n").contains("no auth"));
    assert!(refused("retention:\n- repositories: [a]\n").contains("keep or olderthan"));
    assert!(refused("log:\n  level: loud\n").contains("log.level"));
    assert!(refused("storage:\n  gc:\n    interval: 1ns\n").contains("storage.gc.interval"));
    assert!(refused("notifications:\n  endpoints:\n  - url: ftp://x\n").contains("ftp://x"));
    assert!(refused(&format!("warnings:\n- text: {}\n", "x".repeat(5000))).contains("4096"));
}

/// Aliases that multiply, and nesting without end.
#[test]
fn a_hostile_file_is_refused_in_time() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    refused(&text);
    refused(&format!("log: {}", "[".repeat(100_000)));
}

#[test]
fn secrets_are_not_shown() {
    let file = parse("proxy:\n  remoteurl: https://x\n  username: u\n  password: hunter2\n").unwrap();
    assert!(!format!("{file:?}").contains("hunter2"));
}
