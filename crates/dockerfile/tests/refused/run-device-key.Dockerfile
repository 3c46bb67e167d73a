FROM busybox
RUN --device=vendor/class=a,requird=true true
