FROM scratch
COPY https://127.0.0.1/a.git b
