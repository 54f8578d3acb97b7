#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tells stories to the production loop in a simulated world, and lets things go wrong in them: `make simulate` is this.
# Deterministic: the same number of a schedule is the same schedule, in one build. What fails is made as short as it can
# be, printed as a script in words, and kept in the folder below.
#   hack/simulate.sh                  20,000 schedules (SEEDS=...), every cell of the table 20 times (PER_CELL=...)
#   hack/simulate.sh --replay FILE    plays one script; with --trace everything that happens is told
#   hack/simulate.sh OPTION...        any other options of the program: --help lists them
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO_DIR"

# In a folder of its own, since everything is built with these flags.
step "simulate: building"
swift build --scratch-path "$REPO_DIR/.build/simulate" "${SIMULATE_FLAGS[@]}"
program=$REPO_DIR/.build/simulate/release/simulate
if [ $# -gt 0 ]; then exec "$program" "$@"; fi
# And as many more as it takes to try every cell.
step "simulate: ${SEEDS:-20000} schedules"
"$program" --schedules "${SEEDS:-20000}" --processes "$(nproc)" --per-cell "${PER_CELL:-20}" \
  --keep "$REPO_DIR/.build/simulate/failed"
