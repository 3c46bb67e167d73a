FROM busybox
RUN --mnt=type=bind a
