FROM scratch
ADD --keep-git-dir=1x a b
