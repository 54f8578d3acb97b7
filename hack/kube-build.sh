#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds Kubernetes from Debian's source package, once, into $REPRISE_CACHE/kubernetes-1.20.2/bin.
#   hack/kube-build.sh [component ...]     (default: all four)
# About six minutes on two idle cores. With KUBEBUILDER_ASSETS set, the control plane there is used and nothing is
# built.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HACK_DIR/apt.sh"

COMPONENTS=(kube-apiserver kube-controller-manager kube-scheduler kubelet)
if [ $# -gt 0 ]; then COMPONENTS=("$@"); fi
WORK=$REPRISE_CACHE/kubernetes-$KUBE_VERSION/build
TREE=$WORK/gopath/src/k8s.io/kubernetes

missing_components() {
  local component
  for component in "${COMPONENTS[@]}"; do
    [ -x "$KUBE_BIN_CACHE/$component" ] || printf '%s ' "$component"
  done
}

use_given_assets() {
  [ -n "${KUBEBUILDER_ASSETS:-}" ] || return 1
  [ -x "$KUBEBUILDER_ASSETS/kube-apiserver" ] || fail "KUBEBUILDER_ASSETS has no kube-apiserver: $KUBEBUILDER_ASSETS"
  step "using the control plane in KUBEBUILDER_ASSETS, nothing to build"
  if [ ! -x "$KUBEBUILDER_ASSETS/kubelet" ] && [ ! -x "$KUBE_BIN_CACHE/kubelet" ]; then
    warn "there is no kubelet in that folder: the end-to-end tests need one of the same version there," \
      "or run this script once without KUBEBUILDER_ASSETS"
  fi
}

fetch() {
  step "fetching Debian's source package of Kubernetes"
  private_apt_prepare
  private_apt update
  mkdir -p "$WORK/download"
  cd "$WORK/download"
  private_apt source --download-only kubernetes
  private_apt download golang-github-modern-go-reflect2-dev
  ls kubernetes_*really"$KUBE_VERSION".orig.tar.* >/dev/null 2>&1 ||
    fail "Debian's Kubernetes is no longer $KUBE_VERSION" "found: $(ls)" "this script was written for Debian 12"
}

unpack() {
  step "unpacking"
  rm -rf "$TREE"
  mkdir -p "$TREE"
  tar -xf "$WORK"/download/kubernetes_*.orig.tar.* -C "$TREE" --strip-components=1
}

# The vendored reflect2 1.0.1 reaches into the Go runtime in a way Go 1.18 ended. The API server would start and
# answer reads, but panic on each JSON write. Debian packages the mended 1.0.2.
mend_reflect2() {
  local vendored=$TREE/vendor/github.com/modern-go/reflect2 packaged=$WORK/reflect2
  rm -rf "$packaged"
  mkdir -p "$packaged"
  dpkg-deb -x "$WORK"/download/golang-github-modern-go-reflect2-dev_*.deb "$packaged"
  packaged=$packaged/usr/share/gocode/src/github.com/modern-go/reflect2
  [ -s "$packaged/reflect2.go" ] || fail "Debian's reflect2 package is laid out differently than expected"
  find "$vendored" -maxdepth 1 \( -name '*.go' -o -name '*.s' \) -delete
  find "$packaged" -maxdepth 1 \( -name '*.go' -o -name '*.s' \) ! -name '*_test.go' -exec cp -t "$vendored" {} +
}

# The tree was made for GOPATH mode; -mod=vendor stumbles over its symbolic links on Go 1.19.
go_build() { # OUTPUT PACKAGE [flags]
  local output=$1 package=$2
  shift 2
  (cd "$TREE" && GOPATH=$WORK/gopath GOCACHE=$WORK/gocache GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' \
    go build -trimpath "$@" -o "$output" "$package")
}

# One file that upstream's build generates is not in the tarball.
generate_openapi() {
  local packages
  step "generating the OpenAPI definitions"
  go_build "$WORK/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  cd "$TREE"
  packages=$(grep -rl --include='*.go' '^// *+k8s:openapi-gen=' pkg staging/src |
    grep -v -e /code-generator/ -e /sample-apiserver/ | xargs -n1 dirname | LC_ALL=C sort -u |
    sed -e 's#^staging/src/#vendor/#' -e 's#^#k8s.io/kubernetes/#' | paste -sd,)
  # GOROOT: the generator was built with -trimpath and would not find the standard library's types by itself
  GOROOT=$(go env GOROOT) GOPATH=$WORK/gopath GO111MODULE=off CGO_ENABLED=0 "$WORK/openapi-gen" --logtostderr -i "$packages" \
    -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi -r "$WORK/violations" \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt
  # upstream keeps the list of known violations: the same list means that the same types were seen
  cmp -s "$WORK/violations" api/api-rules/violation_exceptions.list ||
    fail "the generated OpenAPI differs from upstream's" "compare $WORK/violations"
}

# Clients read the version: kubectl's skew warning, and the probe of the API that decides what may be used.
version_flags() {
  local package pair flags='-s -w'
  for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
    for pair in gitVersion=v$KUBE_VERSION gitMajor=1 gitMinor=20 gitTreeState=archive \
      gitCommit=faecb196815e248d3ecfb03c680a4507229c2a56 buildDate=2021-01-13T13:20:00Z; do
      flags+=" -X k8s.io/kubernetes/vendor/$package.$pair"
    done
  done
  printf '%s' "$flags"
}

# One line in twenty seconds, so that a build of minutes does not look like a hang.
with_heartbeat() { # WHAT COMMAND...
  local what=$1 began=$SECONDS beat status=0
  shift
  (while sleep 20; do step "... still building $what ($((SECONDS - began)) s)"; done) 9>&- &
  beat=$!
  "$@" || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return "$status"
}

main() {
  local wanted component number=0
  use_given_assets && return 0
  wanted=$(missing_components)
  if [ -z "$wanted" ]; then
    step "Kubernetes $KUBE_VERSION is already built"
    return 0
  fi
  need_command go
  need_command dpkg-source
  exec 9>"$REPRISE_CACHE/kube-build.lock"
  flock -n 9 || { step "another build is running, waiting for it" && flock 9; }
  wanted=$(missing_components)
  [ -n "$wanted" ] || return 0
  say "Building Kubernetes $KUBE_VERSION from Debian's source: $wanted"
  say "This happens once and takes about six minutes; the result is kept in $REPRISE_CACHE."
  fetch
  unpack
  mend_reflect2
  generate_openapi
  mkdir -p "$KUBE_BIN_CACHE"
  for component in $wanted; do
    number=$((number + 1))
    step "building $component ($number of $(wc -w <<<"$wanted"))"
    with_heartbeat "$component" go_build "$WORK/$component" "./cmd/$component" -ldflags "$(version_flags)"
    mv "$WORK/$component" "$KUBE_BIN_CACHE/$component" # the same file system: there is never half a binary
  done
  chmod -R u+w "$WORK" && rm -rf "$WORK"
  step "done: $(du -sh "$KUBE_BIN_CACHE" | cut -f1) in $KUBE_BIN_CACHE"
}
main
