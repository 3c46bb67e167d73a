FROM busybox
RUN --mount=type=bind,targt=/a true
