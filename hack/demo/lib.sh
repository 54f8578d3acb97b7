# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by demo.sh and demo-down.sh: where the demo lives, and how it talks.

# An environment of its own, beside the one that tests use.
export REPRISE_RUN=${REPRISE_DEMO_RUN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.run/demo}
mkdir -p "$REPRISE_RUN"
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

STATE_BEFORE=$REPRISE_RUN/machine-before
PSQL=/usr/lib/postgresql/15/bin/psql

chapter() { printf '\n%8s  === %s\n\n' "$(elapsed)" "$*"; }
tell() { printf '%10s%s\n' '' "$*"; }
indented() { sed 's/^/            /'; }

# show COMMAND...: prints it as one can type it (KUBECONFIG is printed at the end), runs it, and shows what it says.
show() {
  local word line=''
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./:=,@-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
  done
  printf '%10s$%s\n' '' "$line"
  "$@" 2>&1 | indented
  return "${PIPESTATUS[0]}"
}

pod_ip() { api "/api/v1/namespaces/$1/pods/$2" | jq -r '.status.podIP // empty'; }
# in_pod NAMESPACE POD STATEMENT: one value out of database shop, through the pod's own socket
in_pod() { kubectl -n "$1" exec "$2" -- psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d shop -c "$3" 2>/dev/null; }
secret() { api "/api/v1/namespaces/$1/secrets/$2" | jq -r ".data.$3 | @base64d"; }
objects() { "$VENV_DIR/bin/python" "$HACK_DIR/s3_list.py" "$REPRISE_RUN/s3" "$1" "$2"; }

# until_true SECONDS WHAT COMMAND...
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "gave up waiting for: $what"
    sleep 0.2
  done
}
