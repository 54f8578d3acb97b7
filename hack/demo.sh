#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows what Reprise does, on a Kubernetes of its own: a PostgreSQL with rows and an archive, a ServiceClone applied with
# kubectl, and what has become of it. Installs and builds what is missing; needs Debian 12, Swift 6 and root. Everything
# stays up for looking around; hack/demo-down.sh ends it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/demo/lib.sh"
. "$HACK_DIR/demo/quarantine.sh"
. "$HACK_DIR/demo/moment.sh"

export KUBECONFIG=$KUBECONFIG_FILE
leave() {
  local status=$?
  stop_knocking
  [ $status = 0 ] || warn "make demo-down ends what did start; logs are in $LOG_DIR"
  exit $status
}
trap leave EXIT

# ---------------------------------------------------------------- set-up

prepare() {
  need_root "a node starts containers"
  if [ -e "$STATE_BEFORE" ]; then
    tell "A demo is still up, or was interrupted: ending it first."
    "$HACK_DIR/demo-down.sh" >/dev/null
  fi
  mkdir -p "$LOG_DIR"
  chapter "Set-up: packages, Kubernetes, programs, an environment (minutes the first time, then seconds)"
  "$HACK_DIR/setup.sh"
  PROGRAMS=$("$HACK_DIR/build.sh" | tail -n 1)
  "$HACK_DIR/machine-state.sh" >"$STATE_BEFORE"
  "$HACK_DIR/env-up.sh"
}

install_reprise() {
  local file
  chapter "Reprise: its resource types, and the controller"
  tell "(--validate=false: this Kubernetes is older than the CEL rules in the types. Newer ones need no such flag.)"
  show kubectl apply --validate=false -f "$REPO_DIR/crds"
  for name in prod staging reprise-system; do kubectl create namespace "$name" >/dev/null; done
  pick_port controller
  for file in "$REPO_DIR"/crds/*.yaml; do kubectl wait --for=condition=Established --timeout=30s -f "$file" >/dev/null; done
  # In the environment and not among the arguments: the string holds a password.
  REPRISE_LEDGER=$(cat "$REPRISE_RUN/ledger.conninfo") spawn controller controller "$PROGRAMS/controller" \
    "$PROGRAMS/controller" --kubeconfig "$KUBECONFIG_FILE" --namespace reprise-system --identity demo \
    --agent-image docker.io/reprise/agent:dev --listen "127.0.0.1:$(port controller)"
  wait_for 30 "the controller to lead" controller/controller controller_leads
  step "the controller leads; its log is $LOG_DIR/controller.log"
}
controller_leads() { curl -fs --max-time 2 "http://127.0.0.1:$(port controller)/readyz" | grep -q leading; }

# ---------------------------------------------------------------- 1: the source

source_ready() { in_pod prod orders-db-0 'select 1'; }
archived() { # SEGMENT
  [[ "$(in_pod prod orders-db-0 "select coalesce(last_archived_wal, '') from pg_stat_archiver")" > "$1" ]] ||
    [ "$(in_pod prod orders-db-0 'select last_archived_wal from pg_stat_archiver')" = "$1" ]
}

make_source() {
  SOURCE_PASSWORD=$(openssl rand -hex 12)
  kubectl -n prod create secret generic orders-db --from-literal=password="$SOURCE_PASSWORD" >/dev/null
  kubectl -n prod create secret generic source-writer --from-env-file="$REPRISE_RUN/s3/source-writer.env" >/dev/null
  show kubectl apply -f "$HACK_DIR/demo/source.yaml"
  until_true 90 "the source to accept connections" source_ready
  show kubectl -n prod get pods,pvc
}

fill_source() {
  local segment
  step "20,000 orders, then a base backup with $(kubectl -n prod exec orders-db-0 -- wal-g --version 2>/dev/null)"
  in_pod prod orders-db-0 "create table orders (id bigint generated always as identity primary key, customer int,
    amount numeric(9,2), placed timestamptz default clock_timestamp());
    insert into orders (customer, amount) select i % 500, random() * 900 from generate_series(1, 20000) i" >/dev/null
  show kubectl -n prod exec orders-db-0 -- setpriv --reuid=postgres --regid=postgres --init-groups \
    env WALG_S3_PREFIX=s3://backups/prod/orders/15 PGUSER=postgres HOME=/tmp \
    wal-g backup-push /var/lib/postgresql/15/docker 2>/dev/null
  step "80,000 more orders in 16 batches; each ends in a WAL segment that the source archives"
  add_batches 8
  note_moment
  add_batches 8
  segment=$(in_pod prod orders-db-0 "select pg_walfile_name(pg_switch_wal() - 1)")
  until_true 60 "the last segment to be archived" archived "$segment"
  show kubectl -n prod exec orders-db-0 -- psql -U postgres -d shop -c \
    'select count(*), max(id) from orders' -c 'select archived_count, last_archived_wal, failed_count from pg_stat_archiver'
  SOURCE_ROWS=$(in_pod prod orders-db-0 "$FINGERPRINT")
  objects source-reader prod/ >"$REPRISE_RUN/source-before"
  step "the source's prefix in the bucket: $(wc -l <"$REPRISE_RUN/source-before") objects; their keys, ETags and sizes are noted"
}
add_batches() { # NUMBER
  for ((i = 0; i < $1; i++)); do
    printf 'insert into orders (customer, amount) select i %% 500, random() * 900 from generate_series(1, 5000) i;\n'
    printf 'select pg_switch_wal();\n'
  done | kubectl -n prod exec -i orders-db-0 -- psql -Xq -v ON_ERROR_STOP=1 -U postgres -d shop >/dev/null 2>&1
}
FINGERPRINT="select count(*) || ' rows, max id ' || max(id) || ', checksum ' ||
  md5(string_agg(id || ':' || amount, ',' order by id)) from orders"

# ---------------------------------------------------------------- 2: the clone

apply_clone() {
  local user endpoint
  endpoint=$(cat "$REPRISE_RUN/s3/endpoint")
  tell "The keys: source-reader may read below prod/, clone-writer may write below staging/, neither may do more."
  for user in source-reader clone-writer; do
    kubectl -n staging create secret generic "$user" \
      --from-env-file=<(grep -E '^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)=' "$REPRISE_RUN/s3/$user.env") >/dev/null
  done
  tell "The repositories: examples/repository.yaml with this endpoint filled in."
  sed "s#endpoint: https://s3.example.com.*#endpoint: $endpoint\n    insecure: true#" \
    "$REPO_DIR/examples/repository.yaml" >"$REPRISE_RUN/repository.yaml"
  show kubectl apply -f "$REPRISE_RUN/repository.yaml"
  show kubectl apply -f "$REPO_DIR/examples/clone.yaml"
  tell ""
  tell "From here on: kubectl -n staging get sclone,rr -w"
  APPLIED=$SECONDS
}

compare_rows() {
  local rows
  step "the clone was ready $((SECONDS - APPLIED)) s after kubectl apply"
  show kubectl -n staging get sclone,rr
  rows=$(in_pod staging orders-staging-0 "$FINGERPRINT")
  show kubectl -n staging exec orders-staging-0 -- psql -U postgres -d shop -c 'select count(*), max(id) from orders'
  tell "source: $SOURCE_ROWS"
  tell "clone:  $rows"
  [ "$rows" = "$SOURCE_ROWS" ] || fail "the clone's rows are not the source's"
  tell "Every archived row is there."
}

# ---------------------------------------------------------------- 3: sealed and open

login() { # PASSWORD ADDRESS
  PGPASSWORD=$1 PGCONNECT_TIMEOUT=5 "$PSQL" -Xqh "$2" -U postgres -d shop -c 'select current_user, count(*) from orders' 2>&1
}

show_open() {
  local address refused opened
  refused=$(awk '$0 == "refused" { n++ } END { print n + 0 }' "$KNOCKS")
  opened=$(awk '$0 == "open" { n++ } END { print n + 0 }' "$KNOCKS")
  tell "While it was in quarantine $refused attempts to connect to the pod were made; $opened succeeded."
  [ "$refused" -gt 0 ] && [ "$opened" = 0 ] || fail "the quarantine did not hold, or was never tried"
  address=$(pod_ip staging orders-staging-0)
  show kubectl -n staging get services
  tell "The source's password: psql -h $address -U postgres"
  if login "$SOURCE_PASSWORD" "$address" | indented; [ "${PIPESTATUS[0]}" = 0 ]; then fail "the source's password still opens the clone"; fi
  tell "The clone's own password, from Secret orders-staging-credentials:"
  login "$(secret staging orders-staging-credentials password)" "$address" | indented
  tell "Its environment has no WALG_CLONE_FROM, and its own prefix:"
  show kubectl -n staging get statefulset orders-staging -o \
    'jsonpath={range .spec.template.spec.containers[0].env[*]}{.name}{"  "}{.value}{"\n"}{end}'
  if api /apis/apps/v1/namespaces/staging/statefulsets/orders-staging | grep -q WALG_CLONE; then fail "WALG_CLONE_FROM is still there"; fi
}

show_archives() {
  local segment
  in_pod staging orders-staging-0 "insert into orders (customer, amount) values (1, 1)" >/dev/null
  segment=$(in_pod staging orders-staging-0 "select pg_walfile_name(pg_switch_wal() - 1)")
  until_true 30 "the clone to archive a segment" own_segment "$segment"
  tell "A new row in the clone was archived into its own prefix, beside a fresh base backup:"
  objects clone-writer staging/orders-staging/ | awk '{ print $1, $3 " bytes" }' | grep -E 'sentinel|wal_005' | indented
  objects clone-writer staging/orders-staging/15/basebackups_005/ | grep -q backup_stop_sentinel || fail "the clone has no base backup of its own"
  objects source-reader prod/ >"$REPRISE_RUN/source-after"
  cmp "$REPRISE_RUN/source-before" "$REPRISE_RUN/source-after" || fail "the source's prefix has changed"
  tell "The source's prefix: all $(wc -l <"$REPRISE_RUN/source-after") objects have the same key, ETag and size as before."
  show kubectl -n staging get sclone orders-staging -o \
    'jsonpath={range .status.conditions[*]}{.type}={.status}  {.message}{"\n"}{end}'
}
own_segment() { objects clone-writer staging/orders-staging/15/wal_005/ | grep -q "$1"; }

# ---------------------------------------------------------------- 5: the record

ledger() {
  printf '%10s$ psql "$(cat %s)" -c "%s"\n' '' "$REPRISE_RUN/ledger.conninfo" "$1"
  "$PSQL" -X "$(cat "$REPRISE_RUN/ledger.conninfo")" -P pager=off -c "$1" | indented
}

show_record() {
  ledger "select name, mode, status, phase, attempt, bytes_total, bytes_restored, rto_seconds,
       to_char(started_at, 'HH24:MI:SS') as started, to_char(finished_at, 'HH24:MI:SS') as finished
  from reprise.restore_runs"
  ledger "select sequence, operation, attempt, to_char(at, 'HH24:MI:SS') as at, left(detail, 20) as detail, left(hash, 12) as hash
  from reprise.restore_audit order by sequence"
  ledger "select count(*) as breaks_in_the_audit from reprise.audit_breaks"
}

goodbye() {
  chapter "That was it. Everything is still up:"
  tell "export KUBECONFIG=$KUBECONFIG_FILE"
  tell "kubectl -n staging get sclone,rr,sts,pods,pvc,svc"
  tell "psql \"\$(cat $REPRISE_RUN/ledger.conninfo)\"        the ledger"
  tell "$LOG_DIR/controller.log"
  tell ""
  tell "make demo-down      ends it, and says whether the machine is as it was"
}

main() {
  prepare
  install_reprise
  chapter "1. The source: a PostgreSQL with rows, a base backup and archived WAL"
  make_source
  fill_source
  chapter "2. The clone: kubectl apply, and what happens then"
  apply_clone
  follow_clone
  tell ""
  compare_rows
  chapter "3. It could not be reached while it was in quarantine; now it is sealed and open"
  show_open
  show_archives
  chapter "4. What can be recovered, and to which moment"
  show_window
  show_plan
  show_moment
  chapter "5. The record: every run stands in the ledger, every step of its life in the audit"
  show_record
  goodbye
}

main
