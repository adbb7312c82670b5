#!/bin/sh
# tools/servers/mysql9.sh start DIR [--port P] [--tls] | stop DIR | kill DIR | restart DIR: a MySQL 9 server.
#
# In the folder DIR, on 127.0.0.1 only: user weir, password DIR/password, database out. `start` makes the folder where it is
# new, and returns when the server answers. `stop` is SIGTERM, `kill` SIGKILL; both return when the process is gone. `restart`
# stops it, if it runs, and starts it as it was. Its programs and their libraries are those of another Debian, which
# `tools/install.sh mysql9` keeps in ${WEIR_CACHE:-~/.cache/weir}/mysql-9; they run here by that Debian's own loader.
#
#   DIR/port, DIR/password, DIR/pid, DIR/log.txt, DIR/data
#   DIR/tls            with --tls: ca.pem is the CA of the server's certificate, wrong-ca.pem another one
set -eu
name=mysql9.sh
. "$(dirname "$0")/common.sh"
root=${WEIR_CACHE:-$HOME/.cache/weir}/mysql-9
stop_signal=TERM

run() { # PROGRAM ARGUMENT...
  program=$1
  shift
  "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/mysql/private" \
    "$root/usr/$program" --no-defaults "$@"
}

settings() {
  echo "--basedir=$root/usr --lc-messages-dir=$root/usr/share/mysql --datadir=$dir/data"
  if [ "$(id -u)" = 0 ]; then echo "--user=root"; fi
}

prepare() {
  rm -rf "$dir/data" # of a first start that did not get this far
  case " $chosen " in *" --tls "*) make_certificates ;; esac
  password=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
  echo "$password" >"$dir/password"
  # shellcheck disable=SC2046 # words on purpose
  run sbin/mysqld $(settings) --initialize-insecure >"$dir/log.txt" 2>&1 ||
    fail "the data folder was not made: $(tail -n 5 "$dir/log.txt")"
  # The server reads it at each start; a user that is there stays.
  cat >"$dir/first.sql" <<SQL
CREATE DATABASE IF NOT EXISTS \`out\`;
CREATE USER IF NOT EXISTS weir@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO weir@'%' WITH GRANT OPTION;
SQL
}

launch() {
  tls=""
  if [ -e "$dir/tls" ]; then tls="--ssl-ca=$dir/tls/ca.pem --ssl-cert=$dir/tls/server.crt --ssl-key=$dir/tls/server.key"; fi
  # shellcheck disable=SC2046,SC2086 # words on purpose
  setsid "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/mysql/private" \
    "$root/usr/sbin/mysqld" --no-defaults $(settings) --port="$(cat "$dir/port")" --bind-address=127.0.0.1 --mysqlx=OFF \
    --socket="$dir/socket" --pid-file="$dir/server-pid" --innodb-buffer-pool-size=64M --skip-log-bin --secure-file-priv= \
    --plugin-dir="$root/usr/lib/mysql/plugin" --innodb-directories="$dir" --init-file="$dir/first.sql" $tls \
    </dev/null >>"$dir/log.txt" 2>&1 &
  echo $! >"$dir/pid"
}

answers() {
  MYSQL_PWD=$(cat "$dir/password") run bin/mysql -h 127.0.0.1 -P "$(cat "$dir/port")" -u weir -e "SELECT 1" out >/dev/null 2>&1
}

read_arguments "--tls" "$@"
[ -d "$root/usr" ] || fail "there is no $root; tools/install.sh mysql9 fetches it"
act
