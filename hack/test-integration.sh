#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The integration tier: the real controller against a real API server, its real controllers and a real ledger. There is
# no node: a stand-in plays the pods. Each group has a control plane of its own, because it stops, starves or freezes
# it, and all groups run at the same time. Needs no root once hack/setup.sh has run.
#   hack/test-integration.sh [--keep] [GROUP...]      (default: all groups)
#   --keep               leave environments up for looking around; hack/env-down.sh ends them
#   REPRISE_CONTROLLER   the controller's binary (built unless given)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

declare -A GROUPS_KNOWN=(
  [story]="test_clone test_rights test_backups test_refusals test_endings"
  [kills]="test_kills"
  [faults]="test_ledger test_records test_apiserver test_quota"
  [leaders]="test_leaders"
  [inplace]="test_in_place test_in_place_faults"
)
ORDER=(leaders inplace kills faults story) # the longest first
BASE=$REPRISE_RUN/integration
KEEP=0
if [ "${1:-}" = --keep ]; then KEEP=1 && shift; fi
WANTED=("$@")
if [ $# -eq 0 ]; then WANTED=("${ORDER[@]}"); fi

build() {
  if [ -n "${REPRISE_CONTROLLER:-}" ]; then return 0; fi
  step "building the controller"
  swift build --package-path "$REPO_DIR" --product controller >"$LOG_DIR/build.log" 2>&1 || {
    tail -n 30 "$LOG_DIR/build.log" >&2
    fail "the controller does not build"
  }
  REPRISE_CONTROLLER=$(swift build --package-path "$REPO_DIR" --show-bin-path)/controller
}

group() { # NAME: in an environment of its own, from its start to its end
  local name=$1 status=0
  export REPRISE_RUN=$BASE/$name REPRISE_CONTROLLER WITH_SCHEDULER=0
  mkdir -p "$REPRISE_RUN/log"
  "$HACK_DIR/kube-up.sh" && "$HACK_DIR/ledger-up.sh" && certify_node || return 1
  # shellcheck disable=SC2086 # several modules
  (cd "$REPO_DIR/Tests/Integration" && PYTHONDONTWRITEBYTECODE=1 python3 -u -m unittest -v ${GROUPS_KNOWN[$name]}) ||
    status=1
  if [ $KEEP = 0 ]; then bring_down || status=1; fi
  return $status
}
bring_down() { "$HACK_DIR/ledger-down.sh" && "$HACK_DIR/kube-down.sh"; }

declare -A RUNNING=()
# Ctrl-C does not reach what runs in the background by itself.
interrupted() {
  local pid
  for pid in "${!RUNNING[@]}"; do pkill -TERM -P "$pid" || true; done
  for name in "${WANTED[@]}"; do REPRISE_RUN=$BASE/$name bring_down || true; done
  fail "interrupted"
}
trap interrupted INT TERM

run_groups() {
  local name pid status failed=()
  for name in "${WANTED[@]}"; do
    [ -n "${GROUPS_KNOWN[$name]:-}" ] || fail "unknown group: $name" "known are: ${ORDER[*]}"
  done
  mkdir -p "$BASE"
  for name in "${WANTED[@]}"; do
    # a process of its own: errexit must hold in there whatever this one is waiting for
    group "$name" > >(sed -u "s/^/$(printf '%-8s' "$name")/" | tee "$BASE/$name.log") 2>&1 &
    RUNNING[$!]=$name
  done
  while [ ${#RUNNING[@]} -gt 0 ]; do
    status=0
    wait -n -p pid "${!RUNNING[@]}" || status=$?
    [ "$status" = 0 ] || failed+=("${RUNNING[$pid]}")
    unset "RUNNING[$pid]"
  done
  sleep 0.2 # the last words go through sed
  say ""
  for name in "${WANTED[@]}"; do
    say "$(printf '%-8s' "$name") $(grep -hoE 'Ran [0-9]+ tests? in .*|FAILED.*|OK.*$' "$BASE/$name.log" | tail -n 2 | tr '\n' ' ')"
  done
  [ ${#failed[@]} = 0 ] || fail "failed: ${failed[*]}" "logs: $BASE"
  step "integration: all groups passed"
}

mkdir -p "$LOG_DIR"
"$HACK_DIR/setup.sh" kube test >"$LOG_DIR/setup.log" 2>&1 || { cat "$LOG_DIR/setup.log" && exit 1; }
"$HACK_DIR/kube-build.sh"
build
run_groups
