#!/bin/sh
# tools/install.sh build|test|kafka|postgres|mariadb|mysql9|librdkafka: installs what is missing to build weir, to test it, or
# to run a real server for the tests (tools/servers/), by apt; the jars of Kafka come by Maven into a folder that `make clean`
# leaves alone, ${WEIR_CACHE:-~/.cache/weir}. `librdkafka` puts one that is newer than Debian's beside them, for the setting
# weir.librdkafka: librdkafka-2.16.0/librdkafka.so.1; `mysql9`, which nothing else here asks for, MySQL 9, by debootstrap, as
# root. Says nothing and takes no time when all is there. Exit 2: something is missing and cannot be
# installed here; the packages and the command that would do it are named.
set -eu

# package:program, or package:=module of pkg-config, or package:-for one that only dpkg knows of
build="gcc:gcc g++:g++ make:make cmake:cmake ninja-build:ninja pkg-config:pkg-config python3:python3 sqlite3:sqlite3
  libsimdjson-dev:=simdjson libxxhash-dev:=libxxhash libsqlite3-dev:=sqlite3 librdkafka-dev:=rdkafka
  libpq-dev:=libpq libmariadb-dev:=libmariadb"
kafka="openjdk-17-jre-headless:java maven:mvn openssl:openssl python3:python3"
postgres="postgresql-15:- python3:python3"
librdkafka="python3:python3 python3-pip:pip3"
mariadb="mariadb-server:mariadbd mariadb-client:mariadb-admin python3:python3"
mysql9="debootstrap:debootstrap openssl:openssl python3:python3"
test="clang-14:clang++-14 clang-format-14:clang-format-14 libclang-rt-14-dev:- patch:patch $postgres $mariadb"

case "${1:-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
kafka) wanted=$kafka ;;
postgres) wanted=$postgres ;;
mariadb) wanted=$mariadb ;;
mysql9) wanted=$mysql9 ;;
librdkafka) wanted=$librdkafka ;;
*)
  echo "usage: tools/install.sh build|test|kafka|postgres|mariadb|mysql9|librdkafka" >&2
  exit 2
  ;;
esac

there() { # PACKAGE CHECK
  case "$2" in
  =*) pkg-config --exists "${2#=}" 2>/dev/null ;;
  -) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  *) command -v "$2" >/dev/null 2>&1 ;;
  esac
}

missing=""
for item in $wanted; do
  there "${item%%:*}" "${item#*:}" || missing="$missing ${item%%:*}"
done

sudo=""
if [ "$(id -u)" != 0 ]; then sudo="sudo "; fi
refuse() {
  echo "weir: missing packages:$missing" >&2
  echo "weir: $1; install them with: ${sudo}apt-get update && ${sudo}apt-get install -y$missing" >&2
  exit 2
}

apt() {
  ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1
}

install_packages() {
  command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"
  if [ -n "$sudo" ]; then
    command -v sudo >/dev/null 2>&1 || refuse "this needs root, and there is no sudo"
    # Nobody may be there to type a password.
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; } || refuse "sudo gives no rights here"
  fi
  echo "weir: installing$missing" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if [ "$1" != build ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    # The package would make a cluster of its own, and start it, on the port that people expect theirs on.
    ${sudo}mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | ${sudo}tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  apt update || true # One source of several may be away; whether that matters shows next.
  # shellcheck disable=SC2086 # words on purpose
  apt install -y --no-install-recommends $missing || { tail -n 20 "$log" >&2 && refuse "the installation failed"; }
  for item in $wanted; do
    there "${item%%:*}" "${item#*:}" || refuse "${item%%:*} was installed, but is not found"
  done
}

open_cache() {
  root=${WEIR_CACHE:-$HOME/.cache/weir}
  mkdir -p "$root"
  exec 9>"$root/lock" # Two at once would fetch twice.
  flock 9
}

# The jars, and the archive of classes that a first broker writes when it ends.
fetch_kafka() {
  here=$(dirname "$0")
  open_cache
  if [ ! -d "$root/kafka-4.4.0/lib" ]; then
    echo "weir: fetching Apache Kafka 4.4.0 into $root" >&2
    rm -rf "$root/kafka.partial"
    mvn -B -q -f "$here/servers/kafka-pom.xml" dependency:copy-dependencies -DoutputDirectory="$root/kafka.partial/lib" \
      </dev/null >"$root/kafka.log" 2>&1 9>&- || {
      tail -n 10 "$root/kafka.log" >&2
      echo "weir: Maven did not fetch the jars of Kafka; the lines above are the end of $root/kafka.log" >&2
      exit 2
    }
    mv "$root/kafka.partial" "$root/kafka-4.4.0"
  fi
  if ! ls "$root"/kafka-4.4.0/classes-*.jsa >/dev/null 2>&1; then
    first=$(mktemp -d)
    { "$here/servers/kafka.sh" start "$first" && "$here/servers/kafka.sh" stop "$first"; } 9>&- || {
      echo "weir: the first broker did not start or stop; its folder is $first" >&2
      exit 2
    }
    rm -rf "$first"
  fi
}

# Debian has MySQL in unstable only: a Debian of its own, of which only the server's files are used. 560 MB.
fetch_mysql9() {
  open_cache
  [ ! -d "$root/mysql-9" ] || return 0
  echo "weir: fetching MySQL 9 into $root" >&2
  ${sudo}rm -rf "$root/mysql.partial"
  ${sudo}debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid "$root/mysql.partial" \
    </dev/null >"$root/mysql.log" 2>&1 9>&- || {
    tail -n 10 "$root/mysql.log" >&2
    echo "weir: debootstrap did not fetch MySQL; the lines above are the end of $root/mysql.log" >&2
    exit 2
  }
  ${sudo}find "$root/mysql.partial/var/cache/apt/archives" -name '*.deb' -delete
  ${sudo}mv "$root/mysql.partial" "$root/mysql-9"
}

# The library that Python's client brings along; it needs nothing of the system but libc.
fetch_librdkafka() {
  open_cache
  [ ! -e "$root/librdkafka-2.16.0/librdkafka.so.1" ] || return 0
  echo "weir: fetching librdkafka 2.16.0 into $root" >&2
  partial=$root/librdkafka.partial
  rm -rf "$partial"
  mkdir "$partial"
  pip3 download -q --no-deps --only-binary=:all: --platform "manylinux_2_28_$(uname -m)" --python-version 311 -d "$partial" \
    confluent-kafka==2.16.1 </dev/null >"$root/librdkafka.log" 2>&1 9>&- &&
    python3 -m zipfile -e "$partial"/confluent_kafka-*.whl "$partial" >>"$root/librdkafka.log" 2>&1 || {
    tail -n 10 "$root/librdkafka.log" >&2
    echo "weir: pip did not fetch librdkafka; the lines above are the end of $root/librdkafka.log" >&2
    exit 2
  }
  mkdir "$partial/done"
  mv "$partial"/confluent_kafka.libs/librdkafka-*.so.1 "$partial/done/librdkafka.so.1"
  mv "$partial/done" "$root/librdkafka-2.16.0"
  rm -rf "$partial"
}

[ -z "$missing" ] || install_packages "$1"
[ "$1" != mysql9 ] || fetch_mysql9
[ "$1" != librdkafka ] || fetch_librdkafka
[ "$1" != kafka ] || fetch_kafka
