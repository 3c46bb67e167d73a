FROM scratch
SHELL ["/bin/sh", "-c"]
ENTRYPOINT a b
