#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Feeds hostile bytes to every decoder of the project, optimised: first what was found before, then inputs that get
# longer, then mutations. What breaks one is made small and kept in Tests/Fuzz/Found; docs/fuzzing.md says more.
#   hack/fuzz.sh [DECODER]
#   SECONDS=60            how long the mutations go on
#   SEED=...              which mutations (default: another one every day)
#   SANITIZE=address      with the address sanitizer, which also sees reads behind an end; memory is not measured then
#   REPRISE_BUILD=FOLDER  where the compiler keeps its work (default: .build/fuzz in the checkout)
set -euo pipefail
# Bash counts on from what the environment says: read before it does.
LIMIT=$SECONDS
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if [ "$LIMIT" -lt 1 ]; then LIMIT=60; fi
SEED=${SEED:-$(($(date +%s) / 86400))}

FLAGS=(-c release --scratch-path "${REPRISE_BUILD:-$REPO_DIR/.build/fuzz${SANITIZE:+-$SANITIZE}}")
if [ -n "${SANITIZE:-}" ]; then
  FLAGS+=("--sanitize=$SANITIZE")
  # What Foundation leaks in the parent is no finding.
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=1}
fi

cd "$REPO_DIR"
step "building the fuzzing program (minutes the first time)"
swift build "${FLAGS[@]}" --product fuzz || fail "the fuzzing program does not compile"
FUZZ=$(swift build "${FLAGS[@]}" --show-bin-path)/fuzz
ONLY=()
if [ $# -gt 0 ]; then ONLY=(--only "$1"); fi

status=0
step "fuzz: what was found before"
"$FUZZ" --replay "${ONLY[@]}" || status=1
if [ -z "${SANITIZE:-}" ]; then
  step "fuzz: time and memory against the length of the input"
  "$FUZZ" --growth "${ONLY[@]}" || status=1
fi
step "fuzz: mutations for $LIMIT s, seed $SEED"
"$FUZZ" --seconds "$LIMIT" --seed "$SEED" "${ONLY[@]}" || status=1
exit $status
