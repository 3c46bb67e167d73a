FROM scratch
RUN["a"]
