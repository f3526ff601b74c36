#!/bin/sh
# git-sync's exechook: publishes GITSYNC_HASH in the ConfigMap git-commit. git-sync retries it until it succeeds.
# `data` holds the commit alone, because Reloader hashes all of `data`: a time in it would restart the app for nothing.
# Server-side apply creates the ConfigMap when it is missing. It is in no manifest, so no `kubectl apply` can reset it.
set -eu
account=/var/run/secrets/kubernetes.io/serviceaccount
namespace=$(cat $account/namespace)

# The token reaches curl by standard input, because every process can read arguments. A block scalar (|-) accepts
# any branch name. --noproxy: git may need a proxy, the API server does not.
printf 'header = "Authorization: Bearer %s"\n' "$(cat $account/token)" |
  curl --config - --silent --show-error --fail --max-time 10 --output /dev/null \
    --noproxy '*' --cacert $account/ca.crt --request PATCH \
    --header 'Content-Type: application/apply-patch+yaml' --data "
apiVersion: v1
kind: ConfigMap
metadata:
  name: git-commit
  annotations:
    git-to-pod/ref: |-
      ${GITSYNC_REF:-HEAD}
    git-to-pod/published: '$(date -u +%Y-%m-%dT%H:%M:%SZ)'
data:
  commit: '$GITSYNC_HASH'
" "https://kubernetes.default/api/v1/namespaces/$namespace/configmaps/git-commit?fieldManager=git-poller&force=true"
