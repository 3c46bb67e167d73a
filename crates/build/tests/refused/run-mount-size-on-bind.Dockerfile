FROM busybox
RUN --mount=type=bind,target=/a,size=1m true
