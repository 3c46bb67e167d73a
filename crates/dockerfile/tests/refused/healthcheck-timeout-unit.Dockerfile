FROM scratch
HEALTHCHECK --timeout=5x CMD a
