FROM busybox
RUN --mount=type=cache,target=/a,mode=888 true
