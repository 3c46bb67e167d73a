FROM scratch
rnu a
