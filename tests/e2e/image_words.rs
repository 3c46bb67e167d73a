//! Every word of a template and every filter of the image listings, beside the real client.

use testkit::Engine;
use testkit::command::run;

/// What both clients say; on a shared engine others may tag in between, so only this test's images are asked for.
#[track_caller]
fn alike(engine: &Engine, arguments: &[&str]) -> String {
    let ours = run(engine.ketch_command().args(arguments)).ok();
    assert_eq!(ours, run(engine.docker_command().args(arguments)).ok(), "{arguments:?}");
    ours
}

// covers: value format-field docker image ls .ID
// covers: value format-field docker image ls .Repository
// covers: value format-field docker image ls .Tag
// covers: value format-field docker image ls .Digest
// covers: value format-field docker image ls .CreatedSince
// covers: value format-field docker image ls .CreatedAt
// covers: value format-field docker image ls .Size
// covers: value format-method formatter.imageContext .Containers
// covers: value format-method formatter.imageContext .CreatedAt
// covers: value format-method formatter.imageContext .CreatedSince
// covers: value format-method formatter.imageContext .Digest
// covers: value format-method formatter.imageContext .ID
// covers: value format-method formatter.imageContext .Repository
// covers: value format-method formatter.imageContext .SharedSize
// covers: value format-method formatter.imageContext .Size
// covers: value format-method formatter.imageContext .Tag
// covers: value format-method formatter.imageContext .UniqueSize
// covers: value format-field docker image history .ID
// covers: value format-field docker image history .CreatedSince
// covers: value format-field docker image history .CreatedAt
// covers: value format-field docker image history .CreatedBy
// covers: value format-field docker image history .Size
// covers: value format-field docker image history .Comment
// covers: value format-method image.historyContext .ID
// covers: value format-method image.historyContext .CreatedSince
// covers: value format-method image.historyContext .CreatedAt
// covers: value format-method image.historyContext .CreatedBy
// covers: value format-method image.historyContext .Size
// covers: value format-method image.historyContext .Comment
#[test]
fn every_word_of_a_template_is_dockers() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    for word in [
        "Containers",
        "CreatedAt",
        "CreatedSince",
        "Digest",
        "ID",
        "Repository",
        "SharedSize",
        "Size",
        "Tag",
        "UniqueSize",
    ] {
        let text = alike(&engine, &["images", "--format", &format!("{{{{.{word}}}}}"), &image]);
        assert!(!text.is_empty(), "{word}");
    }
    for word in ["ID", "CreatedSince", "CreatedAt", "CreatedBy", "Size", "Comment"] {
        alike(&engine, &["history", "--format", &format!("<{{{{.{word}}}}}>"), &image]);
        alike(
            &engine,
            &["history", "--no-trunc", "--human=false", "--format", &format!("<{{{{.{word}}}}}>"), &image],
        );
    }
}

// covers: value filter docker image ls dangling
// covers: value filter docker image ls label
// covers: value filter docker image ls before
// covers: value filter docker image ls since
// covers: value filter docker image ls reference
#[test]
fn every_filter_keeps_what_it_says() {
    let engine = Engine::isolated();
    let first = engine.busybox();
    let second = format!("{}:2", engine.name("second"));
    let change = ["import", "-c", "LABEL colour=red", "-", &second];
    let tar = engine.scratch().write("empty.tar", vec![0; 1024]);
    let mut client = engine.ketch_command();
    run(client.args(change).stdin(std::fs::File::open(&tar).expect("the archive"))).ok();
    let list = |filters: &[&str]| {
        let mut arguments = vec!["images", "--format", "{{.Repository}}:{{.Tag}}"];
        filters.iter().for_each(|filter| arguments.extend(["--filter", filter]));
        let all = alike(&engine, &arguments);
        let mine = all.lines().filter(|line| [first.as_str(), second.as_str()].contains(line));
        let mut mine: Vec<String> = mine.map(str::to_owned).collect();
        mine.sort();
        mine
    };
    let both = {
        let mut both = vec![first.clone(), second.clone()];
        both.sort();
        both
    };
    assert_eq!(list(&["dangling=false"]), both);
    assert_eq!(list(&["dangling=true"]), [""; 0]);
    assert_eq!(list(&["label=colour=red"]), [second.as_str()]);
    assert_eq!(list(&["label=colour=blue"]), [""; 0]);
    assert_eq!(list(&[&format!("since={first}")]), [second.as_str()]);
    assert_eq!(list(&[&format!("before={second}")]), [first.as_str()]);
    assert_eq!(list(&[&format!("reference={first}")]), [first.as_str()]);
}
