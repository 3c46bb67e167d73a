# check=foo=bar
FROM scratch
