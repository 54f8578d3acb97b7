#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All tests, on a machine on which nothing is prepared but Swift: set-up, checks and unit tests, integration tests on a
# real API server, the model of it beside one, and, as root, end-to-end tests on a real node. Stops at the first tier
# that fails.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SUMMARY=()
tier() { # NAME COMMAND...
  local name=$1 began=$SECONDS
  shift
  printf '\n%8s  ======== %s\n\n' "$(elapsed)" "$name"
  "$@" || {
    say ""
    if [ ${#SUMMARY[@]} -gt 0 ]; then printf '  %s\n' "${SUMMARY[@]}"; fi
    printf '  %-12s FAILED after %s s\n' "$name" $((SECONDS - began))
    exit 1
  }
  SUMMARY+=("$(printf '%-12s passed in %s s' "$name" $((SECONDS - began)))")
}

tier set-up "$HACK_DIR/setup.sh"
tier check "$HACK_DIR/check.sh"
tier integration "$HACK_DIR/test-integration.sh"
tier conformance "$HACK_DIR/test-conformance.sh"
if [ "$(id -u)" = 0 ]; then
  tier end-to-end "$HACK_DIR/test-e2e.sh"
else
  SUMMARY+=("end-to-end   left out: a node needs root")
fi
say ""
printf '  %s\n' "${SUMMARY[@]}"
step "make test: everything passed"
