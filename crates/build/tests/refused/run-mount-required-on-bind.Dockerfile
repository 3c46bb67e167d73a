FROM busybox
RUN --mount=type=bind,target=/a,required true
