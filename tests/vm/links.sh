# Networks on links that development machines rarely have: VLANs, links that lead nowhere, ipvlan; SCTP; and a full conntrack.
# covers: value network-option ipvlan ipvlan
# covers: value network-option ipvlan parent
# covers: value network-option ipvlan ipvlan_mode
# covers: value network-option ipvlan ipvlan_flag
# covers: value network-option ipvlan l2
# covers: value network-option ipvlan l3
# covers: value network-option ipvlan l3s
# covers: value network-option ipvlan bridge
# covers: value network-option ipvlan private
# covers: value network-option ipvlan vepa
# covers: value network-driver docker network create -d ipvlan
. /checks/engine.sh
engine_of /tmp/links; boxed
ip link set dummy0 name up0; ip link set up0 up; ip addr add 10.228.9.1/24 dev up0
pair() { # network, flags: how many answers one container of it gets from another
  n=$1; shift
  $K network create "$@" $n >/dev/null 2>$E/err || { cat $E/err; return; }
  $K run -d --name $n-s --network $n box /bin/busybox sleep 1000 >/dev/null 2>$E/err || { cat $E/err; return; }
  A=$($K inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $n-s)
  $K run --rm --network $n box /bin/busybox ping -c 1 -w 5 $A 2>$E/err | grep -c '1 packets received'
}
there() { ls /sys/class/net | grep -c "^$1"; }
routes() { $K exec $1-s /bin/busybox ip route | sed 's/ *$//' | tr '\n' ';'; }
check "a bridge" "$(pair bridged)" 1
check "macvlan on a link that leads nowhere" "$(pair nowhere -d macvlan)" 1
check "macvlan on a link" "$(pair on -d macvlan --subnet 10.228.7.0/24 -o parent=up0)" 1
check "macvlan on a VLAN that is made for it" "$(pair vlan -d macvlan -o parent=up0.10) $(there up0.10)" "1 1"
$K rm -f on-s >/dev/null; $K network rm on >/dev/null
for n in vlan; do $K rm -f $n-s >/dev/null; $K network rm $n >/dev/null; done
check "ipvlan" "$(pair ipv -d ipvlan --subnet 10.228.1.0/24 -o parent=up0)" 1
check "its way out is a router" "$(routes ipv)" "default via 10.228.1.1 dev eth0;10.228.1.0/24 dev eth0 scope link  src 10.228.1.2;"
check "a mode of another kind on the same link" "$($K network create -d ipvlan --subnet 10.228.5.0/24 -o parent=up0 -o ipvlan_mode=l3 other >/dev/null 2>$E/err; echo $?; $K network rm other >/dev/null 2>&1)" 0
$K rm -f ipv-s >/dev/null; $K network rm ipv >/dev/null
for mode in l3 l3s; do
  check "ipvlan in $mode" "$(pair $mode -d ipvlan --subnet 10.228.3.0/24 --subnet fd00:228::/64 --ipv6 -o parent=up0 -o ipvlan_mode=$mode)" 1
  check "its way out is the link" "$(routes $mode)" "default dev eth0 scope link;10.228.3.0/24 dev eth0 scope link  src 10.228.3.2;"
  check "over IPv6, too" "$($K exec $mode-s /bin/busybox ip -6 route | grep -c '^default dev eth0')" 1
  check "no router is told of" "$($K inspect --format '{{range .NetworkSettings.Networks}}<{{.Gateway}}>{{end}}' $mode-s)" "<>"
  $K network create -d ipvlan --subnet 10.228.4.0/24 -o parent=up0 -o ipvlan_mode=$mode $mode-b >/dev/null
  check "networks on one link reach each other in $mode" \
    "$($K run --rm --network $mode-b box /bin/busybox ping -c 1 -w 5 10.228.3.2 2>&1 | grep -c '1 packets received')" 1
  $K rm -f $mode-s >/dev/null; $K network rm $mode $mode-b >/dev/null
done
for flag in private vepa; do
  check "parts kept apart: $flag" "$(pair $flag -d ipvlan --subnet 10.228.2.0/24 -o parent=up0 -o ipvlan_flag=$flag)" 0
  $K rm -f $flag-s >/dev/null; $K network rm $flag >/dev/null
done
check "ipvlan on a link that leads nowhere" "$(pair alone -d ipvlan -o ipvlan_flag=bridge)" 1
for n in bridged nowhere alone; do $K rm -f $n-s >/dev/null 2>&1; $K network rm $n >/dev/null 2>$E/err || cat $E/err; done
check "links that were made go with their networks" "$(there up0.10) $(there dm-) $(there br-)" "0 0 0"

# What is said over a published port of SCTP arrives, and so does the answer.
$K run -d --name speaks -p 9000:9001/sctp -v /usr/bin/sctp:/sctp:ro box /sctp listen 9001 >/dev/null 2>$E/err || cat $E/err
asked() { sctp ask 10.228.9.1:9000 "$1" 2>&1; }
waited asked first >/dev/null
check "a published port of SCTP" "$(asked hello | sed 's/^[0-9.]* //')" "said hello"
check "from another container's network" "$($K network create apart >/dev/null; $K run --rm --network apart -v /usr/bin/sctp:/sctp:ro box /sctp ask 10.228.9.1:9000 hey 2>&1 | sed 's/^[0-9.]* //')" "said hey"
$K rm -f speaks >/dev/null; $K network rm apart >/dev/null
check "nobody answers when it has gone" "$(asked hello | grep -c 'nobody answers')" 1

# As many connections as the kernel may know: those that are there live on, and a new one is made when there is room.
$K run -d --name web -p 8000:80 box /bin/busybox nc -ll -p 80 -e /bin/busybox echo page >/dev/null
fetch() { nc -w 3 $A 8000 </dev/null | grep page; }
A=10.228.9.1
check "a published port" "$(waited fetch)" page
$K run -d --name talk -p 8001:81 box /bin/busybox nc -ll -p 81 -e /bin/busybox cat >/dev/null
mkfifo /tmp/said; exec 7<>/tmp/said; nc $A 8001 </tmp/said >/tmp/heard & TALK=$!
echo one >&7; waited grep -q one /tmp/heard; check "a connection" "$(cat /tmp/heard)" one
BEFORE=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
echo $(cat /proc/sys/net/netfilter/nf_conntrack_count) >/proc/sys/net/netfilter/nf_conntrack_max
check "a new one finds no room" "$(fetch 2>/dev/null; echo $?)" 1
echo two >&7; waited grep -q two /tmp/heard; check "one that was there lives" "$(tail -1 /tmp/heard)" two
check "doctor tells of it" "$($K system doctor 2>&1 | grep -c 'net.netfilter.nf_conntrack_max')" 1
check "containers come and go meanwhile" "$($K run --rm -p 8002:82 box /bin/busybox echo started 2>&1)" started
echo $BEFORE >/proc/sys/net/netfilter/nf_conntrack_max
check "there is room again" "$(waited fetch)" page
kill $TALK; exec 7>&-; $K rm -f web talk >/dev/null
ended; ip link del up0
