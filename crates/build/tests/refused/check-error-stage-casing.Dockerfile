# check=error=true
FROM scratch AS Build
