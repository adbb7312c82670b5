#!/bin/sh
# tools/servers/mariadb.sh start DIR [--port P] [--tls] | stop DIR | kill DIR | restart DIR: a MariaDB server.
#
# In the folder DIR, on 127.0.0.1 only: user weir, password DIR/password, database out. `start` makes the folder where it is
# new, and returns when the server answers. `stop` is SIGTERM, `kill` SIGKILL; both return when the process is gone. `restart`
# stops it, if it runs, and starts it as it was. The server refuses to be root: started by root it runs as user mysql, who
# must be able to reach DIR.
#
#   DIR/port, DIR/password, DIR/pid, DIR/log.txt, DIR/data
#   DIR/tls            with --tls: ca.pem is the CA of the server's certificate, wrong-ca.pem another one
set -eu
name=mariadb.sh
. "$(dirname "$0")/common.sh"
account=mysql
stop_signal=TERM

prepare() {
  rm -rf "$dir/data" # of a first start that did not get this far
  case " $chosen " in *" --tls "*) make_certificates ;; esac
  password=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
  echo "$password" >"$dir/password"
  # shellcheck disable=SC2086 # words on purpose
  $as mariadb-install-db --no-defaults --datadir="$dir/data" --skip-test-db --auth-root-authentication-method=normal \
    >"$dir/log.txt" 2>&1 || fail "mariadb-install-db failed: $(tail -n 5 "$dir/log.txt")"
  # The server reads it at each start; a user that is there stays.
  cat >"$dir/first.sql" <<SQL
DELETE FROM mysql.global_priv WHERE User = '';
CREATE DATABASE IF NOT EXISTS \`out\`;
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS weir@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO weir@'%' WITH GRANT OPTION;
SQL
}

launch() {
  tls=""
  if [ -e "$dir/tls" ]; then tls="--ssl-ca=$dir/tls/ca.pem --ssl-cert=$dir/tls/server.crt --ssl-key=$dir/tls/server.key"; fi
  # shellcheck disable=SC2086 # words on purpose
  $as setsid mariadbd --no-defaults --datadir="$dir/data" --port "$(cat "$dir/port")" --bind-address=127.0.0.1 \
    --socket="$dir/socket" --pid-file="$dir/server-pid" --innodb-buffer-pool-size=64M --character-set-server=utf8mb4 \
    --init-file="$dir/first.sql" $tls </dev/null >>"$dir/log.txt" 2>&1 &
  echo $! >"$dir/pid"
}

answers() {
  MYSQL_PWD=$(cat "$dir/password") mariadb --no-defaults -h 127.0.0.1 -P "$(cat "$dir/port")" -u weir -e "SELECT 1" out \
    >/dev/null 2>&1
}

read_arguments "--tls" "$@"
for program in mariadbd mariadb mariadb-install-db; do
  command -v "$program" >/dev/null || fail "there is no $program; tools/install.sh mariadb installs it"
done
act
