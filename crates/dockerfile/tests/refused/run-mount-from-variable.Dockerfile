FROM busybox
RUN --mount=type=bind,from=$A,target=/a true
