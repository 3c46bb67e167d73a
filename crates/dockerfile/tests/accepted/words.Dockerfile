FROM scratch
EXPOSE 80/udp 90-100 $X 5000
VOLUME /b /a
USER  a:b  
WORKDIR /a b
STOPSIGNAL 9
MAINTAINER me <a@b>
ONBUILD   env a=b
HEALTHCHECK NONE
CMD
ENTRYPOINT
RUN
--------
1 FROM "scratch" ""
2 Expose(["$X", "5000", "80/udp", "90-100"])
3 Volume(["/b", "/a"])
4 User("a:b")
5 Workdir("/a b")
6 StopSignal("9")
7 Maintainer("me <a@b>")
8 OnBuild("env a=b")
9 Healthcheck(Health { test: ["NONE"], interval: 0ns, timeout: 0ns, start_period: 0ns, start_interval: 0ns, retries: 0 })
10 Cmd(CommandLine { words: [], shell: true })
11 Entrypoint(CommandLine { words: [], shell: true })
12 Run(Run { command: CommandLine { words: [], shell: true }, files: [], network: Default, security: Sandbox, devices: [], texts: [], mounts: [] })
