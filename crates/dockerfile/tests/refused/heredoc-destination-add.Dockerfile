FROM scratch
ADD a <<EOF
x
EOF
