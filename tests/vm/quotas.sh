# Containers and volumes that may take so much of the disk and no more, where the file system counts projects' files.
# covers: cli docker run --storage-opt
# covers: cli docker create --storage-opt
# covers: cli docker container run --storage-opt
# covers: cli docker container create --storage-opt
# covers: field HostConfig StorageOpt
# covers: field HostConfig StorageOpt.*
. /checks/engine.sh
disk() { # kind, options, place
  (cd /disks/$1; truncate -s 300M /tmp/$1
  for piece in *; do dd if=$piece of=/tmp/$1 bs=65536 seek=$piece conv=notrunc 2>/dev/null; done)
  losetup /dev/loop$4 /tmp/$1; mkdir -p $3; mount -t $1 -o $2 /dev/loop$4 $3 || echo "WRONG: no $1 with $2"
}
B="--network none box /bin/busybox"
writes() { echo "dd if=/dev/zero of=$1/f bs=1M count=$2 2>/dev/null; echo \$?; rm -f $1/f"; }
held() { # kind, number: what its containers and volumes may write
  kind=$1; at=/mnt/$1; engine_of $at/engine; boxed
  check "$kind: a root within its size" "$($K run --rm --storage-opt size=20m $B sh -c "$(writes / 10)" 2>&1)" 0
  check "$kind: a root beyond it" "$($K run --rm --storage-opt size=20m $B sh -c "$(writes / 30)" 2>&1)" 1
  check "$kind: a root without" "$($K run --rm $B sh -c "$(writes / 30)" 2>&1)" 0
  check "$kind: df tells the size" "$($K run --rm --storage-opt size=20m $B df -k / | busybox awk 'END{print $2}')" 20480
  $K create --name kept --storage-opt size=20m $B sh -c "dd if=/dev/zero of=/f bs=1M count=30 2>/dev/null; echo \$?" >/dev/null
  check "$kind: inspect tells of it" "$($K inspect --format '{{json .HostConfig.StorageOpt}}' kept)" '{"size":"20m"}'
  $K container create --name other --storage-opt size=20m $B sleep 1000 >/dev/null; $K start other >/dev/null
  check "$kind: each has its own" "$($K start -a kept; $K exec other /bin/busybox sh -c "$(writes / 10)")" "1
0"
  dd if=/dev/zero of=/tmp/30m bs=1M count=30 2>/dev/null
  $K cp /tmp/30m other:/ >/dev/null 2>&1; check "$kind: what is copied in counts" "$?" 1
  $K container run --rm --privileged --storage-opt size=20m $B sh -c "$(writes / 30)" >$E/err 2>&1
  check "$kind: so does what the privileged write" "$(cat $E/err)" 1
  $K volume create --opt size=20m vol >/dev/null
  check "$kind: a volume beyond its size" "$($K run --rm -v vol:/v $B sh -c "$(writes /v 30); $(writes /v 10)" 2>&1)" "1
0"
  $K volume cp /tmp/30m vol:/ >/dev/null 2>&1; check "$kind: what is copied into a volume counts" "$?" 1
  $K run --rm --mount type=volume,src=small,dst=/bin,volume-opt=size=1m $B true >/dev/null 2>$E/err
  check "$kind: an image's content that is too much" "$? $(grep -cE 'quota exceeded|no space left' $E/err)" "125 1"
  ended; engine_of $at/engine
  check "$kind: the next engine's know no less" "$($K exec other /bin/busybox sh -c "$(writes / 30)" 2>&1)" 1
  $K rm -f kept other >/dev/null; $K volume rm vol small >/dev/null
  check "$kind: the host writes what it likes" "$(dd if=/dev/zero of=$at/f bs=1M count=60 2>/dev/null; echo $?; rm $at/f)" 0
  ended; engine_of $at/engine --storage-opt overlay2.size=20m
  check "$kind: a size for all" "$($K run --rm $B sh -c "$(writes / 30)" 2>&1)" 1
  check "$kind: but for who wants another" "$($K run --rm --storage-opt size=40m $B sh -c "$(writes / 30)" 2>&1)" 0
  check "$kind: or none" "$($K run --rm --storage-opt size=0 $B sh -c "$(writes / 30)" 2>&1)" 0
  check "$kind: nothing else of it" "$($K create --storage-opt size=x $B true 2>&1 | grep -c "invalid size: 'x'")" 1
  ended; umount $at
}
if older 5 14; then
  engine_of /tmp/small; boxed
  check "no root of a size" "$($K create --storage-opt size=20m $B true 2>&1 | grep -c 'quotas of projects need Linux 5.14 or later')" 1
  check "no volume of a size" "$($K volume create --opt size=20m vol 2>&1 | grep -c 'quotas of projects need Linux 5.14 or later')" 1
  ended; return
fi
disk ext4 prjquota /mnt/ext4 1; held ext4
# Limits that the file system still has: id, blocks, quota, limit.
limits() { LD_LIBRARY_PATH=/tools /tools/ld /tools/debugfs -R "list_quota prj" /dev/loop1 2>/dev/null | busybox awk '$1 + 0 > 0 && $4 + 0 > 0' | wc -l; }
check "ext4: numbers are given back" "$(limits)" 0
disk xfs pquota /mnt/xfs 2; held xfs
for kind in ext4 xfs; do
  mount -t $kind /dev/loop$([ $kind = xfs ] && echo 2 || echo 1) /mnt/$kind || echo "WRONG: $kind is mounted no more"
  engine_of /mnt/$kind/engine
  $K create --storage-opt size=1m $B true 2>$E/err
  grep -q "without quotas" $E/err || cat $E/err
  check "$kind without quotas" "$(grep -c "supported only for overlay over xfs with 'pquota'" $E/err) $(grep -c "is on $kind without quotas of projects" $E/err)" "1 1"
  ended; umount /mnt/$kind
done
losetup -d /dev/loop1; losetup -d /dev/loop2; rm /tmp/ext4 /tmp/xfs /tmp/30m
