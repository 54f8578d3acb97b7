#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler on free loopback ports, with their state in
# $REPRISE_RUN, and writes $REPRISE_RUN/kubeconfig. What already runs is left alone, so that a test can end one
# component (kube-down.sh --only kube-apiserver) and have it back.
#   WITH_SCHEDULER=0        no scheduler
#   WITH_CONTROLLERS=0      no controller-manager: what is in the API stays as it was written
#   APISERVER_EXTRA='...'   more flags for the API server, for instance --watch-cache=false
#   KCM_EXTRA='...'         more flags for the controller-manager
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HACK_DIR/pki.sh"

BIN=$(kube_bin)
ETCD_DIR=$REPRISE_RUN/etcd

start_etcd() {
  local etcd=$BIN/etcd client peer
  [ -x "$etcd" ] || etcd=$(command -v etcd) || fail "etcd is missing" "hack/setup.sh kube installs it"
  pick_port etcd
  pick_port etcd-peer
  client=http://127.0.0.1:$(port etcd) peer=http://127.0.0.1:$(port etcd-peer)
  mkdir -p "$ETCD_DIR"
  chmod 700 "$ETCD_DIR"
  # --unsafe-no-fsync: --help hides it, it halves the start, and nobody needs this data after a power cut
  spawn kube etcd "$etcd" "$etcd" --name reprise --data-dir "$ETCD_DIR" --unsafe-no-fsync \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "reprise=$peer" \
    --logger zap --log-level warn --quota-backend-bytes 2147483648
}

start_apiserver() {
  # APISERVER_EXTRA comes last: a later flag wins
  # shellcheck disable=SC2086 # several flags in one variable
  spawn kube kube-apiserver "$BIN/kube-apiserver" "$BIN/kube-apiserver" \
    --etcd-servers="http://127.0.0.1:$(port etcd)" \
    --bind-address=127.0.0.1 --secure-port="$(port kube-apiserver)" --advertise-address=127.0.0.1 \
    --endpoint-reconciler-type=none --service-cluster-ip-range=10.96.0.0/16 \
    --tls-cert-file="$PKI_DIR/apiserver.crt" --tls-private-key-file="$PKI_DIR/apiserver.key" \
    --client-ca-file="$PKI_DIR/ca.crt" --token-auth-file="$PKI_DIR/tokens.csv" --anonymous-auth=false \
    --requestheader-client-ca-file="$PKI_DIR/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --kubelet-client-certificate="$PKI_DIR/apiserver-kubelet.crt" \
    --kubelet-client-key="$PKI_DIR/apiserver-kubelet.key" --kubelet-certificate-authority="$PKI_DIR/ca.crt" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$PKI_DIR/service-account.key" \
    --service-account-signing-key-file="$PKI_DIR/service-account.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --max-requests-inflight=1000 --max-mutating-requests-inflight=500 --profiling=false ${APISERVER_EXTRA:-}
}

# The insecure ports went away in 1.24, and with them the flag that closes them.
close_insecure_port() { if [ "$(kube_minor)" -lt 24 ]; then printf '%s' --port=0; fi; }

start_controller_manager() {
  local config=$PKI_DIR/controller-manager.kubeconfig program=$BIN/kube-controller-manager
  pick_port controller-manager
  write_kubeconfig "$config" controller-manager
  # shellcheck disable=SC2046,SC2086
  spawn kube kube-controller-manager "$program" bash "$HACK_DIR/private-ns.sh" plain \
    "$program" $(close_insecure_port) \
    --kubeconfig="$config" --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
    --bind-address=127.0.0.1 --secure-port="$(port controller-manager)" --leader-elect=false \
    --tls-cert-file="$PKI_DIR/apiserver.crt" --tls-private-key-file="$PKI_DIR/apiserver.key" \
    --root-ca-file="$PKI_DIR/ca.crt" --service-account-private-key-file="$PKI_DIR/service-account.key" \
    --cluster-signing-cert-file="$PKI_DIR/ca.crt" --cluster-signing-key-file="$PKI_DIR/ca.key" \
    --use-service-account-credentials=true --controllers='*,-nodeipam,-route,-service,-cloud-node-lifecycle' \
    --enable-hostpath-provisioner=true --pvclaimbinder-sync-period=2s \
    --kube-api-qps=200 --kube-api-burst=400 ${KCM_EXTRA:-}
}

start_scheduler() {
  local config=$PKI_DIR/scheduler.kubeconfig program=$BIN/kube-scheduler
  pick_port scheduler
  write_kubeconfig "$config" scheduler
  # shellcheck disable=SC2046
  spawn kube kube-scheduler "$program" "$program" $(close_insecure_port) \
    --kubeconfig="$config" --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
    --bind-address=127.0.0.1 --secure-port="$(port scheduler)" --leader-elect=false \
    --tls-cert-file="$PKI_DIR/apiserver.crt" --tls-private-key-file="$PKI_DIR/apiserver.key"
}

# /readyz says nothing about writes: a wrongly built API server answers it and panics on the first JSON body.
write_works() {
  local path=/api/v1/namespaces/default/configmaps name=reprise-write-check
  api "$path" -H 'Content-Type: application/json' \
    -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"'$name'"},"data":{"a":"b"}}' &&
    api "$path/$name" -X DELETE
}
controllers_work() { api /api/v1/namespaces/default/serviceaccounts/default; }

# Volumes without a storage driver: the controller-manager itself makes a folder per volume.
make_storage_class() {
  if api /apis/storage.k8s.io/v1/storageclasses/hostpath >/dev/null 2>&1; then return 0; fi
  api /apis/storage.k8s.io/v1/storageclasses -o /dev/null -H 'Content-Type: application/json' -d '{
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/host-path",
    "metadata": {"name": "hostpath", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}'
}

main() {
  local began=$SECONDS has_controllers=${WITH_CONTROLLERS:-1}
  need_command openssl
  need_command curl
  [ -x "$BIN/kube-apiserver" ] || fail "no kube-apiserver in $BIN" "hack/kube-build.sh makes one, once"
  if [ "$has_controllers" = 1 ] && [ ! -x "$BIN/kube-controller-manager" ]; then
    warn "no kube-controller-manager in $BIN: without it there is no garbage collection, no Jobs, no volumes"
    has_controllers=0
  fi
  running kube etcd || start_etcd
  running kube kube-apiserver || pick_port kube-apiserver
  make_cluster_pki
  if ! running kube kube-apiserver; then
    start_apiserver
    write_kubeconfig "$REPRISE_RUN/kubeconfig.unready" admin
  fi
  wait_for 120 "the API server to be ready" kube/kube-apiserver api /readyz
  step "API server ready on port $(port kube-apiserver)"
  if [ "$has_controllers" = 1 ]; then running kube kube-controller-manager || start_controller_manager; fi
  if [ "${WITH_SCHEDULER:-1}" = 1 ] && [ -x "$BIN/kube-scheduler" ]; then
    running kube kube-scheduler || start_scheduler
  fi
  wait_for 30 "a write to succeed" kube/kube-apiserver write_works
  make_storage_class
  if [ "$has_controllers" = 1 ]; then
    wait_for 60 "the controllers to make the default ServiceAccount" kube/kube-controller-manager controllers_work
  fi
  # only now: whoever waits for this file finds a cluster that works
  [ ! -e "$REPRISE_RUN/kubeconfig.unready" ] || mv "$REPRISE_RUN/kubeconfig.unready" "$KUBECONFIG_FILE"
  step "control plane up after $((SECONDS - began)) s: export KUBECONFIG=$KUBECONFIG_FILE"
}
main
