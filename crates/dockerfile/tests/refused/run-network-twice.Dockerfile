FROM busybox
RUN --network=none --network=none true
