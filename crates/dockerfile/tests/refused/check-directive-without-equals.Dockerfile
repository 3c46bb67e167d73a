# check=skip
FROM scratch
