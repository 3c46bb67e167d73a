FROM busybox AS base
ENV A=1 B="two words"
ARG C=3
ARG D
LABEL l=m "n o"=p
EXPOSE 80 90/udp 100-101
VOLUME /v1 "/v2"
USER 1000:1000
WORKDIR /w
WORKDIR sub/../x
HEALTHCHECK --interval=5s --timeout=1m30s --retries=10 CMD true "x"
STOPSIGNAL SIGUSR1
SHELL ["/bin/ash","-c"]
CMD echo hi
ENTRYPOINT ["/bin/sh", "-c"]
MAINTAINER me
ONBUILD RUN echo $HOSTNAME
RUN echo "$A" $C && true
RUN ["true"]
RUN <<EOT
echo a
echo b
EOT
COPY f /f1
COPY --chown=0:0 --chmod=644 f $A/
ADD t.tar /t/
COPY <<F1 <<F2 /d/
x $A
F1
y
F2
COPY --link f /l
FROM base
ARG A=override
RUN echo $A
ENV Z=$A
