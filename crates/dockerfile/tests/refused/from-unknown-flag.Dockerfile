FROM --plat=linux/amd64 scratch
