#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings up everything that Reprise is tested against: Kubernetes, the ledger's PostgreSQL, an S3 server and, unless
# told otherwise, a node that runs pods. On a fresh machine it first installs and builds what is missing.
#   hack/env-up.sh [--no-node]
# Another REPRISE_RUN is another environment beside this one. hack/env-down.sh ends it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

WITH_NODE=1
case ${1:-} in
  '') ;;
  --no-node) WITH_NODE=0 ;;
  *) fail "unknown option: $1" "known: --no-node" ;;
esac

# part NAME COMMAND...: in the background, its output marked with the name.
declare -A PARTS=()
part() {
  local name=$1
  shift
  "$@" > >(sed -u "s/^/$(printf '%-8s' "$name")/") 2>&1 &
  PARTS[$!]=$name
}

end_parts() {
  local pid
  for pid in "${!PARTS[@]}"; do kill "$pid" 2>/dev/null || true; done
}
# Ctrl-C does not reach what runs in the background by itself.
trap 'end_parts; fail "interrupted" "hack/env-down.sh ends what did start"' INT TERM

# The first part that fails ends the others: a node would wait two minutes for a control plane that is not coming.
wait_for_parts() {
  local pid status
  while [ ${#PARTS[@]} -gt 0 ]; do
    status=0
    wait -n -p pid "${!PARTS[@]}" || status=$?
    if [ "$status" != 0 ]; then
      end_parts
      sleep 0.2 # its last words go through sed
      fail "'${PARTS[$pid]}' did not come up" "logs: $LOG_DIR" "hack/env-down.sh ends what did start"
    fi
    unset "PARTS[$pid]"
  done
}

prepare() {
  if [ $WITH_NODE = 1 ]; then
    need_root "a node starts containers (without one: hack/env-up.sh --no-node)"
    "$HACK_DIR/setup.sh" kube test node >"$LOG_DIR/setup.log" 2>&1 || { cat "$LOG_DIR/setup.log" && exit 1; }
    "$HACK_DIR/kube-build.sh"
    if [ -x "$HACK_DIR/images.sh" ]; then "$HACK_DIR/images.sh"; else "$HACK_DIR/image-pause.sh"; fi
  else
    "$HACK_DIR/setup.sh" kube test >"$LOG_DIR/setup.log" 2>&1 || { cat "$LOG_DIR/setup.log" && exit 1; }
    "$HACK_DIR/kube-build.sh"
  fi
}

main() {
  mkdir -p "$LOG_DIR"
  say "Bringing up an environment in $REPRISE_RUN"
  prepare
  part kube "$HACK_DIR/kube-up.sh"
  part ledger "$HACK_DIR/ledger-up.sh"
  if [ $WITH_NODE = 1 ]; then
    "$HACK_DIR/bridge.sh" up >/dev/null # both of the next need it, and only one may make it
    part s3 "$HACK_DIR/s3-up.sh" bridge
    part node "$HACK_DIR/node-up.sh" --wait
  else
    part s3 "$HACK_DIR/s3-up.sh"
  fi
  wait_for_parts
  say ""
  step "everything is up"
  say "  export KUBECONFIG=$KUBECONFIG_FILE"
  say "  ledger: $REPRISE_RUN/ledger.conninfo    S3: $(cat "$REPRISE_RUN/s3/endpoint"), credentials in $REPRISE_RUN/s3"
}
main
