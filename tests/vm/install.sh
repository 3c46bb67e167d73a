# What `ketch install` puts in place, as systemd uses it: a socket that starts the engine, containers that outlive it.
K=/usr/local/bin/ketch; unset DOCKER_HOST
/ketch install --no-start >/dev/null 2>/tmp/install || cat /tmp/install
# This machine is not started up any further than to its checks.
for unit in socket service; do
  mkdir -p /etc/systemd/system/ketch.$unit.d
  printf '[Unit]\nDefaultDependencies=no\nAfter=\nWants=\n' >/etc/systemd/system/ketch.$unit.d/alone.conf
done
systemctl daemon-reload
check "units are there" "$(property LoadState ketch.socket) $(property LoadState ketch.service)" "loaded loaded"
timeout 60 systemctl start ketch.socket
check "the engine doesn't run yet" "$(property ActiveState ketch.socket) $(property ActiveState ketch.service)" "active inactive"
check "who asks starts it" "$($K version --format '{{.Server.Os}}' 2>&1)" linux
check "it is systemd's" "$(property ActiveState ketch.service)" active
check "its cgroups" "$($K info --format '{{.CgroupDriver}} {{.CgroupVersion}}' 2>&1)" "cgroupfs 2"
tar -C /b/rootfs -cf - . 2>/dev/null | $K import - box >/dev/null 2>/tmp/import || cat /tmp/import
check "a container" "$($K run --rm --network none box /bin/busybox echo hello 2>&1)" hello
$K run -d --name stays --network none --memory 64m box /bin/busybox sleep 1000 >/dev/null 2>/tmp/run || cat /tmp/run
P=$($K inspect --format '{{.State.Pid}}' stays)
timeout 60 systemctl restart ketch.service
check "it outlives its engine" "$($K inspect --format '{{.State.Status}} {{.State.Pid}}' stays 2>&1)" "running $P"
check "exec" "$($K exec stays /bin/busybox cat /sys/fs/cgroup/memory.max 2>&1)" 67108864
$K rm -f stays >/dev/null 2>&1
timeout 60 systemctl stop ketch.service ketch.socket
$K uninstall --no-start >/dev/null
rm -r /etc/systemd/system/ketch.*.d
check "nothing is left" "$(ls /usr/local/bin /etc/systemd/system | grep ketch)" ""
