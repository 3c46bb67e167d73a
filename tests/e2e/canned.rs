//! Both command lines before the same canned answers: what they make of them has to be the same, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::mpsc;

use serde_json::{Value, json};
use testkit::command::{client, ketch_binary};
use testkit::replay::{Answers, Replay};
use testkit::{DEADLINE, Scratch, Terminal};

fn clients() -> [Command; 2] {
    [Command::new(ketch_binary()), client("docker")]
}

/// What both print without a terminal; they have to agree.
#[track_caller]
fn printed(replay: &Replay, words: &[&str]) -> String {
    let [ours, theirs] = clients().map(|command| replay.run(command, words));
    assert_eq!(ours, theirs, "{words:?}");
    ours
}

/// What both show on a terminal of so many columns; they have to agree.
#[track_caller]
fn shown(replay: &Replay, words: &[&str], columns: u16) -> String {
    let [ours, theirs] = clients().map(|mut command| {
        command.env_clear().env("HOME", "/nonexistent").env("TERM", "xterm").env("TZ", "UTC");
        let mut terminal =
            Terminal::start(command.env("DOCKER_HOST", replay.host()).args(words), 40, columns);
        let code = terminal.wait();
        let text = terminal.shown();
        format!("{text}exit code {code:?}")
    });
    assert_eq!(ours, theirs, "{words:?} in {columns} columns");
    ours
}

fn lines(messages: &[Value]) -> String {
    messages.iter().map(|message| format!("{message}\r\n")).collect()
}

fn pull(last: Value) -> Replay {
    let layer =
        |id: &str, status: &str, detail: Value| json!({"status": status, "progressDetail": detail, "id": id});
    let messages = [
        json!({"status": "Pulling from library/x", "id": "1"}),
        layer("aaaaaaaaaaaa", "Pulling fs layer", json!({})),
        layer("bbbbbbbbbbbb", "Pulling fs layer", json!({})),
        layer("bbbbbbbbbbbb", "Downloading", json!({"current": 528, "total": 51_234})),
        layer(
            "aaaaaaaaaaaa",
            "Downloading",
            json!({"current": 1_073_741_824_i64, "total": 2_147_483_648_i64}),
        ),
        layer("bbbbbbbbbbbb", "Downloading", json!({"current": 60_000, "total": 51_234})),
        layer("bbbbbbbbbbbb", "Extracting", json!({"current": 3, "units": "s"})),
        layer("aaaaaaaaaaaa", "Extracting", json!({"current": 5, "total": 7, "units": "files"})),
        layer("aaaaaaaaaaaa", "Extracting", json!({"current": 5, "total": 7, "hidecounts": true})),
        layer("cccccccccccc", "Downloading", json!({"current": 12_345})),
        json!({"status": "Already exists", "progressDetail": {}, "id": "dddddddddddd"}),
        layer("aaaaaaaaaaaa", "Pull complete", json!({})),
        json!({"status": "Digest: sha256:0123"}),
        layer("aaaaaaaaaaaa", "Already exists", json!({})),
        json!({"status": "told", "progress": "[=> ]", "id": "eeeeeeeeeeee"}),
        json!({"status": "passed on", "from": "elsewhere"}),
        last,
    ];
    Replay::start(Answers::given(&[("POST /images/create", lines(&messages))]))
        .unwrap_or_else(|e| panic!("{e:#}"))
}

#[test]
fn progress_is_drawn_as_docker_draws_it() {
    let replay = pull(json!({"status": "Status: Downloaded newer image for x:1"}));
    for columns in [200, 111, 110, 80, 40] {
        let text = shown(&replay, &["pull", "x:1"], columns);
        assert_eq!(text.contains("[====="), columns > 110, "{text}");
        assert!(text.contains("\u{1b}[2A") && text.ends_with("library/x:1\r\nexit code Some(0)"), "{text}");
    }
    let text = printed(&replay, &["pull", "x:1"]);
    assert!(!text.contains("Downloading") && text.contains(": Pull complete\n"), "{text}");
    assert_eq!(printed(&replay, &["pull", "-q", "x:1"]), "docker.io/library/x:1\nexit code 0\n");
    let failed = pull(json!({"errorDetail": {"message": "no space left"}, "error": "no space left"}));
    assert!(printed(&failed, &["pull", "x:1"]).ends_with("no space left\nexit code 1\n"));
    shown(&failed, &["pull", "x:1"], 120);
}

// covers: cli docker push --platform
// covers: cli docker image push --platform
#[test]
fn remarks_about_a_push_stand_at_its_end() {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    let messages = lines(&[
        json!({"status": "The push refers to repository [docker.io/a/b]"}),
        json!({"status": "Pushing", "progressDetail": {"current": 5, "total": 10}, "id": "aaaaaaaaaaaa"}),
        json!({"aux": {"manifestPushedInsteadOfIndex": true, "originalIndex": {"digest": digest('a')},
               "selectedManifest": {"digest": digest('b')}}}),
        json!({"progressDetail": {}, "aux": {"Tag": "1", "Digest": digest('c'), "Size": 5}}),
        json!({"status": "1: digest: sha256:cc size: 5"}),
    ]);
    let path = "POST /images/docker.io/a/b/push";
    let replay = Replay::start(Answers::given(&[(path, messages)])).unwrap_or_else(|e| panic!("{e:#}"));
    // docker colours the digests even where nobody sees colours.
    let plain =
        |text: String| text.replace("\u{1b}[31m", "").replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
    let [ours, theirs] =
        clients().map(|command| plain(replay.run(command, &["push", "--platform", "linux/amd64", "a/b:1"])));
    assert_eq!(ours, theirs);
    assert!(ours.contains("Using --platform") && ours.contains(" -> "), "{ours}");
    let wrong = replay.run(Command::new(ketch_binary()), &["image", "push", "--platform", "linux//", "a/b"]);
    assert!(wrong.contains("Invalid platform linux//: ") && wrong.ends_with("exit code 1\n"), "{wrong}");
}

// covers: value format-field docker search .Name
// covers: value format-method registry.searchContext .Name
// covers: value format-field docker search .Description
// covers: value format-method registry.searchContext .Description
// covers: value format-field docker search .StarCount
// covers: value format-method registry.searchContext .StarCount
// covers: value format-field docker search .IsOfficial
// covers: value format-method registry.searchContext .IsOfficial
// covers: value filter docker search stars
// covers: value filter docker search is-automated
// covers: value filter docker search is-official
// covers: cli docker search
// covers: cli docker search --filter
// covers: cli docker search --format
// covers: cli docker search --limit
// covers: cli docker search --no-trunc
#[test]
fn found_images_are_shown_alike() {
    let found = json!([
        {"name": "little", "description": "A\nsmall one", "star_count": 3, "is_official": false},
        {"name": "nginx", "description": "Official build of Nginx, with a description that is long.",
         "star_count": 20_000, "is_official": true, "is_automated": false},
    ]);
    let answers = Answers::given(&[("GET /images/search", found.to_string())]);
    let replay = Replay::start(answers).unwrap_or_else(|e| panic!("{e:#}"));
    for words in [
        &["search", "nginx"][..],
        &["search", "--no-trunc", "--limit", "5", "nginx"],
        &["search", "--filter", "is-official=true", "--format", "json", "nginx"],
        &["search", "--format", "{{.Name}}: {{.StarCount}} {{.IsOfficial}} {{.Description}}", "nginx"],
        &[
            "search",
            "--filter",
            "stars=3",
            "--filter",
            "is-automated=false",
            "--format",
            "{{.Name}}",
            "nginx",
        ],
        &["search", "--format", "table {{.Name}}\\t{{.IsOfficial}}", "nginx"],
    ] {
        assert!(printed(&replay, words).contains("nginx"), "{words:?}");
    }
}

/// An engine with these images.
fn with_images(list: &Value) -> Replay {
    Replay::start(Answers::given(&[("GET /images/json", list.to_string())]))
        .unwrap_or_else(|e| panic!("{e:#}"))
}

fn image(digit: char, names: &[&str], containers: i64) -> Value {
    let id = format!("sha256:{}", digit.to_string().repeat(64));
    json!({"Id": id, "RepoTags": names, "RepoDigests": [], "Created": 1_700_000_000 + i64::from(u32::from(digit)),
           "Size": 12_345_678, "SharedSize": -1, "Containers": containers, "Labels": null, "ParentId": ""})
}

fn platform(digit: char, architecture: &str, used: &[&str], available: bool) -> Value {
    let id = format!("sha256:{}", digit.to_string().repeat(64));
    let (architecture, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
    let mut platform = json!({"os": "linux", "architecture": architecture});
    if !variant.is_empty() {
        platform["variant"] = variant.into();
    }
    json!({"ID": id, "Descriptor": {}, "Available": available, "Kind": "image", "Size": {"Content": 1500, "Total": 25_000},
           "ImageData": {"Platform": platform, "Containers": used, "Size": {"Unpacked": 10}}})
}

// covers: cli docker images --tree
// covers: cli docker image ls --tree
// covers: cli docker image list --tree
#[test]
fn the_tree_of_images_is_dockers() {
    let flat = [
        image('d', &["a:1"], 1),
        image('c', &["b:1", "a.long/name/of/it:latest", "c:2"], 0),
        image('b', &[], 0),
    ];
    let mut deep = flat.clone();
    deep[1]["Manifests"] =
        json!([platform('1', "amd64", &["x"], true), platform('2', "arm64/v8", &[], false)]);
    for list in [json!(flat), json!(deep), json!([])] {
        let replay = with_images(&list);
        for columns in [200, 80, 60, 35, 20] {
            shown(&replay, &["images", "--tree"], columns);
            shown(&replay, &["image", "ls", "--tree", "--all"], columns);
        }
        // docker colours the headers even where nobody sees colours.
        let plain =
            |text: String| text.replace("\u{1b}[39m", "").replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        let [ours, theirs] =
            clients().map(|command| plain(replay.run(command, &["image", "list", "--tree"])));
        assert_eq!(ours, theirs);
        for wrong in ["--quiet", "--no-trunc", "--digests", "--format=x"] {
            assert!(printed(&replay, &["images", "--tree", wrong]).contains("not yet supported"));
        }
    }
}

// covers: value client-env docker NO_COLOR
#[test]
fn colours_can_be_refused() {
    let replay = with_images(&json!([image('d', &["a:1"], 1)]));
    for (value, coloured) in [("", true), ("1", false)] {
        let mut command = Command::new(ketch_binary());
        command.env_clear().env("HOME", "/nonexistent").env("TERM", "xterm").env("NO_COLOR", value);
        let command = command.env("DOCKER_HOST", replay.host()).args(["images", "--tree"]);
        let mut terminal = Terminal::start(command, 40, 120);
        terminal.wait();
        assert_eq!(terminal.shown().contains('\u{1b}'), coloured, "{}", terminal.shown());
        assert!(terminal.shown().contains("a:1"), "{}", terminal.shown());
    }
}

// covers: value client-env docker DOCKER_DEFAULT_PLATFORM
#[test]
fn the_variable_of_the_platform_is_believed() {
    let answers = [
        ("POST /images/create", lines(&[json!({"status": "done"})])),
        ("POST /containers/create", json!({"Id": "0123", "Warnings": []}).to_string()),
    ];
    let replay = Replay::start(Answers::given(&answers)).unwrap_or_else(|e| panic!("{e:#}"));
    for words in [
        &["pull", "x:1"][..],
        &["import", "http://r.example/x.tar"],
        &["create", "x:1"],
        &["pull", "--platform", "linux/arm64", "x:1"],
    ] {
        let [ours, theirs] = clients().map(|command| {
            let mut with = Command::new("sh");
            with.args(["-c", "DOCKER_DEFAULT_PLATFORM=linux/s390x exec \"$@\"", "sh"]);
            replay.run(
                {
                    with.arg(command.get_program()).args(command.get_args());
                    with
                },
                words,
            );
            let asked = replay.asked().pop().unwrap_or_default();
            let (path, query) = asked.split_once('?').unwrap_or((&asked, ""));
            let mut query: Vec<String> = query.split('&').map(str::to_owned).collect();
            query.sort();
            (path.to_owned(), query)
        });
        // What is empty says nothing.
        let told = |(path, mut query): (String, Vec<String>)| {
            query.retain(|part| !part.ends_with('='));
            (path, query)
        };
        let ours = told(ours);
        assert_eq!(ours, told(theirs), "{words:?}");
        let wanted = if words.len() > 2 { "arm64" } else { "s390x" };
        assert!(ours.1.contains(&format!("platform=linux%2F{wanted}")), "{ours:?}");
    }
}

// covers: cli docker image prune
// covers: cli docker image prune --all
// covers: cli docker image prune --filter
// covers: cli docker image prune --force
#[test]
fn images_are_pruned_only_with_consent() {
    let report =
        json!({"ImagesDeleted": [{"Untagged": "a:1"}, {"Deleted": "sha256:00"}], "SpaceReclaimed": 12_345});
    let replay = Replay::start(Answers::given(&[("POST /images/prune", report.to_string())]));
    let replay = replay.unwrap_or_else(|e| panic!("{e:#}"));
    let both = |words: &[&str], input: &str| {
        let script = format!("printf '{input}' | \"$@\"");
        let [ours, theirs] = clients().map(|command| {
            let mut piped = Command::new("sh");
            piped.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
            (replay.run(piped, words), replay.asked())
        });
        assert_eq!(ours, theirs, "{words:?} {input:?}");
        ours
    };
    let prune = ["image", "prune"];
    let (text, asked) = both(&[&prune[..], &["--force", "--filter", "label=x"]].concat(), "");
    assert!(text.contains("untagged: a:1\n") && text.contains("12.35kB"), "{text}");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("%22label%22%3A%7B%22x%22%3Atrue%7D"), "{asked:?}");
    for (input, consent) in [("", 0), ("no\n", 0), ("yes\n", 0), (" Y \n", 1), ("y", 1)] {
        for flags in [&[][..], &["--all"]] {
            let (text, asked) = both(&[&prune[..], flags].concat(), input);
            assert!(text.starts_with("WARNING! This will remove all "), "{text}");
            assert_eq!(asked.len(), consent, "{input:?}: {asked:?}");
        }
    }
}

// covers: value client-config config.json pruneFilters
#[test]
fn configured_filters_limit_every_prune() {
    let replay = Replay::start(Answers::given(&[("POST /images/prune", "{}".to_owned())]));
    let replay = replay.unwrap_or_else(|e| panic!("{e:#}"));
    let scratch = Scratch::create();
    // Not beside docker's client: 28.5 loses configured labels, and then removes what they should have kept.
    let filters = json!({"pruneFilters": ["label!=keep", "label=a=b", "until=24h"]});
    let config = scratch.write("config.json", filters.to_string());
    let folder = config.parent().map_or(String::new(), |folder| folder.display().to_string());
    let prune = ["--config", &folder, "image", "prune", "--all", "--force"];
    let filters = |more: &[&str]| {
        replay.run(Command::new(ketch_binary()), &[&prune[..], more].concat());
        replay.asked().pop().unwrap_or_default()
    };
    let asked = filters(&[]);
    for part in
        ["%22label%21%22%3A%7B%22keep%22", "%22label%22%3A%7B%22a%3Db%22", "%22until%22%3A%7B%2224h%22"]
    {
        assert!(asked.contains(part), "no {part} in {asked}");
    }
    // What is asked for by a flag wins over its opposite in the file.
    assert!(!filters(&["--filter", "label=keep"]).contains("label%21"));
    scratch.remove();
}

/// An engine whose pull never ends. Says when the client has gone.
fn endless(scratch: &Scratch) -> (String, mpsc::Receiver<()>) {
    let socket = scratch.join("endless.sock");
    let listener = UnixListener::bind(&socket).unwrap_or_else(|e| panic!("{e}"));
    let (gone, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let gone = gone.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let (mut first, mut line) = (String::new(), String::new());
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                        line.clear();
                    }
                    let pull = first.contains("/images/create");
                    let message =
                        json!({"status": "Waiting", "progressDetail": {}, "id": "aaaaaaaaaaaa"}).to_string();
                    let head = if pull {
                        "Transfer-Encoding: chunked"
                    } else {
                        "Api-Version: 1.51\r\nContent-Length: 0"
                    };
                    let body =
                        if pull { format!("{:x}\r\n{message}\r\n", message.len()) } else { String::new() };
                    let _ = write!(reader.get_mut(), "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
                    if pull {
                        let _ = reader.read_to_end(&mut Vec::new());
                        let _ = gone.send(());
                        return;
                    }
                }
            });
        }
    });
    (format!("unix://{}", socket.display()), heard)
}

#[test]
fn ctrl_c_ends_the_request() {
    let scratch = Scratch::create();
    let (host, gone) = endless(&scratch);
    for mut command in clients() {
        command.env_clear().env("HOME", scratch.path()).env("TERM", "xterm").env("DOCKER_HOST", &host);
        let mut terminal = Terminal::start(command.args(["pull", "x:1"]), 40, 120);
        terminal.wait_for("aaaaaaaaaaaa: Waiting");
        terminal.type_in("\u{3}");
        assert_eq!(terminal.wait(), Some(130), "{:?}", terminal.shown());
        gone.recv_timeout(DEADLINE).unwrap_or_else(|e| panic!("{e}"));
    }
    scratch.remove();
}
