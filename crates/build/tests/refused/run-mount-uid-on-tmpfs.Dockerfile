FROM busybox
RUN --mount=type=tmpfs,target=/a,uid=7 true
