#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes $REPRISE_CACHE/images/pause.tar: docker.io/reprise/pause:1, the container that holds a pod's network while
# the others come and go. One static binary that waits.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -s "$IMAGE_DIR/pause.tar" ]; then
  step "the pause image is already there"
  exit 0
fi
compiler=$(command -v gcc || command -v clang) || fail "a C compiler is missing" "hack/setup.sh node installs gcc"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/pause.c" <<'END'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) { /* as PID 1 no signal has a default action, and orphans are ours */
  signal(SIGTERM, leave);
  signal(SIGINT, leave);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
END
mkdir -p "$scratch/root" "$IMAGE_DIR"
"$compiler" -Os -static -s -o "$scratch/root/pause" "$scratch/pause.c"
"$HACK_DIR/mkimage.py" "$IMAGE_DIR/pause.tar" docker.io/reprise/pause:1 \
  --config '{"Entrypoint": ["/pause"], "User": "65535:65535"}' "$scratch/root"
