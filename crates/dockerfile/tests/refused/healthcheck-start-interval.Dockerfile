FROM scratch
HEALTHCHECK --start-interval=1ns CMD a
