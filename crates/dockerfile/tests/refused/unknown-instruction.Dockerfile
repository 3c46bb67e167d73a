FROM scratch
COPYY a b
