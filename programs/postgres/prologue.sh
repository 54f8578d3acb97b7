#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stands before every PostgreSQL Job program: the controller runs `sh` on this file followed by the program. It has what
# they share: the result, the deadline, running as the owner of the data. It has to work in any Debian image with
# PostgreSQL: dash, coreutils, gzip, mawk, sed, util-linux and PostgreSQL's own tools, nothing else.
#
# Environment read here
#   PGDATA                     the data directory
#   REPRISE_ATTEMPT_TOKEN      repeated in the result: a result of another attempt must not count
#   REPRISE_RUN_UID            names what is left on the volume, so that a repetition finds it (the attempt's token)
#   REPRISE_DEADLINE_SECONDS   the program ends itself by then (600). The Job's own deadline would delete pod and log
#   REPRISE_TERMINATION_LOG    /dev/termination-log
#   REPRISE_SCRATCH            where temporary files go (/tmp)
#
# What leaves the pod is written to descriptor 3: `reprise-step <name> <seconds>` lines and one framed result. All the
# rest, PostgreSQL's log above all, holds literals and passwords: it is matched against reason_table and thrown away.

set -eu
umask 077
exec 3>&1

PROGRAM=unknown
: "${PGDATA:?}" "${REPRISE_ATTEMPT_TOKEN:?}" "${REPRISE_RUN_UID:=$REPRISE_ATTEMPT_TOKEN}"
DEADLINE_SECONDS=${REPRISE_DEADLINE_SECONDS:-600}
TERMINATION_LOG=${REPRISE_TERMINATION_LOG:-/dev/termination-log}
STARTED=$(date +%s)
STEP=start

# Messages are matched as text and times are parsed: neither may depend on the image's locale or zone.
export LC_ALL=C TZ=UTC

# What the service's own environment says about connections is not for us: we say ourselves where to connect.
unset PGHOSTADDR PGSERVICE PGSERVICEFILE PGPASSFILE PGOPTIONS PGDATABASE PGSSLMODE PGREQUIRESSL PGSSLCERT PGSSLKEY \
  PGSSLROOTCERT PGSSLCRL PGCHANNELBINDING PGTARGETSESSIONATTRS PGCLIENTENCODING PGDATESTYLE PGTZ PGLOCALEDIR PSQLRC
export PGAPPNAME=reprise PGCONNECT_TIMEOUT=10 PGCLIENTENCODING=UTF8

WORK=$(mktemp -d "${REPRISE_SCRATCH:-/tmp}/reprise.XXXXXX")
FACTS=$WORK/facts
SERVER_LOG=$WORK/server.log
TOOL_LOG=$WORK/tool.log
: >"$FACTS"
: >"$SERVER_LOG"
exec >"$WORK/out" 2>>"$TOOL_LOG" # appended to, so that a program can empty it

# ---------------------------------------------------------------- running as the owner

OWNER=$(stat -c %u "$PGDATA" 2>/dev/null || id -u)
OWNER_GROUP=$(stat -c %g "$PGDATA" 2>/dev/null || id -g)
# Words to put before a command. PostgreSQL refuses to run as root, and what root wrote it could not read.
AS=
if [ "$(id -u)" = 0 ]; then
  if [ "$OWNER" = 0 ]; then OWNER=$(id -u postgres) OWNER_GROUP=$(id -g postgres); fi
  AS="setpriv --reuid=$OWNER --regid=$OWNER_GROUP --clear-groups --"
fi
chmod 711 "$WORK"
mkdir -m 700 "$WORK/home"
chown "$OWNER:$OWNER_GROUP" "$WORK/home"
export HOME="$WORK/home"

# Debian keeps the server's programs out of PATH, one directory per major version.
if [ -s "$PGDATA/PG_VERSION" ]; then
  MAJOR=$(head -n 1 "$PGDATA/PG_VERSION")
  PATH=/usr/lib/postgresql/$MAJOR/bin:$PATH
fi
export PATH

# ---------------------------------------------------------------- time

step() {
  STEP=$1
  printf 'reprise-step %s %s\n' "$1" "$(($(date +%s) - STARTED))" >&3
}

remaining() { # whole seconds, at least 1: some tools take 0 for "no limit"
  left=$((STARTED + DEADLINE_SECONDS - $(date +%s)))
  if [ "$left" -gt 1 ]; then echo "$left"; else echo 1; fi
}

check_deadline() {
  if [ $(($(date +%s) - STARTED)) -ge "$DEADLINE_SECONDS" ]; then finish DeadlineExceeded; fi
}

# within COMMAND...: with the rest of the time, and interruptible by our own signals, which a shell in the foreground
# of a command is not. Standard input is passed on by hand: a shell gives background commands none. Too late is only
# noted here, since this may be a subshell, and `finish` belongs to the main one.
within() {
  { timeout -k 5 "$(remaining)" "$@" <&4 3>&- 4<&- & } 4<&0
  waiting=$!
  status=0
  wait "$waiting" || status=$?
  if [ "$status" = 124 ] || [ "$status" = 137 ]; then : >"$WORK/too-late"; fi
  return "$status"
}

# ---------------------------------------------------------------- facts

# A JSON string of any text: control characters and what is not UTF-8 go, a result must stay readable.
json_string() {
  case $1 in
    *[!A-Za-z0-9\ ./:_+-]*) ;;
    *) printf '"%s"' "$1" && return 0 ;; # most of them
  esac
  printf '%s' "$1" | iconv -c -f UTF-8 -t UTF-8 | tr '\t\n' '  ' | tr -d '\000-\037\177' |
    sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$/"/' | { grep . || printf '""'; }
}
json_list() { # words on standard input, one a line -> a JSON array of strings
  list=
  while IFS= read -r word; do
    if [ -n "$word" ]; then list="$list${list:+,}$(json_string "$word")"; fi
  done
  printf '[%s]' "$list"
}
fact() { printf '"%s":%s\n' "$1" "$2" >>"$FACTS"; } # NAME JSON. Each name once
fact_string() { if [ -n "$2" ]; then fact "$1" "$(json_string "$2")"; else fact "$1" null; fi; }
fact_number() {
  case $2 in
    '' | *[!0-9]*) fact "$1" null ;;
    *) fact "$1" "$2" ;;
  esac
}
fact_bool() { # NAME COMMAND...: whether the command succeeds
  name=$1
  shift
  if "$@"; then fact "$name" true; else fact "$name" false; fi
}

# Reason, a tab, and an extended regular expression. The closed list of what may be told about a log. Bare FATAL and
# ERROR are not in it: probes and missing history files write those as well.
reason_table() {
  cat <<'TABLE'
TargetNotReached	recovery ended before configured recovery target was reached
TargetNotReached	requested recovery stop point is before consistent recovery point
TargetNotReached	requested timeline [0-9]+ is not a child of this server's history
PromotionPending	shutdown at recovery target
InheritedRecoveryTarget	multiple recovery targets specified
WALGap	could not locate (a valid|required) checkpoint record
WALGap	WAL ends before (end of online backup|consistent recovery point)
BackupUnusable	invalid data in file "backup_label"
BackupUnusable	invalid page in block
BackupUnusable	Backup '[^']*' has no pg_control
SourceExpired	Backup '[^']*' does not exist
SourceExpired	object ['"][^'"]*tar_partitions/[^'"]*['"] not found in storage
DiskFull	[Nn]o space left on device
DiskFull	[Dd]isk quota exceeded
ParameterTooSmall	insufficient parameter settings
LibraryMissing	could not (load library|access file) "
CollationMismatch	collation version mismatch
MajorMismatch	database files are incompatible with server
MajorMismatch	data directory was initialized by PostgreSQL version
TargetBusy	lock file "postmaster.pid" already exists
TargetBusy	pre-existing shared memory block .* is still in use
NoBackupsFound	No backups found
StorageAccessDenied	AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|status code: 403
StorageUnreachable	no such host|[Cc]onnection refused|i/o timeout|NoSuchBucket
StorageUnreachable	network is unreachable|no route to host|TLS handshake timeout|x509:
EncryptionKeyMissing	libsodium|openpgp|failed to decrypt
OutOfMemory	[Cc]annot allocate memory|could not map anonymous shared memory
LoginRefused	password authentication failed|no pg_hba.conf entry|must be superuser
TABLE
}
reasons() { # the reasons found in the logs, as a JSON array, each once
  tab=$(printf '\t')
  reason_table | while IFS=$tab read -r reason pattern; do
    if [ -n "$pattern" ] && cat "$SERVER_LOG" "$TOOL_LOG" | grep -Eq -- "$pattern"; then echo "$reason"; fi
  done | sort -u | json_list
}

# ---------------------------------------------------------------- the end

before_finish() { :; } # a program puts here what must happen before any end: stopping its server

# finish CODE: the only way out. Code OK or one of the reasons that users read.
finish() {
  trap '' TERM INT
  trap - EXIT
  set +e
  code=$1
  before_finish
  if [ "$code" = ProgramFailed ] && [ -e "$WORK/too-late" ]; then code=DeadlineExceeded; fi
  {
    printf '{"v":1,"program":"%s","code":"%s","step":"%s","attempt":%s,"run":%s,"seconds":%s,"reasons":%s' "$PROGRAM" \
      "$code" "$STEP" "$(json_string "$REPRISE_ATTEMPT_TOKEN")" "$(json_string "$REPRISE_RUN_UID")" \
      "$(($(date +%s) - STARTED))" "$(reasons)"
    sed 's/^/,/' "$FACTS" | tr -d '\n'
    printf '}'
  } >"$WORK/result"
  bytes=$(wc -c <"$WORK/result" | tr -d ' ')
  digest=$(sha256sum <"$WORK/result" | cut -d ' ' -f 1)
  {
    printf 'reprise-result v1 %s %s\n' "$bytes" "$digest"
    gzip -9nc "$WORK/result" | base64 -w 120 | awk '{ print NR, $0 }'
    printf 'reprise-end v1\n'
  } >&3
  printf '{"v":1,"code":"%s","bytes":%s,"sha256":"%s"}' "$code" "$bytes" "$digest" >"$TERMINATION_LOG"
  rm -rf "$WORK"
  if [ "$code" = OK ]; then exit 0; fi
  exit 1
}

trap 'finish ProgramFailed' EXIT
trap 'finish Interrupted' TERM INT
