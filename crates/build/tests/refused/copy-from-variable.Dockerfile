FROM scratch
ARG A=b
COPY --from=$A x y
