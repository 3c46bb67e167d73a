FROM scratch
CMD [ "a" , "b c" ]
RUN ['a']
RUN [ -f x ] && y
COPY ["a b", "c"]
VOLUME ["/a", "/b"]
ENTRYPOINT []
SHELL ["a"]
HEALTHCHECK CMD ["a"]
USER ["a"]
--------
1 FROM "scratch" ""
2 Cmd(CommandLine { words: ["a", "b c"], shell: false })
3 Run(Run { command: CommandLine { words: ["['a']"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
4 Run(Run { command: CommandLine { words: ["[ -f x ] && y"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
5 Copy(Copy { transfer: Transfer { sources: ["a b"], files: [], destination: "c", chown: "", chmod: "", link: false, exclude: [], checksum: "", keep_git_dir: None, unpack: None }, from: "", parents: false })
6 Volume(["/a", "/b"])
7 Entrypoint(CommandLine { words: [], shell: false })
8 Shell(["a"])
9 Healthcheck(Health { test: ["CMD", "a"], interval: 0ns, timeout: 0ns, start_period: 0ns, start_interval: 0ns, retries: 0 })
10 User("[\"a\"]")
