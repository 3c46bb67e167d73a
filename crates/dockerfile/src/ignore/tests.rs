//! The table of Docker's own matcher, as expectations.

use super::*;

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    No,
    Itself,
    /// Through a directory above.
    Above,
}
use Takes::{Above, Itself, No};

const TABLE: &[(&str, &str, Takes)] = &[
    ("**", "file", Itself),
    ("**", "file/", Itself),
    ("**/", "file", Itself),
    ("**/", "file/", Itself),
    ("**", "/", Itself),
    ("**/", "/", Itself),
    ("**", "dir/file", Itself),
    ("**/", "dir/file", Itself),
    ("**", "dir/file/", Itself),
    ("**/**", "dir/file", Itself),
    ("dir/**", "dir/file", Itself),
    ("dir/**", "dir/file/", Itself),
    ("dir/**", "dir/dir2/file", Itself),
    ("**/dir", "dir", Itself),
    ("**/dir", "dir/file", Above),
    ("**/dir2/*", "dir/dir2/file", Itself),
    ("**/dir2/*", "dir/dir2/file/", Above),
    ("**/dir2/**", "dir/dir2/dir3/file", Itself),
    ("**/dir2/**", "dir/dir2/dir3/file/", Itself),
    ("**file", "file", Itself),
    ("**file", "dir/file", Itself),
    ("**/file", "dir/file", Itself),
    ("**file", "dir/dir/file", Itself),
    ("**/file", "dir/dir/file", Itself),
    ("**/file*", "dir/dir/file", Itself),
    ("**/file*", "dir/dir/file.txt", Itself),
    ("**/file*txt", "dir/dir/file.txt", Itself),
    ("**/file*.txt*", "dir/dir/file.txt", Itself),
    ("**/**/*.txt", "dir/dir/file.txt", Itself),
    ("**/**/*.txt2", "dir/dir/file.txt", No),
    ("**/*.txt", "file.txt", Itself),
    ("**/**/*.txt", "file.txt", Itself),
    ("a**/*.txt", "a/file.txt", Itself),
    ("a**/*.txt", "a/dir/file.txt", Itself),
    ("a**/*.txt", "a/dir/dir/file.txt", Itself),
    ("a/*.txt", "a/dir/file.txt", No),
    ("a/*.txt", "a/file.txt", Itself),
    ("a/*.txt**", "a/file.txt", Itself),
    ("a[b-d]e", "ae", No),
    ("a[b-d]e", "ace", Itself),
    ("a[b-d]e", "aae", No),
    ("a[^b-d]e", "aze", Itself),
    (".*", ".foo", Itself),
    (".*", "foo", No),
    ("abc.def", "abcdef", No),
    ("abc.def", "abc.def", Itself),
    ("abc.def", "abcZdef", No),
    ("abc?def", "abcZdef", Itself),
    ("abc?def", "abcdef", No),
    ("a\\\\", "a\\", Itself),
    ("a\\*b", "a*b", Itself),
    ("**/foo/bar", "foo/bar", Itself),
    ("**/foo/bar", "dir/foo/bar", Itself),
    ("**/foo/bar", "dir/dir2/foo/bar", Itself),
    ("abc/**", "abc", No),
    ("abc/**", "abc/def", Itself),
    ("abc/**", "abc/def/ghi", Itself),
    ("**/.foo", ".foo", Itself),
    ("**/.foo", "bar.foo", No),
    ("a(b)c/def", "a(b)c/def", Itself),
    ("a(b)c/def", "a(b)c/xyz", No),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", Itself),
    (
        "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
        "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
        Itself,
    ),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", Itself),
    ("*", "abc", Itself),
    ("*c", "abc", Itself),
    ("a*", "ab/c", Above),
    ("a*/b", "abc/b", Itself),
    ("a*/b", "a/c/b", No),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Itself),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", No),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", No),
    ("a*b?c*x", "abxbbxdbxebxczzx", Itself),
    ("a*b?c*x", "abxbbxdbxebxczzy", No),
    ("ab[^b-d]", "abc", No),
    ("ab[^e-g]", "abc", Itself),
    ("a?b", "a☺b", Itself),
    ("a[^a]b", "a☺b", Itself),
    ("a???b", "a☺b", No),
    ("[a-ζ]*", "α", Itself),
    ("*[a-ζ]", "A", No),
    ("a?b", "a/b", No),
    ("a*b", "a/b", No),
    ("[\\]a]", "]", Itself),
    ("[\\-]", "-", Itself),
    ("[x\\-]", "-", Itself),
    ("[\\-x]", "a", No),
    ("*x", "xxx", Itself),
];

// covers: dockerfile dockerignore ? matches one character other than /
// covers: dockerfile dockerignore [..] character classes as filepath.Match
// covers: dockerfile dockerignore \ backslash escapes (not on Windows)
#[test]
fn a_pattern_takes_what_dockers_does() {
    for (pattern, path, expected) in TABLE {
        let matcher = Matcher::new([pattern]).expect(pattern);
        assert_eq!(matcher.matches(path), *expected != No, "{pattern} {path}");
        let (itself, _) = matcher.matches_in(path, &Parent::default());
        assert_eq!(itself, *expected == Itself, "{pattern} {path} by itself");
    }
}

#[test]
fn the_last_pattern_that_takes_a_path_decides() {
    const WHEEL: &str = "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl";
    for (patterns, path, expected) in [
        (&["**", "!util/docker/web"] as &[&str], "util/docker/web/foo", false),
        (&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true),
        (&["**", "!dist/*.whl"], WHEEL, false),
        (&["!fileutils.go", "*.go"], "fileutils.go", true),
        (&["*.go", "!fileutils.go"], "fileutils.go", false),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs/", "!docs/README.md"], "docs/README.md", false),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "  !docs/README.md  "], "docs/README.md", false),
        (&[], "any", false),
    ] {
        assert_eq!(Matcher::new(patterns).expect("patterns").matches(path), expected, "{patterns:?} {path}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for pattern in ["!", "[", "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[^", "[^bc", "a[", "a[b\\"] {
        assert!(Matcher::new([pattern]).is_err(), "{pattern}");
    }
}

// covers: dockerfile dockerignore clean each pattern is cleaned (filepath.Clean): . and .. removed
// covers: dockerfile dockerignore BOM leading UTF-8 byte order mark skipped
#[test]
fn a_file_of_patterns() {
    let text = "test1\n/test2\n/a/file/here\n\nlastfile\n# a comment\n! /inverted/abs/path\n!\n! \n  b/../c/ \n/\n.\n";
    let patterns =
        ["test1", "test2", "a/file/here", "lastfile", "!inverted/abs/path", "!", "!", "c", "/", "."];
    assert_eq!(read(text.as_bytes()).expect("patterns"), patterns);
    assert_eq!(read(b"\xef\xbb\xbf#a\r\nb\r\n").expect("patterns"), ["b"]);
}

#[test]
fn an_exception_may_lie_below() {
    let matcher = Matcher::new(["*", "!a/b/*.txt", "!**/c.d", "!x"]).expect("patterns");
    assert!(matcher.may_except_below("a") && matcher.may_except_below("a/b"));
    let matcher = Matcher::new(["*", "!a/b/*.txt", "!x"]).expect("patterns");
    assert!(!matcher.may_except_below("c") && !matcher.may_except_below("a/c") && matcher.has_exceptions());
}

#[test]
fn a_long_pattern_takes_no_long_time() {
    let matcher = Matcher::new([format!("{}z", "a*".repeat(500))]).expect("a pattern");
    assert!(!matcher.matches(&format!("{}b/c", "a".repeat(2000))));
}

#[test]
fn paths_are_cleaned_as_go_cleans_them() {
    for (path, cleaned) in [
        ("", "."),
        ("a/./b//c/", "a/b/c"),
        ("/../a", "/a"),
        ("../../a", "../../a"),
        ("a/../..", ".."),
        ("/", "/"),
        ("a/..", "."),
    ] {
        assert_eq!(clean(path), cleaned);
    }
}
