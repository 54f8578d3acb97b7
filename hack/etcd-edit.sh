#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Changes an object where no API server lets anybody: in etcd. Its watchers are told as of any other change. Only for what
# is stored as JSON: objects of our own kinds.
#   hack/etcd-edit.sh restoreapprovals/NAMESPACE/NAME 'JQ FILTER'
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_etcd

key=/registry/reprise.dev/$1
before=$(etcd_here get "$key" --print-value-only)
[ -n "$before" ] || fail "etcd has no $key"
jq -c "$2" <<<"$before" | etcd_here put "$key" >/dev/null
step "$key was changed"
