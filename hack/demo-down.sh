#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends what demo.sh started, and nothing else, and says whether anything about the machine is different from before.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/demo/lib.sh"

end_group controller
free_ports controller
"$HACK_DIR/env-down.sh"
if [ -e "$STATE_BEFORE" ]; then
  if "$HACK_DIR/machine-state.sh" | diff "$STATE_BEFORE" - >"$REPRISE_RUN/machine-changes"; then
    step "kernel settings, firewall, mounts, interfaces, processes and ports are as they were before the demo"
  else
    warn "this is different from before the demo; not all of it need be the demo's doing:"
    cat "$REPRISE_RUN/machine-changes" >&2
  fi
fi
rm -f "$STATE_BEFORE" "$REPRISE_RUN"/{source-before,source-after,repository.yaml,knocks,knocks.stop}
