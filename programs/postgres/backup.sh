# SPDX-License-Identifier: Apache-2.0
# backup: a fresh full base backup of a running service, taken from a pod beside it: the volume is mounted read-only,
# the server is reached over the network. The result proves the backup by finding it in the archive: that wal-g exits
# with 0 is no proof.
#
# Environment, beside the prologue's
#   PGHOST, PGPORT       where the service answers: its pod's address
#   PGUSER               the role (REPRISE_USER, postgres)
#   REPRISE_CONNECT_SECONDS  how long to wait until it answers (300), then ServerUnreachable
#   REPRISE_CREDENTIALS  the directory with its `password` (/reprise/credentials)
#   WALG_S3_PREFIX       the service's own archive as it is in the bucket: with the major version that an image appends
#   REPRISE_BACKUP_ID    what the backup is marked with (the run's UID): a repetition finds it and takes no second one
#   AWS_*, WALG_*        as for WAL-G

# shellcheck shell=dash
MARK=${REPRISE_BACKUP_ID:-$REPRISE_RUN_UID}

server() { # statements on standard input
  within setsid psql -XAtq -v ON_ERROR_STOP=1 -v "mark=$MARK" "$@"
}

connect() {
  step connect
  case $MARK in *[!A-Za-z0-9._-]*) finish ProgramFailed ;; esac
  if ! command -v wal-g >/dev/null; then finish ToolMissing; fi
  : "${PGHOST:?}" "${WALG_S3_PREFIX:?}"
  PGUSER=${PGUSER:-${REPRISE_USER:-postgres}}
  PGDATABASE=postgres
  PGPASSWORD=$(head -n 1 "${REPRISE_CREDENTIALS:-/reprise/credentials}/password")
  export PGHOST PGUSER PGDATABASE PGPASSWORD
  export WALG_S3_PREFIX WALG_SENTINEL_USER_DATA="{\"reprise\":\"$MARK\"}"
  until identifier=$(echo 'select system_identifier from pg_control_system();' | server); do
    # A wrong password stays wrong; a server that is still starting does not.
    if grep -q 'password authentication failed' "$TOOL_LOG"; then finish LoginRefused; fi
    check_deadline
    # It served when this Job was made. Whoever has stopped it since, or moved it, need not be waited for here.
    if [ $(($(date +%s) - STARTED)) -ge "${REPRISE_CONNECT_SECONDS:-300}" ]; then finish ServerUnreachable; fi
    sleep 1
  done
  fact_string systemIdentifier "$identifier"
}

# The files of one cluster under the label of another would make a backup that destroys whatever is restored from it.
check_volume() {
  step volume
  $AS pg_controldata -D "$PGDATA" >"$WORK/control"
  if ! grep -q "^Database system identifier: *$identifier\$" "$WORK/control"; then finish VolumeMismatch; fi
}

# Prints the newest backup with our mark, as the part of the result that describes it; nothing when there is none.
find_backup() {
  within $AS wal-g backup-list --json --detail >"$WORK/list"
  if [ ! -s "$WORK/list" ]; then return 0; fi
  { # the server is the only JSON parser here
    printf '\\set list `cat "%s"`\n' "$WORK/list"
    cat <<'SQL'
select json_build_object('name', b->>'backup_name', 'walFileName', b->>'wal_file_name', 'modified', b->>'time',
    'startTime', b->>'start_time', 'finishTime', b->>'finish_time',
    'startLsn', upper(to_hex(first >> 32) || '/' || to_hex(first & 4294967295)),
    'finishLsn', upper(to_hex(last >> 32) || '/' || to_hex(last & 4294967295)),
    'systemIdentifier', b->>'system_identifier', 'serverVersionNum', b->'pg_version', 'permanent', b->'is_permanent',
    'uncompressedBytes', b->'uncompressed_size', 'compressedBytes', b->'compressed_size', 'userData', b->'user_data')
  from json_array_elements(:'list'::json) b,
    lateral (select (b->>'start_lsn')::bigint as first, (b->>'finish_lsn')::bigint as last) lsn
  where b->'user_data'->>'reprise' = :'mark' and strpos(b->>'backup_name', '_D_') = 0
    and b->>'system_identifier' = (select system_identifier::text from pg_control_system())
  order by b->>'time' desc limit 1;
SQL
  } | server
}

PROGRAM=backup
connect
check_volume
step look
backup=$(find_backup)
: >"$TOOL_LOG" # that there are no backups yet is not a reason for anything
if [ -n "$backup" ]; then
  fact reused true
else
  fact reused false
  step push
  if ! within $AS wal-g backup-push --full "$PGDATA"; then finish BackupFailed; fi
  step prove
  backup=$(find_backup)
fi
if [ -z "$backup" ]; then finish BackupUnusable; fi
fact backup "$backup"
finish OK
