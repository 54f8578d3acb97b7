#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts a PostgreSQL of its own for the run ledger, in $REPRISE_RUN/ledger, on a free loopback port, and writes the
# connection string to $REPRISE_RUN/ledger.conninfo. After ledger-down.sh --keep it comes back with data and port.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DIR=$REPRISE_RUN/ledger
PG_BIN=/usr/lib/postgresql/15/bin

# PostgreSQL refuses to run as root, and its own user often may not enter the checkout. In a private mount namespace
# the folder is shown to it at /mnt.
if [ "$(id -u)" = 0 ]; then
  OWNER=postgres
  id -u "$OWNER" >/dev/null 2>&1 || OWNER=nobody
  AS_OWNER=(setpriv --reuid="$OWNER" --regid="$(id -g "$OWNER")" --clear-groups env "HOME=$DIR")
  SEEN_AS=$DIR
  if can_mount; then
    SEEN_AS=/mnt
    # shellcheck disable=SC2016 # expanded by the inner shell
    AS_OWNER=(unshare --mount --propagation private sh -c 'mount --bind "$1" /mnt && cd / && shift && exec "$@"' ledger
      "$DIR" "${AS_OWNER[@]}")
  fi
else
  SEEN_AS=$DIR
  AS_OWNER=(env "HOME=$DIR")
fi
as_owner() { "${AS_OWNER[@]}" "$@"; }
admin_sql() { # as the superuser, through the socket, which only the owner can reach
  as_owner "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1 -h "$SEEN_AS/socket" -p "$(port ledger)" -U postgres "$@"
}

make_cluster() {
  step "making the ledger's database cluster"
  mkdir -p "$DIR/socket"
  chmod 700 "$DIR" "$DIR/socket"
  if [ "$(id -u)" = 0 ]; then chown -R "$OWNER:" "$DIR"; fi
  as_owner "$PG_BIN/initdb" --no-sync --pgdata="$SEEN_AS/data" --username=postgres --encoding=UTF8 --locale=C \
    --auth-local=trust --auth-host=scram-sha-256 >"$LOG_DIR/ledger-initdb.log" 2>&1 ||
    fail "initdb failed" "$(tail -n 5 "$LOG_DIR/ledger-initdb.log")"
}

# fsync=off: a test's database need not survive a power cut. synchronous_commit stays on: what was committed must
# survive the end of the process, or tests of crashes would see losses that are not Reprise's.
start_server() {
  local lock=$DIR/data/postmaster.pid old
  pick_port ledger
  old=$(head -n 1 "$lock" 2>/dev/null || true)
  # killed, and PID 1 is no init that would take the dead process away: the lock would stay for ever
  if [ -n "$old" ] && grep -qs '^State:.*Z' "/proc/$old/status"; then rm -f "$lock"; fi
  spawn ledger ledger "$PG_BIN/postgres" "${AS_OWNER[@]}" "$PG_BIN/postgres" -D "$SEEN_AS/data" \
    -c listen_addresses=127.0.0.1 -c port="$(port ledger)" -c unix_socket_directories="$SEEN_AS/socket" \
    -c fsync=off -c full_page_writes=off -c max_connections=200 \
    -c shared_buffers=64MB -c jit=off
  wait_for 30 "PostgreSQL to accept connections" ledger/ledger \
    "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$(port ledger)"
}

# Reprise's role is an ordinary one: it may make databases (each test gets its own) and nothing else.
make_role() {
  local password
  [ ! -s "$REPRISE_RUN/ledger.password" ] || return 0
  password=$(openssl rand -hex 16)
  admin_sql -c 'SET log_statement = none' -c "CREATE ROLE reprise LOGIN CREATEDB PASSWORD '$password'" \
    -c 'CREATE DATABASE reprise OWNER reprise' postgres
  (umask 077 && printf '%s' "$password" >"$REPRISE_RUN/ledger.password")
}

main() {
  [ -x "$PG_BIN/postgres" ] || fail "PostgreSQL 15 is missing" "hack/setup.sh test installs it"
  mkdir -p "$LOG_DIR"
  if [ ! -s "$REPRISE_RUN/ledger.password" ] && ! running ledger; then rm -rf "$DIR"; fi # a half-made one
  [ -s "$DIR/data/PG_VERSION" ] || make_cluster
  running ledger || start_server
  make_role
  (umask 077 && printf 'host=127.0.0.1 port=%s user=reprise password=%s dbname=reprise\n' \
    "$(port ledger)" "$(cat "$REPRISE_RUN/ledger.password")" >"$REPRISE_RUN/ledger.conninfo")
  step "ledger up on port $(port ledger): $REPRISE_RUN/ledger.conninfo"
}
main
