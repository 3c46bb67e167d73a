# Volumes on servers: NFS by the kernel's own server, SMB by its ksmbd. What a mountd or exportfs would tell the kernel of an
# export is written to it here.
. /checks/engine.sh
engine_of /tmp/remote; boxed
ip link set lo up
said() { $K run --rm -v $1:/v box /bin/busybox sh -c "$2" 2>&1; }
places() { grep -c " /tmp/remote/data/volumes/$1/_data " /proc/self/mountinfo; }

mkdir -p /srv/nfs/sub && echo "from the server" >/srv/nfs/there
modprobe nfsd; mount -t nfsd nfsd /proc/fs/nfsd
echo "-2 -3 +4 +4.1 +4.2" >/proc/fs/nfsd/versions 2>/dev/null || echo "-3 +4 +4.1 +4.2" >/proc/fs/nfsd/versions
EVER=2147483647
echo "nfsd 127.0.0.1 $EVER all" >/proc/net/rpc/auth.unix.ip/channel
# From any port, without waiting for the disk or looking at subtrees, the root of version 4, nobody squashed.
echo "all /srv/nfs $EVER 9234 65534 65534 0" >/proc/net/rpc/nfsd.export/channel
echo 'all 1 \x00000000 '$EVER' /srv/nfs' >/proc/net/rpc/nfsd.fh/channel
echo "tcp 2049" >/proc/fs/nfsd/portlist; echo 2 >/proc/fs/nfsd/threads; echo Y >/proc/fs/nfsd/v4_end_grace
$K volume create --opt type=nfs --opt o=addr=127.0.0.1,rw,nfsvers=4.2 --opt device=:/ far >/dev/null 2>$E/err || cat $E/err
check "a volume of NFS has what its server has" "$(said far 'cat /v/there')" "from the server"
check "and gives it what is written" "$(said far 'echo here >/v/new; sync')$(cat /srv/nfs/new)" "here"
check "it is mounted only while somebody has it" "$(places far)" 0
$K run -d --name has -v far:/v box /bin/busybox sleep 1000 >/dev/null
check "for one that runs" "$(places far)" 1
check "by a name of its server" "$($K volume create --opt type=nfs --opt o=addr=localhost,nfsvers=4 --opt device=:/sub named >/dev/null 2>&1; said named 'echo below >/v/file'; cat /srv/nfs/sub/file)" below
check "read-only as its options say" "$($K volume create --opt type=nfs --opt o=addr=127.0.0.1,ro,nfsvers=4.2 --opt device=:/ readable >/dev/null; said readable 'touch /v/x' | grep -c 'Read-only file system')" 1
check "what is not exported" "$($K volume create --opt type=nfs --opt o=addr=127.0.0.1,nfsvers=4.2 --opt device=:/nowhere none >/dev/null; said none true | grep -c 'failed to mount local volume: mount :/nowhere.*[Nn]o such file')" 1
$K rm -f has >/dev/null; $K volume rm far named readable none >/dev/null
check "a volume that is removed leaves what its server has" "$(cat /srv/nfs/there)$(ls /tmp/remote/data/volumes | wc -l)" "from the server0"
echo 0 >/proc/fs/nfsd/threads; umount /proc/fs/nfsd

if older 5 15; then
  echo "ok: no server of SMB in a kernel before 5.15"
elif [ -x /usr/sbin/ksmbd.mountd ]; then
  mkdir -p /srv/smb /etc/ksmbd /run /var/run; echo "from the other server" >/srv/smb/there; touch /etc/ksmbd/ksmbdpwd.db
  printf '[global]\nnetbios name = there\n[share]\npath = /srv/smb\nread only = no\n' >/etc/ksmbd/ksmbd.conf
  modprobe ksmbd; echo "root:x:0:0::/:/bin/sh" >/etc/passwd; echo "root:x:0:" >/etc/group
  /usr/sbin/ksmbd.adduser -a root -p secret >$E/smb 2>&1; /usr/sbin/ksmbd.mountd >>$E/smb 2>&1
  share() { $K volume create --opt type=cifs --opt device=//127.0.0.1/share --opt "o=$2" $1 >/dev/null; }
  share smb addr=127.0.0.1,username=root,password=secret,vers=3.0
  check "a volume of SMB has what its server has" "$(waited said smb 'cat /v/there')" "from the other server"
  check "and gives it what is written" "$(said smb 'echo here >/v/new; sync')$(cat /srv/smb/new)" here
  share wrong addr=127.0.0.1,username=root,password=guess,vers=3.0
  check "nobody gets it with another password" "$(said wrong true | grep -c 'failed to mount local volume: mount //127.0.0.1/share.*permission denied')" 1
  $K volume rm smb wrong >/dev/null; /usr/sbin/ksmbd.control -s >/dev/null 2>&1
  [ $FAILED = 0 ] || cat $E/smb
else
  echo "WRONG: this machine has no ksmbd.mountd"; FAILED=1
fi
ended
