#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is the model API server of the simulation true? Sends generated sequences of requests to it and to a real
# kube-apiserver with its etcd, compares what both answer, and plants faults in the model to prove that the comparison
# notices. docs/model.md says what is compared. Needs no root once hack/setup.sh has run.
#   hack/test-conformance.sh [OPTION...]     options go to the program: --sequences N, --seed N, --only N
#   KEEP=1                  leaves the API server up; hack/kube-down.sh with the REPRISE_RUN that is printed ends it
#   REPRISE_CONFORMANCE     the program's binary (built unless given)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export REPRISE_RUN=$REPRISE_RUN/conformance
SET_UP_LOG=$REPRISE_RUN/log/setup.log

build() {
  if [ -n "${REPRISE_CONFORMANCE:-}" ]; then return 0; fi
  step "building the comparison"
  swift build --package-path "$REPO_DIR" --product conformance >"$REPRISE_RUN/log/build.log" 2>&1 || {
    tail -n 30 "$REPRISE_RUN/log/build.log" >&2
    fail "the comparison does not build"
  }
  REPRISE_CONFORMANCE=$(swift build --package-path "$REPO_DIR" --show-bin-path)/conformance
}

# No controller-manager: what an object becomes is then the API server's own doing. Without one no namespace gets its
# default ServiceAccount, which admission would miss on every pod.
up() {
  WITH_SCHEDULER=0 WITH_CONTROLLERS=0 APISERVER_EXTRA=--disable-admission-plugins=ServiceAccount \
    "$HACK_DIR/kube-up.sh"
}

bring_up() {
  up
  local file=$REPRISE_RUN/kubeconfig
  kubectl --kubeconfig "$file" apply --validate=false -f "$REPO_DIR/crds" >"$REPRISE_RUN/log/crds.log"
  kubectl --kubeconfig "$file" wait --for=condition=Established --timeout=30s -f "$REPO_DIR/crds" \
    >>"$REPRISE_RUN/log/crds.log"
  # A page can be too old when etcd has forgotten, and a watch when the API server has not seen what was before.
  "$HACK_DIR/etcd-compact.sh"
  "$HACK_DIR/kube-down.sh" --only kube-apiserver
  up
}

bring_down() {
  if [ "${KEEP:-0}" = 1 ]; then
    say "left up: REPRISE_RUN=$REPRISE_RUN"
  else
    "$HACK_DIR/kube-down.sh"
  fi
}

mkdir -p "$REPRISE_RUN/log"
"$HACK_DIR/setup.sh" kube test >"$SET_UP_LOG" 2>&1 || { cat "$SET_UP_LOG" && exit 1; }
"$HACK_DIR/kube-build.sh"
build
trap bring_down EXIT
bring_up
"$REPRISE_CONFORMANCE" --kubeconfig "$REPRISE_RUN/kubeconfig" --planted "$@"
step "conformance: the model answers as the real server does"
