FROM busybox
RUN --mount=type=bind,target=/a,gid=7 true
