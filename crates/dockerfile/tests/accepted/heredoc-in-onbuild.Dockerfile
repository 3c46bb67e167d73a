FROM scratch
ONBUILD COPY <<A <<B /a
x
A
y
B
ONBUILD RUN ["a", "<<EOF"]
--------
1 FROM "scratch" ""
2 OnBuild("COPY <<A <<B /a\nx\nA\ny\nB")
7 OnBuild("RUN [\"a\", \"<<EOF\"]")
