FROM busybox
RUN --mount=type=bind,target=/a,ro=maybe true
