#!/usr/bin/busybox sh
# Each check prints one line; the last line of all says whether they passed.
if [ ! -d /run/systemd/system ]; then
  mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev; mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /dev/pts
fi
for module in loop dummy overlay; do modprobe $module || echo "WRONG: no $module"; done
mkdir -p /b/rootfs/bin /b/rootfs/proc /b/rootfs/sys /b/rootfs/dev /b/rootfs/tmp
cp /usr/bin/busybox /b/rootfs/bin/; chroot /b/rootfs /bin/busybox --install -s /bin
R="/ketch runtime"; FAILED=0; cd /b
dmesg -n 1

check() { # name, what came, what should have
  if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "WRONG: $1: got [$2], not [$3]"; FAILED=1; fi
}
waited() { for i in $(seq 50); do "$@" && return 0; usleep 200000; done; return 1; }
# $1: resources, $2: script, $3: further namespaces
config() {
  cat >config.json <<X
{"ociVersion":"1.2.1","root":{"path":"rootfs"},
 "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["sh","-c","$2"],"env":["PATH=/bin"],
  "capabilities":{"bounding":["CAP_MKNOD"],"effective":["CAP_MKNOD"],"permitted":["CAP_MKNOD"]}},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["mode=755"]},
  {"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro"]}],
 "linux":{"namespaces":[{"type":"mount"},{"type":"cgroup"}${3-,{\"type\":\"pid\"\}}],"resources":{$1}}}
X
}
inside() { # name, resources, script, expected
  config "$2" "$3"; check "$1" "$($R run one 2>&1 | tr '\n' ' ')" "$4"
}
# Whether the kernel is older than this: major, minor.
older() {
  local IFS=.-; set -- $1 $2 $(uname -r)
  [ $3 -lt $1 ] || { [ $3 = $1 ] && [ $4 -lt $2 ]; }
}
files() { echo "cd /sys/fs/cgroup; cat $*"; }

# All of them, or those that the kernel was told of.
ALL="v2 first_hour quotas links"; if [ -d /run/systemd/system ]; then ALL="$ALL systemd install remote"; else ALL="$ALL no_systemd"; fi
WANTED=$(sed -n 's/.*ketch.checks=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' ')
for part in ${WANTED:-$ALL}; do . /checks/$part.sh; done

[ $FAILED = 0 ] && echo "VM: passed" || echo "VM: failed"
sync; echo o >/proc/sysrq-trigger; sleep 10
