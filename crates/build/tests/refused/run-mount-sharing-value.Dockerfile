FROM busybox
RUN --mount=type=cache,target=/a,sharing=lockd true
