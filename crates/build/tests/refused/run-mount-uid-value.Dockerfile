FROM busybox
RUN --mount=type=cache,target=/a,uid=x true
