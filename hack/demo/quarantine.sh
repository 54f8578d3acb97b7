# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by demo.sh: follows a clone while it is made, and knocks at its door meanwhile.

declare -A TOLD=()
KNOCKS=$REPRISE_RUN/knocks
CLONES=/apis/reprise.dev/v1alpha1/namespaces/staging

# Tries to connect to the quarantined pod until told to stop; each line of $KNOCKS is one attempt's outcome. The opened
# pod is another one with another address, so that what is counted here is the quarantine.
knock() { # ADDRESS
  while [ ! -e "$KNOCKS.stop" ]; do
    if timeout 1 bash -c "exec 3<>/dev/tcp/$1/5432" 2>/dev/null; then echo open; else echo refused; fi
    sleep 0.1
  done >>"$KNOCKS"
}

stop_knocking() {
  touch "$KNOCKS.stop"
  if [ -n "${KNOCKER:-}" ]; then wait "$KNOCKER" 2>/dev/null || true; fi
}

# The restored server runs and replays: if it could be reached at all, then now.
show_quarantine() { # ADDRESS
  tell ""
  tell "The restored server is running now, with the source's passwords still in it. Can it be reached?"
  printf '%10s$ %s\n' '' "psql -h $1 -U postgres -d shop"
  PGPASSWORD=$SOURCE_PASSWORD PGCONNECT_TIMEOUT=3 "$PSQL" -Xh "$1" -U postgres -d shop -c 'select 1' 2>&1 | indented || true
  show kubectl -n staging exec orders-staging-0 -- sh -c \
    'pg_isready; echo "TCP ports somebody listens on: $(cat /proc/net/tcp /proc/net/tcp6 | grep -c " 0A ")"' || true
  show kubectl -n staging get services
  tell "No Service for clients, and nobody listens. It goes on:"
  tell ""
}

# Prints what is new in the clone's phase and in the run's conditions.
tell_news() { # JSON of the clone, JSON of the run
  local key text
  while IFS=$'\t' read -r key text; do
    if [ "${TOLD[$key]:-}" = "$text" ]; then continue; fi
    TOLD[$key]=$text
    step "${key#* }  $text"
  done < <(
    jq -r '.status // {} | "clone phase \(.phase // "-")\t\(.message // "")"' <<<"$1"
    # what has ended (Quarantined=False) is told after what ended it
    jq -r '.status.conditions // [] | sort_by(.status == "False") | .[] | select(.status != "Unknown" and (.type | IN("Reconciling", "Stalled",
      "Finished", "Approved", "Locked") | not)) | "run   \(.type)=\(.status)\t\(.message)"' <<<"$2"
  )
}

run_of() { jq -r '.status.run.name // empty' <<<"$1"; }
has() { jq -e --arg type "$2" 'any(.status.conditions[]?; .type == $type and .status == "True")' <<<"$1" >/dev/null; }

# Follows serviceclone/orders-staging until it is Ready.
follow_clone() {
  local clone run pod address deadline=$((SECONDS + 240)) shown=0
  KNOCKER=
  rm -f "$KNOCKS" "$KNOCKS.stop"
  while [ "$SECONDS" -lt "$deadline" ]; do
    clone=$(api "$CLONES/serviceclones/orders-staging")
    run='{}'
    if [ -n "$(run_of "$clone")" ]; then run=$(api "$CLONES/restoreruns/$(run_of "$clone")" 2>/dev/null || echo '{}'); fi
    tell_news "$clone" "$run"
    if has "$clone" Ready; then return 0; fi
    if has "$clone" Stalled && has "$run" Finished; then fail "the clone has failed" "$(jq -r .status.message <<<"$clone")"; fi
    if [ $shown = 0 ] && has "$run" Quarantined; then
      pod=$(api /api/v1/namespaces/staging/pods/orders-staging-0 2>/dev/null || echo '{}')
      address=$(jq -r '.status.podIP // empty' <<<"$pod")
      if [ -n "$address" ] && [ -z "$KNOCKER" ]; then knock "$address" & KNOCKER=$!; fi
      if jq -e '.status.containerStatuses[0].started == true' <<<"$pod" >/dev/null; then
        shown=1
        show_quarantine "$address"
      fi
    fi
    if has "$run" Sealed && [ ! -e "$KNOCKS.stop" ]; then stop_knocking; fi
    sleep 0.3
  done
  fail "the clone was not ready within 240 s" "kubectl --kubeconfig $KUBECONFIG_FILE -n staging describe sclone orders-staging"
}
