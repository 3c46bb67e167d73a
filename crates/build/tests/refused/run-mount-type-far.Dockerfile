FROM busybox
RUN --mount=type=something,target=/a true
