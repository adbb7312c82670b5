#!/usr/bin/env bash
# tools/test.sh quick|test|deep: installs, builds and runs the tests of weir.
#
# A run is a list of parts, "name | budget in minutes | command". Each part's output goes to the terminal and to
# build/test-logs/. A part may end with a line "N passed, N failed", which is added up; one that fails without such a
# line counts as one failure. A part over its budget is named, not stopped; at three times its budget, or when the whole
# run is out of time, it is stopped and has failed. The last line is "N passed, N failed", and the exit code says the
# same. Random tests take new seeds each time and print them; WEIR_TEST_SEED=... repeats one.
#
# The other words are the commands of the parts:
#   build PRESET [TARGET...]          configures and builds
#   programs PRESET TIMES [NAME...]   runs the test programs TIMES times, two at a time where there are two cores
#   threads                           names the test programs that start threads
#   format [-i]                       checks (or mends) the layout of the code
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
self=tools/test.sh
jobs=$(nproc)
program_seconds=${WEIR_PROGRAM_SECONDS:-300} # after this a test program has failed

quick_minutes=12
quick=(
  "install          | 1 | tools/install.sh test"
  "build asan       | 3 | $self build asan"
  "tests asan       | 1 | $self programs asan 1"
  "simulator asan   | 2 | build/asan/sim --seeds 200 --processes 2"
  "tidy             | 1 | python3 tools/tidy.py"
)
test_minutes=39
test=(
  "install          | 2 | tools/install.sh test"
  "tidy             | 1 | python3 tools/tidy.py"
  "tests of tidy    | 1 | python3 tools/test_tidy.py"
  "doc examples     | 1 | python3 tools/check_examples.py"
  "format           | 1 | $self format"
  "build release    | 3 | $self build release"
  "build asan       | 3 | $self build asan"
  "build tsan       | 2 | $self build tsan \$($self threads)"
  "build clang      | 2 | $self build clang"
  "tests release    | 1 | $self programs release 1"
  "tests asan       | 2 | $self programs asan 1"
  "demo             | 1 | tests/demo.sh"
  "tests tsan       | 2 | $self programs tsan 1 \$($self threads)"
  "simulator        | 4 | build/release/sim --seeds 12000 --processes 2 --minimum-of-each-kind 50"
  "simulator asan   | 2 | build/asan/sim --seeds 300 --processes 2"
  "fault loops      | 4 | build/release/tests/test_fault_loops --share test --processes 2"
  "planted bugs     | 8 | tests/planted/run.sh"
  "kills            | 5 | python3 tests/kills.py --cycles 60"
  "sql sinks        | 4 | python3 tests/sql_sinks.py --histories 2"
  "bad input        | 2 | python3 tests/bad_input.py"
  "install kafka    | 2 | tools/install.sh kafka"
  "kafka            | 4 | python3 tests/kafka.py"
  "kafka sink       | 3 | python3 tests/kafka_sink.py"
  "points           | 2 | python3 tests/points.py"
  "demo kafka       | 2 | build/release/weir demo kafka --records 1000000 --kills 2"
)
deep_minutes=600
deep=(
  "${test[@]}"
  "tests asan x 20  | 30 | $self programs asan 20"
  "tests tsan x 20  | 30 | $self programs tsan 20 \$($self threads)"
  "simulator deep   | 60 | build/release/sim --seeds 60000 --processes 2 --minimum-of-each-kind 500"
  "fault loops asan | 60 | build/asan/tests/test_fault_loops --share test --processes 2"
  "fault loops deep | 60 | build/release/tests/test_fault_loops --share deep --processes 2"
  "kills x 30       | 30 | python3 tests/kills.py --cycles 1800"
  "points, all      | 15 | python3 tests/points.py --all"
  "newer librdkafka | 1 | tools/install.sh librdkafka"
  "kafka, newer     | 4 | WEIR_LIBRDKAFKA=\${WEIR_CACHE:-\$HOME/.cache/weir}/librdkafka-2.16.0/librdkafka.so.1 python3 tests/kafka.py"
  "soak             | 70 | python3 tests/soak.py"
)

test_sources() {
  find src sim tests -name 'test_*.c' 2>/dev/null | sort
}

build() { # PRESET [TARGET...]
  local preset=$1
  shift
  cmake --preset "$preset" >/dev/null || return 1
  # Goes on after an error: what can be built is tested all the same.
  cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"} -- --quiet -k 0
}

threads() {
  test_sources | xargs -r grep -lE 'wr_thread|wr_posix_seams|pthread_|weir/' | xargs -r -n 1 basename -s .c
}

# Runs one program; prints its verdict in one line, and what it said if it failed.
program() { # PRESET NAME LOG
  local preset=$1 name=$2 log=$3 before=$SECONDS code verdict
  local run=()
  # Thread sanitizer cannot live with every random layout of the address space.
  if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then run=(setarch -R); fi
  { timeout --kill-after=10 "$program_seconds" "${run[@]}" "build/$preset/tests/$name"; } >"$log" 2>&1 </dev/null
  code=$?
  verdict=$(tail -n 1 "$log" | grep -aE '^[0-9]+ passed, [0-9]+ failed$')
  if [ "$code" = 0 ] && [[ $verdict == *" 0 failed" ]]; then
    echo "$verdict" >"$log.verdict"
    echo "$preset $name: $verdict ($((SECONDS - before)) s) $(grep -aom1 'WEIR_TEST_SEED=[0-9]*' "$log")"
    return
  fi
  # A program that crashed, hung, reported a leak or said nothing has failed, whatever else it says.
  if [[ -z $verdict || $verdict == *" 0 failed" ]]; then verdict="0 passed, 1 failed"; fi
  echo "$verdict" >"$log.verdict"
  echo "FAILED: $preset $name: $verdict (exit code $code, $((SECONDS - before)) s)"
  tail -n 200 "$log" | sed 's/^/    /'
}

programs() { # PRESET TIMES [NAME...]
  local preset=$1 times=$2 logs names
  shift 2
  logs=build/test-logs/$preset
  rm -rf "$logs" && mkdir -p "$logs"
  if [ $# -gt 0 ]; then names=("$@"); else mapfile -t names < <(test_sources | xargs -r -n 1 basename -s .c); fi
  for ((i = 1; i <= times; i++)); do
    printf '%s\n' "${names[@]}" | sed '/^$/d' | sed "s|.*|& $logs/&.$i.log|"
  done | xargs -r -P "$jobs" -L 1 "$self" program "$preset"
  find "$logs" -name '*.verdict' -exec cat {} + |
    awk '{ passed += $1; failed += $3 } END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 }'
}

format() { # [-i]
  local files passed=0 failed=0
  mapfile -t files < <(find include src sim tests bench fuzz examples -name "*.[ch]" -o -name "*.cpp" 2>/dev/null |
    sort)
  if [ "${1:-}" = -i ]; then
    clang-format-14 -i "${files[@]}"
    return
  fi
  local bad
  bad=$(printf '%s\n' "${files[@]}" | xargs -r clang-format-14 --dry-run 2>&1 | grep -oE '^[^: ]+:[0-9]+:' | awk -F: '
    !seen[$1]++ { print $1 ":" $2 ": the layout is not that of .clang-format (make format mends it)" }')
  if [ -n "$bad" ]; then
    echo "$bad"
    failed=$(wc -l <<<"$bad")
  fi
  passed=$((${#files[@]} - failed))
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

# Runs one part and adds a row to the table: name, verdict, time, budget.
part() { # NAME BUDGET COMMAND SECONDS_LEFT
  local name=$1 budget=$2 command=$3 left=$4 log code verdict limit before=$SECONDS note=""
  log="build/test-logs/${name// /-}.log"
  limit=$((budget * 180))
  if [ "$limit" -gt "$left" ]; then limit=$left; fi
  echo "== $name"
  if [ "$limit" -le 0 ]; then
    code=124
    echo "the run has no time left for it" | tee "$log"
  else
    timeout --kill-after=20 "$limit" bash -c "$command" 2>&1 </dev/null | tee "$log"
    code=${PIPESTATUS[0]}
  fi
  verdict=$(tail -n 1 "$log" | grep -aE '^[0-9]+ passed, [0-9]+ failed$')
  if [ -z "$verdict" ]; then
    verdict="0 passed, $((code != 0)) failed"
  elif [ "$code" != 0 ] && [[ $verdict == *" 0 failed" ]]; then
    verdict="${verdict%, *}, 1 failed"
  fi
  local took=$((SECONDS - before))
  if [ "$code" = 124 ] || [ "$code" = 137 ]; then
    note="stopped: out of time"
  elif [ "$took" -gt $((budget * 60)) ]; then
    note="over its budget"
  fi
  echo "== $name: $took s"
  rows+=("$(printf '%-18s %6d s of %5d s  %-26s %s' "$name" "$took" $((budget * 60)) "$verdict" "$note")")
  passed=$((passed + ${verdict%% passed*}))
  failed=$((failed + $(sed 's/.*, \([0-9]*\) failed/\1/' <<<"$verdict")))
}

run() { # MODE
  local -n parts=$1 minutes="$1_minutes"
  local item name budget command passed=0 failed=0 rows=()
  mkdir -p build/test-logs
  for item in "${parts[@]}"; do
    IFS='|' read -r name budget command <<<"$item"
    name=$(sed 's/^ *//; s/ *$//' <<<"$name")
    part "$name" $((budget)) "$command" $((minutes * 60 - SECONDS))
  done
  echo
  printf '%s\n' "${rows[@]}"
  echo "all: $SECONDS s"
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

case "${1:-}" in
quick | test | deep) run "$1" ;;
build | programs | program | threads | format) "$@" ;;
*)
  sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
  ;;
esac
