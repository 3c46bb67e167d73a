FROM scratch
INCLUDE a
