ARG IMAGE_NAME=scratch
FROM ${IMAGE_NAM}scratch
FROM scratch${XXXXX}
