FROM scratch
ENTRYPOINT a b
CMD c
