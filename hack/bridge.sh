#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bridge.sh up | down | name | address | subnet
# The network of one environment's pods: a bridge with a /24 of its own. The host has the .1, which is where the pods
# reach services of the host, and through which the host reaches the pods. Nothing is routed beyond the machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

FILE=$REPRISE_RUN/bridge # holds the number N: bridge repriseN, subnet 10.244.N.0/24
PREFIX=${REPRISE_SUBNET_PREFIX:-10.244}

number() {
  [ -s "$FILE" ] || fail "this environment has no bridge" "hack/bridge.sh up makes one"
  cat "$FILE"
}

pick_number() {
  local candidate try
  lock_claims
  for try in {1..250}; do
    candidate=$((RANDOM % 250 + 1))
    if [ -e "/sys/class/net/reprise$candidate" ]; then continue; fi
    if ip -4 route show table all | grep -qE "(^| )${PREFIX//./\\.}\.$candidate\."; then continue; fi
    if claim bridge "$candidate" "$FILE"; then
      printf '%s' "$candidate" >"$FILE"
      unlock_claims
      return 0
    fi
  done
  fail "no free subnet in $PREFIX.0.0/16 after $try tries" "REPRISE_SUBNET_PREFIX takes another one, as in 10.99"
}

up() {
  local name
  need_root "a bridge for the pods' network"
  need_command ip
  [ -s "$FILE" ] || pick_number
  name=reprise$(number)
  if [ ! -e "/sys/class/net/$name" ]; then
    # an address of its own: otherwise it changes with each pod, and the pods' ARP caches go stale
    ip link add "$name" address "$(printf '0a:58:0a:f4:%02x:01' "$(number)")" type bridge
    ip addr add "$PREFIX.$(number).1/24" dev "$name"
    ip link set "$name" up
  fi
  step "bridge $name with $PREFIX.$(number).1"
}

down() {
  local name try
  [ -s "$FILE" ] || return 0
  name=reprise$(number)
  for try in {1..50}; do # the kernel takes dead pods' interfaces away a moment later
    [ -n "$(ls -A "/sys/class/net/$name/brif" 2>/dev/null)" ] || break
    sleep 0.1
  done
  if [ -e "/sys/class/net/$name" ]; then ip link delete "$name"; fi
  rm -f "$FILE"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  name) printf 'reprise%s\n' "$(number)" ;;
  address) printf '%s.%s.1\n' "$PREFIX" "$(number)" ;;
  subnet) printf '%s.%s.0/24\n' "$PREFIX" "$(number)" ;;
  *) fail "usage: bridge.sh up | down | name | address | subnet" ;;
esac
