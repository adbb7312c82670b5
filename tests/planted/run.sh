#!/usr/bin/env bash
# tests/planted/run.sh: plants one bug after the other and sees the simulator find it.
#
#   tests/planted/run.sh [--seeds N] [--sample N] [NAME...]
#
# Each *.patch here is one plausible mistake; its first lines say which rule it breaks. The tree is copied once into a
# folder of its own, built there, and then for each patch: applied, built again (only what it touches), run over fresh
# seeds until the first violation, taken back. A bug that N seeds (16,000 unless said) do not find, a patch that does not
# apply and one that does not build have failed; so has everything if the copy without a bug fails.
# With --sample, N bugs are drawn anew at each run. WEIR_TEST_SEED=... repeats the choice and the seeds.
# The last line is "N passed, N failed", and the exit code says the same.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
here=tests/planted
seeds=16000
sample=0
names=()
while [ $# -gt 0 ]; do
  case $1 in
  --seeds) seeds=$2 && shift 2 ;;
  --sample) sample=$2 && shift 2 ;;
  -*) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2 && exit 2 ;;
  *) names+=("$1") && shift ;;
  esac
done
seed=${WEIR_TEST_SEED:-$(date +%s%6N)}
echo "WEIR_TEST_SEED=$seed"
jobs=$(nproc)
processes=$((jobs < 2 ? 2 : jobs < 8 ? jobs : 8)) # never 1: a bug may crash a process

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

build() {
  cmake --build "$work/out" --target sim -j "$jobs" >"$work/build.log" 2>&1
}

# Prints what the simulator said first. 1: it found nothing; 2: it did not come to its end, which is no finding.
simulate() { # FIRST_SEED SEEDS
  timeout --kill-after=5 240 "$work/out/sim" --seed "$1" --seeds "$2" --processes "$processes" --stop-at-first \
    >"$work/sim.out" 2>"$work/sim.err"
  local code=$?
  if [ $code = 0 ]; then return 1; fi
  if [ $code -ge 124 ]; then return 2; fi
  local begun said
  begun=$(sed -n 's/^\([0-9]*\) seeds were begun$/\1/p' "$work/sim.out")
  said=$(grep -av -e '^  ' -e ' blocks of memory' "$work/sim.err" | head -n 1 | sed 's/^seed [0-9]*: //; s/^weir: [^ ]*src/src/')
  echo "found after ${begun:-?} seeds by: ${said:0:150}"
}

prepare() {
  mkdir "$work/tree" || return 1
  cp -a CMakeLists.txt include src sim tests "$work/tree" || return 1
  # Little optimizing: most builds are of one file, and most runs are over after a few seeds.
  cmake -G Ninja -S "$work/tree" -B "$work/out" -DCMAKE_BUILD_TYPE=Planted -DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O1 \
    >"$work/build.log" 2>&1 && build
}

plant() { # PATCH FIRST_SEED
  local name result
  name=$(basename "$1" .patch)
  if ! patch --silent --dry-run --batch --forward -p1 -d "$work/tree" <"$1" >"$work/patch.log" 2>&1; then
    result="THE PATCH DOES NOT APPLY: $(tail -n 1 "$work/patch.log")"
    failed=$((failed + 1))
    echo "$name $result"
    return
  fi
  patch --silent --batch --no-backup-if-mismatch -p1 -d "$work/tree" <"$1" >/dev/null
  if ! build; then
    result="DOES NOT BUILD: $(grep -am 1 'error:' "$work/build.log")"
    failed=$((failed + 1))
  elif result=$(simulate "$2" "$seeds"); then
    passed=$((passed + 1))
  else
    result="NOT FOUND in $seeds seeds from $2 on"
    failed=$((failed + 1))
  fi
  echo "$name $result"
  patch --silent --batch --no-backup-if-mismatch --reverse -p1 -d "$work/tree" <"$1" >/dev/null
}

if ! prepare; then
  tail -n 30 "$work/build.log"
  echo "0 passed, 1 failed"
  exit 1
fi
if simulate "$seed" 300 || [ $? = 2 ]; then
  echo "without any bug planted the simulator objects already, or does not end: no finding would count"
  echo "0 passed, 1 failed"
  exit 1
fi
if [ ${#names[@]} -gt 0 ]; then patches=("${names[@]/%/.patch}") && patches=("${patches[@]/#/$here/}")
else patches=("$here"/*.patch); fi
if [ "$sample" -gt 0 ] && [ "$sample" -lt ${#patches[@]} ]; then
  mapfile -t patches < <(printf '%s\n' "${patches[@]}" |
    shuf -n "$sample" --random-source=<(yes "$seed") | sort)
  echo "a sample of $sample of the planted bugs"
fi
for patch in "${patches[@]}"; do
  seed=$((seed + 1000000))
  plant "$patch" "$seed"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
