//! What steps find beside their root, and what is left of it.

use testkit::Engine;

use super::{Context, classic, run};

// covers: dockerfile flag RUN --mount string, repeatable
#[test]
fn mounts_are_there_for_their_step_alone() {
    let engine = Engine::isolated();
    engine.busybox();
    let text = "FROM BASE AS one\nRUN mkdir /o && echo from > /o/f\nFROM BASE\n\
                RUN --mount=type=bind,target=/src,rw cat /src/d/x > /seen && echo y > /src/d/x && cat /src/d/x >> /seen\n\
                RUN --mount=type=bind,from=one,source=/o,target=/m cat /m/f >> /seen; touch /m/new && echo written >> /seen || true\n\
                RUN --mount=type=tmpfs,target=/tt touch /tt/x && ls /tt >> /seen\n\
                RUN --mount=type=bind,target=/src cat /src/d/x >> /seen\n\
                RUN test ! -e /src && test ! -e /m && test ! -e /tt\n";
    let context = Context::new(&engine, "mounts", text);
    context.file("d/x", "x\n");
    let tag = engine.name("mounts");
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "cat /seen"), "x\ny\nfrom\nx\nx");
    assert_eq!(std::fs::read_to_string(context.path().join("d/x")).unwrap(), "x\n");
}

#[test]
fn a_cache_mount_outlives_its_build_and_is_in_no_layer() {
    let engine = Engine::isolated();
    engine.busybox();
    let text = |round: u32| {
        format!(
            "FROM BASE\nRUN --mount=type=cache,target=/c/d,mode=0711 echo {round} >> /c/d/f && cp /c/d/f /seen && \
             stat -c %a /c/d >> /seen\nRUN test ! -e /c\n"
        )
    };
    let context = Context::new(&engine, "cachemount", &text(1));
    let tag = engine.name("cachemount");
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "cat /seen"), "1\n711");
    context.dockerfile(&engine, &text(2));
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "cat /seen"), "1\n2\n711");
}

// covers: dockerfile flag RUN --network string
// covers: api POST /build ?networkmode
// covers: api POST /build ?extrahosts
#[test]
fn a_step_s_network_and_names() {
    let engine = Engine::isolated();
    engine.busybox();
    let text = "FROM BASE\nRUN --network=none ls /sys/class/net > /none\nRUN cat /etc/hosts > /hosts; hostname >> /hosts\n";
    let context = Context::new(&engine, "network", text);
    let tag = engine.name("network");
    classic(&engine, &context, &tag, &["--add-host", "h:1.2.3.4"]).ok();
    assert_eq!(run(&engine, &tag, "cat /none"), "lo");
    let hosts = "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n1.2.3.4\th\nbuildkitsandbox";
    assert_eq!(run(&engine, &tag, "cat /hosts"), hosts);
}

#[test]
fn a_step_is_confined_as_a_container_is() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let look = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; ls /proc/self/fd | wc -l";
    let context = Context::new(&engine, "confined", &format!("FROM BASE\nRUN ({look}) > /inside\n"));
    let tag = engine.name("confined");
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(run(&engine, &tag, "cat /inside"), run(&engine, &base, &format!("({look}) > /x; cat /x")));
}
