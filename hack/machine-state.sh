#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints what a test environment could change about the machine, in a form that can be compared:
#   hack/machine-state.sh >before; ...; hack/machine-state.sh | diff before -
# Values that change by themselves (counters, random numbers) are left out.
set -uo pipefail
export LC_ALL=C

section() { printf '\n## %s\n' "$1"; }
maybe() { if command -v "$1" >/dev/null; then "$@" 2>/dev/null || printf '(%s: not possible here)\n' "$1"; fi; }

section "kernel settings"
(cd /proc/sys && find . -type f -readable \
  ! -path './kernel/random/*' ! -path './fs/dentry-state' ! -path './fs/file-nr' ! -path './fs/inode-*' \
  ! -path './kernel/ns_last_pid' ! -path './kernel/pty/nr' ! -path '*/nf_conntrack_count' ! -path './fs/quota/*' \
  ! -path './fs/aio-nr' ! -path '*/stable_secret' ! -path './kernel/perf_event_max_sample_rate' \
  ! -path './kernel/sched_domain/*' ! -path './fs/mqueue/*' ! -path './vm/stat_refresh' ! -name 'netdev_rss_key' \
  ! -path './debug/*' -exec grep -H '' {} + 2>/dev/null | sort)
section "firewall"
maybe iptables-save | sed -e '/^#/d' -e 's/\[[0-9]*:[0-9]*\]//'
maybe ip6tables-save | sed -e '/^#/d' -e 's/\[[0-9]*:[0-9]*\]//'
maybe nft list ruleset
section "mounts"
cat /proc/mounts
section "network"
maybe ip -o link | sed 's/^[0-9]*: //' | sort
maybe ip -o address | sed -e 's/^[0-9]*: //' -e 's/_lft [0-9a-z]*//g' | sort
maybe ip route show table all | grep -v '^ff00::\|^multicast' | sort
maybe ip netns list
section "cgroups"
find /sys/fs/cgroup -maxdepth 2 -type d 2>/dev/null | sort
section "modules"
cut -d' ' -f1 /proc/modules 2>/dev/null | sort
section "fixed places"
for path in /tmp/hostpath_pv /run/containerd /run/netns /run/flannel /var/lib/kubelet /var/lib/cni /var/lib/containerd \
  /var/lib/etcd /var/log/pods /var/log/containers /etc/cni/net.d /etc/kubernetes /opt/containerd /opt/cni; do
  [ -e "$path" ] && find "$path" -maxdepth 2 -printf '%p\n' 2>/dev/null | sort
done
section "containers and clusters"
for folder in /proc/[0-9]*; do
  exe=$(readlink "$folder/exe" 2>/dev/null) || continue
  case ${exe##*/} in
    containerd* | kubelet | kube-* | etcd | runc | pause | postgres) printf '%s\n' "$exe" ;;
  esac
done | sort | uniq -c
section "listening"
maybe ss -H -l -t -n | awk '{ print $4 }' | sort
