FROM --platform=foo/bar/baz/qux scratch
