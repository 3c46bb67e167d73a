# The runtime on cgroup v2 with its own driver.
G=/sys/fs/cgroup/ketch

dd if=/dev/zero of=/disk bs=1M count=4 2>/dev/null; losetup /dev/loop0 /disk

inside "memory" '"memory":{"limit":67108864,"reservation":33554432,"swap":134217728}' \
  "$(files memory.max memory.low memory.swap.max)" "67108864 33554432 67108864 "
inside "memory without limit" '"memory":{"limit":-1}' "$(files memory.max)" "max "
# Two of its controls are newer than the oldest kernel: 5.14 and 5.15.
if older 5 15; then
  inside "processors" '"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0","mems":"0"}' \
    "$(files cpu.weight cpu.max cpuset.cpus cpuset.mems)" "20 50000 100000 0 0 "
  inside "no burst" '"cpu":{"quota":50000,"burst":10000}' true "cpu.max.burst (this kernel has no such cgroup control) is not supported "
  inside "no idle processors" '"cpu":{"idle":1}' true "cpu.idle (this kernel has no such cgroup control) is not supported "
else
  inside "processors" '"cpu":{"shares":512,"quota":50000,"period":100000,"burst":10000,"cpus":"0","mems":"0"}' \
    "$(files cpu.weight cpu.max cpu.max.burst cpuset.cpus cpuset.mems)" "20 50000 100000 10000 0 0 "
  inside "idle processors" '"cpu":{"idle":1}' "$(files cpu.idle)" "1 "
fi
inside "processes" '"pids":{"limit":7}' "$(files pids.max)" "7 "
inside "throttles" '"blockIO":{"throttleReadBpsDevice":[{"major":7,"minor":0,"rate":1048576}],"throttleWriteIOPSDevice":[{"major":7,"minor":0,"rate":100}]}' \
  "$(files io.max)" "7:0 rbps=1048576 wbps=max riops=max wiops=100 "
inside "huge pages" '"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]' "$(files hugetlb.2MB.max)" "4194304 "
inside "any file of v2" '"unified":{"memory.high":"50331648","pids.max":"9"}' "$(files memory.high pids.max)" "50331648 9 "
inside "the namespace's root" '' "cat /proc/self/cgroup" "0::/ "
inside "a file that is no limit" '"unified":{"cgroup.procs":"1"}' "true" \
  "the specification's linux.resources.unified has the file \"cgroup.procs\", which is no limit "
inside "no swappiness on v2" '"memory":{"swappiness":1}' "true" "linux.resources.memory.swappiness on cgroup v2 is not supported "
inside "devices" '"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":7,"minor":0,"access":"r"}]' \
  "cd /dev; mknod a b 7 0; (: <a) && echo read; (: >>a) 2>/dev/null || echo no-write; mknod b c 1 1; (: <b) 2>/dev/null || echo no-memory; : >null && echo null" \
  "read no-write no-memory null "
inside "no more processes than allowed" '"pids":{"limit":3}' \
  "(sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait) 2>&1" "sh: can't fork: Resource temporarily unavailable "

config '"memory":{"limit":16777216,"swap":16777216}' "dd if=/dev/zero of=/dev/null bs=64M count=1"
$R run one >/dev/null 2>&1; check "too much memory is death" "$?" 137
check "nothing is left" "$(find $G -mindepth 1 -type d; $R list -q)" ""

config '"memory":{"limit":67108864}' "while :; do :; done"
$R create two >/dev/null 2>&1 </dev/null; check "created" "$($R state two | grep status | tr -d ' ,')" '"status":"created"'
$R start two; check "running" "$($R state two | grep status | tr -d ' ,')" '"status":"running"'
$R pause two; check "frozen" "$(cat $G/two/cgroup.freeze) $($R state two | grep status | tr -d ' ,')" '1 "status":"paused"'
$R resume two; check "thawed" "$(cat $G/two/cgroup.freeze)" 0
check "exec is in the cgroup" "$($R exec two cat /proc/self/cgroup)" "0::/"
check "exec in the same devices" "$($R exec two sh -c 'echo x >/dev/null && echo yes')" yes
$R update --memory 33554432 --pids-limit 11 two; check "updated" "$(cat $G/two/memory.max $G/two/pids.max | tr '\n' ' ')" "33554432 11 "
check "statistics" "$($R events --stats two | grep -c '"limit":33554432.*"pids":{"current":1,"limit":11}')" 1
$R pause two; $R kill two KILL; waited sh -c "$R state two | grep -q stopped"; check "a frozen one dies" "$?" 0
$R delete two; check "deleted" "$(ls -d $G/two 2>/dev/null)" ""

config '' "sleep 1000 & sleep 1000 & exec sleep 1000" ""
$R create three >/dev/null 2>&1 </dev/null; $R start three
three() { $R ps -f json three | tr -cs 0-9 ' '; }
waited sh -c "[ \$($R ps -f json three | tr , '\n' | wc -l) = 3 ]"; check "no process namespace" "$?" 0
pids=$(three); $R delete --force three
check "cgroup.kill leaves nobody" "$(for pid in $pids; do ls -d /proc/$pid 2>/dev/null; done; ls -d $G/three 2>/dev/null)" ""

config '' "mkdir /sys/fs/cgroup/x 2>/dev/null; sleep 1000"
$R create four >/dev/null 2>&1 </dev/null; mkdir -p $G/four/below/deeper; $R start four; $R delete -f four
check "groups below go, too" "$(ls -d $G/four 2>/dev/null)" ""

config '' "cut -d. -f1 /proc/uptime" ',{"type":"pid"},{"type":"time"}'
sed -i 's/"linux":{/"linux":{"timeOffsets":{"boottime":{"secs":1000000}},/' config.json
check "a time of its own" "$(($($R run five) / 1000000))" 1

config '' "cat /proc/self/uid_map; id -u; : >/dev/null && echo null" ',{"type":"pid"},{"type":"user"}'
sed -i 's/"linux":{/"linux":{"uidMappings":[{"containerID":0,"hostID":1000,"size":10}],"gidMappings":[{"containerID":0,"hostID":1000,"size":10}],/' config.json
check "users of its own" "$($R run six 2>&1 | tr -s ' \n' ' ')" " 0 1000 10 0 null "

$R run missing-bundle -b /nowhere >/dev/null 2>&1; check "no bundle" "$?" 1

config '' "cat /proc/self/attr/apparmor/current"
sed -i 's/"process":{/"process":{"apparmorProfile":"unconfined",/' config.json
check "a label of AppArmor" "$($R run seven 2>&1)" "unconfined"
sed -i 's/"unconfined"/"nosuch"/' config.json
check "a label that nobody loaded" "$($R run seven 2>&1 | grep -c attr/apparmor/exec)$($R list -q)" 1
