# escape=`
FROM scratch
COPY a `
  b
ENV A=`"x
WORKDIR c:\\dir\
--------
2 FROM "scratch" ""
3 Copy(Copy { transfer: Transfer { sources: ["a"], files: [], destination: "b", chown: "", chmod: "", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None }, from: "", parents: false })
5 Env([Pair { name: "A", value: "`\"x", legacy: false }])
6 Workdir("c:\\\\dir\\")
