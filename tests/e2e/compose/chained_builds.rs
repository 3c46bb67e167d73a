//! Builds that read the images of other services: `additional_contexts: {name: service:other}`.

use testkit::Engine;

use super::Project;

/// `app` reads what `middle` made, and that what `base` made: each is named after it in the file, and nothing depends on another.
const FILE: &str = "
services:
  app:
    command: sleep 1000
    init: true
    build:
      context: .
      dockerfile_inline: |
        FROM under
        COPY --from=first /seen /first
        RUN cat /seen /first > /both
      additional_contexts: {under: \"service:middle\", first: \"service:base\"}
  base:
    command: sleep 1000
    init: true
    build:
      context: .
      dockerfile_inline: |
        FROM IMAGE
        COPY word /seen
  middle:
    build:
      context: .
      dockerfile_inline: |
        FROM under
        RUN echo more >> /seen
      additional_contexts: [\"under=service:base\"]
";

fn project<'e>(engine: &'e Engine, name: &str) -> Project<'e> {
    let project = Project::new(engine, name, FILE);
    project.write("word", "one\n");
    project
}

/// The images' names without the project's.
fn images(engine: &Engine, project: &Project<'_>) -> Vec<String> {
    let listed = engine.docker(["images", "--format", "{{.Repository}}"]).ok();
    let mut names: Vec<_> = listed
        .lines()
        .filter_map(|name| name.strip_prefix(&format!("{}-", project.name)))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

// covers: compose key services.*.build.additional_contexts
// covers: compose key services.*.build.additional_contexts.*
#[test]
fn what_a_build_reads_is_built_before() {
    let engine = Engine::isolated();
    let chained = project(&engine, "chained");
    chained.compose(["build", "--quiet", "app"]).ok();
    assert_eq!(images(&engine, &chained), ["app", "base", "middle"], "what was not named is built as well");
    chained.compose(["up", "-d", "app"]).ok();
    assert_eq!(chained.sh("app", "cat /both"), "one\nmore\none");
    // What is below changes, and `up` builds all that stands on it.
    chained.write("word", "two\n");
    chained.compose(["up", "-d", "--build", "app"]).ok();
    assert_eq!(chained.sh("app", "cat /both"), "two\nmore\ntwo");
    let before = chained.id("app");
    chained.compose(["up", "-d", "--build", "app"]).ok();
    assert_eq!(chained.id("app"), before, "what nobody changed is the same image");
    chained.compose(["down", "--rmi", "all", "--timeout", "0"]).ok();
    assert_eq!(images(&engine, &chained), Vec::<String>::new());
    // Nothing is there, and `up` makes it in the order that is needed.
    chained.compose(["up", "-d", "--quiet-build"]).ok();
    assert_eq!(chained.sh("app", "cat /both"), "two\nmore\ntwo");
    chained.compose(["down", "--rmi", "all", "--timeout", "0"]).ok();
}

/// Docker's client, with the same file, reads the same from it.
#[test]
fn either_client_builds_a_chain() {
    let engine = Engine::isolated().with_plugins();
    let (ours, theirs) = (project(&engine, "ours"), project(&engine, "theirs"));
    ours.compose(["build", "--quiet"]).ok();
    let built = theirs.real(["build", "--quiet", "app"]);
    built.assert_code(0);
    assert_eq!(images(&engine, &ours), images(&engine, &theirs));
    let config = |output: testkit::command::Output| output.ok();
    assert_eq!(config(ours.compose(["config"])), config(ours.real(["config"])));
    ours.compose(["down", "--rmi", "all"]).ok();
    theirs.compose(["down", "--rmi", "all"]).ok();
}

#[test]
fn newer_images_are_looked_for_but_not_for_those_that_were_just_built() {
    let engine = Engine::isolated();
    let registry = testkit::Registry::start();
    let project = project(&engine, "pulling");
    let base = registry.name("under:1");
    engine.docker(["tag", &project.image, &base]).ok();
    engine.docker(["push", "--quiet", &base]).ok();
    project.write("compose.yaml", &FILE.replace("IMAGE", &base));
    project.compose(["build", "--quiet", "--pull", "app"]).ok();
    project.compose(["up", "-d", "app"]).ok();
    assert_eq!(project.sh("app", "cat /both"), "one\nmore\none");
    project.compose(["down", "--rmi", "all", "--timeout", "0"]).ok();
    engine.docker(["rmi", &base]).ok();
}

/// Steps of several builds are told apart, in docker compose's words; one that is alone needs no name.
#[test]
fn what_is_built_says_whose_step_it_is() {
    let engine = Engine::isolated();
    let build =
        |word: &str| format!("{{build: {{dockerfile_inline: \"FROM IMAGE\\nRUN echo {word} > /said\\n\"}}}}");
    let file = format!("services: {{web: {}, api: {}}}\n", build("web"), build("api"));
    let project = Project::new(&engine, "named-steps", &file);
    for arguments in [["--progress", "plain", "build"], ["up", "--build", "--no-start"]] {
        let said = project.compose(arguments).assert_code(0).stderr;
        for step in [
            "[web internal] load build definition",
            "[web 2/2] RUN echo web",
            "[api 2/2] RUN echo api",
            "[api] exporting to image",
        ] {
            assert!(said.contains(step), "{step}: {said}");
        }
    }
    let said = project.compose(["build", "web"]).assert_code(0).stderr;
    assert!(
        said.contains(" [internal] load build definition") && said.contains(" [2/2] RUN echo web"),
        "{said}"
    );
}

/// Each of the two steps waits for what the other one writes.
#[test]
fn what_needs_no_other_image_is_built_at_once() {
    let engine = Engine::isolated();
    let build = |own: &str, other: &str| {
        format!(
            "
    build:
      dockerfile_inline: |
        FROM IMAGE
        RUN --mount=type=cache,id=PLACE,target=/met touch /met/{own}; n=0; until [ -e /met/{other} ]; do n=$$((n+1)); [ $$n -lt 600 ] || exit 1; sleep 0.1; done"
        )
    };
    let file = format!("services:\n  web:{}\n  api:{}\n", build("web", "api"), build("api", "web"));
    let project = Project::new(&engine, "at-once", &file);
    let file = file.replace("PLACE", &format!("{}-{}", project.name, std::process::id()));
    project.write("compose.yaml", &file);
    project.compose(["build"]).ok();
    assert_eq!(images(&engine, &project), ["api", "web"]);
    // One of several that fails is named.
    project.write("compose.yaml", &file.replace("touch /met/api", "exit 3"));
    let failed = project.compose(["build", "--no-cache"]).assert_code(1).stderr;
    assert!(failed.contains("target api: ") && failed.contains("[\"api\", \"web\"]"), "{failed}");
    project.compose(["down", "--rmi", "all"]).ok();
}
