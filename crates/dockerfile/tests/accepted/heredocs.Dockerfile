FROM scratch
RUN <<A cat && 3<<-'B' cat
	a $x
A
	b
	B
COPY <<"F" <<-G /d/
$x
F
	g
G
ADD --chmod=1 <<H /e
H
RUN echo "<<not" '<<nor'
RUN python3 <<EOF
print(1)
EOF
--------
1 FROM "scratch" ""
2 Run(Run { command: CommandLine { words: ["<<A cat && 3<<-'B' cat"], shell: true }, files: [InlineFile { name: "A", content: "\ta $x\n", chomp: false }, InlineFile { name: "B", content: "\tb\n", chomp: true }], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
7 Copy(Copy { transfer: Transfer { sources: [], files: [SourceFile { name: "F", content: "$x\n", expand: false }, SourceFile { name: "G", content: "g\n", expand: true }], destination: "/d/", chown: "", chmod: "", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None }, from: "", parents: false })
12 Add(Transfer { sources: [], files: [SourceFile { name: "H", content: "", expand: true }], destination: "/e", chown: "", chmod: "1", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None })
14 Run(Run { command: CommandLine { words: ["echo \"<<not\" '<<nor'"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
15 Run(Run { command: CommandLine { words: ["python3 <<EOF"], shell: true }, files: [InlineFile { name: "EOF", content: "print(1)\n", chomp: false }], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
