#!/bin/sh
# The first process of a namespace: mounts the root, makes it its own with pivot_root and becomes `pause`.
# usage: enter.sh ROOT PARTS OUTSIDE=INSIDE...
set -eu
root=$1 parts=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
for pair; do mount --bind "${pair%%=*}" ".${pair#*=}"; done
mount --bind "$parts" opt/parts
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
# The kubelet would set these for the whole machine. It does not if they already have the values that it wants.
mkdir run/kernel
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=run/kernel/$(basename "${setting%=*}")
  echo "${setting#*=}" > "$file"
  mount --bind "$file" "proc/sys/${setting%=*}"
done
mkdir run/outside
mount -o remount,ro,bind .
pivot_root . run/outside
umount -l /run/outside
mount --make-rshared / # so that containers see the kubelet's mounts
hostname node
exec /opt/parts/pause
