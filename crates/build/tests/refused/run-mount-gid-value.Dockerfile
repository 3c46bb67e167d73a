FROM busybox
RUN --mount=type=cache,target=/a,gid=-1 true
