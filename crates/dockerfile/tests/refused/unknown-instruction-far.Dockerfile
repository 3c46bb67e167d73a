FROM scratch
XXXXXXX a b
