# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by demo.sh: what can be recovered and to which moment, a preview, a clone to a moment, and a refusal.

# Notes a moment on the source's clock, with nothing else in its second, and what the source holds then.
note_moment() {
  sleep 1.1
  MOMENT=$(in_pod prod orders-db-0 "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
  MOMENT_ROWS=$(in_pod prod orders-db-0 "$FINGERPRINT")
  sleep 1.1
  step "between two batches it is $MOMENT, and the table has $MOMENT_ROWS"
}

# Has the repository been looked at since the source's last segment? Asks for it as a person would.
ask_for_scan() {
  kubectl -n staging patch brepo prod-readonly --type=merge -p '{"spec":{"scan":{"requestID":"demo"}}}' >/dev/null
  until_true 60 "the repository's scan" scanned
}
scanned() { api "$CLONES/backuprepositories/prod-readonly" | jq -e '.status.lastScan.requestID == "demo"' >/dev/null; }

show_window() {
  ask_for_scan
  show kubectl -n staging get brepo prod-readonly -o \
    'jsonpath={range .status.archives[*]}archive {.path} of PostgreSQL {.major}: {.backups} base backups{"\n"}  from {.earliest}{"\n"}  to   {.latestCertain} for certain, {.latestEstimated} at most{"\n"}{end}'
}

# apply_example FILE NAME TIME: an example of examples/ with this name and time
apply_example() {
  sed "s/orders-before/$2/; s/time: \".*\"/time: \"$3\"/" "$REPO_DIR/examples/$1" >"$REPRISE_RUN/$2-$1"
  show kubectl apply -f "$REPRISE_RUN/$2-$1"
}

plan_ready() { has "$(api "$CLONES/restoreplans/orders-before")" Ready; }
show_plan() {
  tell "A preview starts nothing. examples/plan.yaml, with that moment:"
  apply_example plan.yaml orders-before "$MOMENT"
  until_true 30 "the preview" plan_ready
  show kubectl -n staging get rplan orders-before -o \
    'jsonpath={.status.path}, from {.status.baseBackup}, {.status.bytes} bytes, about {.status.estimatedSeconds} s{"\n"}{range .status.steps[*]}  {.name}: {.detail}{"\n"}{end}{range .status.warnings[*]}warning {.reason}: {.message}{"\n"}{end}'
}

settled() {
  local clone
  clone=$(api "$CLONES/serviceclones/$1")
  has "$clone" Ready || jq -e 'any(.status.conditions[]?; .type == "Stalled" and .status == "True")' <<<"$clone" >/dev/null
}

show_moment() {
  local rows late
  tell "A clone of that moment, examples/clone-to-a-moment.yaml; and one of a moment past the archive's end:"
  apply_example clone-to-a-moment.yaml orders-before "$MOMENT"
  late=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  apply_example clone-to-a-moment.yaml orders-too-late "$late"
  until_true 60 "the refusal" settled orders-too-late
  show kubectl -n staging get sclone orders-too-late -o 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}: {.status.message}{"\n"}'
  show kubectl -n staging get statefulsets,pvc -l reprise.dev/service=orders-too-late
  until_true 180 "the clone of the moment" settled orders-before
  show kubectl -n staging get sclone
  rows=$(in_pod staging orders-before-0 "$FINGERPRINT")
  tell "source at that moment: $MOMENT_ROWS"
  tell "clone:                 $rows"
  [ "$rows" = "$MOMENT_ROWS" ] || fail "the clone has other rows than the source had at that moment"
  tell "Exactly what was there then, and nothing of the batches after it."
}
