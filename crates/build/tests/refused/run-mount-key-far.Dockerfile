FROM busybox
RUN --mount=type=bind,something=/a true
