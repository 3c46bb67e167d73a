FROM scratch
SHELL
