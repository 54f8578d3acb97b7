#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stops the ledger's PostgreSQL and deletes its data. With --keep data and port stay for the next ledger-up.sh; with
# --crash it is killed, as by a power cut of the process, and data and port stay too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

signal=INT keep=0 # SIGINT: do not wait for clients
case ${1:-} in
  '') ;;
  --keep) keep=1 ;;
  --crash) keep=1 signal=KILL ;;
  *) fail "unknown option: $1" "known: --keep, --crash" ;;
esac
end_group ledger "" "$signal" 20
if [ $keep = 0 ]; then
  rm -rf "$REPRISE_RUN"/{ledger,ledger.conninfo,ledger.password}
  free_ports ledger
fi
step "ledger is down"
