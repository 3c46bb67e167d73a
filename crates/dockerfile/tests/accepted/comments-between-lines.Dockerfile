FROM scratch
LABEL a=b \
# a comment
  # another
  c=d
--------
1 FROM "scratch" ""
2 Label([Pair { name: "a", value: "b", legacy: false }, Pair { name: "c", value: "d", legacy: false }])
