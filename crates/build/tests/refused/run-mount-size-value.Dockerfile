FROM busybox
RUN --mount=type=tmpfs,target=/a,size=big true
