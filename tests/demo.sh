#!/usr/bin/env bash
# tests/demo.sh: runs `weir demo` of build/release, the part with kills over a short log; its last line is
# "N passed, N failed". The demonstration checks its own numbers; this checks that it does, and what it leaves behind.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
weir=build/release/weir
passed=0 failed=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export TMPDIR=$folder

check() { # WHAT CONDITION...
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $what"
    sed 's/^/    /' "$folder/out"
  fi
}

says() { # TIMES TEXT
  [ "$(grep -c -- "$2" "$folder/out")" = "$1" ]
}

exits() { # CODE ARGUMENT...
  local code=$1
  shift
  timeout --kill-after=10 120 "$weir" "$@" >"$folder/out" 2>&1 </dev/null
  [ $? = "$code" ]
}

empty() {
  rm -f "$folder/out"
  [ -z "$(ls -A "$folder")" ]
}

check "demo article" exits 0 demo article
check "45 too high once" says 1 "app1: 45 too high *13095$"
check "exact everywhere else" says 5 ": exact  *[0-9]*$"
check "demo kills" exits 0 demo kills --records 300000 --kills 2
check "both tables and the clean run" says 3 "rows lost 0, rows doubled 0$"
check "the folder is removed" empty
check "an unknown word" exits 2 demo nothing

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
