#!/bin/sh
# tools/servers/with.sh SERVER COMMAND...: runs a command with a server of its own, whose folder is the command's last word.
#
# SERVER is postgres, mariadb or kafka. The folder is temporary; the server is stopped and the folder removed at the end,
# whatever the end is. The exit code is the command's.
set -eu
[ $# -ge 2 ] || {
  sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}
starter=$(dirname "$0")/$1.sh
shift
dir=$(mktemp -d)
finish() {
  "$starter" stop "$dir" || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
"$starter" start "$dir"
"$@" "$dir"
