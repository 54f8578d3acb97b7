#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The end-to-end tests: real pods on a real node, real S3 over HTTP, the built controller. Brings up an environment of its
# own and ends it again. Needs root.
#   hack/test-e2e.sh [TEST...]      as for python -m unittest, from Tests/EndToEnd; all by default
#   KEEP=1                          leaves the environment up afterwards
set -euo pipefail
export REPRISE_RUN=${REPRISE_E2E_RUN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.run/e2e}
mkdir -p "$REPRISE_RUN"
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

down() {
  local status=$?
  if [ "${KEEP:-0}" = 1 ]; then
    say "the environment stays up: export KUBECONFIG=$KUBECONFIG_FILE REPRISE_RUN=$REPRISE_RUN"
  else
    "$HACK_DIR/env-down.sh" >/dev/null || warn "hack/env-down.sh did not end everything in $REPRISE_RUN"
  fi
  exit $status
}

need_root "a node starts containers"
programs=$("$HACK_DIR/build.sh" | tail -n 1)
trap down EXIT
"$HACK_DIR/env-down.sh" >/dev/null # what an interrupted run has left
"$HACK_DIR/env-up.sh"
rm -f "$LOG_DIR/controller.log"
export REPRISE_CONTROLLER=$programs/controller PYTHONDONTWRITEBYTECODE=1
cd "$REPO_DIR/Tests/EndToEnd"
if [ $# -eq 0 ]; then set -- discover -p 'test_*.py'; fi
"$VENV_DIR/bin/python" -m unittest "$@" -v
