FROM scratch
LABEL a=b \

  c=d
LABEL e=f
