FROM scratch
EXPOSE ${A
