#!/bin/sh
# A hook of mmdebstrap for the image of nginx.
# usage: nginx.sh ROOT
set -eu
root=$1
mkdir -p "$root/tmp"
chmod 1777 "$root/tmp"
