FROM scratch
LABEL a=b \

  c=d
USER x
--------
1 FROM "scratch" ""
2 Label([Pair { name: "a", value: "b", legacy: false }, Pair { name: "c", value: "d", legacy: false }])
5 User("x")
