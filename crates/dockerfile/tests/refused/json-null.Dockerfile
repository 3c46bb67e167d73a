FROM scratch
CMD [null]
