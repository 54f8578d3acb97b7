#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends the S3 server of $REPRISE_RUN. Its objects were in memory and go with it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
end_group s3
free_ports s3
rm -rf "$REPRISE_RUN/s3"
step "S3 server is down"
