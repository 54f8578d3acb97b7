#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends the node of $REPRISE_RUN: kubelet, every process in its pods, the containers, containerd, cgroups and bridge.
# Imported images stay, so that the next node-up.sh is quicker.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HACK_DIR/node.sh"

CONTAINERD_DIED=0

# Only processes in cgroups below the one this node made.
kill_pod_processes() {
  local root pid try left
  for try in {1..50}; do
    left=0
    for root in $(cgroup_roots); do
      [ -d "$root/$(cgroup_name)" ] || continue
      while read -r pid; do
        left=1
        kill -KILL "$pid" 2>/dev/null || true
      done < <(find "$root/$(cgroup_name)" -name cgroup.procs -exec cat {} + 2>/dev/null)
    done
    [ $left = 1 ] || return 0
    sleep 0.1
  done
  warn "some processes of pods are still there after $try rounds"
}

remove_containers() {
  local ids
  if ! ids=$(node_ctr tasks list --quiet 2>/dev/null); then
    # containerd is gone already, its books are not: the next one would take up containers of a cluster that is no more
    CONTAINERD_DIED=1
    return 0
  fi
  # shellcheck disable=SC2086 # a list of ids
  if [ -n "$ids" ]; then node_ctr tasks delete --force $ids >/dev/null 2>&1 || true; fi
  ids=$(node_ctr containers list --quiet 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  if [ -n "$ids" ]; then node_ctr containers delete $ids >/dev/null 2>&1 || true; fi
}

# containerd's shims outlive it. Ours carry this environment's folder in their own environment.
end_shims() {
  local exe folder try left
  for try in {1..50}; do
    left=0
    while read -r exe; do
      folder=${exe%/exe}
      grep -qzxF "REPRISE_RUN=$REPRISE_RUN" "$folder/environ" 2>/dev/null || continue
      left=1
      if [ "$try" -gt 5 ]; then kill -KILL "${folder#/proc/}" 2>/dev/null || true; fi
    done < <(find /proc/[0-9]*/exe -lname '*/containerd-shim*' 2>/dev/null)
    [ $left = 1 ] || return 0
    sleep 0.1
  done
}

remove_cgroups() {
  local root try
  for root in $(cgroup_roots); do
    for try in {1..20}; do
      [ -d "$root/$(cgroup_name)" ] || break
      find "$root/$(cgroup_name)" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
    [ ! -d "$root/$(cgroup_name)" ] || warn "$root/$(cgroup_name) could not be removed (tried $try times)"
  done
}

main() {
  [ -s "$REPRISE_RUN/bridge" ] || return 0 # there never was a node
  end_group node kubelet
  if running kube kube-apiserver; then # otherwise the next node would start out as the old one's Ready
    api "/api/v1/nodes/$NODE_NAME" -X DELETE >/dev/null 2>&1 || true
  fi
  kill_pod_processes
  remove_containers
  end_group node
  end_shims
  remove_cgroups
  rm -rf "$NODE_DIR"/{kubelet,cni} "$REPRISE_RUN"/pki/node.*
  if [ "$CONTAINERD_DIED" = 1 ]; then rm -rf "$NODE_DIR"/{containerd,imported}; fi
  free_ports kubelet kubelet-health
  if running s3; then
    step "the bridge stays: the S3 server listens on it"
  else
    "$HACK_DIR/bridge.sh" down
  fi
  step "node is down"
}
main
