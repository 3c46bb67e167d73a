FROM busybox AS a
RUN --mount=type=bind,from=b,target=/x true
FROM busybox AS b
RUN --mount=type=bind,from=a,target=/x true
