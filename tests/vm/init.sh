#!/usr/bin/busybox sh
# The kernel's first process. Its file system can't be pivoted away from, so everything moves to another; then systemd takes
# over where it is installed, and starts the checks as a service.
/usr/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t tmpfs -o size=1700m tmpfs /new
cp -a /usr /bin /sbin /lib /lib64 /checks /disks /tools /new/ && mv /ketch /new/ketch
for d in etc var; do [ -d /$d ] && cp -a /$d /new/; done
cd /new && mkdir -p proc sys dev run tmp root etc/systemd/system
cat >etc/systemd/system/checks.service <<X
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/usr/bin/busybox sh /checks/checks.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
Environment=PATH=/usr/bin
X
if [ -x usr/lib/systemd/systemd ]; then exec switch_root /new /usr/lib/systemd/systemd; fi
exec switch_root /new /usr/bin/busybox sh /checks/checks.sh
