# check=error=true
FROM scratch as a
CMD ["a"]
