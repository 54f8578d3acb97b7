#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian 12 machine able to build and test Reprise. Installs only what is missing; run it as often as you like.
#   hack/setup.sh [build] [kube] [node] [test]      (default: all four)
#   build   libraries that Reprise is compiled against
#   kube    what Kubernetes is built from and runs with
#   node    a container runtime, for the end-to-end tests
#   test    PostgreSQL, an S3 server, small tools
set -euo pipefail
. "$(dirname "$0")/lib.sh"

declare -A PACKAGES=(
  [build]="libcurl4-openssl-dev libpq-dev libssl-dev libsimdjson-dev libyaml-dev libmicrohttpd-dev liblz4-dev libbrotli-dev liblzma-dev
    libxml2-dev libzstd-dev zlib1g-dev pkg-config"
  [kube]="golang-go etcd-server etcd-client dpkg-dev openssl curl jq"
  [node]="containerd runc containernetworking-plugins debootstrap iproute2 gcc libc6-dev jq"
  [test]="nghttp2-server openssl postgresql-15 postgresql-client-15 python3-venv jq lz4 curl openssl"
)
GROUPS_WANTED=("$@")
if [ $# -eq 0 ]; then GROUPS_WANTED=(build kube node test); fi

check_system() {
  local group
  command -v apt-get >/dev/null || fail "this machine has no apt-get" "the harness is made for Debian 12"
  for group in "${GROUPS_WANTED[@]}"; do
    [ -n "${PACKAGES[$group]:-}" ] || fail "unknown group: $group" "known are: ${!PACKAGES[*]}"
  done
}

missing_packages() {
  local group package wanted=()
  for group in "${GROUPS_WANTED[@]}"; do
    # shellcheck disable=SC2206 # a list of words
    wanted+=(${PACKAGES[$group]})
  done
  # Debian's kubectl only where there is none: it collides with one installed from elsewhere.
  command -v kubectl >/dev/null || wanted+=(kubernetes-client)
  printf '%s\n' "${wanted[@]}" | sort -u | while read -r package; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
  done
}

# PostgreSQL's and containerd's packages start a service, and PostgreSQL's makes a cluster first. We want the programs
# and nothing else. The cluster: its maintainer scripts ask /etc/postgresql-common/createcluster.conf, which is the
# machine's to set, and skip what is there already. So apt runs in a mount namespace of its own, in which that one
# file says no, and in which policy-rc.d refuses every start (where there is no such file, one stands there for as long
# as the installation takes). A container that may not mount has no services to spare.
install_quietly() {
  local overlay apart=(unshare --mount --propagation private)
  can_mount || apart=(env MAY_MOUNT=0)
  overlay=$(mktemp -d)
  printf 'create_main_cluster = off\n' >"$overlay/createcluster.conf"
  printf '#!/bin/sh\nexit 101\n' >"$overlay/policy-rc.d"
  chmod 755 "$overlay" "$overlay/policy-rc.d"
  # shellcheck disable=SC2016 # expanded by the inner shell
  "${apart[@]}" bash -c '
    set -e
    cover() { [ "${MAY_MOUNT:-1}" = 0 ] || mount --bind "$1" "$2"; }
    overlay=$1; shift
    if [ -e /usr/sbin/policy-rc.d ]; then
      cover "$overlay/policy-rc.d" /usr/sbin/policy-rc.d
    else # nothing to cover: for the time of the installation there is one, and dpkg does not own it
      cp "$overlay/policy-rc.d" /usr/sbin/policy-rc.d
      trap "rm -f /usr/sbin/policy-rc.d" EXIT
    fi
    # postgresql-common first: its conffile must exist before it can be covered
    case " $* " in *" postgresql-15 "*)
      [ -e /etc/postgresql-common/createcluster.conf ] ||
        apt-get install -qq -y --no-install-recommends postgresql-common
      cover "$overlay/createcluster.conf" /etc/postgresql-common/createcluster.conf ;;
    esac
    apt-get install -qq -y --no-install-recommends "$@"
  ' setup "$overlay" "$@" >"$overlay/log" 2>&1 || {
    tail -n 20 "$overlay/log" >&2
    fail "apt-get could not install: $*" "the whole output is in $overlay/log"
  }
  rm -rf "$overlay"
}

install_packages() {
  local missing
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    step "all Debian packages are there"
    return 0
  fi
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: $missing" "run hack/setup.sh as root once"
  step "installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || warn "some package lists could not be fetched, going on with those there are"
  # shellcheck disable=SC2086 # a list of words
  install_quietly $missing
  step "installed"
}

# The Python environment is made beside and moved in place, so that an interrupted one is never used.
make_venv() {
  local stamp
  stamp=$(sha256sum <"$HACK_DIR/requirements.txt")
  if [ "$(cat "$VENV_DIR/stamp" 2>/dev/null)" = "$stamp" ]; then
    step "the Python environment is there"
    return 0
  fi
  step "making the Python environment (S3 server, CEL)"
  rm -rf "$VENV_DIR"
  # Debian's Python by its path: another one first in PATH may lack the venv module or vanish
  /usr/bin/python3 -m venv "$VENV_DIR"
  "$VENV_DIR/bin/python" -m pip install --quiet --disable-pip-version-check -r "$HACK_DIR/requirements.txt" ||
    fail "pip could not install hack/requirements.txt"
  printf '%s' "$stamp" >"$VENV_DIR/stamp" # last: without it the environment counts as unfinished
  step "the Python environment is made"
}

check_swift() {
  local version
  command -v swift >/dev/null || fail "there is no 'swift' in PATH" \
    "Reprise needs Swift 6. It is not a Debian package: take the Debian 12 toolchain from the Swift project," \
    "unpack it anywhere and put its usr/bin into PATH"
  version=$(swift --version 2>&1 | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
  case $version in
    6.*) step "Swift $version" ;;
    *) fail "Swift 6 is needed, this is ${version:-an unknown version}: $(command -v swift)" ;;
  esac
}

wants() { case " ${GROUPS_WANTED[*]} " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

check_system
install_packages
if wants test; then make_venv; fi
if wants build; then check_swift; fi
say "Ready. Next: hack/kube-build.sh (once), then hack/env-up.sh"
