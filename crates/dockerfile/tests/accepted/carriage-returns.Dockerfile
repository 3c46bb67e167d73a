FROM scratch
COPY <<EOF /a
x
EOF
LABEL a=b \
 c=d
--------
1 FROM "scratch" ""
2 Copy(Copy { transfer: Transfer { sources: [], files: [SourceFile { name: "EOF", content: "x\r\n", expand: true }], destination: "/a", chown: "", chmod: "", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None }, from: "", parents: false })
5 Label([Pair { name: "a", value: "b", legacy: false }, Pair { name: "c", value: "d", legacy: false }])
