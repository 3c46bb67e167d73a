FROM busybox
RUN --nothing
