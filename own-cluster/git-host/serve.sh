#!/bin/sh
# Answers one HTTP request: reads it from standard input, writes the response to standard output. It replaces
# git-http-backend, which git-sync's image does not have. nginx has authenticated the account; it speaks HTTP/1.0 and
# sends the length of every body.
# usage: serve.sh FOLDER_OF_THE_REPOSITORY
set -eu
repository=$1/content.git length=0 decode=cat cr=$(printf '\r')
read -r method target _
while read -r name value && [ "$name" != "$cr" ]; do
    value=${value%"$cr"}
    case $name in
        Content-Length:) length=$value ;;
        Content-Encoding:) decode='gzip -dc' ;; # git compresses a long request
        Git-Protocol:) export GIT_PROTOCOL="$value" ;;
    esac
done

answer() { printf 'HTTP/1.0 200 OK\r\nCache-Control: no-cache\r\nContent-Type: application/x-%s\r\n\r\n' "$1"; }

case "$method $target" in
    "GET /content.git/info/refs?service=git-upload-pack" | "GET /content.git/info/refs?service=git-receive-pack")
        service=${target#*=}
        answer "$service-advertisement"
        if [ "${GIT_PROTOCOL:-}" != version=2 ]; then
            printf '%04x# service=%s\n0000' $((${#service} + 15)) "$service" # a pkt-line begins with its length
        fi
        git "${service#git-}" --stateless-rpc --advertise-refs "$repository"
        ;;
    "POST /content.git/git-upload-pack" | "POST /content.git/git-receive-pack")
        service=${target##*/}
        answer "$service-result"
        head -c "$length" | $decode | git "${service#git-}" --stateless-rpc "$repository"
        ;;
    "GET /-/ready") answer ready ;;
    *) printf 'HTTP/1.0 404 Not Found\r\n\r\n' ;;
esac
