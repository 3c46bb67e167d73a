ARG V=1
# base the first
FROM a:$V AS Base.1-x_y
# x what x is
ARG x
FROM base.1-X_y
COPY --from=0 a b
--------
3 FROM "a:$V" "base.1-x_y"
5 Arg([Argument { name: "x", default: None, description: "what x is" }])
6 FROM "base.1-X_y" ""
7 Copy(Copy { transfer: Transfer { sources: ["a"], files: [], destination: "b", chown: "", chmod: "", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None }, from: "0", parents: false })
