use proptest::prelude::*;

use super::*;

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn short_names_are_normalised() {
    for (typed, canonical, familiar) in [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("ghcr.io/a__b/c--d.e", "ghcr.io/a__b/c--d.e:latest", "ghcr.io/a__b/c--d.e:latest"),
        ("HOST/x", "HOST/x:latest", "HOST/x:latest"),
    ] {
        let reference = Reference::parse(typed).unwrap();
        assert_eq!(reference.to_string(), canonical, "{typed}");
        assert_eq!(reference.familiar(), familiar, "{typed}");
    }
}

#[test]
fn a_digest_needs_no_tag_and_keeps_one() {
    let pinned = Reference::parse(&format!("nginx@{SHA}")).unwrap();
    assert_eq!((pinned.tag(), pinned.digest().unwrap().as_str()), (None, SHA));
    let both = Reference::parse(&format!("nginx:1@{SHA}")).unwrap();
    assert_eq!(both.familiar(), format!("nginx:1@{SHA}"));
}

#[test]
fn refusals_say_what_docker_says() {
    let error = |text: &str| Reference::parse(text).unwrap_err().to_string();
    assert_eq!(error(""), "invalid reference format");
    assert_eq!(error("Nginx"), "invalid reference format: repository name (library/Nginx) must be lowercase");
    let id = "a".repeat(64);
    assert_eq!(
        error(&id),
        format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings")
    );
    assert_eq!(
        error(&format!("x/{}", "a/".repeat(127) + "aa")),
        "repository name must not be more than 255 characters"
    );
    assert_eq!(error(&format!("nginx@md5:{}", "a".repeat(32))), "unsupported digest algorithm");
    assert_eq!(error(&format!("nginx@sha256:{}", "a".repeat(63))), "invalid checksum digest length");
}

#[test]
fn malformed_names_are_refused() {
    for text in [
        "a b",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a@",
        "a..b",
        "a___b",
        ".a",
        "a.",
        "-a",
        "a:-b",
        "a:b:c",
        "../a",
        "a/../b",
        "x.y:port/a",
        "a@sha256:zz",
        "ä",
        "a\n",
        "a\0",
        "-x.com/a",
        "[::1/a",
    ] {
        assert_eq!(Reference::parse(text), Err(ReferenceError::Format), "{text:?}");
    }
    assert!(Reference::parse(&format!("a:{}", "b".repeat(129))).is_err());
    assert!(Reference::parse(&"a/".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn what_is_accepted_is_stable_and_safe(text in "[a-zA-Z0-9._:/@\\[\\]-]{0,60}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
            prop_assert!(!reference.path().split('/').any(|part| part == ".." || part == "." || part.is_empty()));
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,80}") {
        let _ = Reference::parse(&text);
    }
}
