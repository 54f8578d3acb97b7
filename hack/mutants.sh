#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does the simulation notice bugs? Each patch of Tests/Mutants is a small one; all are built into one simulate, behind a
# switch, and switched on one at a time. `make mutants` is this. hack/mutants.py says what a patch looks like.
#   hack/mutants.sh            builds, runs and prints the table; leaves summary.md in $REPRISE_RUN/mutants
#   hack/mutants.sh check      every patch applies, and all together do; nothing is built
#   hack/mutants.sh refresh    writes the patches anew, after the sources have changed
#   SEEDS=1200                 schedules for each mutant, at most
#   JOBS=2                     mutants at the same time
#   ONLY=3,17                  only these; the bar is held all the same
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export PYTHONDONTWRITEBYTECODE=1
case ${1:-run} in
  run) ;;
  check | refresh) exec python3 "$HACK_DIR/mutants.py" "$1" ;;
  *) fail "unknown: $1" "known: check, refresh; nothing builds and runs" ;;
esac

# Outside of the checkout: it is another tree than the one that is worked on.
BASE=$REPRISE_CACHE/mutants
TREE=$BASE/tree
BUILD=$BASE/build
RESULTS=$REPRISE_RUN/mutants
mkdir -p "$BASE" "$RESULTS" "$LOG_DIR"
exec 9>"$BASE/lock"
flock -n 9 || fail "another run of this is under way" "it holds $BASE/lock"

step "mutants: the sources with all patches in them"
python3 "$HACK_DIR/mutants.py" tree "$TREE"
step "mutants: building simulate (minutes)"
swift build --package-path "$TREE" --scratch-path "$BUILD" "${SIMULATE_FLAGS[@]}" \
  >"$LOG_DIR/build-mutants.log" 2>&1 || {
  grep -E 'error:' "$LOG_DIR/build-mutants.log" | sort -u | head -n 20 >&2 || true
  fail "simulate does not build with the mutants in it" "all of it: $LOG_DIR/build-mutants.log"
}
PROGRAM=$(swift build --package-path "$TREE" --scratch-path "$BUILD" -c release --show-bin-path)/simulate
step "mutants: running"
python3 "$HACK_DIR/mutants-run.py" "$PROGRAM" --seeds "${SEEDS:-1200}" --jobs "${JOBS:-2}" --only "${ONLY:-}" \
  --results "$RESULTS"
