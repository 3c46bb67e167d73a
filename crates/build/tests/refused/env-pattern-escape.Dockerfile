FROM scratch
ENV B=c
ENV A=${B#\x}
