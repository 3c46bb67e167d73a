ARG A
FROM --platform=$A scratch
