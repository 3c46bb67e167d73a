FROM --platform=linux/amd64 scratch
COPY --from=0 --chown=a:b --chmod="755" --link --parents --exclude=a --exclude=b c d e/
ADD --checksum=x --keep-git-dir --unpack=false --link=true u v
RUN --mount=type=cache,target=/a --mount=from=b,target=/c --network=none --security=insecure --device=v/c=x,required true
HEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD a b
RUN -- --x
--------
1 FROM "scratch" ""
2 Copy(Copy { transfer: Transfer { sources: ["c", "d"], files: [], destination: "e/", chown: "a:b", chmod: "755", link: true, exclude: ["a", "b"], checksum: "", keep_git_dir: None, unpack: None }, from: "0", parents: true })
3 Add(Transfer { sources: ["u"], files: [], destination: "v", chown: "", chmod: "", link: true, exclude: [], checksum: "x", keep_git_dir: Some(true), unpack: Some(false) })
4 Run(Run { command: CommandLine { words: ["true"], shell: true }, files: [], network: None, security: Insecure, devices: [Device { name: "v/c=x", required: true }], texts: ["type=cache,target=/a", "from=b,target=/c"], mounts: [] })
5 Healthcheck(Health { test: ["CMD-SHELL", "a b"], interval: 60s, timeout: 2s, start_period: 3s, start_interval: 4s, retries: 5 })
6 Run(Run { command: CommandLine { words: ["--x"], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
