FROM scratch
COPY --keep-git-dir a b
