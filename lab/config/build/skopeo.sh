#!/bin/sh
# Runs skopeo in the lab's root. The caller gives it a mount namespace of its own.
# usage: unshare --mount sh skopeo.sh ROOT ARCHIVES IMAGES ARGUMENT...
set -eu
root=$1 archives=$2 images=$3
shift 3
cd "$root"
mount --bind "$archives" srv/archives
mount --bind "$images" srv/images
mount -t tmpfs tmpfs run
mount --rbind /proc proc
mount --bind /etc/resolv.conf etc/resolv.conf
exec chroot . skopeo "$@"
