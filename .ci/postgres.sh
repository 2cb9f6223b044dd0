#!/usr/bin/env bash
# A private PostgreSQL server for tests: `postgres.sh start FOLDER` prints its URL, with a random password, on a free port
# of 127.0.0.1; `postgres.sh stop FOLDER` ends it. As root it installs Debian's package if the server is missing, and
# runs the server as the user postgres, who must be able to enter FOLDER.
set -eu -o pipefail

action=${1:?start or stop} folder=$(realpath -m "${2:?folder}")

as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

find_server() {
    ls -d /usr/lib/postgresql/*/bin /usr/local/bin /usr/bin 2>/dev/null | sort -rV |
        while read -r place; do if [ -x "$place/initdb" ]; then echo "$place"; break; fi; done
}

bin=$(find_server)
if [ -z "$bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql; } >&2
    bin=$(find_server)
fi
[ -n "$bin" ] || { echo "PostgreSQL is not installed" >&2; exit 3; }

case $action in
start)
    mkdir -p "$folder"
    if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (umask 077 && printf '%s\n' "$password" >"$folder/password")
    if [ "$(id -u)" = 0 ]; then chown postgres "$folder/password"; fi
    as_server "$bin/initdb" -D "$folder/data" -U rag --pwfile="$folder/password" -A scram-sha-256 -E UTF8 --locale=C >&2
    rm "$folder/password"
    as_server "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -s \
        -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder -c fsync=off" start >&2
    echo "postgresql://rag:$password@127.0.0.1:$port/postgres"
    ;;
stop)
    as_server "$bin/pg_ctl" -D "$folder/data" -m immediate -w -s stop >&2
    ;;
*)
    echo "start or stop, not $action" >&2
    exit 2
    ;;
esac
