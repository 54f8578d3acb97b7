#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds what is deployed: the controller and the agent, optimised and with Swift's own libraries linked in, and the
# agent's image in $REPRISE_CACHE/images. Only what has changed is built again.
#   hack/build.sh               prints the folder with both programs as its last line
#   REPRISE_BUILD=FOLDER        where the compiler keeps its work (default: .build/release-static in the checkout)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

BUILD=${REPRISE_BUILD:-$REPO_DIR/.build/release-static}
FLAGS=(-c release --static-swift-stdlib --scratch-path "$BUILD")

build() {
  local product
  for product in agent controller; do
    step "building $product (minutes the first time)" >&2
    (cd "$REPO_DIR" && swift build "${FLAGS[@]}" --product "$product") >&2 || fail "$product does not compile"
  done
}

# Unpacking the base to look for missing libraries takes seconds, so an image of the same program is left as it is.
make_agent_image() {
  local program=$1 stamp=$IMAGE_DIR/layers/agent.key key
  key=$(cat "$program" "$HACK_DIR/images.sh" "$HACK_DIR/mkimage.py" | sha256sum)
  if [ -s "$IMAGE_DIR/agent.tar" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
    step "the agent's image is up to date" >&2
    return 0
  fi
  "$HACK_DIR/images.sh" agent "$program" >&2
  printf '%s' "$key" >"$stamp"
}

build
folder=$(cd "$REPO_DIR" && swift build "${FLAGS[@]}" --show-bin-path)
if [ "$(id -u)" = 0 ]; then make_agent_image "$folder/agent"; fi
printf '%s\n' "$folder"
