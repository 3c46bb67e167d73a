ARG A=${B:-scratch}
ARG C=$D
FROM $A
ARG A
ARG E=$F
ENV G=$E
