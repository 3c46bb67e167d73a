# Who asks for systemd where it doesn't run is told so.
config '' true
check "no systemd" "$($R --systemd-cgroup run none 2>&1)" "systemd does not run on this host"
check "nothing is left of it" "$($R list -q)" ""
