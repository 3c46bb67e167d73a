FROM busybox
RUN --mount=type=bnd,target=/a true
