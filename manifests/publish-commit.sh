#!/bin/sh
# git-sync's exechook: runs after every change, with the commit in GITSYNC_HASH, and is retried until it succeeds.
# Only the commit goes into `data`: Reloader hashes all of it. A time in there would restart the app for nothing, and
# app pods compare that hash with the commit's.
# Server-side apply makes the ConfigMap where there is none: it is in no manifest, so no `kubectl apply` can reset it.
# With --check, the liveness probe: fails where a published commit is gone, so that git-sync starts again, which runs the
# hook once more. An API server that does not answer is no reason to.
set -eu
account=/var/run/secrets/kubernetes.io/serviceaccount
git_commit=https://kubernetes.default/api/v1/namespaces/$(cat "$account/namespace")/configmaps/git-commit

# The token goes in by standard input: arguments are visible to every process.
request() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$account/token")" |
    curl --config - --silent --show-error --fail --max-time 10 --output /dev/null --cacert "$account/ca.crt" "$@"
}

if [ "${1:-}" = --check ]; then
  [ -e /git/current ] || exit 0 # nothing has been published yet
  status=$(request --write-out '%{http_code}' "$git_commit") || [ "$status" != 404 ] || { echo "git-commit is gone"; exit 1; }
  exit 0
fi
request --request PATCH --header 'Content-Type: application/apply-patch+yaml' \
  --data '{
    "apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": "git-commit", "annotations": {
      "git-to-pod/ref": "'"$GITSYNC_REF"'",
      "git-to-pod/published": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"}},
    "data": {"commit": "'"$GITSYNC_HASH"'"}}' \
  "$git_commit?fieldManager=git-poller&force=true"
