FROM scratch
LABEL a=b
label c=d
Label e=f
