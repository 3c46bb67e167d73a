FROM busybox
RUN --mount=type=secret,id=a,sharing=shared true
