from scratch as A
rUn x
EntryPoint ["a"]
--------
1 from "scratch" "a"
2 Run(Run { command: CommandLine { words: ["x"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
3 Entrypoint(CommandLine { words: ["a"], shell: false })
