#!/bin/sh
# Creates the repository with one empty commit on $BRANCH, then runs serve.sh for each request from nginx.
set -eu
cd /srv/git
if [ ! -d content.git ]; then
    export GIT_AUTHOR_NAME=git-host GIT_AUTHOR_EMAIL=git-host@git-to-pod.example
    export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
    git init --quiet --bare --initial-branch="$BRANCH" making.git
    cd making.git
    git update-ref HEAD "$(git commit-tree "$(git mktree </dev/null)" -m 'First commit')"
    cd ..
    mv making.git content.git
fi
exec socat TCP-LISTEN:9418,bind=127.0.0.1,reuseaddr,fork EXEC:"sh ${0%/*}/serve.sh /srv/git"
