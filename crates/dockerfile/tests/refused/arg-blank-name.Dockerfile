FROM scratch
ARG =b
