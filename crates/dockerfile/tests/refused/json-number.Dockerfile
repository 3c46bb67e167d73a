FROM scratch
CMD [1]
