#!/bin/sh
# tools/servers/postgres.sh start DIR [--port P] [--tls] | stop DIR | kill DIR | restart DIR: a PostgreSQL server.
#
# In the folder DIR, on 127.0.0.1 only: user weir, password DIR/password, database out. `start` makes the folder where it is
# new, and returns when the server answers. `stop` is SIGINT, `kill` SIGKILL; both return when the process is gone. `restart`
# stops it, if it runs, and starts it as it was. The server refuses to be root: started by root it runs as user postgres,
# who must be able to reach DIR.
#
#   DIR/port, DIR/password, DIR/pid, DIR/log.txt, DIR/data
#   DIR/tls            with --tls: ca.pem is the CA of the server's certificate, wrong-ca.pem another one
set -eu
name=postgres.sh
. "$(dirname "$0")/common.sh"
account=postgres
stop_signal=INT

prepare() {
  rm -rf "$dir/data" # of a first start that did not get this far
  case " $chosen " in *" --tls "*) make_certificates ;; esac
  head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/password"
  # shellcheck disable=SC2086 # words on purpose
  $as "$bin/initdb" -D "$dir/data" -U weir -A scram-sha-256 --pwfile "$dir/password" --encoding=UTF8 --locale=C \
    >"$dir/log.txt" 2>&1 || fail "initdb failed: $(tail -n 5 "$dir/log.txt")"
}

launch() {
  # A postmaster that was killed leaves children that are in the way until they notice.
  deadline=$(($(date +%s) + 30))
  while readlink /proc/[0-9]*/cwd 2>/dev/null | grep -qxF "$dir/data"; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "a process of the server that ended is still in $dir/data"
    sleep 0.05
  done
  rm -f "$dir/data/postmaster.pid" # names a process that is gone, perhaps one that nobody has buried yet
  tls=""
  if [ -e "$dir/tls" ]; then tls="-c ssl=on -c ssl_cert_file=$dir/tls/server.crt -c ssl_key_file=$dir/tls/server.key"; fi
  # shellcheck disable=SC2086 # words on purpose
  $as setsid "$bin/postgres" -D "$dir/data" -p "$(cat "$dir/port")" -c max_connections=30 -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c shared_buffers=64MB $tls </dev/null >>"$dir/log.txt" 2>&1 &
  echo $! >"$dir/pid"
}

ask() { # DATABASE STATEMENT
  PGPASSWORD=$(cat "$dir/password") psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(cat "$dir/port")" -U weir "$1" -c "$2"
}

answers() {
  ask postgres "SELECT 1" >/dev/null 2>&1
}

read_arguments "--tls" "$@"
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$bin/postgres" ] || fail "there is no PostgreSQL server; tools/install.sh postgres installs it"
act
if [ "$verb" = start ] && [ -z "$(ask postgres "SELECT 1 FROM pg_database WHERE datname = 'out'")" ]; then
  ask postgres "CREATE DATABASE out"
fi
