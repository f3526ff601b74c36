#!/bin/sh
# git-sync's exechook: ends git-sync, with exit code 143, if the app started with another commit than GITSYNC_HASH.
set -eu
[ ! -e /tmp/commit ] || [ "$(cat /tmp/commit)" = "$GITSYNC_HASH" ] || kill -TERM "$PPID"
