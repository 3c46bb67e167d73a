//! What all of `buildx`' commands have alike: which builder is meant, and whether more is to be told.

use testkit::Engine;
use testkit::command::{Output, run};

use super::Context;

fn ours(engine: &Engine, words: &[&str]) -> Output {
    run(engine.ketch_command().args(words))
}

// covers: cli docker buildx --builder
// covers: cli docker buildx --debug
// covers: cli docker buildx bake --builder
// covers: cli docker buildx bake --debug
// covers: cli docker buildx dial-stdio --builder
// covers: cli docker buildx dial-stdio --debug
// covers: cli docker buildx dial-stdio --progress
// covers: cli docker buildx du --builder
// covers: cli docker buildx du --debug
// covers: cli docker buildx history --builder
// covers: cli docker buildx history --debug
// covers: cli docker buildx history export --builder
// covers: cli docker buildx history export --debug
// covers: cli docker buildx history logs --builder
// covers: cli docker buildx history logs --debug
// covers: cli docker buildx history ls --builder
// covers: cli docker buildx history ls --debug
// covers: cli docker buildx history rm --builder
// covers: cli docker buildx history rm --debug
// covers: cli docker buildx history trace --builder
// covers: cli docker buildx history trace --debug
// covers: cli docker buildx inspect --builder
// covers: cli docker buildx inspect --bootstrap
// covers: cli docker buildx inspect --debug
// covers: cli docker buildx ls --builder
// covers: cli docker buildx ls --debug
// covers: cli docker buildx prune --builder
// covers: cli docker buildx prune --debug
// covers: cli docker buildx version
// covers: cli docker buildx version --builder
// covers: cli docker buildx version --debug
// covers: value client-env docker buildx BUILDX_BUILDER
#[test]
fn the_builder_is_the_engine_that_the_context_means() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let context = Context::new(&engine, "one", &format!("FROM {base}\nENV A=1\n"));
    let bake = context.path().join("docker-bake.hcl");
    std::fs::write(
        &bake,
        format!("target \"default\" {{\n  context = \"{}\"\n}}\n", context.path().display()),
    )
    .unwrap();
    let bake = bake.display().to_string();
    run(engine.ketch_command().arg("build").arg(context.path())).ok();
    let commands: [&[&str]; 11] = [
        &["bake", "-f", &bake],
        &["du"],
        &["history", "export"],
        &["history", "logs"],
        &["history", "ls"],
        &["history", "trace"],
        &["inspect", "--bootstrap"],
        &["ls"],
        &["prune", "--force"],
        &["version"],
        &["dial-stdio", "--progress=none"],
    ];
    for words in commands {
        let (name, rest) = words.split_at(if words[0] == "history" { 2 } else { 1 });
        for (flag, fits) in [("--builder=default", true), ("--builder=absent", false)] {
            // Before the command, and behind it.
            for line in [[&["buildx", flag], words].concat(), [&["buildx"], name, &[flag], rest].concat()] {
                let said = ours(&engine, &line);
                assert_eq!(said.code == 0, fits, "{line:?}: {said:?}");
                assert!(
                    fits || said.stderr.contains("no builder \"absent\" found"),
                    "{line:?}: {}",
                    said.stderr
                );
            }
        }
        let mut other = engine.ketch_command();
        other.env("BUILDX_BUILDER", "absent").arg("buildx").args(words);
        let said = run(&mut other);
        assert_eq!(said.code == 0, name == ["version"], "{words:?}: {said:?}");
        for line in
            [[&["buildx", "--debug"], words].concat(), [&["buildx"], name, &["--debug"], rest].concat()]
        {
            let said = ours(&engine, &line).assert_code(0);
            let told = said.stderr.contains("debug: engine at");
            assert!(told || name == ["version"], "{line:?}: {}", said.stderr);
        }
    }
    for line in [&["history", "--builder=absent", "ls"][..], &["history", "rm", "--builder=absent", "--all"]]
    {
        let refused = ours(&engine, &[&["buildx"], line].concat()).assert_code(1);
        assert!(refused.stderr.contains("no builder \"absent\" found"), "{}", refused.stderr);
    }
    for line in [&["history", "--debug", "ls"][..], &["history", "rm", "--debug", "--all"]] {
        let said = ours(&engine, &[&["buildx"], line].concat()).assert_code(0);
        assert!(said.stderr.contains("debug: engine at"), "{}", said.stderr);
    }
}

// covers: cli docker buildx history ls --no-trunc
// covers: value client-env docker buildx BUILDX_CONFIG
// covers: cli docker buildx ls --no-trunc
// covers: cli docker buildx prune --keep-storage
// covers: cli docker buildx prune --verbose
#[test]
fn what_listings_leave_out_and_what_pruning_leaves() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let name = "a-folder-whose-name-is-longer-than-the-room-that-a-table-has";
    let context =
        Context::new(&engine, name, &format!("FROM {base}\nRUN head -c 100000 /dev/urandom > /a\n"));
    let file = context.path().join("Dockerfile-of-a-rather-long-name-that-needs-room");
    std::fs::copy(context.path().join("Dockerfile"), &file).unwrap();
    run(engine.ketch_command().args(["build", "-o", "type=cacheonly", "-f"]).arg(&file).arg(context.path()))
        .ok();
    let names = |flags: &[&str]| {
        let words = [&["buildx", "history", "ls"], flags].concat();
        let ours = ours(&engine, &words).ok();
        let row = ours.lines().nth(1).unwrap_or_default().to_owned();
        row.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    let whole = format!("{name}/Dockerfile-of-a-rather-long-name-that-needs-room");
    assert_eq!(names(&["--no-trunc"]), whole);
    // Either client calls a build by what the other one noted of it.
    let format = ["buildx", "history", "ls", "--format", "{{.Name}}"];
    assert_eq!(run(engine.docker_command().args(format)).ok(), whole);
    let at = run(engine
        .ketch_command()
        .args(["buildx", "history", "inspect", "--format", "{{.Context}} {{.Dockerfile}}"])
        .current_dir(engine.scratch().join("")))
    .ok();
    assert_eq!(at, format!("{name} Dockerfile-of-a-rather-long-name-that-needs-room"));
    assert_eq!(names(&[]), format!("..{}", &whole[whole.len() - 34..]));
    assert!(ours(&engine, &["buildx", "ls", "--no-trunc"]).ok().contains("linux/"));
    // It is noted where buildx keeps its own.
    let elsewhere = engine.scratch().join("elsewhere");
    let mut other = engine.ketch_command();
    run(other.env("BUILDX_CONFIG", &elsewhere).args(["build", "-q"]).arg(context.path())).ok();
    let noted = || std::fs::read_dir(elsewhere.join("refs/default/default")).unwrap().count();
    assert_eq!(noted(), 1);
    run(engine.ketch_command().env("BUILDX_CONFIG", &elsewhere).args(["buildx", "history", "rm", "--all"]))
        .ok();
    assert_eq!(noted(), 0);
    let kept = ours(&engine, &["buildx", "prune", "--force", "--all", "--keep-storage=1GB"]).ok();
    assert!(kept.ends_with("0B"), "{kept}");
    let wrong = ours(&engine, &["buildx", "prune", "--force", "--keep-storage=much"]).assert_code(1);
    assert!(wrong.stderr.contains("much"), "{}", wrong.stderr);
    let pruned = ours(&engine, &["buildx", "prune", "--force", "--all", "--verbose"]).ok();
    assert!(pruned.contains("Reclaimable:") && pruned.contains("RUN head -c"), "{pruned}");
}

/// Refused by name, wherever docker has them.
#[test]
fn debuggers_and_policies_are_refused() {
    let engine = Engine::ours();
    for (words, why) in [
        (&["debug", "build", "."][..], "no debugger"),
        (&["debug", "--invoke", "sh", "b", "."], "no debugger"),
        (&["dap", "build", "."], "no debugger"),
        (&["policy", "json-schema"], "no policies"),
    ] {
        let refused = ours(&engine, &[&["buildx"], words].concat());
        assert_ne!(refused.code, 0, "{words:?}");
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
}

// covers: cli docker buildx history inspect
// covers: cli docker buildx history inspect --builder
// covers: cli docker buildx history inspect --debug
// covers: cli docker buildx history inspect --format
// covers: cli docker buildx history inspect attachment
// covers: cli docker buildx history inspect attachment --builder
// covers: cli docker buildx history inspect attachment --debug
// covers: cli docker buildx history inspect attachment --platform
// covers: cli docker buildx history inspect attachment --type
#[test]
fn one_build_is_looked_at() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!("FROM {base} AS one\nARG WORD\nRUN echo $WORD > /word\n");
    let context = Context::new(&engine, "looked-at", &text);
    let build = |flags: &[&str]| {
        let mut command = engine.docker_command();
        command.args(["buildx", "build", "--build-arg=WORD=seven", "--label=a=b"]).args(flags);
        run(command.arg(context.path()))
    };
    context.file("several", "FROM scratch AS one\nARG WORD\nCOPY Dockerfile /word\n");
    let several = context.path().join("several").display().to_string();
    build(&["--platform=linux/amd64,linux/arm64", "-o", "type=cacheonly", "--target=one", "-f", &several])
        .ok();
    build(&[]).ok();
    let ours = |words: &[&str]| ours(&engine, &[&["buildx", "history", "inspect"], words].concat());
    let theirs =
        |words: &[&str]| run(engine.docker_command().args(["buildx", "history", "inspect"]).args(words)).ok();
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
    for words in [&["--format=json"][..], &["^1", "--format", "json"]] {
        let (ours, theirs) = (json(&ours(words).ok()), json(&theirs(words)));
        for key in ["Ref", "Target", "Platform", "Duration", "Status", "NumTotalSteps", "NumCachedSteps"] {
            assert_eq!(ours[key], theirs[key], "{key} of {words:?}: {ours} {theirs}");
        }
        for key in ["BuildArgs", "Labels", "Materials", "Attachments", "Context", "Dockerfile", "Name"] {
            assert_eq!(ours[key], theirs[key], "{key} of {words:?}");
            // An image of several platforms that begins with nothing has no materials.
            assert!(!ours[key].is_null() || key == "Materials", "{key} of {words:?}: {ours}");
        }
    }
    let cells = |text: &str| -> Vec<String> {
        let row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().filter(|line| !line.starts_with("View build in Docker Desktop")).map(row).collect()
    };
    let (shown, expected) = (cells(&ours(&["^1"]).ok()), cells(&theirs(&["^1"])));
    assert_eq!(shown, expected);
    assert_eq!(
        ours(&["--format", "{{.Status}} {{.NumTotalSteps}}"]).ok(),
        theirs(&["--format", "{{.Status}} {{.NumTotalSteps}}"])
    );
    // What is said of its results.
    let platforms = json(&ours(&["^1", "--format=json"]).ok())["Attachments"].clone();
    assert_eq!(platforms.as_array().map(Vec::len), Some(2), "{platforms}");
    let digest = platforms[1]["Digest"].as_str().unwrap().to_owned();
    for words in [
        &["attachment", "--type=provenance"][..],
        &["attachment", "--type=https://slsa.dev/provenance/v0.2", "^1"],
        &["attachment", "--platform=linux/arm64", "^1"],
        &["attachment", "^1", &digest],
    ] {
        let (ours, theirs) = (json(&ours(words).ok()), json(&theirs(words)));
        assert_eq!(ours, theirs, "{words:?}");
        assert_eq!(ours["buildType"], "https://mobyproject.org/buildkit@v1");
    }
    for (words, why) in [
        (&["attachment"][..], "at least one of --type, --platform or DIGEST must be specified"),
        (&["attachment", "--type=sbom"], "no matching attachment found"),
        (&["attachment", "--type=provenance", "none"], "no record found for ref \"none\""),
        (&["none"], "no record found for ref \"none\""),
        (&["--builder=absent"], "no builder \"absent\" found"),
        (&["attachment", "--type=provenance", "--builder=absent"], "no builder \"absent\" found"),
        (&["--format={{.None"], "template"),
    ] {
        let refused = ours(words).assert_code(1);
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
    for words in [&["--debug"][..], &["attachment", "--type=provenance", "--debug"]] {
        assert!(ours(words).assert_code(0).stderr.contains("debug: engine at"));
    }
    // A build that failed, and one that is gone with all that was said of it.
    context.dockerfile(&engine, "FROM BASE\nRUN exit 3\n");
    build(&[]).assert_code(1);
    let shown = ours(&[]).ok();
    assert!(shown.contains("exit code: 3") && shown.contains("Error:"), "{shown}");
    run(engine.ketch_command().args(["buildx", "history", "rm", "--all"])).ok();
    assert!(ours(&[]).assert_code(1).stderr.contains("no records found"));
    assert_eq!(std::fs::read_dir(engine.data_root().join("builds/history")).unwrap().count(), 0);
}

/// Rows that both clients tell of our engine, sorted.
fn alike(engine: &Engine, words: &[&str]) -> Vec<String> {
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ours = sorted(run(engine.ketch_command().args(words)).ok());
    assert_eq!(ours, sorted(run(engine.docker_command().args(words)).ok()), "{words:?}");
    ours
}

// covers: value filter docker buildx history ls ref
// covers: value filter docker buildx history ls repository
// covers: value filter docker buildx history ls status
// covers: value filter docker buildx history ls startedAt
// covers: value filter docker buildx history ls completedAt
// covers: value filter docker buildx history ls duration
#[test]
fn builds_are_found_by_what_they_were() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let context = Context::new(&engine, "good", &format!("FROM {base}\nENV A=1\n"));
    let mut build = engine.ketch_command();
    run(build.args(["build", "-f", "-"]).arg(context.path()).env("X", "x"));
    run(engine.docker_command().args(["buildx", "build"]).arg(context.path())).ok();
    context.dockerfile(&engine, "FROM BASE\nRUN exit 3\n");
    run(engine.docker_command().args(["buildx", "build"]).arg(context.path())).assert_code(1);
    let refs = |filter: &[&str]| {
        let words = [&["buildx", "history", "ls", "--format={{.Ref}} {{.Status}}"], filter].concat();
        alike(&engine, &words)
    };
    let all = refs(&[]);
    assert!(all.len() >= 2, "{all:?}");
    let failed = refs(&["--filter=status=error"]);
    assert!(failed.iter().all(|row| row.ends_with(" Error")) && failed.len() < all.len(), "{failed:?}");
    let one = all.iter().find(|row| row.ends_with(" Completed")).unwrap();
    let id = one.split(' ').next().unwrap();
    for (filter, expected) in [
        (format!("ref={id}"), 1),
        ("ref=none".to_owned(), 0),
        ("repository=none".to_owned(), 0),
        ("status!=error".to_owned(), all.len() - failed.len()),
        ("status=completed".to_owned(), all.len() - failed.len()),
        ("startedAt>2020-01-01T00:00:00Z".to_owned(), all.len()),
        ("completedAt<2020-01-01T00:00:00Z".to_owned(), 0),
        ("completedAt>2020-01-01T00:00:00Z".to_owned(), all.len()),
        ("duration<1h".to_owned(), all.len()),
        ("duration>1h".to_owned(), 0),
    ] {
        let found = refs(&["--filter", &filter]);
        assert_eq!(found.len(), expected, "{filter}: {found:?} of {all:?}");
    }
}

// covers: value format-field docker buildx ls .Name
// covers: value format-field docker buildx ls .DriverEndpoint
// covers: value format-field docker buildx ls .LastActivity
// covers: value format-field docker buildx ls .Status
// covers: value format-field docker buildx ls .Buildkit
// covers: value format-field docker buildx ls .Platforms
// covers: value format-field docker buildx ls .Error
// refuses: value format-field docker buildx ls .Builder because it prints where buildx' own memory has it
#[test]
fn a_builder_is_told_of() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let context = Context::new(&engine, "c", &format!("FROM {base}\nENV A=1\n"));
    run(engine.docker_command().args(["buildx", "build"]).arg(context.path())).ok();
    let format = "{{.Name}}|{{.DriverEndpoint}}|{{.Status}}|{{.Buildkit}}|{{.Platforms}}|{{.Error}}";
    let rows = alike(&engine, &["buildx", "ls", "--format", format]);
    assert!(rows.len() == 2 && rows.iter().any(|row| row.contains("|running|")), "{rows:?}");
    let last = ours(&engine, &["buildx", "ls", "--format={{.LastActivity}}"]).ok();
    assert!(last.lines().next().unwrap_or_default().starts_with("20"), "{last}");
    let refused = ours(&engine, &["buildx", "ls", "--format={{.Builder}}"]).assert_code(1);
    assert!(refused.stderr.contains("Builder"), "{}", refused.stderr);
    let json =
        |text: String| -> serde_json::Value { serde_json::from_str(text.lines().next().unwrap()).unwrap() };
    let words = ["buildx", "ls", "--format=json"];
    let (ours, theirs) =
        (json(ours(&engine, &words).ok()), json(run(engine.docker_command().args(words)).ok()));
    for key in ["Name", "Driver", "Dynamic", "Current"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    for key in ["Name", "Endpoint", "Status", "Version", "IDs", "Platforms", "Labels", "GCPolicy"] {
        assert_eq!(ours["Nodes"][0][key], theirs["Nodes"][0][key], "{key}");
    }
}

// covers: value filter docker buildx prune until
// covers: value filter docker buildx prune id
// covers: value filter docker buildx prune parents
// covers: value filter docker buildx prune description
// covers: value filter docker buildx prune inuse
// covers: value filter docker buildx prune mutable
// covers: value filter docker buildx prune immutable
// covers: value filter docker buildx prune shared
// covers: value filter docker buildx prune private
// covers: value filter docker buildx prune type
// covers: value filter docker buildx prune internal
// covers: value filter docker buildx prune frontend
// covers: value filter docker buildx prune source
// covers: value filter docker buildx prune exec
// covers: value filter docker buildx prune regular
#[test]
fn what_is_pruned_is_chosen_by_what_it_is() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!(
        "FROM {base}\nCOPY Dockerfile /x\nRUN --mount=type=cache,target=/c echo y > /c/y; cp /x /z\n"
    );
    let context = Context::new(&engine, "c", &text);
    run(engine.ketch_command().args(["build", "-o", "type=cacheonly"]).arg(context.path())).ok();
    let list = |filter: &[&str]| {
        let format = "--format={{.ID}}|{{.Type}}|{{.Description}}";
        alike(&engine, &[&["buildx", "du", format], filter].concat())
    };
    let all = list(&[]);
    let prune = |filter: &str| {
        let words = ["buildx", "prune", "--force", "--all", "--filter", filter];
        let before = list(&[]).len();
        ours(&engine, &words).ok();
        before - list(&[]).len()
    };
    for none in [
        "until=48h",
        "id=none",
        "parents=none",
        "description=none",
        "inuse=true",
        "type=internal",
        "type=frontend",
        "type=source.git.checkout",
    ] {
        assert_eq!(prune(none), 0, "{none}");
    }
    for unknown in ["internal=x", "frontend=x", "source=x", "exec=x", "regular=x"] {
        let refused = ours(&engine, &["buildx", "prune", "--force", "--filter", unknown]).assert_code(1);
        assert!(refused.stderr.contains("unknown field"), "{}", refused.stderr);
    }
    let (copied, _) =
        all.iter().find(|row| row.contains("COPY Dockerfile")).unwrap().split_once('|').unwrap();
    let made = all.iter().filter(|row| row.contains("|regular|")).count();
    assert_eq!(made, 2, "{all:?}");
    assert_eq!(prune("type=exec.cachemount"), 1);
    assert_eq!(prune("description=[2/3] COPY Dockerfile /x"), 1, "{all:?}");
    assert_eq!(prune("type=regular"), 1, "{all:?}");
    assert_eq!(prune(&format!("id={copied}")), 0);
    assert_eq!(prune("type=source.local"), all.iter().filter(|row| row.contains("source.local")).count());
    for each in ["mutable=true", "immutable=true", "shared=true", "private=true"] {
        run(engine.ketch_command().args(["build", "-o", "type=cacheonly"]).arg(context.path())).ok();
        let key = each.split('=').next().unwrap();
        let fits = list(&["--filter", each]).len();
        assert_eq!(prune(each), fits, "{each}");
        assert!(key == "shared" || fits > 0, "{each}");
    }
}

// covers: value format-method formatter.buildCacheContext .CacheType
// covers: value format-method formatter.buildCacheContext .CreatedAt
// covers: value format-method formatter.buildCacheContext .CreatedSince
// covers: value format-method formatter.buildCacheContext .Description
// covers: value format-method formatter.buildCacheContext .ID
// covers: value format-method formatter.buildCacheContext .InUse
// covers: value format-method formatter.buildCacheContext .LastUsedAt
// covers: value format-method formatter.buildCacheContext .LastUsedSince
// covers: value format-method formatter.buildCacheContext .Parent
// covers: value format-method formatter.buildCacheContext .Shared
// covers: value format-method formatter.buildCacheContext .Size
// covers: value format-method formatter.buildCacheContext .UsageCount
// covers: value format-method formatter.diskUsageBuilderContext .Active
// covers: value format-method formatter.diskUsageBuilderContext .Reclaimable
// covers: value format-method formatter.diskUsageBuilderContext .Size
// covers: value format-method formatter.diskUsageBuilderContext .TotalCount
#[test]
fn the_whole_disk_s_usage_tells_of_the_cache() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let text = format!("FROM {base}\nCOPY Dockerfile /x\nRUN cp /x /y\n");
    let context = Context::new(&engine, "c", &text);
    run(engine.ketch_command().args(["build", "-t", "kept:1"]).arg(context.path())).ok();
    for field in [
        "CacheType",
        "CreatedAt",
        "CreatedSince",
        "Description",
        "ID",
        "InUse",
        "LastUsedAt",
        "LastUsedSince",
        "Parent",
        "Shared",
        "Size",
        "UsageCount",
    ] {
        let format = format!("{{{{range .BuildCache}}}}{{{{.ID}}}} {{{{.{field}}}}}\n{{{{end}}}}");
        if field.ends_with("Since") {
            // A second may pass between two clients.
            let told = ours(&engine, &["system", "df", "--verbose", "--format", &format]).ok();
            assert!(told.lines().all(|row| row.ends_with(" ago")), "{told}");
            continue;
        }
        let rows = alike(&engine, &["system", "df", "--verbose", "--format", &format]);
        assert!(rows.len() >= 3, "{field}: {rows:?}");
    }
    let rows = alike(
        &engine,
        &["system", "df", "--format={{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}"],
    );
    assert!(rows.iter().any(|row| row.starts_with("Build Cache|")), "{rows:?}");
}
