# An engine of the checks' own, and an image of busybox.
K=/ketch
engine_of() { # folder, further flags
  E=$1; shift; mkdir -p $E; export DOCKER_HOST=unix://$E/sock
  $K daemon --data-root $E/data --exec-root $E/run --pidfile $E/pid -H $DOCKER_HOST "$@" >$E/log 2>&1 &
  waited $K version >/dev/null 2>&1 || cat $E/log
}
ended() { P=$(cat $E/pid); kill $P; waited sh -c "! kill -0 $P 2>/dev/null"; unset DOCKER_HOST; }
boxed() { tar -C /b/rootfs -cf - . 2>/dev/null | $K import - box >/dev/null 2>$E/err || cat $E/err; }
