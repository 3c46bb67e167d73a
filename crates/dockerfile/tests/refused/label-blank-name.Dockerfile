FROM scratch
LABEL =b
