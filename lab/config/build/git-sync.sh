#!/bin/sh
# A hook of mmdebstrap for the image of git-sync. It creates the accounts and folders of the upstream image.
# usage: git-sync.sh ROOT
set -eu
root=$1
mkdir -p "$root/git" "$root/tmp"
chown 65533:65533 "$root/git"
chmod 1777 "$root/tmp"
cat > "$root/etc/passwd" <<END
root:x:0:0::/root:/bin/sh
git-sync:x:65533:65533::/tmp:/sbin/nologin
END
cat > "$root/etc/group" <<END
root:x:0:
git-sync:x:65533:
END
