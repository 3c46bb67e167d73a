FROM scratch AS Build
FROM scratch AS other
