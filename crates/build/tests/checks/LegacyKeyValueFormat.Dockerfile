FROM scratch
ENV a b
LABEL c d
