# The runtime with systemd as the driver of cgroups: `slice:prefix:name`.
G=/sys/fs/cgroup; S="$R --systemd-cgroup"
scope() { # resources, script, cgroupsPath, annotations
  config "$1" "$2"
  sed -i "s#\"linux\":{#\"annotations\":{$4},\"linux\":{\"cgroupsPath\":\"$3\",#" config.json
}
property() { systemctl show --value -p $1 $2; }

config '' "cat /proc/self/cgroup; sed -n 's/^0:://p' /proc/1/cgroup"
check "a scope of its own name" "$($S run s0 2>&1 | tr '\n' ' ')" "0::/ / "
scope '' true "user.slice:x:y"
check "the form of the path needs the flag" "$($R run s1 2>&1)" "the cgroupsPath user.slice:x:y without --systemd-cgroup is not supported"
scope '' true "/x/y"
check "the flag needs the form" "$($S run s1 2>&1)" 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/x/y" instead'
scope '' true "nonsense:x:y"
check "a slice's name" "$($S run s1 2>&1)" "the specification's linux.cgroupsPath is nonsense:x:y, which has no slice's name before its first colon"

scope '"memory":{"limit":67108864,"swap":134217728},"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0"},"pids":{"limit":7}' \
  "$(files memory.max memory.swap.max cpu.weight cpu.max cpuset.cpus pids.max); exec sleep 1000" "machine-ketch.slice:ketch:two" '"org.systemd.property.TimeoutStopUSec":"uint64 7000000"'
$S create two >out 2>&1 </dev/null || cat out; U=ketch-two.scope; D=$G/machine.slice/machine-ketch.slice/$U
check "created in its scope" "$(cat $D/cgroup.procs | wc -l)" 1
check "systemd knows it" "$(property ActiveState $U) $(property Slice $U) $(property Delegate $U)" "active machine-ketch.slice yes"
check "systemd knows the limits" "$(property MemoryMax $U) $(property MemorySwapMax $U) $(property CPUWeight $U) $(property CPUQuotaPerSecUSec $U) $(property AllowedCPUs $U) $(property TasksMax $U)" \
  "67108864 67108864 20 500ms 0 7"
check "annotations are its settings" "$(property TimeoutStopUSec $U)" 7s
$S start two; waited sh -c '[ $(wc -l <out) = 6 ]'
check "limits inside" "$(tr '\n' ' ' <out)" "67108864 67108864 20 50000 100000 0 7 "
check "exec in the scope" "$($S exec two cat /proc/self/cgroup)" "0::/"
check "state" "$($S state two | grep status | tr -d ' ,')" '"status":"running"'
systemctl daemon-reload
check "limits outlive systemd's reload" "$(cat $D/memory.max $D/pids.max $D/cpu.max | tr '\n' ' ')" "67108864 7 50000 100000 "
$S update --memory 33554432 --pids-limit 11 two
check "updated" "$(cat $D/memory.max $D/pids.max | tr '\n' ' ')$(property MemoryMax $U) $(property TasksMax $U)" "33554432 11 33554432 11"
systemctl daemon-reload
check "the update outlives it, too" "$(cat $D/memory.max $D/pids.max | tr '\n' ' ')" "33554432 11 "
$S pause two; check "frozen" "$(cat $D/cgroup.freeze) $($S state two | grep status | tr -d ' ,')" '1 "status":"paused"'
$S resume two; check "thawed" "$(cat $D/cgroup.freeze)" 0
check "statistics" "$($S events --stats two | grep -c '"limit":33554432')" 1
$S kill two KILL; waited sh -c "$S state two | grep -q stopped"
$S delete two; check "deleted" "$(ls -d $D 2>/dev/null)$($S list -q)" ""
check "systemd has forgotten it" "$(property LoadState $U) $(property ActiveState $U)" "not-found inactive"

scope '"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":7,"minor":0,"access":"r"}]' \
  "cd /dev; mknod a b 7 0; (: <a) && echo read; (: >>a) 2>/dev/null || echo no-write; mknod b c 1 1; (: <b) 2>/dev/null || echo no-memory; : >null && echo null" ":ketch:devices"
check "devices" "$($S run s3 2>&1 | tr '\n' ' ')" "read no-write no-memory null "
scope '"pids":{"limit":1}' "echo alone" ":ketch:alone"
check "one process is enough" "$($S run s4 2>&1)" alone
scope '"memory":{"limit":16777216,"swap":16777216}' "dd if=/dev/zero of=/dev/null bs=64M count=1" ":ketch:oom"
$S run s5 >/dev/null 2>&1; check "too much memory is death" "$?" 137
check "and nothing failed stays" "$(systemctl list-units --all --plain --no-legend 'ketch-*')" ""

# Whatever step fails, systemd has no unit afterwards.
scope '"unified":{"memory.max":"nonsense"}' true ":ketch:wrong"
$S create s6 >/dev/null 2>&1; check "a limit that is refused" "$? $(ls -d $G/system.slice/ketch-wrong.scope 2>/dev/null)$($S list -q)" "1 "
scope '' true ":ketch:wrong" '"org.systemd.property.Nonsense":"true"'
check "a setting that systemd refuses" "$($S create s6 2>&1 | grep -c 'systemd refuses StartTransientUnit of ketch-wrong.scope')$($S list -q)" 1
scope '' true ":ketch:wrong"; sed -i 's/"args":\["sh"/"args":["nosuch"/' config.json
check "a program that is missing" "$($S create s6 2>&1)$($S list -q)" 'exec: "nosuch": executable file not found in $PATH'
scope '' "exec sleep 1000" ":ketch:taken"
$S create s7 >/dev/null 2>&1 </dev/null
check "a scope that is there" "$($S create s8 2>&1 </dev/null | grep -c 'systemd refuses StartTransientUnit of ketch-taken.scope')" 1
check "stays its owner's" "$($S state s7 | grep status | tr -d ' ,')" '"status":"created"'
$S delete -f s7
config '' "mkdir /sys/fs/cgroup/x 2>/dev/null; sleep 1000"
$S create s9 >/dev/null 2>&1 </dev/null; mkdir -p $G/system.slice/ketch-s9.scope/below/deeper; $S start s9; $S delete -f s9 || cat $G/system.slice/ketch-s9.scope/cgroup.procs
check "groups below go, too" "$(ls -d $G/system.slice/ketch-s9.scope 2>/dev/null)" ""
check "nothing is left" "$(systemctl list-units --all --plain --no-legend 'ketch-*')$($S list -q)" ""

# The engine with systemd as its driver.
mkdir -p /tmp/engine
/ketch daemon --data-root /tmp/engine/data --exec-root /tmp/engine/run --pidfile /tmp/engine/pid --host unix:///tmp/engine/sock \
  --storage-driver overlay --exec-opt native.cgroupdriver=systemd >/tmp/engine/log 2>&1 &
export DOCKER_HOST=unix:///tmp/engine/sock
waited sh -c '[ -S /tmp/engine/sock ]' || cat /tmp/engine/log
check "info names the driver" "$(/ketch info -f '{{.CgroupDriver}} {{.CgroupVersion}}')" "systemd 2"
tar -C /b/rootfs -c . | /ketch import - busybox >/dev/null
/ketch run -d --name c1 --network none -m 32m busybox sleep 1000 >id
U=ketch-$(cat id).scope
check "a container in its scope" "$(property ActiveState $U) $(property Slice $U) $(property MemoryMax $U)" "active system.slice 33554432"
/ketch update -m 48m --memory-swap 48m c1 >/dev/null; check "updated" "$(property MemoryMax $U)" 50331648
check "exec" "$(/ketch exec c1 cat /proc/self/cgroup)" "0::/system.slice/$U"
/ketch pause c1 >/dev/null; check "paused" "$(cat $G/system.slice/$U/cgroup.freeze)" 1
/ketch unpause c1 >/dev/null
check "top" "$(/ketch top c1 | grep -c 'sleep 1000')" 1
check "stats" "$(/ketch stats --no-stream --format '{{.MemUsage}}' c1 | grep -c '48MiB')" 1
/ketch rm -f c1 >/dev/null; check "removed" "$(property ActiveState $U)$(ls -d $G/system.slice/$U 2>/dev/null)" inactive
check "a parent is a slice" "$(/ketch run --rm --network none --cgroup-parent /x busybox true 2>&1 | head -1)" \
  'ketch: Error response from daemon: cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
check "a slice of one's own" "$(/ketch run --rm --network none --cgroup-parent my-own.slice busybox sed 's/ketch-.*//' /proc/self/cgroup)" "0::/my.slice/my-own.slice/"
kill $(cat /tmp/engine/pid); waited sh -c '[ ! -e /tmp/engine/pid ]'
check "nothing is left of the engine" "$(systemctl list-units --all --plain --no-legend 'ketch-*')" ""
