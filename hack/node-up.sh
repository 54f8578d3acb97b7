#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Gives the control plane of kube-up.sh a real node: containerd and a kubelet in a private mount namespace, pods on a
# bridge of their own. Needs root. Images come from $REPRISE_CACHE/images/*.tar.
#   --wait            the control plane is just being started: wait for it
#   SNAPSHOTTER=...   overlayfs unless told (native where the disk is an overlay itself)
#   KUBELET_EXTRA='...'
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HACK_DIR/pki.sh"
. "$HACK_DIR/node.sh"

KUBELET=$(kube_bin)/kubelet
[ -x "$KUBELET" ] || KUBELET=$KUBE_BIN_CACHE/kubelet

check_needs() {
  local program
  need_root "a node starts containers"
  for program in containerd runc ctr ip nsenter unshare; do need_command "$program"; done
  [ -x /usr/lib/cni/bridge ] || fail "the CNI plugins are missing" "hack/setup.sh node installs them"
  [ -x "$KUBELET" ] || fail "there is no kubelet" \
    "hack/kube-build.sh makes one; with KUBEBUILDER_ASSETS set it must lie in that folder"
  compgen -G "$IMAGE_DIR/pause.tar" >/dev/null || "$HACK_DIR/image-pause.sh"
}

write_containerd_config() {
  mkdir -p "$NODE_DIR/cni"
  cat >"$NODE_DIR/containerd.toml" <<END
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.opt",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/reprise/pause:1"
  stream_server_address = "127.0.0.1"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE the sandbox's wish for a lower OOM score makes runc die without a usable message.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$NODE_DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${SNAPSHOTTER:-overlayfs}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
END
  # isGateway and ipMasq stay off: they would switch on forwarding and write firewall rules for the whole machine
  cat >"$NODE_DIR/cni/10-reprise.conflist" <<END
{"cniVersion": "0.4.0", "name": "reprise", "plugins": [
  {"type": "bridge", "bridge": "$("$HACK_DIR/bridge.sh" name)", "isGateway": false, "ipMasq": false,
   "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses",
     "ranges": [[{"subnet": "$("$HACK_DIR/bridge.sh" subnet)"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "loopback"}]}
END
}

start_containerd() {
  write_containerd_config
  spawn node containerd containerd bash "$HACK_DIR/private-ns.sh" node \
    containerd --config "$NODE_DIR/containerd.toml"
  wait_for 60 "containerd to answer" node/containerd node_ctr version
  step "containerd answers"
}

# An import costs seconds, and containerd keeps what it has: only archives that it has not seen yet.
import_images() {
  local archive seen=$NODE_DIR/imported key
  touch "$seen"
  for archive in "$IMAGE_DIR"/*.tar; do
    key=$(stat -Lc '%n %s %Y' "$archive")
    if grep -qxF "$key" "$seen"; then continue; fi
    step "importing $(basename "$archive") ($(du -Lh "$archive" | cut -f1))"
    node_ctr images import --snapshotter "${SNAPSHOTTER:-overlayfs}" - <"$archive" >>"$LOG_DIR/images.log" 2>&1 ||
      fail "could not import $archive" "$(tail -n 3 "$LOG_DIR/images.log")"
    printf '%s\n' "$key" >>"$seen"
  done
  step "images are there"
}

# The kubelet's cgroups get a root of their own: nothing of the machine's is touched, two nodes do not meet, and
# node-down.sh finds every process of a pod in it.
make_cgroups() {
  local root name folder file
  name=$(cgroup_name)
  for root in $(cgroup_roots); do
    folder=$root/$name
    mkdir -p "$folder"
    for file in cpuset.cpus cpuset.mems; do # a new v1 cpuset is empty and would refuse every process
      if [ "${root##*/}" = cpuset ] && [ -z "$(<"$folder/$file")" ]; then cat "$root/$file" >"$folder/$file"; fi
    done
  done
}

write_kubelet_config() {
  local address
  address=$("$HACK_DIR/bridge.sh" address)
  pick_port kubelet
  pick_port kubelet-health
  cat >"$NODE_DIR/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
port: $(port kubelet)
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: $(port kubelet-health)
tlsCertFile: $PKI_DIR/node.crt
tlsPrivateKeyFile: $PKI_DIR/node.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI_DIR/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$(cgroup_name)
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
failSwapOn: false
makeIPTablesUtilChains: false
protectKernelDefaults: false
resolvConf: $NODE_DIR/resolv.conf
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
syncFrequency: 5s
nodeStatusUpdateFrequency: 1s
kubeAPIQPS: 50
kubeAPIBurst: 100
END
}

# A kubelet reports Ready at once when it learns its range of pod addresses, else only in a later round. Without a
# cloud nobody hands out such a range.
give_pod_range() {
  local subnet
  subnet=$("$HACK_DIR/bridge.sh" subnet)
  api "/api/v1/nodes/$NODE_NAME" -o /dev/null -X PATCH -H 'Content-Type: application/merge-patch+json' \
    -d '{"spec": {"podCIDR": "'"$subnet"'", "podCIDRs": ["'"$subnet"'"]}}'
}

start_kubelet() {
  local address remote=()
  address=$("$HACK_DIR/bridge.sh" address)
  make_certificate node "/O=system:nodes/CN=system:node:$NODE_NAME" "IP:$address,IP:127.0.0.1,DNS:$NODE_NAME"
  write_kubeconfig "$PKI_DIR/node.kubeconfig" node
  write_kubelet_config
  if [ "$(kube_minor)" -lt 24 ]; then remote=(--container-runtime=remote); fi
  # shellcheck disable=SC2086 # several flags in one variable
  spawn node kubelet "$KUBELET" nsenter --target "$(pid_of node containerd)" --mount --wd=/ \
    "$KUBELET" --config="$NODE_DIR/kubelet.yaml" --kubeconfig="$PKI_DIR/node.kubeconfig" "${remote[@]}" \
    --container-runtime-endpoint=unix:///run/containerd/containerd.sock --cert-dir=/var/lib/kubelet/pki \
    --hostname-override="$NODE_NAME" --node-ip="$address" ${KUBELET_EXTRA:-}
}

node_ready() { # and no taint left that would keep pods away
  api "/api/v1/nodes/$NODE_NAME" | jq -e '
    any(.status.conditions[]?; .type == "Ready" and .status == "True") and (.spec.taints // [] | length == 0)'
}

wait_for_control_plane() {
  local deadline=$((SECONDS + 120))
  until [ -s "$KUBECONFIG_FILE" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "no control plane came up in $REPRISE_RUN within 120 s"
    sleep 0.1
  done
}

main() {
  check_needs
  if [ "${1:-}" != --wait ] && [ ! -s "$KUBECONFIG_FILE" ]; then
    fail "there is no control plane in $REPRISE_RUN" "hack/kube-up.sh first"
  fi
  "$HACK_DIR/bridge.sh" up
  running node containerd || start_containerd
  import_images
  wait_for_control_plane
  make_cgroups
  running node kubelet || start_kubelet
  wait_for 60 "the kubelet to register its node" node/kubelet give_pod_range
  wait_for 90 "the node to be Ready" node/kubelet node_ready
  step "node $NODE_NAME is Ready, pods get addresses in $("$HACK_DIR/bridge.sh" subnet)"
}
main "$@"
