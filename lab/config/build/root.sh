#!/bin/sh
# A hook of mmdebstrap. It makes the mount points of the node and the git host, and the account of git, without the SSH
# host keys that the installation created.
# usage: root.sh ROOT
set -eu
root=$1
for folder in etc/lab opt/parts srv/git srv/images srv/archives; do mkdir -p "$root/$folder"; done
rm -f "$root"/etc/ssh/ssh_host_*
chroot "$root" useradd --system --password '*' --home-dir /srv/git --shell /bin/sh git
