#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts an S3 server over plain HTTP that checks signatures and policies, seeds it, and writes to $REPRISE_RUN/s3:
# endpoint, and one file of credentials each for source-reader, clone-writer and source-writer.
#   hack/s3-up.sh [ADDRESS | bridge]      (default 127.0.0.1; 'bridge' is the address that pods reach)
# The server keeps everything in memory: what s3-down.sh ends is gone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

S3_DIR=$REPRISE_RUN/s3
address=${1:-127.0.0.1}
if [ "$address" = bridge ]; then
  "$HACK_DIR/bridge.sh" up
  address=$("$HACK_DIR/bridge.sh" address)
fi
[ -s "$VENV_DIR/stamp" ] || fail "the Python environment is missing" "hack/setup.sh test makes it"

if running s3 moto && [ -s "$S3_DIR/endpoint" ]; then
  step "S3 server already up at $(cat "$S3_DIR/endpoint")"
  exit 0
fi
rm -rf "$S3_DIR"
mkdir -p "$S3_DIR"
chmod 700 "$S3_DIR"
pick_port s3
endpoint=http://$address:$(port s3)
# Without a count of unchecked requests the server would check neither signatures nor policies, ever. The seeding runs
# unchecked, and then sets the count to zero. In its own folder, because it drops a file where it stands.
spawn s3 moto "$VENV_DIR/bin/python" env --chdir="$S3_DIR" INITIAL_NO_AUTH_ACTION_COUNT=1000000 S3_IGNORE_SUBDOMAIN_BUCKETNAME=true \
  PYTHONUNBUFFERED=1 "$VENV_DIR/bin/python" -m moto.server -H "$address" -p "$(port s3)"
wait_for 60 "the S3 server to answer" s3/moto curl -fs -o /dev/null "$endpoint/moto-api/"
"$VENV_DIR/bin/python" "$HACK_DIR/s3_seed.py" "$endpoint" "$S3_DIR" || fail "seeding the S3 server failed" \
  "its log is $LOG_DIR/moto.log"
printf '%s\n' "$endpoint" >"$S3_DIR/endpoint" # last: whoever waits for it finds a server that checks
step "S3 server up at $endpoint"
