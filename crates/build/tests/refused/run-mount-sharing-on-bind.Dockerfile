FROM busybox
RUN --mount=type=bind,target=/a,sharing=shared true
