FROM scratch
COPY --something=1 a b
