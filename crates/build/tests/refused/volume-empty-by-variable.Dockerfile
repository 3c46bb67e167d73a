FROM scratch
VOLUME $A
