#!/bin/sh
# git-sync's exechook: runs after every change, with the commit in GITSYNC_HASH, and is retried until it succeeds.
# Only the commit goes into `data`: Reloader hashes all of it. A time in there would restart the app for nothing, and
# app pods compare that hash with the commit's.
# Server-side apply makes the ConfigMap where there is none: it is in no manifest, so no `kubectl apply` can reset it.
set -eu
account=/var/run/secrets/kubernetes.io/serviceaccount
config_maps=https://kubernetes.default/api/v1/namespaces/$(cat "$account/namespace")/configmaps
# The token goes in by standard input: arguments are visible to every process.
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$account/token")" |
  curl --config - --silent --show-error --fail --max-time 10 --output /dev/null \
    --cacert "$account/ca.crt" \
    --request PATCH --header 'Content-Type: application/apply-patch+yaml' \
    --data '{
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": {"name": "git-commit", "annotations": {
        "git-to-pod/ref": "'"$GITSYNC_REF"'",
        "git-to-pod/published": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"}},
      "data": {"commit": "'"$GITSYNC_HASH"'"}}' \
    "$config_maps/git-commit?fieldManager=git-poller&force=true"
