//! Where copies go and whose they are, as BuildKit has it.

use std::os::unix::fs::MetadataExt;

use testkit::Engine;

use super::{Context, classic, run};

fn files(context: &Context) {
    context.file("a.txt", "A").file("b.txt", "BB").file("d/x", "x").file("d/y/z", "z").file("d/y/w.md", "w");
    context.link("ln", "a.txt").link("dl", "d").file("exec.sh", "#!/bin/sh\n").mode("exec.sh", 0o755);
}

/// Builds and lists what is below a path: type and mode, owner, group, path.
fn list(engine: &Engine, name: &str, text: &str, below: &str) -> String {
    let context = Context::new(engine, name, text);
    files(&context);
    let tag = engine.name(name);
    classic(engine, &context, &tag, &[]).ok();
    run(engine, &tag, &format!("for f in {below}; do stat -c '%A %u:%g %n' $f; done"))
}

// covers: dockerfile flag COPY --chown string
// covers: dockerfile flag COPY --chmod string
#[test]
fn copies_are_where_and_whose_buildkit_puts_them() {
    let engine = Engine::isolated();
    engine.busybox();
    let is = |name: &str, text: &str, below: &str, expected: &str| {
        assert_eq!(list(&engine, name, &format!("FROM BASE\n{text}\n"), below), expected, "{text}");
    };
    is(
        "into",
        "COPY a.txt b.txt /new/",
        "/new /new/*",
        "drwxr-xr-x 0:0 /new\n-rw-r--r-- 0:0 /new/a.txt\n-rw-r--r-- 0:0 /new/b.txt",
    );
    is("rename", "COPY a.txt /new/name", "/new/*", "-rw-r--r-- 0:0 /new/name");
    is(
        "contents",
        "COPY d /t",
        "/t/* /t/y/*",
        "-rw-r--r-- 0:0 /t/x\ndrwxr-xr-x 0:0 /t/y\n-rw-r--r-- 0:0 /t/y/w.md\n-rw-r--r-- 0:0 /t/y/z",
    );
    is("existing", "RUN mkdir -m 700 /t\nCOPY d /t/", "/t", "drwx------ 0:0 /t");
    is("links", "COPY ln dl /t/", "/t/*", "-rw-r--r-- 0:0 /t/ln\n-rw-r--r-- 0:0 /t/x\ndrwxr-xr-x 0:0 /t/y");
    is(
        "numbers",
        "COPY --chown=5:6 d /t/n/",
        "/t /t/n /t/n/x",
        "drwxr-xr-x 5:6 /t\ndrwxr-xr-x 5:6 /t/n\n-rw-r--r-- 5:6 /t/n/x",
    );
    is("mode", "COPY --chmod=640 a.txt /t/a", "/t /t/a", "drw-r----- 0:0 /t\n-rw-r----- 0:0 /t/a");
    is(
        "symbolic",
        "COPY --chmod=u=rwX,go=rX a.txt exec.sh /t/",
        "/t/*",
        "-rw-r--r-- 0:0 /t/a.txt\n-rwxr-xr-x 0:0 /t/exec.sh",
    );
    is(
        "through",
        "RUN mkdir /real && touch /l && rm /l\nCOPY d /real/d\nCOPY a.txt /real/d/y/../../e",
        "/real/*",
        "drwxr-xr-x 0:0 /real/d\n-rw-r--r-- 0:0 /real/e",
    );
}

#[test]
fn what_can_not_be_is_refused_as_buildkit_does() {
    let engine = Engine::isolated();
    engine.busybox();
    for (name, text, words) in [
        ("missing", "COPY nope /t/", "\"/nope\": not found"),
        ("folder", "RUN echo x > /t\nCOPY d /t", "cannot copy to non-directory: "),
        ("file", "RUN mkdir -p /t/x\nCOPY d /t", "cannot replace to directory "),
    ] {
        let context = Context::new(&engine, name, &format!("FROM BASE\n{text}\n"));
        files(&context);
        let output = classic(&engine, &context, &engine.name(name), &[]);
        let output = output.assert_code(1);
        assert!(output.stderr.contains(words), "{text}: {}", output.stderr);
    }
}

#[test]
fn names_of_one_file_stay_so_and_stages_are_copied_with_their_owners() {
    let engine = Engine::isolated();
    engine.busybox();
    let text = "FROM BASE AS one\nRUN mkdir -p /o && echo q > /o/q && chmod 640 /o/q\n\
                FROM BASE\nCOPY --from=one /o /o2\nCOPY h1 h2 /h/\n";
    let context = Context::new(&engine, "hard", text);
    context.file("h1", "same");
    std::fs::hard_link(context.path().join("h1"), context.path().join("h2")).unwrap();
    assert_eq!(std::fs::metadata(context.path().join("h1")).unwrap().nlink(), 2);
    let tag = engine.name("hard");
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "stat -c '%a %u' /o2/q; stat -c %h /h/h1"), "640 0\n1");
}
