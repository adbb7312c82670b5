#!/bin/sh
# tools/install.sh build|test: installs what is missing to build weir, or to test it, by apt. Says nothing and takes no
# time when all is there. Exit 2: something is missing and cannot be installed here; the packages and the command that
# would do it are named.
set -eu

# package:program, or package:=module of pkg-config, or package:-for one that only dpkg knows of
build="gcc:gcc g++:g++ make:make cmake:cmake ninja-build:ninja pkg-config:pkg-config python3:python3 sqlite3:sqlite3
  libsimdjson-dev:=simdjson libxxhash-dev:=libxxhash libsqlite3-dev:=sqlite3 librdkafka-dev:=rdkafka
  libpq-dev:=libpq libmariadb-dev:=libmariadb"
test="clang-14:clang++-14 clang-format-14:clang-format-14 libclang-rt-14-dev:- patch:patch"

case "${1:-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
*)
  echo "usage: tools/install.sh build|test" >&2
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
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then sudo="sudo "; fi
refuse() {
  echo "weir: missing packages:$missing" >&2
  echo "weir: $1; install them with: ${sudo}apt-get update && ${sudo}apt-get install -y$missing" >&2
  exit 2
}
command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"
if [ -n "$sudo" ]; then
  command -v sudo >/dev/null 2>&1 || refuse "this needs root, and there is no sudo"
  # Nobody may be there to type a password.
  sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; } || refuse "sudo gives no rights here"
fi

apt() {
  ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1
}
echo "weir: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt update || true # One source of several may be away; whether that matters shows next.
# shellcheck disable=SC2086 # words on purpose
apt install -y --no-install-recommends $missing || { tail -n 20 "$log" >&2 && refuse "the installation failed"; }
for item in $wanted; do
  there "${item%%:*}" "${item#*:}" || refuse "${item%%:*} was installed, but is not found"
done
