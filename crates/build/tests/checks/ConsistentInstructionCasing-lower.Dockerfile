from scratch
label a=b
LABEL c=d
