# The engine's first hour on this kernel: an image comes in and travels through a registry, an application is built, runs, is
# published, found by its name and updated.
. /checks/engine.sh
mkdir -p /tmp/first/app && cd /tmp/first
# A file system of a disk's kind: the machine's own is in memory, where older kernels don't map owners.
E=/tmp/first/e; mkdir -p $E
truncate -s 629145600 /tmp/disk && mke2fs -F /tmp/disk >/dev/null 2>&1 && mount -t ext4 -o loop /tmp/disk $E || echo "WRONG: no disk"
ip link set lo up
engine_of $E --insecure-registry 127.0.0.1:5000
check "the engine answers" "$($K version --format '{{.Server.Os}}' 2>&1)" linux

tar -C /b/rootfs -cf - . 2>/dev/null | $K import - busybox:1 >/dev/null 2>$E/err || cat $E/err
$K registry serve --addr 127.0.0.1:5000 --root $E/registry >$E/registry.log 2>&1 & REGISTRY=$!
$K tag busybox:1 127.0.0.1:5000/team/busybox:1
waited sh -c "$K push -q 127.0.0.1:5000/team/busybox:1 >$E/err 2>&1" || cat $E/err $E/registry.log
$K rmi busybox:1 127.0.0.1:5000/team/busybox:1 >/dev/null
check "pulled" "$($K pull -q 127.0.0.1:5000/team/busybox:1 2>&1)" 127.0.0.1:5000/team/busybox:1
kill $REGISTRY
check "run" "$($K run --rm --network none 127.0.0.1:5000/team/busybox:1 echo hello 2>&1)" hello
check "an exit code" "$($K run --rm --network none 127.0.0.1:5000/team/busybox:1 sh -c 'exit 7' 2>&1; echo $?)" 7
check "read-only" "$($K run --rm --network none --read-only -v $E:/e:ro 127.0.0.1:5000/team/busybox:1 sh -c '>/x; >/e/x' 2>&1 | grep -c 'Read-only')" 2

cat >app/Dockerfile <<X
FROM 127.0.0.1:5000/team/busybox:1 AS made
RUN --mount=type=cache,target=/kept echo built > /made && rm /bin/vi
FROM 127.0.0.1:5000/team/busybox:1
COPY --from=made /made /www/index.html
COPY Dockerfile /www/
CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
X
$K build -q -t app app >$E/err 2>&1 || cat $E/err
check "built" "$($K run --rm --network none app cat /www/index.html 2>&1)" built
check "built again from the cache" "$($K build --progress plain -t app app 2>&1 | grep -c CACHED)" 3

cat >app/compose.yaml <<X
services:
  web:
    image: app
    ports: ["127.0.0.1:8080:80"]
    volumes: [data:/data]
    environment: ["COLOUR=\${COLOUR:-red}"]
  ask:
    image: app
    command: sleep 1000
    depends_on: [web]
volumes: {data: {}}
X
(cd app && $K compose up -d >$E/err 2>&1) || cat $E/err
check "published" "$(wget -q -O - http://127.0.0.1:8080/ 2>&1)" built
check "found by its name" "$(cd app && $K compose exec -T ask wget -q -O - http://web/ 2>&1)" built
(cd app && $K compose exec -T web sh -c 'echo kept > /data/x')
check "only what changed" "$(cd app && COLOUR=blue $K compose up -d 2>&1 | grep -c Recreated)" 1
check "data is kept" "$(cd app && $K compose exec -T web cat /data/x 2>&1)" kept
check "the limits" "$($K run --rm --network none -m 32m --pids-limit 50 app cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max 2>&1 | tr '\n' ' ')" "33554432 50 "
if older 5 12; then
  check "no users of its own" "$($K run --rm --network none --userns private app true 2>&1 | grep -c 'map the owners of a layer: this takes Linux 5.12 or later')" 1
else
  check "users of its own" "$($K run --rm --network none --userns private app sh -c 'echo x >/y; stat -c %u /y /bin; tr -s " " </proc/self/uid_map | cut -d" " -f4' 2>&1 | tr '\n' ' ')" "0 0 65536 "
fi
kill -9 $(cat $E/pid); waited sh -c "! kill -0 $(cat $E/pid) 2>/dev/null"
engine_of $E
check "the application outlives its engine" "$(wget -q -O - http://127.0.0.1:8080/ 2>&1)" built
(cd app && $K compose down -v >$E/err 2>&1) || cat $E/err
check "nothing is left of it" "$($K ps -aq; $K volume ls -q; $K network ls -q --filter type=custom)" ""
ended
grep -iE "panic|WARN|ERROR" $E/log | head -20
cd /b; waited umount $E 2>/dev/null || { umount $E; fuser -m $E; ps; cat /proc/mounts; }
check "its disk is free" "$(grep -c $E /proc/mounts)" 0; rm -rf /tmp/first /tmp/disk
