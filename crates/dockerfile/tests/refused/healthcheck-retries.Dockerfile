FROM scratch
HEALTHCHECK --retries=a CMD a
