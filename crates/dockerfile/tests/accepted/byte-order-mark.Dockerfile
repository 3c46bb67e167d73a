FROM scratch
--------
1 FROM "scratch" ""
