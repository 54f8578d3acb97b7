#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# private-ns.sh plain|node COMMAND...: runs COMMAND in a mount namespace of its own, so that what Kubernetes insists
# on writing to fixed places lands in $REPRISE_RUN, and is gone with the last process in there.
#   plain   /tmp only: the controller-manager puts volumes under /tmp/hostpath_pv
#   node    also /run, /var/lib, /var/log and the kernel settings that a kubelet would change for the whole machine
set -euo pipefail
MODE=$1
if [ "$MODE" != --inside ]; then
  : "${REPRISE_RUN:?}" "${REPRISE_CACHE:?}"
  # as an ordinary user a user namespace gives the right to mount
  if [ "$(id -u)" = 0 ]; then user=(); else user=(--user --map-root-user); fi
  if [ "$MODE" = plain ] && ! unshare "${user[@]}" --mount --propagation private true 2>/dev/null; then
    echo "note: no private mount namespace is possible here, volumes land in /tmp/hostpath_pv" >&2
    shift
    exec "$@"
  fi
  exec unshare "${user[@]}" --mount --propagation private bash "$0" --inside "$@"
fi
MODE=$2
shift 2
cd /

# Our own folders may lie under a directory that is about to be covered: hold them open and mount them back.
declare -A OWN=()
hold() {
  local path fd
  for path in "$REPRISE_RUN" "$REPRISE_CACHE" "${KUBEBUILDER_ASSETS:-}"; do
    if [ -z "$path" ] || [ ! -d "$path" ]; then continue; fi
    exec {fd}<"$path"
    OWN[$path]=$fd
  done
}
uncover() { # DIR: whatever of ours was under it
  local path
  for path in "${!OWN[@]}"; do
    case $path in
      "$1"/*)
        mkdir -p "$path"
        mount --no-canonicalize --bind "/proc/self/fd/${OWN[$path]}" "$path"
        ;;
    esac
  done
}
release() {
  local path fd
  for path in "${!OWN[@]}"; do
    fd=${OWN[$path]}
    exec {fd}<&-
  done
}

cover_tmp() { # both namespaces show the same folder: a volume made by one is mounted by the other
  mkdir -p "$REPRISE_RUN/tmp"
  chmod 1777 "$REPRISE_RUN/tmp"
  mount --bind "$REPRISE_RUN/tmp" /tmp
  uncover /tmp
}

cover_node_dirs() {
  local dir keep=$REPRISE_RUN/node
  mkdir -p "$keep"/{kubelet,containerd}
  # a link into /run on many machines
  cat /etc/resolv.conf >"$keep/resolv.conf" 2>/dev/null || : >"$keep/resolv.conf"
  for dir in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 reprise "$dir"
    uncover "$dir"
  done
  mkdir -p /run/{containerd,netns,lock} /var/lib/{kubelet,containerd,cni} /var/log/{pods,containers}
  # these two may grow large: on disk, not in memory
  mount --bind "$keep/kubelet" /var/lib/kubelet
  mount --bind "$keep/containerd" /var/lib/containerd
}

# A kubelet compares these with what it wants and writes where they differ, for the whole machine. It is shown files
# that already hold the wanted values.
stand_in_sysctls() {
  local pair setting file
  mkdir -p /run/sysctl
  for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    setting=/proc/sys/${pair%%=*}
    file=/run/sysctl/$(basename "$setting")
    [ -e "$setting" ] || continue
    printf '%s\n' "${pair#*=}" >"$file"
    mount --bind "$file" "$setting"
  done
}

hold
cover_tmp
if [ "$MODE" = node ]; then
  cover_node_dirs
  stand_in_sysctls
fi
release
exec "$@"
