FROM busybox
RUN --mount=type=cache,target=/a,sharing=x true
