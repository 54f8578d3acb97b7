#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Forgets etcd's history up to now: whoever continues a list, or watches from an older resourceVersion without the
# API server's own cache (APISERVER_EXTRA=--watch-cache=false hack/kube-up.sh), is then told 410 Gone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_etcd

revision=$(etcd_here endpoint status --write-out=json | jq '.[0].Status.header.revision')
etcd_here compact "$revision" >/dev/null
step "etcd's history up to revision $revision is gone"
