FROM scratch
RUN echo "a
RUN echo '<<EOF
--------
1 FROM "scratch" ""
2 Run(Run { command: CommandLine { words: ["echo \"a"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
3 Run(Run { command: CommandLine { words: ["echo '<<EOF"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
