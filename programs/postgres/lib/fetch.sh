# SPDX-License-Identifier: Apache-2.0
# fetch: a named base backup into $STAGING, and the settings with which it recovers to the target. For the programs that
# restore; a program sets STAGING and ASIDE, the directory for what is kept of the source's settings.

# shellcheck shell=dash
BUSY=
waiting=
progress=

# ---------------------------------------------------------------- ends

# The one code that tells most. A refused key makes an archive look empty, and a full disk a backup look broken: the
# cause stands before what follows from it.
telling_reason() { # CODE: what to say when nothing is known
  found=$(reasons)
  for reason in DiskFull StorageAccessDenied EncryptionKeyMissing StorageUnreachable SourceExpired BackupUnusable \
    NoBackupsFound OutOfMemory InheritedRecoveryTarget ParameterTooSmall LibraryMissing MajorMismatch TargetNotReached \
    WALGap; do
    case $found in *"\"$reason\""*) echo "$reason" && return 0 ;; esac
  done
  echo "$1"
}

end_children() {
  if [ -n "$BUSY" ]; then # nothing may write to the volume after our end, nor a line into the result
    exec >>"$WORK/out" 2>>"$TOOL_LOG"
    for child in $waiting $progress; do
      kill "$child"
      wait "$child"
    done
  fi
}

before_finish() {
  end_children
  if [ "$code" = ProgramFailed ] && [ ! -e "$WORK/too-late" ]; then code=$(telling_reason ProgramFailed); fi
}

hold() { # COMMAND...: `within`, and our end ends it
  BUSY=1
  held=0
  within "$@" || held=$?
  BUSY=
  return "$held"
}

# ---------------------------------------------------------------- before anything is changed

check_input() {
  : "${REPRISE_BACKUP:?}" "${REPRISE_SOURCE_PREFIX:?}" "${REPRISE_TARGET_KIND:?}" "${REPRISE_TIMELINE:?}"
  : "${REPRISE_EXPECT_MAJOR:?}" "${REPRISE_EXPECT_START_LSN:?}"
  target=${REPRISE_TARGET:-}
  case $REPRISE_BACKUP$REPRISE_SOURCE_PREFIX$target in *[[:cntrl:]]*) finish ProgramFailed ;; esac
  case $REPRISE_TIMELINE in current) ;; *[!0-9]*) finish ProgramFailed ;; esac
  case ${REPRISE_TARGET_INCLUSIVE:=true} in true | false) ;; *) finish ProgramFailed ;; esac
  case $REPRISE_TARGET_KIND:$target in # what the server would refuse to start with
    latest: | immediate:) ;;
    time:?* | name:?*) ;;
    xid:*[!0-9]* | lsn:*[!0-9A-Fa-f/]* | lsn:*/*/*) finish ProgramFailed ;;
    xid:?* | lsn:?*/?*) ;;
    *) finish ProgramFailed ;;
  esac
  if ! command -v wal-g >/dev/null; then finish ToolMissing; fi
}

check_space() {
  step space
  free=$(df -B1 --output=avail "${STAGING%/*}" | tail -n 1 | tr -d ' ')
  fact_number freeBytes "$free"
  fact_number backupBytes "${REPRISE_BACKUP_BYTES:-}"
  case ${REPRISE_BACKUP_BYTES:-0} in *[!0-9]*) finish ProgramFailed ;; esac
  if [ "${REPRISE_BACKUP_BYTES:-0}" -gt "$free" ]; then finish DiskFull; fi
}

# ---------------------------------------------------------------- the base backup

# What of WAL-G's lines leaves the pod: names of parts, and that all are there. A loop of the shell, because mawk waits
# for a full buffer.
pass_progress() {
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$TOOL_LOG" || true
    case $line in
      *'Finished extraction of '*)
        part=${line##*Finished extraction of }
        part=${part##*/}
        if printf '%s\n' "$part" | grep -Eqx '(part_[0-9]{1,9}|pg_control)\.tar(\.[a-z0-9]{1,8})?'; then
          printf 'reprise-progress part %s\n' "$part" >&3
        fi
        ;;
      *'Backup extraction complete.') printf 'reprise-progress fetched\n' >&3 ;;
    esac
  done
}

fetch() {
  step fetch
  WALG_S3_PREFIX=$REPRISE_SOURCE_PREFIX
  export WALG_S3_PREFIX
  $AS mkdir -m 700 "$STAGING"
  mkfifo "$WORK/lines"
  pass_progress <"$WORK/lines" &
  progress=$!
  fetched=0
  hold $AS wal-g backup-fetch "$STAGING" "$REPRISE_BACKUP" >"$WORK/lines" 2>&1 || fetched=$?
  wait "$progress" || true
  progress=
  if [ "$fetched" = 0 ]; then return 0; fi
  if [ -e "$WORK/too-late" ]; then finish DeadlineExceeded; fi
  finish "$(telling_reason FetchFailed)"
}

position() { # X/X as PostgreSQL's older versions print it, without leading zeros
  case $1 in
    *[!0-9A-Fa-f/]* | */*/* | /* | */ | '') ;;
    */*) printf '%X/%X' "$((0x${1%/*}))" "$((0x${1#*/}))" ;;
  esac
}

check_data() {
  step check
  major=$(head -n 1 "$STAGING/PG_VERSION" 2>>"$TOOL_LOG") || major=
  fact_string major "$major"
  if [ -z "$major" ] || [ ! -s "$STAGING/global/pg_control" ]; then finish BackupUnusable; fi
  if [ "$major" != "$REPRISE_EXPECT_MAJOR" ]; then finish MajorMismatch; fi
  start=$(sed -n 's/^START WAL LOCATION: \([0-9A-Fa-f/]*\) .*/\1/p' "$STAGING/backup_label" 2>>"$TOOL_LOG") || start=
  fact_string startLsn "$start"
  # Without the label the server would take the latest checkpoint for a consistent state.
  if [ -z "$(position "$start")" ]; then finish BackupUnusable; fi
  if [ "$(position "$start")" != "$(position "$REPRISE_EXPECT_START_LSN")" ]; then finish OtherBaseBackup; fi
  # They lie outside the volume, and end with this container.
  if [ -n "$(ls -A "$STAGING/pg_tblspc" 2>>"$TOOL_LOG")" ]; then finish TablespacesUnsupported; fi
  $AS chmod u=rwx,g-w,o-rwx "$STAGING"
}

# ---------------------------------------------------------------- the settings

for_shell() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
for_setting() { printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"; }

restore_command() { # a program may have a longer one
  prefix=$(for_shell "$REPRISE_SOURCE_PREFIX" | sed 's/%/%%/g')
  printf '%s' "WALG_S3_PREFIX=$prefix wal-g wal-fetch \"%f\" \"%p\""
}

# Every setting that has a say in recovery, whatever the data's own postgresql.conf says: this file is read last. The
# one target comes after the empty ones, because emptying another is an error while one is set.
recovery_settings() {
  printf 'restore_command = %s\n' "$(for_setting "$(restore_command)")"
  printf "archive_cleanup_command = ''\nrecovery_end_command = ''\nrecovery_min_apply_delay = 0\n"
  printf "recovery_target = ''\n"
  printf "recovery_target_%s = ''\n" time lsn xid name
  printf "recovery_target_timeline = '%s'\n" "$REPRISE_TIMELINE"
  printf "recovery_target_inclusive = %s\n" "$REPRISE_TARGET_INCLUSIVE"
  printf "recovery_target_action = 'promote'\n"
  case $REPRISE_TARGET_KIND in
    latest) ;;
    immediate) printf "recovery_target = 'immediate'\n" ;;
    *) printf 'recovery_target_%s = %s\n' "$REPRISE_TARGET_KIND" "$(for_setting "$target")" ;;
  esac
}

# What the source left of an earlier recovery, of its archiving and its primary is taken out; what it had altogether is
# kept for seal. The text is complete before a byte of it is written: half of it would recover to another target.
write_settings() {
  step settings
  auto=$STAGING/postgresql.auto.conf
  if [ ! -e "$auto" ]; then : | $AS tee "$auto" >/dev/null; fi
  if [ -z "${KEEP_ASIDE:-}" ] || [ ! -e "$ASIDE/postgresql.auto.conf.source" ]; then
    $AS cp "$auto" "$ASIDE/unfinished"
    $AS mv "$ASIDE/unfinished" "$ASIDE/postgresql.auto.conf.source"
  fi
  grep -aEiv '^[[:space:]]*(restore_command|(recovery|archive|primary)_)' "$auto" >"$WORK/auto.conf" || true
  recovery_settings >"$WORK/recovery.conf"
  cat "$WORK/recovery.conf" >>"$WORK/auto.conf"
  $AS tee "$auto" <"$WORK/auto.conf" >/dev/null
  $AS rm -f "$STAGING/standby.signal" "$STAGING/recovery.conf"
  $AS touch "$STAGING/recovery.signal"
}
