FROM scratch as a
ENV A=${
