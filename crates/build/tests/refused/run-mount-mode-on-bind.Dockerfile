FROM busybox
RUN --mount=type=bind,target=/a,mode=700 true
