FROM scratch
SHELL --a ["b"]
