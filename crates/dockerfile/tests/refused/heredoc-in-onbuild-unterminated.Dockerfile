FROM scratch
ONBUILD COPY <<EOF /a
hello
