#!/bin/sh
# Creates the repository with one commit on the branch main.
# usage: first-commit.sh REPOSITORY
set -eu
export HOME=/tmp GIT_AUTHOR_NAME=lab GIT_AUTHOR_EMAIL=lab@example.test
export GIT_COMMITTER_NAME=lab GIT_COMMITTER_EMAIL=lab@example.test
git init --quiet --bare --initial-branch=main "$1"
cd "$1"
page=$(echo '<h1>content</h1>' | git hash-object -w --stdin)
tree=$(printf '100644 blob %s\tindex.html\n' "$page" | git mktree)
git update-ref refs/heads/main "$(git commit-tree "$tree" -m 'First content')"
