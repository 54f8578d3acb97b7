#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures Reprise on this machine; docs/benchmarks.md says what and how. Prints tables, and leaves them as JSON and
# Markdown in $REPRISE_RUN/bench/results.
#   hack/bench.sh [clones] [scan]     (default: both)
#   CLONES=1000                       how many; the other settings are at the head of Benchmarks/clones/run.py
#   REPRISE_CONTROLLER, REPRISE_AGENT the programs (built, optimised, unless given)
# clones: a control plane and a ledger of its own, and no node: a stand-in plays the pods. Needs no root once
# hack/setup.sh has run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

WANTED=("$@")
if [ $# -eq 0 ]; then WANTED=(clones scan); fi
BASE=$REPRISE_RUN/bench
export BENCH_RESULTS=$BASE/results PYTHONDONTWRITEBYTECODE=1
SCAN=$REPO_DIR/Benchmarks/scan/run.py

wants() { [[ " ${WANTED[*]} " == *" $1 "* ]]; }

# The same folder and flags as hack/build.sh, so that what either has built is not built again.
build() { # PRODUCT
  local flags=(-c release --static-swift-stdlib --scratch-path "${REPRISE_BUILD:-$REPO_DIR/.build/release-static}")
  step "building the $1 (minutes the first time)" >&2
  swift build --package-path "$REPO_DIR" "${flags[@]}" --product "$1" >"$LOG_DIR/build-$1.log" 2>&1 || {
    tail -n 30 "$LOG_DIR/build-$1.log" >&2
    fail "the $1 does not build"
  }
  printf '%s/%s' "$(swift build --package-path "$REPO_DIR" "${flags[@]}" --show-bin-path)" "$1"
}

revision() {
  git -C "$REPO_DIR" describe --always --dirty --abbrev=12 2>/dev/null || echo "no known revision" # a source archive
}

# Every request of the controller, and nobody else's, when it has been answered.
write_audit_policy() {
  cat >"$REPRISE_RUN/audit-policy.yaml" <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    users: ["system:serviceaccount:reprise-system:reprise-controller"]
  - level: None
POLICY
}

bring_down() { # also of a run that was killed
  "$HACK_DIR/ledger-down.sh" >/dev/null || warn "the ledger in $REPRISE_RUN did not end"
  "$HACK_DIR/kube-down.sh" >/dev/null || warn "the control plane in $REPRISE_RUN did not end"
}

clones() (
  export REPRISE_RUN=$BASE/clones WITH_SCHEDULER=0 BENCH_REVISION
  : "${BENCH_REVISION:=$(revision)}"
  mkdir -p "$REPRISE_RUN/log"
  bring_down
  rm -rf "$REPRISE_RUN"/{log,ledger,ledger.password}
  mkdir -p "$REPRISE_RUN/log"
  write_audit_policy
  trap bring_down EXIT
  # Blocking: a batch may drop records. The claim binder's period is Kubernetes' own, not the hurried one of tests.
  APISERVER_EXTRA="--audit-policy-file=$REPRISE_RUN/audit-policy.yaml --audit-log-path=$REPRISE_RUN/log/audit.log
    --audit-log-mode=blocking --audit-log-maxsize=4096" \
    KCM_EXTRA="--pvclaimbinder-sync-period=15s" "$HACK_DIR/kube-up.sh"
  "$HACK_DIR/ledger-up.sh"
  certify_node
  python3 -u "$REPO_DIR/Benchmarks/clones/run.py"
)

mkdir -p "$LOG_DIR" "$BENCH_RESULTS"
for name in "${WANTED[@]}"; do
  case $name in clones | scan) ;; *) fail "unknown benchmark: $name" "known: clones, scan" ;; esac
done
"$HACK_DIR/setup.sh" build kube test >"$LOG_DIR/setup.log" 2>&1 || { cat "$LOG_DIR/setup.log" && exit 1; }
if wants clones; then
  "$HACK_DIR/kube-build.sh"
  REPRISE_CONTROLLER=${REPRISE_CONTROLLER:-$(build controller)} # not with `:`, which would hide a failure
  export REPRISE_CONTROLLER
  clones
fi
if wants scan; then
  REPRISE_AGENT=${REPRISE_AGENT:-$(build agent)} # not with `:`, which would hide a failure
  export REPRISE_AGENT
  python3 -u "$SCAN" | tee "$BENCH_RESULTS/scan.json"
fi
step "results: $BENCH_RESULTS"
