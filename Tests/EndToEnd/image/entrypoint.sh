#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The entrypoint of the end-to-end tests' PostgreSQL image. It keeps the contract that field.md and the restore runbook
# describe, with its known traps, because the tests are about living with them:
#
#  * PGDATA empty and WALG_CLONE_FROM set: fetches LATEST, whatever WALG_CLONE_TARGET_TIME says, and recovers;
#  * WALG_S3_PREFIX is the base of the own archive, the major version is appended here; WALG_CLONE_FROM has it already;
#  * a restore-tmp left over from a killed fetch is fatal at every later start;
#  * PGDATA not empty: a normal start, also when WALG_CLONE_FROM asks for something else;
#  * BACKUP_SCHEDULE must be set beside a prefix. It is checked, and no backup is ever taken here by itself.
#
# REPRISE_TEST_IGNORE_CLONE and REPRISE_TEST_FETCH belong to the variants of the image (hack/images.sh).
set -euo pipefail

: "${PG_MAJOR:=15}"
: "${PGDATA:=/var/lib/postgresql/$PG_MAJOR/docker}"
: "${POSTGRES_CONF_DIR:=/etc/postgresql}"
export PG_MAJOR PGDATA PATH="/usr/lib/postgresql/$PG_MAJOR/bin:$PATH"

say() { printf '[entrypoint] %s\n' "$*" >&2; }
fatal() {
  say "FATAL: $*"
  exit 1
}
quoted() { printf '%s' "${1//\'/\'\'}"; } # for a value between single quotes in a configuration file

# Root prepares the mount point and steps down; everything below runs as postgres.
step_down() {
  local parent=${PGDATA%/*}
  mkdir -p "$parent" /var/run/postgresql
  chown postgres: "${parent%/*}" "$parent" /var/run/postgresql
  if [ -d "$PGDATA" ]; then chown postgres: "$PGDATA"; fi
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
}

own_prefix() {
  if [ -n "${WALG_S3_PREFIX:-}" ]; then export WALG_S3_PREFIX="${WALG_S3_PREFIX%/}/$PG_MAJOR"; fi
}

# Which base backup is fetched. LATEST in the image proper; OLDEST is the variant that breaks a plan's pin.
backup_to_fetch() {
  local name=${REPRISE_TEST_FETCH:-LATEST}
  if [ "$name" = OLDEST ]; then name=$(WALG_S3_PREFIX=$1 wal-g backup-list | awk 'NR == 2 { print $1 }'); fi
  printf '%s' "$name"
}

clone() {
  local source=${WALG_CLONE_FROM%/} staging=${PGDATA%/*}/restore-tmp fetch
  [[ $source =~ /[0-9]+$ ]] || fatal "WALG_CLONE_FROM must end with a version segment, as in s3://bucket/orders/15"
  [ -n "${WALG_S3_PREFIX:-}" ] || fatal "--from requires an active WAL-G prefix variable"
  [ ! -e "$staging" ] || fatal "$staging already exists"
  say "cloning from $source${WALG_CLONE_TARGET_TIME:+ to $WALG_CLONE_TARGET_TIME}"
  fetch=$(backup_to_fetch "$source")
  WALG_S3_PREFIX=$source wal-g backup-fetch "$staging" "$fetch"
  {
    printf "restore_command = 'WALG_S3_PREFIX=''%s'' wal-g wal-fetch %%f %%p'\n" "$(quoted "$source")"
    if [ -n "${WALG_CLONE_TARGET_TIME:-}" ]; then
      printf "recovery_target_time = '%s'\n" "$(quoted "$WALG_CLONE_TARGET_TIME")"
      printf "recovery_target_action = 'promote'\n"
    fi
  } >>"$staging/postgresql.auto.conf"
  touch "$staging/recovery.signal"
  rm -rf "$PGDATA"
  mv -T "$staging" "$PGDATA"
  say "base backup in place, recovery follows"
}

initialise() {
  local user=${POSTGRES_USER:-postgres}
  [ -n "${POSTGRES_PASSWORD:-}" ] || fatal "PGDATA is empty and POSTGRES_PASSWORD is not set"
  initdb --pgdata="$PGDATA" --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 --no-instructions >/dev/null
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "${POSTGRES_DB//\"/\"\"}" | postgres --single -j -D "$PGDATA" postgres >/dev/null
  fi
  say "new cluster initialised"
}

# After a restore, not before: a missing schedule shows itself only when the data is already there.
write_archive_settings() {
  local timeout=${ARCHIVE_TIMEOUT:-60} fields
  [ -n "${WALG_S3_PREFIX:-}" ] || return 0
  [[ $timeout =~ ^[0-9]+$ ]] || fatal "ARCHIVE_TIMEOUT must be a non-negative integer"
  [ -n "${BACKUP_SCHEDULE:-}" ] || fatal "BACKUP_SCHEDULE is required when WAL-G archiving is enabled"
  read -ra fields <<<"$BACKUP_SCHEDULE"
  [ "${#fields[@]}" = 5 ] || fatal "BACKUP_SCHEDULE must contain exactly 5 cron fields"
  printf "archive_command = 'wal-g wal-push %%p'\narchive_timeout = %s\n" "$timeout" \
    >"$POSTGRES_CONF_DIR/conf.d/walg.conf"
}

case ${1:-} in
  -*) set -- postgres "$@" ;;
  postgres) ;;
  *) exec "$@" ;;
esac
[ "$(id -u)" != 0 ] || step_down "$@"
own_prefix
if [ -s "$PGDATA/PG_VERSION" ]; then
  say "PGDATA is not empty: normal start"
elif [ -n "${WALG_CLONE_FROM:-}" ] && [ -z "${REPRISE_TEST_IGNORE_CLONE:-}" ]; then
  clone
else
  initialise
fi
write_archive_settings
exec "$@" -c config_file="$POSTGRES_CONF_DIR/postgresql.conf"
