#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends the control plane that kube-up.sh started in $REPRISE_RUN, and deletes its data.
#   --keep          keep data, keys and ports: kube-up.sh brings the same cluster back
#   --only NAME     end one component (etcd, kube-apiserver, kube-controller-manager, kube-scheduler), keep the rest
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  --only)
    end_group kube "${2:?which component?}" TERM 3 # the API server would wait for its watchers
    step "$2 is down"
    exit 0
    ;;
  --keep) keep=1 ;;
  '') keep=0 ;;
  *) fail "unknown option: $1" "known: --keep, --only NAME" ;;
esac
end_group kube
if [ $keep = 0 ]; then
  free_ports etcd etcd-peer kube-apiserver controller-manager scheduler
  rm -rf "$REPRISE_RUN"/{etcd,pki,tmp,kubeconfig,kubeconfig.unready}
fi
step "control plane is down"
