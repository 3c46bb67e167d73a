FROM scratch
HEALTHCHECK --start-period=a CMD a
