# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source this
# SPDX-License-Identifier: Apache-2.0
# Sourced by node-up.sh and node-down.sh: what both must agree on.

NODE_DIR=$REPRISE_RUN/node
NODE_NAME=reprise

cgroup_name() { "$HACK_DIR/bridge.sh" name; } # as unique on this machine as the bridge

# Where the node's cgroups are: a folder in each hierarchy. Hybrid machines have v2 beside v1, and runc uses both.
cgroup_roots() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

# ctr inside the node's namespace, where our containerd sits at the usual place. Never the machine's own containerd:
# without our process there is no namespace to enter.
node_ctr() {
  local pid
  pid=$(pid_of node containerd) || return 1
  nsenter --target "$pid" --mount --wd=/ ctr --namespace k8s.io "$@"
}
