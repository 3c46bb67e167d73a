FROM scratch
ADD --from=a b c
