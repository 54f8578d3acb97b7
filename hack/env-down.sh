#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends what env-up.sh started in $REPRISE_RUN, and nothing else. May be called at any time, also twice, also after a
# start that failed half-way. Logs and imported images stay; with --purge the whole folder goes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --purge) ;;
  *) fail "unknown option: $1" "known: --purge" ;;
esac
"$HACK_DIR/s3-down.sh"
"$HACK_DIR/ledger-down.sh"
"$HACK_DIR/node-down.sh"
"$HACK_DIR/kube-down.sh"
if [ -e "$REPRISE_RUN/bridge" ]; then "$HACK_DIR/bridge.sh" down; fi
if [ "${1:-}" = --purge ]; then rm -rf "$REPRISE_RUN"; fi
step "everything is down"
