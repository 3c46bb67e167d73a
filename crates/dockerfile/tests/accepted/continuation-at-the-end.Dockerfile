FROM scratch
USER a\
--------
1 FROM "scratch" ""
2 User("a")
