FROM scratch
ADD --checksum=sha256:a http://127.0.0.1:1/a b
